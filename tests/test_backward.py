"""The rectifier's gate: saturated units speak at their places, however the gradient lies in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trgbp_core.rules import Affine, Gate

CLASSES, PICTURES, CHANNELS = 3, 2, 4

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "channels last": lambda g: g.contiguous(memory_format=torch.channels_last),
    "channels first": lambda g: g.contiguous(),
    "a padding's inner part": lambda g: F.pad(g, (1, 2, 3, 0)).contiguous(memory_format=torch.channels_last)[:, :, 3:, 1:-2],
    "a part of a concatenation": lambda g: torch.cat([g, g], 1).contiguous(memory_format=torch.channels_last)[:, CHANNELS:],
    "every second row": lambda g: g.repeat_interleave(2, 2).contiguous(memory_format=torch.channels_last)[:, :, ::2],
    "turned": lambda g: g.transpose(2, 3).contiguous().transpose(2, 3),
}


@pytest.mark.parametrize("pictures", [1, PICTURES])
@pytest.mark.parametrize("size", [(5, 6), (1, 4), (1, 1)])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_saturated_units_speak_wherever_the_gradient_lies(layout: Callable[[Tensor], Tensor], size: tuple[int, int], pictures: int) -> None:
    generator = torch.Generator().manual_seed(0)
    out = (4 * torch.randn(pictures, CHANNELS, *size, dtype=torch.float64, generator=generator)).clamp(0, 6)
    gate = Gate.of(out.contiguous(memory_format=torch.channels_last), 6.0, guided=True, layer_maps=True)
    assert gate.saturated is not None
    assert len(gate.saturated) == int((out == 6).sum()) > 0
    g = torch.randn(CLASSES, *out.shape, dtype=torch.float64, generator=generator)
    maps = gate.voices(layout(g.flatten(0, 1)))
    expected = (6 * (out == 6) * g).sum(2, keepdim=True).flatten(0, 1)
    torch.testing.assert_close(maps, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pictures", [1, PICTURES])
def test_saturated_units_without_a_place_share_one(pictures: int) -> None:
    out = torch.tensor([[6.0, 0.0, 6.0, 1.0], [0.0, 6.0, 2.0, 6.0]])[:pictures]
    gate = Gate.of(out, 6.0, guided=True, layer_maps=True)
    g = torch.arange(1.0, 1 + CLASSES * out.numel()).view(CLASSES * pictures, CHANNELS)
    expected = (6 * (out == 6) * g.unflatten(0, (CLASSES, pictures))).sum(2).view(-1, 1, 1, 1)
    torch.testing.assert_close(gate.voices(g), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saturated_units_are_found_in_every_precision_and_layout(dtype: torch.dtype) -> None:
    out = (4 * torch.randn(PICTURES, CHANNELS, 5, 6, generator=torch.Generator().manual_seed(0))).clamp(0, 6).to(dtype)
    for same in (out, out.contiguous(memory_format=torch.channels_last)):
        saturated = Gate.of(same, 6.0, guided=True, layer_maps=True).saturated
        assert saturated is not None
        expected = (out == 6).movedim(1, -1).flatten().nonzero().squeeze(1)
        assert torch.equal(saturated.units, expected)
        assert torch.equal(saturated.places, expected // CHANNELS)


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("pictures", [1, PICTURES])
def test_large_gradients_one_by_one_give_what_all_at_once_give(pictures: int, guided: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    shape, layout = (CLASSES * pictures, CHANNELS, 5, 6), LAYOUTS["channels last"]
    out = layout((4 * torch.randn(pictures, *shape[1:], dtype=torch.float64, generator=generator)).clamp(0, 6))
    g = layout(torch.randn(shape, dtype=torch.float64, generator=generator))
    affine = Affine(None, torch.randn(CHANNELS, dtype=torch.float64, generator=generator), out.shape)
    gate = Gate.of(out, 6.0, guided=guided, layer_maps=True)
    results = []
    for block in (g.numel(), g.numel() - 1):
        monkeypatch.setattr("trgbp_core.backward.BLOCK", block)
        gradient = torch.full_like(g, torch.nan)
        results.append((gradient, gate.backward(g, gradient, affine)))
    passing = ((out > 0) & (out < 6)).repeat(CLASSES, 1, 1, 1)
    expected = (g.relu() if guided else g) * passing
    saturated = 6 * ((out == 6).repeat(CLASSES, 1, 1, 1) * g).sum(1, keepdim=True)
    for gradient, maps in results:
        assert torch.equal(gradient, expected)
        torch.testing.assert_close(maps, (expected * affine.bias.view(-1, 1, 1)).sum(1, keepdim=True) + saturated, rtol=1e-12, atol=1e-12)
