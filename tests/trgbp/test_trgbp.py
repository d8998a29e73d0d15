"""The formulas of Section 4.1 on small networks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core import TRGBP
from trgbp_core.engine.geometry import Window, spread, upsample
from trgbp_core.trgbp.aggregation import PIXEL

from ..support.nets import NETS, Plain, picture, randomise


class Literal(nn.Module):
    """Eq. 8 word for word: every bias is a map of ones convolved with B = b / n; a batch norm is folded by hand."""

    def __init__(self, stride: int, padding: int, dilation: int) -> None:
        super().__init__()
        self.options = {"stride": stride, "padding": padding, "dilation": dilation}
        self.conv = nn.Conv2d(3, 6, 3, **self.options)
        self.norm = nn.BatchNorm2d(6)
        self.last = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.conv(x)).relu().mean((2, 3)))

    def guided_by_hand(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """∂^g f_k/∂^g x and ∂^g f_k/∂^g 1 with the leaf of ones in the graph."""
        scale = self.norm.weight / (self.norm.running_var + self.norm.eps).sqrt()
        weight = self.conv.weight * scale[:, None, None, None]
        bias = self.norm.bias + (self.conv.bias - self.norm.running_mean) * scale
        x, ones = x.clone().requires_grad_(), torch.ones_like(x[:, :1]).requires_grad_()
        counts = F.conv2d(torch.ones_like(ones), torch.ones(1, 1, 3, 3).to(x), **self.options)
        kernel = torch.ones(6, 1, 3, 3).to(x) * bias[:, None, None, None]
        z = F.conv2d(x, weight, **self.options) + F.conv2d(ones, kernel, **self.options) / counts
        g = self.last.weight[k][None, :, None, None].expand_as(z) / z[0, 0].numel()
        guided = g.relu() * (z > 0)
        return torch.autograd.grad(z, [x, ones], guided.detach())


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 1, 1), (2, 1, 1), (1, 0, 2), (3, 2, 1)])
def test_the_literal_reformulation_of_eq_8_equals_the_fast_path(stride: int, padding: int, dilation: int) -> None:
    network, x = randomise(Literal(stride, padding, dilation)), picture(1, 3, 15, 17)
    gradient, ones = network.guided_by_hand(x, 2)
    e = TRGBP(network).explain(x, [2])
    gap = max(float((e.gradient(2) - gradient).abs().max()), float((e.layer_raw(1, 2) - ones).abs().max()))
    print(f"{gap:.1e}")
    assert gap < 1e-12  # float64


@pytest.mark.parametrize("psi", ["paper", "conserving"])
@pytest.mark.parametrize("name", NETS)
def test_linear_exchange(name: str, psi: str) -> None:
    """R_k = R^0_k + Σ_l ψ(R^l_k), and R_k = R̃_k − mean of the top 5."""
    e = TRGBP(randomise(NETS[name]())).explain(picture(), [6, 2])
    for k in e.classes:
        layers = sum(upsample(e.layer_attribution(i, k, PIXEL[psi]), e.size, psi) for i in range(len(e.layers) + 1))
        classes = e.raw(k, psi) - torch.stack([e.raw(i, psi) for i in e.top5]).mean(0)
        scale = float(e.raw(k, psi).abs().max())
        assert float((e.attribution(k, psi) - layers).abs().max()) < 1e-12 * scale
        assert float((e.attribution(k, psi) - classes).abs().max()) < 1e-12 * scale


@pytest.mark.parametrize(
    ("small", "large"),
    # Where the sizes divide; of AlexNet, SqueezeNet and Inception, where they do not; and of a map that is larger than the picture.
    [(s, 224) for s in (112, 56, 28, 14, 7, 1, 55, 27, 13, 6, 223)]
    + [(s, 299) for s in (147, 73, 71, 35, 17, 8)]
    + [(7, 5), (64, 7), (45, 32), (13, 13)],
)
def test_the_conserving_psi_brings_every_units_mass_whole(small: int, large: int) -> None:
    """Along each axis alone, which is all there is to it: the two are independent."""
    units = torch.eye(small, dtype=torch.float64)
    for arrived in (upsample(units[:, None, :, None], (large, 1), "conserving"), upsample(units[:, None, None], (1, large), "conserving")):
        assert float((arrived.sum((1, 2, 3)) - 1).abs().max()) < 1e-12  # float64
        assert float(arrived.min()) >= 0


@pytest.mark.parametrize("size", [(16, 8), (8, 8), (1, 1), (2, 32)])
def test_where_sizes_divide_the_conserving_psi_is_the_papers_by_the_pixels_of_a_unit(size: tuple[int, int]) -> None:
    m = picture(2, 1, *size)
    expected = upsample(m, (32, 64)) * (size[0] * size[1] / (32 * 64))
    assert float((upsample(m, (32, 64), "conserving") - expected).abs().max()) < 1e-14  # float64, values of order one
    assert torch.equal(upsample(m, (32, 64)), F.interpolate(m, (32, 64), mode="bilinear", align_corners=False))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("psi", ["paper", "conserving"])
def test_attribute_of_a_batch_equals_explain_of_each_picture(name: str, psi: str) -> None:
    explainer, x = TRGBP(randomise(NETS[name]())), picture(3, 3, 32, 32)
    batch = explainer.attribute(x, [0, 5, 6], psi=psi)
    assert batch.shape == (3, 1, 32, 32)
    for i, k in enumerate((0, 5, 6)):
        alone = explainer.explain(x[i : i + 1], [k]).attribution(k, psi)
        assert float((batch[i] - alone[0]).abs().max()) < 1e-12 * float(alone.abs().max())


def test_targets_follow_captums_convention() -> None:
    explainer, x = TRGBP(randomise(Plain())), picture(2, 3, 32, 32)
    best = [explainer.explain(x[i : i + 1]).top5[0] for i in range(2)]
    assert torch.equal(explainer.attribute(x), explainer.attribute(x, torch.tensor(best)))
    assert torch.equal(explainer.attribute(x, 3), explainer.attribute(x, [3, 3]))
    for wrong in (7, -1, [1, 2, 3], 1.5, True):
        with pytest.raises(ValueError, match=r"class|targets"):
            explainer.attribute(x, wrong)


def test_classes_are_the_picked_ones_and_the_top_5_and_a_further_one_runs_no_forward_pass() -> None:
    calls = []
    network = randomise(Plain())
    network.register_forward_hook(lambda *_: calls.append(1))
    TRGBP(network).record(picture())  # the first time it is called once more, to be held against the axiom
    calls.clear()
    recorded = TRGBP(network).record(picture())
    first = recorded.explain([recorded.top5[-1]])
    other = next(k for k in range(7) if k not in first.classes)
    more = recorded.explain([other])
    assert len(calls) == 1
    assert more.classes == (other, *recorded.top5)
    together = TRGBP(network).explain(picture(), [other]).attribution(other)
    # float64; a matrix product of six classes rounds otherwise than one of one
    assert float((more.attribution(other) - together).abs().max()) < 1e-12 * float(together.abs().max())
    with pytest.raises(ValueError, match="was not explained"):
        first.attribution(other)
    with pytest.raises(ValueError, match="no layer 99"):
        first.layer_raw(99, first.top5[0])
    with pytest.raises(ValueError, match="psi is"):
        first.attribution(first.top5[0], "bicubic")


def test_spreading_equals_a_transposed_convolution_with_ones() -> None:
    for kernel, stride, padding, dilation, size in (((3, 5), (2, 1), (1, 2), (1, 1), (9, 11)), ((3, 3), (1, 2), (2, 0), (2, 3), (12, 13))):
        out = [(s + 2 * p - d * (k - 1) - 1) // t + 1 for s, p, d, k, t in zip(size, padding, dilation, kernel, stride, strict=True)]
        window = Window(size, (out[0], out[1]), kernel, stride, padding, dilation)
        ones, options = torch.ones(1, 1, *kernel, dtype=torch.float64), {"stride": stride, "padding": padding, "dilation": dilation}
        counts = F.conv2d(torch.ones(1, 1, *size, dtype=torch.float64), ones, **options)
        g = picture(2, 1, *out)
        x = torch.zeros(2, 1, *size, dtype=torch.float64, requires_grad=True)
        (expected,) = torch.autograd.grad(F.conv2d(x, ones, **options), x, g / counts)
        assert float((spread(g, window) - expected).abs().max()) < 1e-12


def test_a_position_that_sees_only_padding_gives_its_bias_to_the_nearest_pixel() -> None:
    network = randomise(nn.Sequential(nn.Conv2d(3, 4, 1, padding=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)))
    x = picture(1, 3, 5, 5)
    e = TRGBP(network, guided=False).explain(x)
    k = e.top5[0]
    shares = (x * e.gradient(k)).sum() + sum(e.layer_raw(i, k).sum() for i in (1, 2))
    assert float(shares) == pytest.approx(float(e.logits[0, k]), rel=1e-9)


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("network", NETS)
def test_a_packed_recording_takes_less_memory_and_gives_the_same_bits(network: str, guided: bool) -> None:
    net, x = randomise(NETS[network]()), picture().float()
    packed, plain = (TRGBP(net.float(), guided=guided).record(x) for _ in range(2))
    for _ in range(2):
        packed.pack()
    assert packed.nbytes < plain.nbytes
    kept, full = (sum(gate.nbytes for gate in recorded._recording.gates) for recorded in (packed, plain))
    assert kept < full / 25, "a bit in place of 32"
    one, other = packed.explain([3]), plain.explain([3])
    assert torch.equal(one.gradient(3), other.gradient(3))
    assert all(torch.equal(one.layer_raw(i, 3), other.layer_raw(i, 3)) for i in range(len(one.layers) + 1))
