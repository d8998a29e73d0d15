"""Pixel perturbation against quantus and the definition written out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import quantus
import scipy.ndimage
import scipy.stats
import torch
from torch import nn

from trgbp_core.metrics.perturbation import FRACTIONS, blurred, perturbation_curve, removal_order

from ..support.comparison import close
from ..support.nets import picture as random


def small_network(channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(channels, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(8 * 49, 5),
    ]
    return nn.Sequential(*layers).double().eval()


def test_morf_curve_equals_quantus_pixel_flipping() -> None:
    network, x, maps = small_network(1).float(), random(3, 1, 16, 16).float(), random(3, 1, 16, 16, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = quantus.PixelFlipping(features_in_step=32, normalise=False, perturb_baseline=0.7, disable_warnings=True)
        model = quantus.helpers.model.pytorch_model.PyTorchModel(network, softmax=False, channel_first=True, device="cpu")
        labels = np.array([0, 4, 2])
        theirs = metric.evaluate_batch(model=model, x_batch=x.numpy(), y_batch=labels, a_batch=maps.numpy())
    fractions = [step / 8 for step in range(1, 9)]
    curve = perturbation_curve(network, x, maps, labels.tolist(), fill=torch.tensor([0.7]), fractions=fractions, batch=5)
    assert np.ptp(theirs) > 0.1
    close(curve.scores.detach(), np.array(theirs), "pixel flipping", 1e-5)  # float32 here, the only type that quantus takes


@pytest.mark.parametrize("order", ["morf", "lerf"])
@pytest.mark.parametrize("fill", ["black", "mean", "blur"])
def test_curve_is_the_relative_change_of_the_score_when_ranked_pixels_are_replaced(order: str, fill: str) -> None:
    network, x, maps = small_network(), random(2, 3, 16, 16), random(2, 1, 16, 16, seed=1)
    black = torch.tensor([-2.1, -2.0, -1.8]).view(1, 3, 1, 1)
    instead = {"black": black.double().expand_as(x), "mean": torch.zeros_like(x), "blur": blurred(x)}[fill]
    curve = perturbation_curve(network, x, maps, [1, 3], fill=black if fill == "black" else fill, order=order)
    expected = torch.zeros(2, len(FRACTIONS), dtype=torch.float64)
    for i, k in enumerate([1, 3]):
        ranked = np.argsort(maps[i].numpy().ravel())
        ranked = ranked[::-1] if order == "morf" else ranked
        for j, fraction in enumerate(FRACTIONS):
            changed = x[i].clone().numpy().reshape(3, -1)
            gone = ranked[: max(1, round(fraction * 256))]
            changed[:, gone] = instead[i].numpy().reshape(3, -1)[:, gone]
            with torch.no_grad():
                score, before = (float(network(p.reshape(1, 3, 16, 16))[0, k]) for p in (torch.from_numpy(changed), x[i]))
            expected[i, j] = abs(score - before) / abs(before)
    close(curve.change.detach(), expected, f"{order}, {fill}")


def test_probabilities_may_be_watched_instead_of_scores() -> None:
    network, x, maps = small_network(), random(2, 3, 16, 16), random(2, 1, 16, 16, seed=1)
    curve = perturbation_curve(network, x, maps, 2, fill="mean", fractions=[1.0], probability=True)
    close(curve.unperturbed, network(x).softmax(1)[:, 2].detach(), "probability")
    close(curve.scores[:, 0], network(torch.zeros_like(x)).softmax(1)[:, 2].detach(), "probability of nothing")


def test_the_class_is_the_one_of_the_unperturbed_picture_by_default() -> None:
    network, x, maps = small_network(), random(8, 3, 16, 16), random(8, 1, 16, 16, seed=1)
    best = network(x).argmax(1)
    assert bool((best != network(torch.zeros_like(x)).argmax(1)).any()), "the class does not change"
    default, given = (perturbation_curve(network, x, maps, k, fill="mean", fractions=[1.0]).scores for k in (None, best))
    assert torch.equal(default, given)


def test_equal_pixels_are_not_taken_row_by_row() -> None:
    order = removal_order(torch.zeros(2, 1, 32, 32), "lerf")
    assert torch.equal(order[0], order[1])
    assert sorted(order[0].tolist()) == list(range(32 * 32))
    rows = order[0, :100] // 32
    assert abs(float(rows.double().mean()) - 15.5) < 4  # uniform rows have a standard error of 0.9
    state = torch.get_rng_state()
    removal_order(torch.zeros(1, 1, 8, 8), "morf")
    assert torch.equal(torch.get_rng_state(), state)


def test_area_is_numpy_s_trapezoid() -> None:
    network, x, maps = small_network(), random(2, 3, 16, 16), random(2, 1, 16, 16, seed=1)
    curve = perturbation_curve(network, x, maps, fill="mean")
    k = np.array(FRACTIONS)
    close(curve.area(), np.trapezoid(curve.change.numpy(), k) / (k[-1] - k[0]), "area")
    close(curve.area(0.1), np.trapezoid(curve.change.numpy()[:, k <= 0.1], k[k <= 0.1]) / (0.1 - 0.001), "area to 10 %")


def test_blur_equals_scipy() -> None:
    x = random(2, 3, 64, 90)
    theirs = scipy.ndimage.gaussian_filter(x.numpy(), 10 / 224 * 64, mode="mirror", axes=(2, 3), truncate=4)
    close(blurred(x), theirs, "blur", 1e-10)  # separable filters, in another order


def test_perturbation_explains_the_evaluation_mode_and_leaves_the_network_as_it_was() -> None:
    network, x, maps = small_network(), random(2, 3, 16, 16), random(2, 1, 16, 16, seed=1)
    expected = perturbation_curve(network, x, maps, 1, fill="mean").scores
    network.train()
    before, picture = {name: t.clone() for name, t in network.state_dict().items()}, x.clone()
    result = perturbation_curve(network, x, maps, 1, fill="mean").scores
    assert torch.equal(result, expected)
    assert not result.requires_grad
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert all(m.training for m in network.modules())
    assert torch.equal(picture, x)


def test_perturbation_reports_progress_and_can_be_cancelled() -> None:
    network, x, maps = small_network(), random(2, 3, 16, 16), random(2, 1, 16, 16, seed=1)
    shares: list[float] = []
    perturbation_curve(network, x, maps, fill="mean", batch=4, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) == 9

    def cancel(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        perturbation_curve(network, x, maps, fill="mean", progress=cancel)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fill": "grey"}, "fill is"),
        ({"fill": torch.zeros(4)}, "3 values"),
        ({"order": "most"}, "order is"),
        ({"fractions": [0.5, 0.1]}, "rising"),
        ({"fractions": [0.0, 0.1]}, "above 0"),
        ({"fractions": []}, "fractions"),
        ({"maps": torch.zeros(1, 1, 16, 16)}, "need maps"),
        ({"target": 5}, "from 0 to 4"),
    ],
)
def test_perturbation_refuses_nonsense_with_a_sentence(changes: dict, message: str) -> None:
    given = {"maps": random(2, 1, 16, 16), "target": None, "fill": "mean"} | changes
    with pytest.raises(ValueError, match=message):
        perturbation_curve(small_network(), random(2, 3, 16, 16), **given)
