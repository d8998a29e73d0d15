"""What every method of the registry promises: one map a picture or the one documented error, and nothing given is changed."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.nets import NETS, randomise
from trgbp_core.methods import METHODS, NotApplicable
from trgbp_core.methods.learn_patterns import fit_patterns
from trgbp_core.methods.paths import Noise

from .networks import EXACT, awkward, largest_difference, picture, relu6, residual

# Where a method's own assumptions exclude a network: CAM needs pooling and one linear layer, CAMERAS pictures of other sizes.
EXCLUDED = {("cam", "plain"), ("cameras", "plain")}
SLOW = ("integrated_gradients", "guided_ig", "blur_ig", "smooth_grad", "var_grad", "score_cam", "cameras")
each_method = pytest.mark.parametrize("key", METHODS)


def options(key: str, network: nn.Module, x: Tensor) -> dict[str, Any]:
    """Few steps, and patterns where a method needs them."""
    if key.startswith("pattern_"):
        return {"patterns": fit_patterns(network, [picture(8, seed=1, size=(x.shape[2], x.shape[3]))])}
    if key == "cameras":
        return {"sizes": [(side, side) for side in (x.shape[2], x.shape[2] + 8)]}
    if key in ("smooth_grad", "var_grad"):
        return {"noise": Noise(12)}
    return {"steps": 12} if key in ("integrated_gradients", "guided_ig", "blur_ig") else {}


def attributed(key: str, network: nn.Module, x: Tensor, target: Any = None) -> Tensor:
    return METHODS[key].attribute(network, x, target, **options(key, network, x))


@pytest.mark.parametrize("name", NETS)
@each_method
def test_every_method_gives_one_finite_map_a_picture_or_says_why_not(key: str, name: str) -> None:
    network, x = randomise(NETS[name]()), picture(size=(32, 32))
    if (key, name) in EXCLUDED:
        with pytest.raises(NotApplicable):
            attributed(key, network, x, [1, 2])
        return
    maps = attributed(key, network, x, [1, 2])
    assert maps.shape == (2, 1, 32, 32)
    assert bool(torch.isfinite(maps).all())


def test_every_method_says_what_it_does_what_it_promises_and_how_it_fails() -> None:
    for method in METHODS.values():
        assert all((method.title, method.what, method.promise, method.failure, method.citation))
        assert len(method.what) < 140


@each_method
def test_functional_reused_and_in_place_rectifiers_change_nothing(key: str) -> None:
    network, x = residual(), picture()
    theirs = attributed(key, network, x, 2)
    assert float(theirs.abs().max()) > 0
    assert largest_difference(attributed(key, awkward(network), x, 2), theirs, key) < EXACT


@each_method
def test_nothing_given_is_changed_and_evaluation_mode_is_explained(key: str) -> None:
    network, x = relu6().train(), picture(3)
    next(network.parameters()).requires_grad_(False)
    before, given, state = copy.deepcopy(network.state_dict()), x.clone(), torch.get_rng_state()
    flags = [p.requires_grad for p in network.parameters()]
    maps = attributed(key, network, x)
    assert maps.shape == (3, 1, 24, 24)
    assert not maps.requires_grad
    assert maps.dtype == x.dtype
    assert torch.equal(x, given)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(m.training and not m._forward_hooks and not m._backward_hooks for m in network.modules())
    assert [p.requires_grad for p in network.parameters()] == flags
    assert all(p.grad is None for p in network.parameters())
    assert largest_difference(maps, attributed(key, network.eval(), x), key) < EXACT


@each_method
def test_a_batch_is_its_pictures_one_by_one_each_with_its_own_class(key: str) -> None:
    network, x = residual(), picture(3)
    with torch.no_grad():
        network.head.bias.sub_(network(x).mean(0))
        best = network(x).argmax(1)
    assert len(set(best.tolist())) > 1
    for target, classes in ((None, best.tolist()), ([0, 1, 2], [0, 1, 2])):
        alone = torch.cat([attributed(key, network, x[i : i + 1], k) for i, k in enumerate(classes)])
        assert largest_difference(attributed(key, network, x, target), alone, key) < EXACT
    with pytest.raises(ValueError, match="from 0 to 4"):
        attributed(key, network, x, 5)


@each_method
def test_a_caller_without_gradients_gets_the_same_map(key: str) -> None:
    network, x = relu6(), picture(1)
    settings = options(key, network, x)
    expected = METHODS[key].attribute(network, x, 4, **settings)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert largest_difference(METHODS[key].attribute(network, x.clone(), 4, **settings), expected, key) < EXACT


def test_threads_share_one_network_object() -> None:
    network, x = relu6(), picture(1)
    settings = {key: options(key, network, x) for key in METHODS}
    expected = {key: METHODS[key].attribute(network, x, 4, **settings[key]) for key in METHODS}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda key: (key, METHODS[key].attribute(network, x, 4, **settings[key])), [*METHODS, *METHODS]))
    assert all(torch.equal(ours, expected[key]) for key, ours in together)


@pytest.mark.parametrize("key", SLOW)
def test_slow_methods_report_progress_and_can_be_cancelled(key: str) -> None:
    network, x = residual(), picture()
    settings = options(key, network, x)
    seen: list[float] = []
    METHODS[key].attribute(network, x, 3, progress=seen.append, **settings)
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)

    class Cancelled(Exception):
        pass

    def cancel(share: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        METHODS[key].attribute(network, x, 3, progress=cancel, **settings)
