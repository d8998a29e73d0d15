"""Signals and volumes: the same rules over one and over three axes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core import METHODS, TRGBP, Explanation
from trgbp_core.engine.geometry import Window, spread, upsample

from ..support.comparison import completeness_gap
from ..support.nets import picture, randomise

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MAX = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
MEAN = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
SIZES = {1: (30,), 2: (12, 30), 3: (12, 12, 14)}


class Stack(nn.Module):
    """Every kind of layer that has axes, over so many of them; along axes ``flat`` nothing looks further than one place."""

    def __init__(self, axes: int, flat: int = 0) -> None:
        super().__init__()

        def along(k: int, rest: int = 1) -> tuple[int, ...]:
            return (rest,) * flat + (k,) * (axes - flat)

        conv = CONV[axes]
        self.pad = (1, 2) + (0, 0) * (axes - 1)
        self.first = conv(2, 6, along(3), padding=along(1, 0), bias=False)
        self.norm = NORM[axes](6)
        self.second = conv(6, 8, along(4), stride=along(2), groups=2, padding="valid")
        self.pool = MAX[axes](along(2), along(1))
        self.lone = NORM[axes](8)
        self.third = conv(8, 8, along(2), padding="same", dilation=along(2))
        self.mean = MEAN[axes](along(2), along(1))
        self.last = conv(8, 4, along(2))
        self.hidden = nn.LazyLinear(9)
        self.head = nn.Linear(9, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(F.pad(x, self.pad))))
        x = F.relu6(2 * self.second(x))
        x = F.relu(self.lone(self.pool(x)) + 1)
        x = F.relu6(2 * (x + self.third(x)) + 0.5)
        x = F.relu(self.last(self.mean(x)))
        return self.head(F.relu(self.hidden(x.flatten(1))))


def stack(axes: int, flat: int = 0, size: tuple[int, ...] | None = None) -> tuple[nn.Module, Tensor]:
    """The network with random weights, the same for every number of axes that are flat, and two inputs."""
    network, x = Stack(axes, flat).double().eval(), picture(2, 2, *(size or SIZES[axes]))
    network(x)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, t in network.state_dict().items():
            if t.is_floating_point():
                values = torch.randn(t.numel(), generator=generator, dtype=torch.float64).view(t.shape)
                spread = (2 / t[0].numel()) ** 0.5 if t.dim() > 1 else 0.3
                t.copy_(values.abs() + 0.5 if name.endswith("var") else spread * values)
    return network, x


@pytest.mark.parametrize("axes", CONV)
def test_over_any_number_of_axes_the_shares_add_up_to_the_logit(axes: int) -> None:
    network, x = stack(axes)
    e = TRGBP(network, guided=False).explain(x[:1])
    gap = completeness_gap(e, x[:1])
    print(f"{axes} axes: {gap:.1e}")
    assert gap < 1e-9
    k = e.top5[0]
    assert float(e.raw(k, "conserving").sum()) == pytest.approx(float(e.logits[0, k]), rel=1e-9)
    names = {layer.name for layer in e.layers}
    assert {"first", "second", "lone", "third", "last", "hidden", "head"} <= names


@pytest.mark.parametrize("axes", CONV)
def test_maps_have_the_axes_of_the_input(axes: int) -> None:
    network, x = stack(axes)
    explainer = TRGBP(network)
    e = explainer.explain(x[:1], [3])
    assert e.size == SIZES[axes]
    for psi in ("paper", "conserving"):
        assert e.attribution(3, psi).shape == (1, 1, *SIZES[axes])
    for layer in e.layers:
        assert e.layer_raw(layer.index, 3).shape == (1, 1, *layer.size)
        assert len(layer.size) == len(layer.kernel) == axes
    together = explainer.attribute(x, 3)
    assert together.shape == (2, 1, *SIZES[axes])
    for i, each in enumerate(explainer.explain_each(x, 3)):
        alone = explainer.explain(x[i : i + 1], 3).attribution(3)
        assert float((together[i] - alone[0]).abs().max()) < 1e-12 * float(alone.abs().max())
        assert float((each.attribution(3) - alone).abs().max()) < 1e-12 * float(alone.abs().max())


@pytest.mark.parametrize("fewer", [1, 2])
def test_with_an_axis_of_length_one_maps_are_those_of_a_network_without_it(fewer: int) -> None:
    size = SIZES[fewer]
    small, x = stack(fewer)
    large, _ = stack(fewer + 1, 1, (1, *size))
    a = TRGBP(small).explain(x[:1], [3])
    b = TRGBP(large).explain(x[:1, :, None], [3])
    assert torch.allclose(a.logits, b.logits, rtol=1e-12)
    assert [layer.name for layer in a.layers] == [layer.name for layer in b.layers]
    maps = [(a.attribution(3, psi), b.attribution(3, psi)) for psi in ("paper", "conserving")]
    maps += [(a.layer_raw(i, 3), b.layer_raw(i, 3)) for i in range(len(a.layers) + 1)]
    assert sum(bool(ours.any()) for ours, _ in maps) >= len(maps) - 1, "one rectifier has no saturated unit"
    for ours, theirs in maps:
        assert float((ours - theirs.squeeze(2)).abs().max()) <= 1e-12 * float(ours.abs().max())


def test_spreading_over_three_axes_equals_a_transposed_convolution_with_ones() -> None:
    kernel, stride, padding, dilation, size = (3, 5, 2), (2, 1, 1), (1, 2, 0), (1, 1, 3), (7, 9, 11)
    out = tuple((s + 2 * p - d * (k - 1) - 1) // t + 1 for s, p, d, k, t in zip(size, padding, dilation, kernel, stride, strict=True))
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    ones = torch.ones(1, 1, *kernel, dtype=torch.float64)
    counts = F.conv3d(torch.ones(1, 1, *size, dtype=torch.float64), ones, **options)
    g, x = picture(2, 1, *out), torch.zeros(2, 1, *size, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(F.conv3d(x, ones, **options), x, g / counts)
    assert float((spread(g, Window(size, out, kernel, stride, padding, dilation)) - expected).abs().max()) < 1e-12


@pytest.mark.parametrize("size", [(5,), (3, 4, 5)])
def test_the_conserving_psi_keeps_the_mass_over_any_number_of_axes(size: tuple[int, ...]) -> None:
    m = picture(2, 1, *size)
    found = upsample(m, tuple(2 * n + 1 for n in size), "conserving")
    torch.testing.assert_close(found.flatten(1).sum(1), m.flatten(1).sum(1), rtol=1e-12, atol=1e-12)
    exact = upsample(m, tuple(2 * n for n in size), "conserving")
    torch.testing.assert_close(exact, upsample(m, tuple(2 * n for n in size)) / math.prod(2 for _ in size))


@pytest.mark.parametrize("axes", [1, 3])
def test_the_shares_of_a_part_of_a_signal_or_volume_add_up(axes: int) -> None:
    network, x = stack(axes)
    e = TRGBP(network).explain(x[:1], [3])
    low, high = [0.1, 0.2, 0.3][:axes], [0.6, 0.8, 0.9][:axes]
    part = e.attribution(3, "conserving")[0, 0]
    for axis, n in enumerate(SIZES[axes]):
        centres = (torch.arange(n) + 0.5) / n
        chosen = (centres >= low[axes - 1 - axis]) & (centres < high[axes - 1 - axis])
        part = part.index_select(axis, chosen.nonzero()[:, 0])
    assert abs(float(e.shares(3, [*low, *high]).sum() - part.sum())) < 1e-12 * float(part.abs().sum())
    with pytest.raises(ValueError, match="box"):
        e.shares(3, (0, 0, 1, 1))


@pytest.mark.parametrize("axes", [1, 3])
def test_methods_for_pictures_and_plots_refuse_signals_and_volumes(axes: int) -> None:
    network, x = stack(axes)
    with pytest.raises(ValueError, match="pictures"):
        METHODS["grad_cam"].attribute(network, x, 3)
    assert METHODS["tr_gbp"].attribute(network, x, 3).shape == (2, 1, *SIZES[axes])
    e = TRGBP(network).explain(x[:1])
    with pytest.raises(ValueError, match=f"{axes} ax"):
        e.plot()
    assert e._repr_png_() is None


def test_a_picture_without_its_batch_is_not_taken_for_signals() -> None:
    network = randomise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 7)))
    with pytest.raises(ValueError, match=r"pictures \(N, C, H, W\)"):
        TRGBP(network).explain(picture(3, 12, 12))
    with pytest.raises(ValueError, match=r"signals \(N, C, T\)"):
        TRGBP(stack(1)[0]).explain(picture(2, 30))


def test_a_volume_whose_axes_change_places_inside_is_still_exact() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Conv3d(2, 4, 3), nn.Conv3d(4, 4, 2), nn.Linear(4, 7)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(F.relu6(4 * self.second(F.relu(self.first(x)).permute(0, 1, 4, 2, 3))).mean((2, 3, 4)))

    network, x = Turned().double().eval(), picture(1, 2, 5, 6, 7)
    assert completeness_gap(TRGBP(network, guided=False).explain(x), x) < 1e-9


def test_a_signals_explanation_comes_back_from_a_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    network, x = stack(1)
    e = TRGBP(network).explain(x[:1], [3])
    e.save(tmp_path / "signal.npz")
    assert np.array_equal(Explanation.load(tmp_path / "signal.npz").attribution(3), e.attribution(3))
