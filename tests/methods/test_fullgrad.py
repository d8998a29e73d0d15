"""FullGrad: the decomposition adds up, and equals the definition written down once more with hooks."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import densenet121, mobilenet_v2, resnet18

from tests.support.nets import randomise
from trgbp_core.methods import METHODS
from trgbp_core.methods.fullgrad import full_gradients

from .networks import EXACT, KINDS, ROUNDING, largest_difference, picture


def implicit_bias(module):
    if isinstance(module, nn.BatchNorm2d):
        return module.bias - module.running_mean * module.weight / (module.running_var + module.eps).sqrt()
    return getattr(module, "bias", None)


def by_definition(network, x, target):
    """Input gradient, and b·∂f/∂b of every convolution, batch norm, linear layer and saturated ReLU6, map by map."""
    noted = []

    def note(module, _, out):
        # A fresh tensor: what comes after may change ``out`` in place.
        out = out.clone()
        if isinstance(module, nn.ReLU6):
            noted.append((out, 6.0 * (out >= 6).to(out.dtype)))
        elif implicit_bias(module) is not None:
            noted.append((out, implicit_bias(module).detach().reshape(1, -1, *[1] * (out.dim() - 2))))
        return out

    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.Linear, nn.ReLU6)
    handles = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, kinds)]
    x = x.clone().requires_grad_()
    score = network(x)[:, target].sum()
    gradient, *others = torch.autograd.grad(score, [x, *(out for out, _ in noted)])
    for handle in handles:
        handle.remove()
    return gradient, [g * b for g, (_, b) in zip(others, noted, strict=True)]


def psi(maps):
    """FullGrad's post-processing of one picture's maps (C, h, w)."""
    maps = maps.abs()
    maps = maps - maps.min()
    return maps / (maps.max() + 1e-6)


def total(parts, x):
    return (parts.gradient * x).sum((1, 2, 3)) + sum(b.flatten(1).sum(1) for b in parts.biases if b is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_full_gradients_equal_the_definition(kind):
    network, x = KINDS[kind](), picture()
    gradient, biases = by_definition(network, x, 3)
    parts = full_gradients(network, x, 3)
    assert largest_difference(parts.gradient, gradient) < ROUNDING
    ours = [b for b in parts.biases if b is not None]
    theirs = [b for b in biases if bool(b.any())]
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert largest_difference(our, their) < ROUNDING


@pytest.mark.parametrize("kind", KINDS)
def test_the_map_equals_the_definition(kind):
    network, x = KINDS[kind](), picture()
    gradient, biases = by_definition(network, x, 3)
    layers = [b for b in biases if b.dim() == 4]
    expected = torch.stack(
        [
            psi(g * one).sum(0)
            + sum(F.interpolate(psi(b[i])[None], one.shape[1:], mode="bilinear", align_corners=True)[0].sum(0) for b in layers)
            for i, (g, one) in enumerate(zip(gradient, x, strict=True))
        ]
    )
    # The ε of the min-max amplifies no rounding: all of it is float64.
    assert largest_difference(METHODS["full_grad"].attribute(network, x, 3), expected[:, None]) < ROUNDING


@pytest.mark.parametrize("build", [resnet18, mobilenet_v2, densenet121, KINDS["relu6"]])
def test_parts_add_up_to_the_score(build):
    torch.manual_seed(0)
    network = build() if build is KINDS["relu6"] else randomise(build(num_classes=4))
    x = picture(1, size=(64, 64))
    parts = full_gradients(network, x, 1)
    assert largest_difference(total(parts, x), parts.logits[:, 1]) < EXACT


class Shifted(nn.Module):
    """A constant added on the way, and a scaling in place behind a bias."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
        self.shift = nn.Parameter(torch.linspace(-1, 1, 4).reshape(1, 4, 1, 1))

    def forward(self, x):
        out = self.conv(x)
        out *= 3
        return self.head(F.relu(out + self.shift).mean((2, 3))) * 2


def test_constants_added_on_the_way_are_biases_and_scalings_in_place_keep_the_sum():
    network, x = Shifted().double().eval(), picture()
    parts = full_gradients(network, x, 1)
    assert largest_difference(total(parts, x), parts.logits[:, 1]) < EXACT
