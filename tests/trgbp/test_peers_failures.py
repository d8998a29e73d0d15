"""What other tools are known to get wrong, tried here first: each test names the report that it answers."""

from __future__ import annotations

import copy
import warnings
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr import GuidedBackprop
from torch import Tensor, nn

from trgbp_core import METHODS, TRGBP, NotApplicable
from trgbp_core.data.preprocessing import Preprocess
from trgbp_core.drawing.render import describe, heat, lookup, shown
from trgbp_core.explorer.explorer import Explorer, panel
from trgbp_core.methods.fullgrad import full_gradients
from trgbp_core.metrics.localisation import ebpg, ibd
from trgbp_core.metrics.similarity import ssim, unit_range
from trgbp_core.page.layout import ask, explain
from trgbp_core.zoo.custom import named, own_model
from trgbp_core.zoo.loading import ModelCache

from ..support import zoo
from ..support.guided_reference import guided_gradient
from ..support.nets import Residual, picture, randomise
from ..support.pictures import photo

network = cache(zoo.network)


def ordinary_gradient(net: nn.Module, x: Tensor, k: int) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(net(x)[:, k].sum(), x)[0]


def apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def test_guided_gradient_of_inception_v3_whose_rectifiers_are_functions() -> None:
    """Tools that replace or hook the module nn.ReLU find none in it, and return the ordinary gradient without a word."""
    net, x = network("inception_v3"), zoo.picture("inception_v3")
    e = TRGBP(net).explain(x)
    k = e.top5[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = GuidedBackprop(net).attribute(x.clone().requires_grad_(), k).detach()
    plain = ordinary_gradient(net, x, k)
    print(f"captum's from the ordinary gradient {apart(theirs, plain):.1e}; ours from the guided one", end=" ")
    difference = apart(e.gradient(k), guided_gradient(net, x, k))
    print(f"{difference:.1e}, from the ordinary one {apart(e.gradient(k), plain):.1e}")
    assert difference < 1e-9
    assert apart(e.gradient(k), plain) > 0.1


def test_fullgrad_of_inception_v3_is_complete() -> None:
    """grad-cam #371: an assertion, for the biases that it collects are not those that the network used."""
    net, x = network("inception_v3"), zoo.picture("inception_v3")
    parts = full_gradients(net, x)
    logit = float(parts.logits[0, parts.classes[0]])
    total = float((x * parts.gradient).sum()) + sum(float(b.sum()) for b in parts.biases if b is not None)
    print(f"{total} against {logit}")
    assert abs(total - logit) < 1e-9 * abs(logit)
    assert bool(METHODS["full_grad"].attribute(net, x).isfinite().all())


@pytest.mark.parametrize("key", ["grad_cam", "grad_cam_pp", "guided_backprop", "full_grad", "tr_gbp"])
def test_densenet_whose_last_rectifier_is_a_function_in_place(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """grad-cam #147: F.relu(features, inplace=True) overwrites the activation that a hook has kept."""
    net, x = network("densenet121"), zoo.picture("densenet121")
    ours = METHODS[key].attribute(net, x)
    monkeypatch.setattr(F, "relu", lambda z, inplace=False: z.clamp(min=0))
    difference = apart(ours, METHODS[key].attribute(net, x))
    print(f"{key}: from the same network out of place {difference:.1e}")
    assert bool(ours.isfinite().all())
    assert bool(ours.any())
    assert difference < 1e-9


# -- empty and constant maps: torch-cam #186 (NaN), grad-cam #108 (all red) ------------------------------------------------------------


@cache
def deaf() -> nn.Module:
    """A network that says the same of every picture: nothing reaches its logits but the last biases."""
    net = randomise(Residual())
    with torch.no_grad():
        net.head.weight.zero_()
    return net


@cache
def dead() -> nn.Module:
    """A network whose last rectifiers are all closed."""
    net = copy.deepcopy(randomise(Residual()))
    with torch.no_grad():
        net.body[-1].bias.fill_(-1e3)
    return net


@pytest.mark.parametrize("make", [deaf, dead])
@pytest.mark.parametrize("key", [key for key in METHODS if not key.startswith("pattern_")])  # which are fitted to networks that see
def test_every_method_on_a_network_that_sees_nothing_gives_numbers(key: str, make: object) -> None:
    try:
        maps = METHODS[key].attribute(make(), picture(), 2)  # type: ignore[operator]
    except NotApplicable:
        return  # it says why instead, which other tests read
    assert bool(maps.isfinite().all())


@pytest.mark.parametrize("value", [0.0, -3.0, float("nan"), float("inf"), 2.0])
def test_a_constant_map_is_drawn_in_one_colour_and_only_a_positive_one_is_bright(value: float) -> None:
    map = torch.full((1, 1, 7, 7), value)
    drawn = shown(map)
    assert np.isfinite(drawn).all()
    assert (drawn == (1.0 if value == 2.0 else 0.0)).all()
    assert (np.asarray(heat(map, (14, 14), "jet")) == lookup("jet")[255 if value == 2.0 else 0]).all()
    if value != 2.0:
        assert "empty" in describe(map)


def test_measures_of_empty_and_constant_maps_are_numbers() -> None:
    empty, constant = torch.zeros(1, 1, 32, 32), torch.ones(1, 1, 32, 32)
    for map in (empty, constant):
        assert bool(torch.isfinite(unit_range(map)).all())
        values = [ebpg(map, (4, 4, 20, 20)), ibd(map), ssim(unit_range(map), unit_range(constant))]
        print(values)
        assert all(bool(torch.isfinite(value).all()) for value in values)
    assert float(ebpg(constant, (0, 0, 16, 32))) == pytest.approx(0.5)


def test_the_page_says_that_a_map_is_empty_or_uniform() -> None:
    labels = [f"class {i}" for i in range(7)]
    zoo = own_model(copy.deepcopy(deaf()).float(), labels, preprocess=Preprocess(size=32, resize=None))
    explorer, picture = Explorer(ModelCache(own=named({"deaf": zoo}))), photo()
    answer = next(explain(explorer, picture, "deaf", {ask(explorer, picture, "deaf").key: 0}))
    assert answer.payload is not None, answer.status
    chosen = next(item for item in answer.payload["classes"] if item["index"] == answer.payload["chosen"])
    own = [panel for panel in chosen["panels"] if panel["title"].startswith("TR-GBP")]
    print([panel["empty"] for panel in own])
    assert all(panel["empty"].startswith("Empty") for panel in own)
    uniform = panel(torch.full((1, 1, 32, 32), 0.5), "R̃", "", "class 0")
    assert uniform["empty"].startswith("Uniform")
