"""The conserving ψ keeps every unit's mass at every size, and is the plain bilinear one times a number where sizes divide."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from trgbp_core.engine.geometry import upsample

from .cases import constant
from .checks import apart

SIZES = [(224, n) for n in (55, 27, 13, 112, 56, 28, 14, 7, 6, 1, 223, 224)] + [(299, n) for n in (147, 73, 71, 35, 17, 8)] + [(32, 45)]


@pytest.mark.parametrize(("size", "n"), SIZES)
def test_every_unit_keeps_its_mass(size: int, n: int) -> None:
    maps = constant(1, 1, n, max(n // 2, 1)).requires_grad_()
    (mass,) = torch.autograd.grad(upsample(maps, (size, size), "conserving").sum(), maps)
    assert float((mass - 1).abs().max()) < 1e-12


@pytest.mark.parametrize("n", [112, 56, 28, 14, 7])
def test_where_sizes_divide_it_is_what_it_was(n: int) -> None:
    maps = constant(1, 1, n, n)
    plain = F.interpolate(maps, size=(224, 224), mode="bilinear", align_corners=False) * (n / 224) ** 2
    assert apart(upsample(maps, (224, 224), "conserving"), plain) < 1e-12
