"""At the call: what is plain works, what is not gets a sentence that helps. The stages of a cascade; the constants of saturated units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trgbp_core import METHODS, TRGBP, ModelError, Preprocess, own_model
from trgbp_core.engine.layer_order import layer_groups
from trgbp_core.sanity.cascade import cascade

from ..support.nets import small_classifier
from .cases import Around, Ending, relu, seeded, x_of
from .checks import apart, must_refuse
from .endings import CONTAINERS
from .networks import NORMS, normed


def network() -> nn.Module:
    return seeded(Around(relu)).eval()


@pytest.mark.parametrize("target", [3, np.int64(3), torch.tensor(3), np.array([3]), torch.tensor([3]), (3,)], ids=repr)
def test_one_class_is_as_good_as_a_list_of_one(target: object) -> None:
    e = TRGBP(network()).explain(x_of(), target)  # type: ignore[arg-type]
    assert e.classes[0] == 3
    assert torch.equal(e.attribution(3), TRGBP(network()).explain(x_of(), [3]).attribution(3))


@pytest.mark.parametrize("target", [1, np.int64(1), torch.tensor(1)], ids=repr)
def test_explain_batch_takes_one_target_for_all(target: object) -> None:
    e = TRGBP(network()).explain_batch(x_of(batch=3), target)  # type: ignore[arg-type]
    assert torch.equal(e.attribution(), TRGBP(network()).explain_batch(x_of(batch=3), [1]).attribution())


@pytest.mark.parametrize("target", [np.array([1, 2, 0]), np.int64(2), [np.int64(1), np.int64(2), np.int64(0)]], ids=repr)
def test_numpy_targets_work(target: object) -> None:
    plain = np.asarray(target).tolist()
    assert torch.equal(TRGBP(network()).attribute(x_of(batch=3), target), TRGBP(network()).attribute(x_of(batch=3), plain))  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["cat", 7, -1, 1.5, None], ids=repr)
def test_a_class_that_is_none_gets_a_sentence(target: object) -> None:
    must_refuse(lambda: TRGBP(network()).explain(x_of(), [target]), "0 to 6")  # type: ignore[list-item]


def test_layers_by_name() -> None:
    e = TRGBP(network()).explain(x_of(), [1])
    index = next(layer.index for layer in e.layers if layer.name == "last")
    assert torch.equal(e.layer_raw("last", 1), e.layer_raw(index, 1))  # type: ignore[arg-type]
    assert torch.equal(e.layer_attribution("last", 1), e.layer_attribution(index, 1))  # type: ignore[arg-type]
    for wrong in ("lats", 9, -1):
        must_refuse(lambda wrong=wrong: e.layer_raw(wrong, 1), "last" if wrong == "lats" else "")


def test_an_empty_batch_gets_a_sentence() -> None:
    empty = x_of()[:0]
    ways = [
        lambda: TRGBP(network()).attribute(empty),
        lambda: TRGBP(network()).explain_batch(empty, [1]),
        lambda: TRGBP(network()).explain(empty),
    ]
    for way in ways:
        must_refuse(way, "empty|no picture|one picture|at least one")


def test_no_target_at_all_gets_a_sentence() -> None:
    must_refuse(lambda: TRGBP(network()).explain_batch(x_of(), []), "target|class")


@pytest.mark.parametrize(("wrong", "nearest"), [("gradcam", "grad_cam"), ("Grad-CAM", "grad_cam"), ("trgbp", "tr_gbp")])
def test_a_method_that_is_none_names_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(KeyError, match=nearest):
        METHODS[wrong]
    assert METHODS.get(wrong) is None
    assert wrong not in METHODS


def test_own_model_with_a_number_of_classes() -> None:
    small, preprocess = small_classifier((4, 4)), Preprocess(size=32, resize=None)
    try:
        zoo = own_model(small, 6, preprocess=preprocess)  # type: ignore[arg-type]
    except ModelError as error:
        assert "label" in str(error)  # noqa: PT017 - either will do
    else:
        assert len(zoo.labels) == 6
    with pytest.raises(ModelError, match="6 classes"):
        own_model(small, 8, preprocess=preprocess)  # type: ignore[arg-type]


def test_one_logit_has_no_class_mean_and_says_so() -> None:
    single = seeded(Ending(nn.Identity, classes=1)).eval()
    e = TRGBP(single).explain(x_of())
    assert bool(e.raw(0).any())
    ways = [
        lambda: e.attribution(0),
        lambda: TRGBP(single).attribute(x_of(batch=2)),
        lambda: TRGBP(single).explain_batch(x_of(), [0]).attribution(),
    ]
    for way in ways:
        must_refuse(way, "one logit.*raw")


@pytest.mark.parametrize("name", CONTAINERS)
def test_logits_are_found_in_what_networks_return(name: str) -> None:
    e = TRGBP(seeded(Ending(CONTAINERS[name])).eval()).explain(x_of(), [1])
    expected = TRGBP(seeded(Ending(lambda y: y)).eval()).explain(x_of(), [1])
    assert torch.equal(e.raw(1), expected.raw(1))


def test_compiled_in_place_works_as_compiled_by_a_wrapper() -> None:
    compiled = network()
    compiled.compile()
    assert torch.equal(TRGBP(compiled).explain(x_of(), [1]).raw(1), TRGBP(network()).explain(x_of(), [1]).raw(1))


@pytest.mark.parametrize("name", NORMS)
def test_a_normed_layer_is_one_stage_of_the_cascade(name: str) -> None:
    source = normed(NORMS[name]).eval()
    for picture in (None, x_of()):
        assert len(layer_groups(source, picture)) == 3
    stages = list(cascade(source))
    assert [stage.name for stage in stages] == ["head", "last", "first"]
    x = x_of()
    before = source(x).detach()
    for stage in stages:  # weight and bias are drawn together
        assert apart(stage.network(x).detach(), before) > 1e-6
        layer, theirs = stage.network.get_submodule(stage.name), source.get_submodule(stage.name)
        assert not torch.equal(layer.bias, theirs.bias)
        assert not torch.equal(_weight(layer), _weight(theirs))


def _weight(layer: nn.Module) -> Tensor:
    """What the layer multiplies by: its answers to the units, less its bias."""
    if isinstance(layer, nn.Linear):
        eye = torch.eye(layer.in_features).double()
        return (layer(eye) - layer.bias).detach()
    return layer(torch.ones(1, layer.in_channels, 5, 5).double()).detach()


@pytest.mark.parametrize(("low", "high"), [(-0.5, 0.7), (0.2, 0.9), (0.0, 6.0), (-1.0, float("inf")), (0.1, float("inf"))])
def test_saturated_units_are_constants_of_the_layer_before(low: float, high: float) -> None:
    """R̃^1 of conv 1×1 → clamp → conv 1×1 → sum, by hand: Σ_o b_o·relu(g_o)·1[low < z < high] + (low or high)·g_o where it saturates."""

    class Clamped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 7, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x).clamp(low, None if high == float("inf") else high)).sum((2, 3))

    source, x = seeded(Clamped()).eval(), x_of()
    e = TRGBP(source).explain(x, [2])
    z = source.first(x).detach()
    g = source.last.weight[2].detach().expand_as(z)
    open_units = (z > low) & (z < high)
    bias = source.first.bias.detach()[:, None, None]
    saturated = torch.where(z <= low, low, torch.where(z >= high, torch.full_like(z, min(high, 1e9)), 0.0))
    expected = (bias * g.clamp(min=0) * open_units + saturated * g).sum(1, keepdim=True)
    assert e.layers[0].name == "first"
    assert apart(e.layer_raw(1, 2), expected) < 1e-12
