"""One backward pass: agreement with captum, and what every method of these families promises."""

import copy
from concurrent.futures import ThreadPoolExecutor

import captum.attr
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from trgbp_core.engine.validation import UnsupportedOperation
from trgbp_core.methods import METHODS

from .gradient_networks import KINDS, awkward, largest_difference, last_map, picture, residual, rewritten

# Both sides compute the same sums in another order, in float64.
ROUNDING = 1e-12
SHORT = {"integrated_gradients": 4, "guided_ig": 4, "blur_ig": 4}
KEYS = (
    "saliency deconvnet input_x_gradient guided_backprop guided_grad_cam integrated_gradients smooth_grad var_grad blur_ig guided_ig "
    "full_grad bias_backprop"
).split()


@pytest.mark.parametrize("kind", KINDS)
def test_input_x_gradient_equals_captum(kind):
    network, x = KINDS[kind](), picture()
    theirs = captum.attr.InputXGradient(network).attribute(x.clone(), target=3).sum(1, keepdim=True)
    assert largest_difference(METHODS["input_x_gradient"].attribute(network, x, 3), theirs) < ROUNDING


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_deconvnet_equals_captum(kind):
    network, x = KINDS[kind](), picture()
    theirs = captum.attr.Deconvolution(network).attribute(x.clone(), target=3).sum(1, keepdim=True)
    assert largest_difference(METHODS["deconvnet"].attribute(network, x, 3), theirs) < ROUNDING


def test_deconvnet_treats_relu6_as_a_rectifier():
    network, x = KINDS["relu6"](), picture()
    theirs = captum.attr.Saliency(rewritten(network, masked=False)).attribute(x.clone(), target=3, abs=False).sum(1, keepdim=True)
    assert largest_difference(METHODS["deconvnet"].attribute(network, x, 3), theirs) < ROUNDING


@pytest.mark.parametrize("kind", KINDS)
def test_guided_grad_cam_equals_captum(kind):
    network, x = KINDS[kind](), picture()
    reference = rewritten(network, masked=True)
    theirs = captum.attr.GuidedGradCam(reference, last_map(reference)).attribute(x.clone(), target=4, interpolate_mode="bilinear")
    assert float(theirs.abs().max()) > 0
    assert largest_difference(METHODS["guided_grad_cam"].attribute(network, x, 4), theirs.sum(1, keepdim=True)) < ROUNDING


def test_deconvnet_has_no_forward_mask():
    network, x = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 2)).double().eval(), picture(1, size=(4, 4))
    nn.init.constant_(network[0].bias, -100.0)  # every unit is cut off
    assert float(METHODS["saliency"].attribute(network, x, 0).abs().max()) == 0
    assert float(METHODS["deconvnet"].attribute(network, x, 0).abs().max()) > 0


def small(key, network, x, target=None, **options):
    if key in SHORT:
        options["steps"] = SHORT[key]
    return METHODS[key].attribute(network, x, target, **options)


@pytest.mark.parametrize("key", KEYS)
def test_functional_reused_and_in_place_rectifiers_change_nothing(key):
    network, x = residual(), picture()
    theirs = small(key, network, x, 2)
    assert float(theirs.abs().max()) > 0
    # Sums run in another order, and Guided IG divides by small differences.
    assert largest_difference(small(key, awkward(network), x, 2), theirs) < 1e-9


@pytest.mark.parametrize("key", KEYS)
def test_one_map_a_picture_and_nothing_given_is_changed(key):
    network, x = KINDS["relu6"]().train(), picture(3)
    before, given, state = copy.deepcopy(network.state_dict()), x.clone(), torch.get_rng_state()
    next(network.parameters()).requires_grad_(False)
    flags = [p.requires_grad for p in network.parameters()]
    maps = small(key, network, x)
    assert maps.shape == (3, 1, 24, 24)
    assert not maps.requires_grad
    assert maps.dtype == x.dtype
    assert torch.equal(x, given)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training
    assert [p.requires_grad for p in network.parameters()] == flags
    assert all(p.grad is None for p in network.parameters())
    # Evaluation mode is what is explained; a batch is its pictures one by one, each with its own best class.
    alone = torch.cat([small(key, network.eval(), one[None]) for one in x])
    assert largest_difference(maps, alone) < 1e-9


@pytest.mark.parametrize("key", KEYS)
def test_a_caller_without_gradients_gets_the_same_map(key):
    network, x = KINDS["relu6"](), picture(1)
    expected = small(key, network, x, 4)
    with torch.no_grad():
        assert torch.equal(small(key, network, x, 4), expected)
    with torch.inference_mode():
        assert torch.equal(small(key, network, x.clone(), 4), expected)


def test_threads_share_one_network_object():
    network, x = KINDS["relu6"](), picture(1)
    expected = [small(key, network, x, 4) for key in KEYS]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda key: small(key, network, x, 4), KEYS * 3))
    assert all(torch.equal(ours, alone) for ours, alone in zip(together, expected * 3, strict=True))


@pytest.mark.parametrize("key", ["input_x_gradient", "integrated_gradients", "smooth_grad", "var_grad", "blur_ig", "guided_ig"])
def test_ordinary_gradients_work_on_any_network(key):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1))
    x = picture()
    assert float(small(key, network.double().eval(), x, 1).abs().max()) > 0


@pytest.mark.parametrize("key", ["deconvnet", "guided_grad_cam"])
def test_rules_for_rectifiers_refuse_other_networks_by_name(key):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 3)).double()
    with pytest.raises(UnsupportedOperation, match="silu"):
        METHODS[key].attribute(network, picture(), 1)


def test_input_x_gradient_of_a_network_without_biases_is_complete():
    network, x = KINDS["plain"](), picture()
    for module in network:
        if hasattr(module, "bias"):
            nn.init.zeros_(module.bias)
    shares = METHODS["input_x_gradient"].attribute(network, x, 1).sum((1, 2, 3))
    assert F.l1_loss(shares, network(x)[:, 1]) < ROUNDING
