"""One backward pass: agreement with captum, and what these methods promise."""

from __future__ import annotations

from collections.abc import Callable

import captum.attr
import pytest
import torch
from torch import Tensor, nn

from trgbp_core.methods import METHODS

from .networks import KINDS, ROUNDING, largest_difference, last_map, picture, plain, rewritten, without_biases


def guided_grad_cam(network: nn.Module, x: Tensor) -> Tensor:
    network = rewritten(network, masked=True)
    return captum.attr.GuidedGradCam(network, last_map(network)).attribute(x, target=4, interpolate_mode="bilinear")


CAPTUM: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "saliency": lambda network, x: captum.attr.Saliency(network).attribute(x, target=4).amax(1, keepdim=True),
    "input_x_gradient": lambda network, x: captum.attr.InputXGradient(network).attribute(x, target=4),
    "deconvnet": lambda network, x: captum.attr.Deconvolution(rewritten(network, masked=False)).attribute(x, target=4),
    "guided_backprop": lambda network, x: captum.attr.GuidedBackprop(rewritten(network, masked=True)).attribute(x, target=4),
    "guided_grad_cam": guided_grad_cam,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", CAPTUM)
def test_methods_of_one_backward_pass_equal_captum(key: str, kind: str) -> None:
    network, x = KINDS[kind](), picture()
    theirs = CAPTUM[key](network, x.clone().requires_grad_()).sum(1, keepdim=True).detach()
    assert float(theirs.abs().max()) > 0
    assert largest_difference(METHODS[key].attribute(network, x, 4), theirs, key) < ROUNDING


def test_deconvnet_has_no_forward_mask() -> None:
    network, x = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 2)).double().eval(), picture(1, size=(4, 4))
    nn.init.constant_(network[0].bias, -100.0)  # every unit is cut off
    assert float(METHODS["saliency"].attribute(network, x, 0).abs().max()) == 0
    assert float(METHODS["deconvnet"].attribute(network, x, 0).abs().max()) > 0


def test_input_x_gradient_of_a_network_without_biases_is_complete() -> None:
    network, x = without_biases(plain()), picture()
    shares = METHODS["input_x_gradient"].attribute(network, x, 1).sum((1, 2, 3))
    with torch.no_grad():
        assert largest_difference(shares, network(x)[:, 1]) < ROUNDING
