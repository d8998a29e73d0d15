"""Cascading randomisation: order, distribution, seeds, and that the caller's network stays bit-identical."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from trgbp_core import METHODS, TRGBP, Preprocess, own_model
from trgbp_core.engine.devices import threads_of
from trgbp_core.engine.layer_order import layer_groups
from trgbp_core.explorer import sanity
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.explorer.sanity import Cascade, StageMaps, in_turns, stage_maps
from trgbp_core.metrics.similarity import similarity
from trgbp_core.sanity.cascade import cascade
from trgbp_core.serving.jobs import Cancelled
from trgbp_core.serving.queue import Queue
from trgbp_core.zoo.loading import ModelCache, load_model

from ..support.nets import Residual, picture, randomise, small_classifier


def test_the_cascade_runs_from_the_logits_to_the_first_convolution_and_groups_batch_norms() -> None:
    stages = list(cascade(randomise(Residual())))
    assert [s.name for s in stages] == ["head", "short.0", "body.3", "body.0", "stem.0"]
    assert [s.index for s in stages] == [1, 2, 3, 4, 5]
    embedded = layer_groups(load_model("efficientnet_lite0").network)
    assert len(embedded) == 50
    assert embedded[0] == ("_conv_stem", "_bn0")
    assert embedded[-1] == ("_fc",)


class Backwards(nn.Module):
    """Defines its layers in another order than it runs them, one of them twice and one never, and a rectifier between layer and norm."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 5)
        self.aside = nn.Linear(8, 5)
        self.late_norm, self.late = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.scale = nn.Parameter(torch.full((8, 1, 1), 1.5))
        self.twice = nn.Conv2d(8, 8, 3, padding=1)
        self.lone = nn.BatchNorm2d(8)
        self.norm, self.stem = nn.BatchNorm2d(8), nn.Conv2d(3, 8, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        assert self.head.weight.dtype == x.dtype, "asked for its type, not used"
        x = self.norm(self.stem(x)).relu()
        x = self.twice(x).relu()
        x = self.lone(F.relu_(self.twice(x))) * self.scale
        x = F.relu(self.late_norm(self.late(x)))
        return self.head(x.mean((2, 3)))


EXECUTED = [("stem", "norm"), ("twice",), ("lone",), ("",), ("late", "late_norm"), ("head",)]


def test_with_a_picture_the_cascade_follows_the_order_of_execution_whatever_the_order_of_definition() -> None:
    network, x = randomise(Backwards()), picture()
    assert layer_groups(network, x) == EXECUTED
    assert layer_groups(network) != EXECUTED
    assert [stage.name for stage in cascade(network, x=x)] == ["head", "late", "Backwards", "lone", "twice", "stem"]


@pytest.mark.parametrize(("build", "x"), [(Residual, None), (Backwards, picture())])
def test_stages_are_cumulative_and_stay_what_they_were(build: type[nn.Module], x: Tensor | None) -> None:
    network = randomise(build())
    trained, groups = dict(network.named_parameters()), list(reversed(layer_groups(network, x)))
    for stage in list(cascade(network, x=x)):
        random = {name for group in groups[: stage.index] for name in group}
        for name, parameter in stage.network.named_parameters():
            assert torch.equal(parameter, trained[name]) == (name.rpartition(".")[0] not in random), (stage.name, name)


def test_a_network_without_parameters_and_a_picture_that_does_not_fit_get_a_sentence() -> None:
    with pytest.raises(ValueError, match="nothing to randomise"):
        next(cascade(nn.Sequential(nn.ReLU(), nn.Flatten())))
    with pytest.raises(ValueError, match="cannot read an input"):
        next(cascade(randomise(Residual()), x=picture(1, 4, 32, 32)))


@pytest.mark.parametrize("mode", ["gaussian", "reset"])
def test_the_caller_keeps_a_bit_identical_model_and_random_state(mode: str) -> None:
    network, x = randomise(Backwards()).train(), picture()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    random_state = torch.get_rng_state()
    *_, last = cascade(network, mode=mode, x=x)
    TRGBP(last.network).explain(x)
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert network.training
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


def test_a_seed_gives_the_same_draw_and_another_seed_another() -> None:
    network = randomise(Residual())
    weights = [next(cascade(network, seed=seed)).network.head.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_gaussian_weights_keep_each_tensors_root_mean_square() -> None:
    network = nn.Sequential(nn.Conv2d(3, 64, 7), nn.ReLU(), nn.Flatten(), nn.Linear(64, 1000))
    with torch.no_grad():
        network[3].weight.mul_(0.3).add_(0.1)
    (*_, last) = cascade(network)
    for name in ("0.weight", "3.weight"):
        old, new = network.get_parameter(name).detach(), last.network.get_parameter(name)
        # 9,408 and 64,000 draws: the standard error of a root mean square is r/√(2n), under 1 %; four of them
        assert float(new.square().mean().sqrt() / old.square().mean().sqrt()) == pytest.approx(1, abs=0.03)
        assert abs(float(new.mean())) < 0.05 * float(new.std())


def test_resetting_sets_the_biases_of_batch_norms_to_zero() -> None:
    network = randomise(Residual())
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.bias = None
    (*_, last) = cascade(network, mode="reset")
    e = TRGBP(last.network).explain(picture())
    assert all(not bool(e.layer_raw(m.index, e.top5[0]).any()) for m in e.layers if m.kind == "conv")


@pytest.mark.parametrize("wrong", [{"mode": "zero"}, {"seed": -1}, {"seed": 1.5}, {"seed": 2**40}])
def test_a_wrong_mode_or_seed_gets_a_sentence(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"The mode is|A seed is"):
        next(cascade(randomise(Residual()), **wrong))  # type: ignore[arg-type]


def test_a_similarity_is_of_relu_of_the_maps_and_an_empty_map_has_none() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(1, 1, 32, 32, generator=generator) for _ in range(2))
    other = one + 0.5 * other
    trained = sanity._Trained({"own": one, "raw": one, "gbp": -one.abs(), "baseline": one})
    found = trained.similarity({"own": other, "raw": -one.abs(), "gbp": one, "baseline": torch.full_like(one, torch.nan)})
    expected = similarity(one, other, "relu")
    assert found["own"]["spearman"] == pytest.approx(float(expected.spearman), abs=1e-9)
    assert found["own"]["ssim"] == pytest.approx(float(expected.ssim), abs=1e-9)
    assert float(similarity(one, -one.abs()).spearman) > 0.99, "of |R| the empty map would be the same"
    assert all(found[key] == {"spearman": None, "ssim": None} for key in ("raw", "gbp", "baseline"))


def test_a_map_that_is_shown_as_empty_has_no_similarity_and_a_run_is_computed_once() -> None:
    zoo = own_model(small_classifier((4, 6)), [*"abcdef"], preprocess=Preprocess(size=32, resize=None))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    explorer = Explorer(ModelCache(own={"mine": zoo}))
    question = explorer.ask(picture, "mine")
    seen = 0
    for k in range(6):
        for stage in explorer.cascade(question, k, "saliency"):
            for panel in stage["panels"]:
                alike = stage["similarity"][panel["id"]]
                assert (alike["spearman"] is None) >= bool(panel["empty"])
                seen += bool(panel["empty"])
    assert seen, "the classes below the mean of the top 5"
    first, again = (list(explorer.cascade(question, 0, "saliency")) for _ in range(2))
    assert all(one is other for one, other in zip(first, again, strict=True)), "computed once, then kept"


@pytest.mark.parametrize("key", METHODS)
def test_any_method_can_be_compared_in_the_sanity_check_and_reports_its_progress(key: str) -> None:
    zoo = own_model(small_classifier((4, 6)), [*"abcdef"], preprocess=Preprocess(size=32, resize=None))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    explorer, told = Explorer(ModelCache(own={"mine": zoo})), list[tuple[str, float]]()
    question = explorer.ask(picture, "mine")
    stages = list(explorer.cascade(question, 2, key))
    assert [stage["index"] for stage in stages] == [0, 1, 2, 3]
    run = in_turns(Cascade(zoo.network, question.x, 2, key), explorer.queue, lambda what, share: told.append((what, share)))
    assert len(list(run)) == 4
    assert {what for what, _ in told if what} == {METHODS[key].title}
    assert len(told) >= len(stages)
    own = key in ("tr_gbp", "tr_gbp_conserving", "guided_backprop")  # these are there in any case
    for stage in stages:
        found = {panel["id"]: panel for panel in stage["panels"]}
        if key.startswith("pattern_"):
            assert "learnt from pictures" in stage["note"]
        elif not own:
            assert not found["baseline"]["signed"], "relu(R) is what is compared"
            assert "baseline" in stage["similarity"]
        assert stage["note"] == "" or key.startswith("pattern_")


def test_the_sanity_check_stops_within_one_step_of_a_slow_method() -> None:
    network = randomise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6)))
    told = 0

    def step(what: str, share: float) -> None:
        nonlocal told
        told += 1
        if share > 0.1:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        stage_maps(network, torch.ones(1, 3, 16, 16, dtype=torch.float64), 0, "guided_ig", step)
    assert told == 1 + 21, "the stage, then 21 of 200 gradients"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_stages_that_reuse_a_few_networks_are_the_same_networks_one_after_the_other(count: int) -> None:
    network = randomise(Backwards())
    before = {name: t.clone() for name, t in network.state_dict().items()}
    for fresh, reused in zip(cascade(network, x=picture()), cascade(network, x=picture(), reuse=count), strict=True):
        assert (fresh.name, fresh.index, fresh.total) == (reused.name, reused.index, reused.total)
        expected = fresh.network.state_dict()
        assert all(torch.equal(t, expected[name]) for name, t in reused.network.state_dict().items())
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


@pytest.mark.parametrize("baseline", ["grad_cam", "saliency", "guided_backprop"])
def test_stages_side_by_side_are_those_that_come_one_after_the_other(baseline: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = randomise(Backwards()), picture()
    pairs = list[int]()
    two = Cascade.next_two

    def next_two(self: Cascade, step: object) -> list[StageMaps]:
        found = two(self, step)
        pairs.append(len(found))
        return found

    monkeypatch.setattr(Cascade, "next_two", next_two)
    alone = list(in_turns(Cascade(network, x, 1, baseline), Queue(), seconds=9.0))
    assert not pairs, "a slow method gives its turn away between its steps, and goes alone"
    with threads_of(2):
        together = list(in_turns(Cascade(network, x, 1, baseline), Queue()))
    assert pairs[0] == 2
    assert [s.stage.index for s in together] == [s.stage.index for s in alone] == list(range(alone[0].stage.total + 1))
    for one, other in zip(alone, together, strict=True):
        assert one.stage.name == other.stage.name
        assert one.e.top5 == other.e.top5
        assert one.maps.keys() == other.maps.keys()
        for key, m in one.maps.items():
            torch.testing.assert_close(other.maps[key], m, rtol=1e-9, atol=1e-12)


def test_stages_side_by_side_can_be_cancelled() -> None:
    cascade = Cascade(randomise(Backwards()), picture(), 1, "saliency")
    cascade.next()

    def step(what: str, share: float) -> None:
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        cascade.next_two(step)
