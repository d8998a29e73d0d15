"""The pixel term of the conserving variant: x ⊙ R̃^0 has the unit of the layers' maps, whatever pictures are measured in."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trgbp_core import TRGBP, Explanation
from trgbp_core.engine.geometry import upsample

from ..support import zoo
from ..support.nets import NETS, picture, randomise

COLOURS = (1, 3, 1, 1)
STD = torch.tensor([0.2, 0.3, 4.0], dtype=torch.float64).view(COLOURS)
MEAN = torch.tensor([0.5, -0.3, 0.1], dtype=torch.float64).view(COLOURS)
EXACT = 1e-9  # float64: what remains is summation order
WITHOUT_PADDING = {
    "a plain network": lambda: nn.Sequential(nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), *_rest()),
    "a network whose maps do not divide the picture": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), *_rest()
    ),
}


def _rest() -> list[nn.Module]:
    return [nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 7)]


def first_convolution(network: nn.Module) -> nn.Conv2d:
    return next(module for module in network.modules() if isinstance(module, nn.Conv2d))


def gap(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest magnitude."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("name", NETS)
def test_rescaling_the_input_leaves_the_conserving_map_and_changes_the_papers(name: str) -> None:
    """x / std with weights times std is the same function of the same picture: the standard deviation moved into the first convolution."""
    network, x = randomise(NETS[name]()), picture()
    other = copy.deepcopy(network)
    first_convolution(other).weight.data *= STD
    e, scaled = TRGBP(network).explain(x), TRGBP(other).explain(x / STD)
    assert float((e.logits - scaled.logits).abs().max()) < EXACT
    for k in e.classes:
        assert gap(scaled.attribution(k, "conserving"), e.attribution(k, "conserving")) < EXACT
        assert gap(scaled.raw(k, "conserving"), e.raw(k, "conserving")) < EXACT
        assert gap(scaled.layer_contribution(0, k), e.layer_contribution(0, k)) < EXACT
        assert gap(scaled.gradient(k), e.gradient(k) * STD) < EXACT
        assert gap(scaled.layer_attribution(0, k), e.layer_attribution(0, k)) > 0.1
        assert gap(scaled.attribution(k), e.attribution(k)) > 1e-3
        assert gap(scaled.attribution(k, "conserving", "gradient"), e.attribution(k, "conserving", "gradient")) > 1e-3


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("build", WITHOUT_PADDING.values(), ids=WITHOUT_PADDING)
def test_moving_the_mean_shifts_the_means_share_from_the_pixels_to_the_first_layer(build: Callable[[], nn.Module], guided: bool) -> None:
    """x − m with biases b + Σ W·m is the same function where nothing is padded.

    Each pixel's contribution falls by Σ_c m_c R̃^0_c at that pixel; the first layer's map rises by as much in all, spread over its kernels;
    no other map and no sum changes.
    """
    network, x = randomise(build()), picture(1, 3, 33, 35)
    other = copy.deepcopy(network)
    convolution = first_convolution(other)
    convolution.bias.data += (convolution.weight * MEAN).sum((1, 2, 3))
    e, moved = (TRGBP(n, guided=guided).explain(p) for n, p in ((network, x), (other, x - MEAN)))
    assert float((e.logits - moved.logits).abs().max()) < EXACT
    for k in e.classes:
        shift = (MEAN * e.gradient(k)).sum(1, keepdim=True)
        assert gap(moved.layer_contribution(0, k), e.layer_contribution(0, k) - shift) < EXACT
        risen = (moved.layer_raw(1, k) - e.layer_raw(1, k)).sum()
        assert float(risen) == pytest.approx(float(shift.sum()), rel=EXACT)
        assert abs(float(shift.sum())) > 1e-3
        for index in range(2, len(e.layers) + 1):
            torch.testing.assert_close(moved.layer_raw(index, k), e.layer_raw(index, k), rtol=EXACT, atol=1e-15)
        scale = float(e.raw(k, "conserving").abs().sum())
        assert abs(float(moved.raw(k, "conserving").sum() - e.raw(k, "conserving").sum())) < EXACT * scale


def complete(e: Explanation) -> None:
    for k in e.classes:
        scale = max(float(e.raw(k, "conserving").abs().max()), abs(float(e.logits[0, k])))
        assert abs(float(e.raw(k, "conserving").sum() - e.logits[0, k])) < EXACT * scale
        assert abs(float(e.raw(k, "conserving", "gradient").sum() - e.logits[0, k])) > 1e-3 * scale, "R̃^0 alone is no share of the logit"


@pytest.mark.parametrize("name", NETS)
def test_with_the_ordinary_gradient_the_whole_pictures_sum_is_the_logit(name: str) -> None:
    complete(TRGBP(randomise(NETS[name]()), guided=False).explain(picture()))


@pytest.mark.parametrize("name", ["squeezenet1_1", "efficientnet_lite0", "alexnet"])
def test_so_it_is_on_networks_of_the_zoo(name: str) -> None:
    network = randomise(zoo.network(name))
    side = 299 if name == "alexnet" else zoo.SIDE  # below it AlexNet's last maps would be of one pixel
    complete(TRGBP(network, guided=False).explain(picture(1, 3, side, side)))


@pytest.mark.parametrize("pixel", ["contribution", "gradient", "none", None])
@pytest.mark.parametrize("psi", ["paper", "conserving"])
def test_terms_layers_and_batches_agree_for_every_option(psi: str, pixel: str | None) -> None:
    explainer, x = TRGBP(randomise(NETS["residual ReLU6"]())), picture(2, 3, 32, 32)
    term = pixel or {"paper": "gradient", "conserving": "contribution"}[psi]
    for i, k in enumerate((6, 2)):
        e = explainer.explain(x[i : i + 1], [k])
        of_picture = {"gradient": e.layer_raw(0, k), "contribution": (x[i : i + 1] * e.gradient(k)).sum(1, keepdim=True), "none": 0}[term]
        layers = [upsample(e.layer_contribution(index, k), e.size, psi) for index in range(1, len(e.layers) + 1)]
        assert gap(e.raw(k, psi, pixel), of_picture + sum(layers)) < 1e-12
        own = sum(upsample(e.layer_attribution(index, k, term), e.size, psi) for index in range(len(e.layers) + 1))
        assert gap(e.attribution(k, psi, pixel), own) < 1e-12
        batch = explainer.attribute(x, [6, 2], psi=psi, pixel=pixel)
        assert gap(batch[i : i + 1], e.attribution(k, psi, pixel)) < 1e-12


def test_another_option_is_a_sentence_and_a_changed_picture_changes_no_explanation() -> None:
    explainer, x = TRGBP(randomise(NETS["plain"]())), picture()
    e = explainer.explain(x, [3])
    before = e.attribution(3, "conserving")
    x.zero_()
    assert torch.equal(e.attribution(3, "conserving"), before)
    for ask in (e.attribution, e.raw):
        with pytest.raises(ValueError, match="pixel is 'contribution', 'gradient', 'none' or None"):
            ask(3, "paper", "colour")
    with pytest.raises(ValueError, match="pixel is"):
        explainer.attribute(picture(), 3, pixel="colour")
    with pytest.raises(ValueError, match="no layer 99"):
        e.layer_contribution(99, 3)
    with pytest.raises(ValueError, match="was not explained"):
        e.layer_contribution(0, 999)
