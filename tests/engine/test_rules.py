"""The dense rules: what a rectifier and a layer hand back, however the gradient lies in memory and however many there are."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core import TRGBP
from trgbp_core.engine.rectifiers import Gate
from trgbp_core.engine.rules import MAP_AXES, constant_map, rectifier_gradient
from trgbp_core.trgbp import batches

from ..exactness.checks import dispatched
from ..support.nets import NETS, picture, randomise
from ..trgbp import golden

CLASSES, PICTURES, CHANNELS = 3, 2, 4

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "channels last": lambda g: g.contiguous(memory_format=torch.channels_last),
    "channels first": lambda g: g.contiguous(),
    "a padding's inner part": lambda g: F.pad(g, (1, 2, 3, 0)).contiguous(memory_format=torch.channels_last)[:, :, 3:, 1:-2],
    "a part of a concatenation": lambda g: torch.cat([g, g], 1).contiguous(memory_format=torch.channels_last)[:, CHANNELS:],
    "turned": lambda g: g.transpose(2, 3).contiguous().transpose(2, 3),
}


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("pictures", [1, PICTURES])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_rectifier_passes_what_eq_4_passes_and_its_held_units_are_constants(
    layout: Callable[[Tensor], Tensor], pictures: int, fresh: bool, guided: bool
) -> None:
    out = (4 * noise(pictures, CHANNELS, 5, 6)).clamp(0, 6)
    gate = Gate.below(6.0, out.contiguous(memory_format=torch.channels_last), layer_maps=True)
    assert gate.held is not None
    assert torch.equal(gate.held, 6 * (out == 6).to(out))
    g = layout(noise(CLASSES * pictures, CHANNELS, 5, 6)).unflatten(0, (CLASSES, pictures))
    kept, maps = g.clone(), constant_map(g, gate.held, MAP_AXES)
    torch.testing.assert_close(maps, (6 * (out == 6) * g).sum(2, keepdim=True), rtol=1e-12, atol=1e-12)  # summation order
    result = rectifier_gradient(gate.open, g, guided=guided, fresh=fresh)
    assert torch.equal(result, (kept.relu() if guided else kept) * ((out > 0) & (out < 6)))
    assert (result.data_ptr() == g.data_ptr()) is fresh
    assert fresh or torch.equal(g, kept)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("ceiling", [6.0, 0.7, 1e-3])
def test_only_units_at_the_ceiling_are_held_in_every_precision(ceiling: float, dtype: torch.dtype) -> None:
    top = torch.tensor(ceiling, dtype=dtype)
    out = torch.stack([top, torch.nextafter(top, torch.zeros_like(top)), top / 2, torch.zeros_like(top)])[None]
    gate = Gate.below(ceiling, out, layer_maps=True)
    assert gate.held is not None
    assert torch.equal(gate.held, torch.stack([top, *torch.zeros(3, dtype=dtype)])[None])
    assert torch.equal(gate.open, torch.tensor([[0, math.inf, math.inf, 0]], dtype=dtype))


@pytest.mark.parametrize(
    ("name", "most"),
    [("resnet18", 658), ("densenet121", 3_900), ("mobilenet_v2", 1_453), ("efficientnet_lite0", 1_554)],
)
def test_how_many_operations_run_depends_on_neither_pictures_nor_classes(name: str, most: int) -> None:
    """A loop over either would show; ``most`` is half of what the loops took before, but for densenet121."""
    explainer = TRGBP(golden.network(name).float())
    counts = {}
    for pictures in (1, 16):
        x = golden.picture(name, pictures).float()[..., :64, :64]  # the count is that of any size
        explainer.attribute(x)  # the first time the axiom is held, and matrices are kept
        counts[f"{pictures} pictures, 5 classes"] = dispatched(lambda x=x: explainer.attribute(x))
        ten = [[11, 22, 33, 44, 55]] * pictures
        counts[f"{pictures} pictures, 10 classes"] = dispatched(lambda x=x, ten=ten: explainer.explain_batch(x, ten).attribution())
    print(name, counts)
    assert max(counts.values()) <= 1.05 * min(counts.values())
    assert counts["1 pictures, 5 classes"] <= most


@pytest.mark.parametrize("name", NETS)
def test_a_batch_in_parts_is_the_batch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = randomise(NETS[name]()), picture(5, 3, 32, 32)
    wanted = [[None, 3, k] for k in range(5)]
    whole = TRGBP(network).explain_batch(x, wanted)
    monkeypatch.setattr("trgbp_core.trgbp.explainer.memory_budget", lambda device: 1)
    parts = TRGBP(network).explain_batch(x, wanted)
    assert torch.equal(parts.classes, whole.classes)
    for psi in ("paper", "conserving"):
        expected = whole.attribution(psi)
        # float64; matrix products of one picture round otherwise than those of five
        torch.testing.assert_close(parts.attribution(psi), expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
        torch.testing.assert_close(TRGBP(network).attribute(x, range(5), psi=psi), expected[2], rtol=0, atol=1e-11)


def test_the_budget_bounds_what_a_pass_takes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = (
        randomise(nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 7))),
        picture(),
    )
    seen = list[int]()
    network.register_forward_hook(lambda module, args, out: seen.append(len(args[0])))
    for pictures in (1, 2):
        TRGBP(network).attribute(x.expand(pictures, -1, -1, -1))
    seen.clear()
    activation = 64 * 30 * 30 * 8
    gradients = batches.GRADIENTS_AT_ONCE * (5 + 1) * activation  # a target and the top 5
    monkeypatch.setattr("trgbp_core.trgbp.explainer.memory_budget", lambda device: 2 * (activation + gradients) + activation)
    TRGBP(network).attribute(x.expand(5, -1, -1, -1))
    assert seen == [2, 2, 1]
