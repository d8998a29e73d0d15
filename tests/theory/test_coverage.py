"""Predictions come from shapes and weights' mean squares alone, and agree with what is measured."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from torch import nn

from trgbp_core import TRGBP
from trgbp_core.cli import predict
from trgbp_core.cli.main import main
from trgbp_core.sanity.cascade import cascade, randomised
from trgbp_core.theory.coverage import coverage, predicted_sum, profile
from trgbp_core.theory.randomised_weights import draw, verdict
from trgbp_core.theory.rectifier_moments import Arriving, clipped, passed
from trgbp_core.zoo.loading import load_model

from ..support.nets import NETS, picture, randomise


@pytest.mark.parametrize("ceiling", [math.inf, 6.0])
@pytest.mark.parametrize("mean", [-1.0, 0.0, 2.0])
def test_moments_of_a_rectifier_equal_those_of_a_million_draws(ceiling: float, mean: float) -> None:
    one = torch.ones((), dtype=torch.float64)
    std, slope, offset, variance = 2.5, 0.3, 0.1, 0.7
    u, xi = picture(2, 1_000_000)
    z = mean + std * u
    y = z.clamp(0, ceiling)
    first, second, saturated = clipped(mean * one, std * one, ceiling)
    h = (slope * z + offset + math.sqrt(variance) * xi).relu() * ((z > 0) & (z < ceiling))
    found = passed(mean * one, std * one, ceiling, Arriving(slope * one, offset * one, variance * one))
    pairs = [
        (first, y),
        (second, y**2),
        (saturated, (z >= ceiling).double()),
        (found.first, h),
        (found.tilted, h * u),
        (found.second, h**2),
    ]
    for theory, drawn in pairs:
        # the standard error of a million draws, five of them, and a thousandth for the quadrature
        assert abs(float(theory - drawn.mean())) <= 5e-3 * float(drawn.std()) + 1e-3 * abs(float(theory))


def two_layers(filters: int, kernel: int = 1) -> nn.Module:
    """Theorem 1's network: a convolution with biases, a rectifier, a linear layer over all places; mean squares are exact."""
    network = nn.Sequential(
        nn.Conv2d(3, filters, kernel, padding=kernel // 2), nn.ReLU(), nn.Flatten(), nn.Linear(filters * 64, 5, bias=False)
    )
    randomise(network)
    with torch.no_grad():
        for p, size in zip(network.parameters(), (0.5, 0.5, filters**-0.5), strict=True):
            p.mul_(size / p.square().mean().sqrt())
    return network.float()


def test_expected_maps_and_their_noise_have_the_predicted_size() -> None:
    network = two_layers(256)
    (layer, *_) = coverage(network, (1, 3, 8, 8))
    maps = []
    for seed in range(300):
        x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)).sign()
        maps.append(TRGBP(randomised(network, seed=seed)).explain(x, [0]).layer_raw(1, 0))
    drawn = torch.cat(maps)
    spread = float(drawn.std(0).square().mean().sqrt())
    # Pixels are ±1, as bright as the moments take them for. 300 draws: a standard error of the mean of at most spread/√300.
    assert float(drawn.mean()) == pytest.approx(layer.amplitude, rel=0.1, abs=4 * spread / math.sqrt(300))
    assert spread == pytest.approx(layer.noise * layer.amplitude, rel=0.1)


def test_predicted_noise_follows_the_papers_rule_where_the_rule_is_all_there_is() -> None:
    few, many = (coverage(two_layers(n), (1, 3, 8, 8))[0] for n in (64, 256))
    assert few.rule / many.rule == pytest.approx(2)
    assert few.noise / many.noise == pytest.approx(2, rel=0.01)  # the filters' h² average out a little better where there are more
    (large,) = (coverage(two_layers(64, 3), (1, 3, 8, 8))[0],)
    assert large.noise > 1.5 * few.noise  # ×3 by the rule; biases and the border, which see less, take some of it away


@pytest.mark.parametrize("name", NETS)
def test_every_layer_with_a_bias_is_predicted_in_order_and_size(name: str) -> None:
    network = randomise(NETS[name]())
    layers = TRGBP(network).explain(picture()).layers
    predicted = coverage(network, (1, 3, 32, 32))
    assert [c.name for c in predicted] == [layer.name for layer in layers]
    assert [tuple(c.map.shape[2:]) for c in predicted] == [layer.size for layer in layers]
    assert [c.rectified for c in predicted] == [layer.rectified for layer in layers]
    assert all(bool(torch.isfinite(c.map).all()) and c.amplitude >= 0 for c in predicted)


def test_it_tells_of_every_layer_and_can_be_left() -> None:
    network, told = randomise(NETS["plain"]()), list[float]()
    expected = coverage(network, (1, 3, 32, 32))
    found = coverage(network, (1, 3, 32, 32), told.append)
    assert told == sorted(told)
    assert len(told) == len(found) >= 2
    assert told[-1] == 1
    assert all(torch.equal(a.map, b.map) for a, b in zip(found, expected, strict=True))

    def leave(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        coverage(network, (1, 3, 32, 32), leave)


def test_a_batch_norm_is_part_of_the_prediction() -> None:
    network = randomise(NETS["residual"]())
    before = {c.name: c.amplitude for c in coverage(network, (1, 3, 32, 32))}
    with torch.no_grad():
        network.stem[1].running_var.mul_(100)
    after = {c.name: c.amplitude for c in coverage(network, (1, 3, 32, 32))}
    assert after["stem.0"] != pytest.approx(before["stem.0"], rel=0.05)


def test_the_prediction_sees_shapes_and_mean_squares_only() -> None:
    """Weights shuffled, signs flipped: every mean square stays, nothing that was learned does, and not a digit changes."""
    network = randomise(NETS["residual ReLU6"]())
    before = coverage(network, (1, 3, 32, 32))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in network.parameters():
            order = torch.randperm(p.numel(), generator=generator)
            p.copy_(-p.flatten()[order].reshape(p.shape))
    for a, b in zip(before, coverage(network, (1, 3, 32, 32)), strict=True):
        torch.testing.assert_close(a.map, b.map, rtol=1e-9, atol=1e-12)  # sums of squares in another order
        assert a.amplitude == pytest.approx(b.amplitude, rel=1e-9)


def test_the_prediction_runs_neither_the_cascade_nor_an_explanation(monkeypatch: pytest.MonkeyPatch) -> None:
    network = randomise(NETS["residual"]())
    before = {name: t.clone() for name, t in network.state_dict().items()}
    state = torch.get_rng_state()

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the predictor ran what it predicts")

    for name in ("_gaussian", "_with_tensors"):
        monkeypatch.setattr(sys.modules["trgbp_core.sanity.cascade"], name, forbidden)
    monkeypatch.setattr(TRGBP, "record", forbidden)
    monkeypatch.setattr(torch, "randn", forbidden)
    entered: list[torch.Tensor] = []
    network.register_forward_pre_hook(lambda module, given: entered.append(given[0].detach().clone()))
    assert coverage(network, (1, 3, 32, 32))
    (moments,) = entered  # one pass; what enters is a mean of 0 and a variance of 1 at every pixel, and no picture
    assert bool((moments[0] == 0).all() and (moments[1] == 1).all() and (moments[2] == 0).all())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


def test_the_fully_randomised_network_is_the_cascades_last_stage() -> None:
    network, x = randomise(NETS["residual"]()), picture()
    (*_, last) = cascade(network, seed=3, x=x)
    for (name, a), b in zip(last.network.state_dict().items(), randomised(network, seed=3, x=x).state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_maps_of_a_deep_randomised_network_are_those_predicted() -> None:
    zoo = load_model("random:resnet18")
    x = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    predicted = coverage(zoo.network, x.shape)
    *_, draws = draw(zoo.network, x, 7, seeds=8)
    found = verdict(predicted, draws)
    assert found.total > max(0.98, found.total_uniform + 0.01)
    assert found.median() > 0.9
    assert found.median(rectified=True) > found.median("uniform", True)
    assert found.correlation("predicted") > max(0.3, found.correlation("rule"))
    assert {layer.name for layer in found.of(True)} | {layer.name for layer in found.of(False)} == {c.name for c in predicted}
    assert float(predicted_sum(predicted, (96, 96)).min()) >= 0


def test_a_profile_goes_from_the_border_to_the_centre() -> None:
    map = torch.zeros(1, 1, 8, 8)
    map[..., 2:6, 2:6] = 3.0
    assert profile(map, 2).tolist() == [[0, 3]]
    assert profile(torch.ones(2, 1, 1, 1)).tolist() == [[1], [1]]
    assert profile(torch.arange(9.0).reshape(1, 1, 3, 3)).tolist() == [[4, 4]]
    covered = coverage(load_model("random:resnet18").network, (1, 3, 64, 64))[0]
    assert float(profile(covered.map)[0, 0]) < 0.9 < float(profile(covered.map)[0, -1]), "coverage is weaker at the border"


def test_the_command_prints_what_was_found_and_needs_two_draws(capsys: pytest.CaptureFixture[str]) -> None:
    network, x = randomise(NETS["residual"]()), picture()
    summary, layers = predict.tables(network.float(), x.float(), 3, "mine", seeds=4)
    assert summary.count("|") == predict.HEAD.split("\n")[0].count("|")
    assert summary.startswith("| mine | 5 (2 / 3) |")  # none directly follows the sum that is multiplied
    assert [line.split("|")[1].strip() for line in layers.split("\n")[2:]] == [c.name for c in coverage(network, (1, 3, 32, 32))]
    assert main(["predict", "nothing.jpg", "--seeds", "1"]) == 2
    assert "one draw has no spread" in capsys.readouterr().err
