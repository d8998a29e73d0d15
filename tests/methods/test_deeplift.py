"""DeepLIFT against captum, where captum can run it, and against its completeness everywhere."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from captum.attr import DeepLift
from captum.attr._core import deep_lift as captum_deep_lift
from torch import Tensor, nn

from tests.support.nets import randomise
from trgbp_core import METHODS

from .networks import ALL, CLASSES, EXACT, TARGETS, largest_difference, picked_scores, picture, plain, residual, resnet, saturating

deep_lift = METHODS["deep_lift"].attribute
CAPTUM_CAN = {"plain": plain, "residual": residual, "saturating": saturating}


class Clone(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


def apart(network: nn.Module) -> nn.Module:
    """A clone between a rectifier and the pooling behind it, for captum (see :class:`.networks.Residual`)."""
    if not isinstance(network, nn.Sequential):
        return network
    return nn.Sequential(*[m for module in network for m in ((Clone(), module) if isinstance(module, nn.MaxPool2d) else (module,))])


@pytest.mark.parametrize("name", CAPTUM_CAN)
@pytest.mark.parametrize("scale", [1e-6, 1.0])
def test_deep_lift_equals_captum(name: str, scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a picture as reference, and against zeros but for 1e-6: where the reference is constant, the units of a pooling window tie,
    and rounding decides which of them a fall goes to, here as in captum."""
    # Captum has the rescale rule but does not list ReLU6 among the modules to give it to.
    monkeypatch.setitem(captum_deep_lift.SUPPORTED_NON_LINEAR, nn.ReLU6, captum_deep_lift.nonlinear)
    network, x, reference = CAPTUM_CAN[name](), picture(), scale * picture(seed=7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explainer = DeepLift(apart(network))
        theirs, delta = explainer.attribute(x, reference, target=torch.tensor(TARGETS), return_convergence_delta=True)
    assert float(delta.abs().max()) < EXACT, "captum is not complete itself, and no reference"
    ours = deep_lift(network, x, TARGETS, reference=reference)
    assert largest_difference(ours, theirs.detach().sum(1, keepdim=True), f"DeepLIFT {name}, reference × {scale:g}") < EXACT


def test_the_reference_is_zeros_unless_given() -> None:
    network, x = resnet(), picture()
    assert torch.equal(deep_lift(network, x, TARGETS), deep_lift(network, x, TARGETS, reference=torch.zeros(1, 3, 1, 1)))
    assert not torch.allclose(deep_lift(network, x, TARGETS), deep_lift(network, x, TARGETS, reference=torch.ones(1, 3, 1, 1)))
    with pytest.raises(ValueError, match="does not fit pictures"):
        deep_lift(network, x, reference=torch.zeros(1, 3, 8, 8))


class Maxima(nn.Module):
    """Maxima of every kind: overlapping, dilated, adaptive, with indices, over a dimension, of two maps, against a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 1), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.one(x), 3, stride=1, padding=1)
        x, _ = F.max_pool2d(x, 2, stride=1, dilation=2, return_indices=True)
        x = torch.maximum(x, self.two(x))
        x = torch.max(x, torch.zeros(()).to(x))
        x = F.adaptive_max_pool2d(x, 5)
        return self.head(x.amax(3).max(2).values)


class KeptName(nn.Module):
    """Rectified in place twice, and used under its first name."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        kept = self.one(x)
        once = kept.relu_()
        once.clamp_(0, 0.5)
        return self.head(kept.mean((2, 3)))


COMPLETE = {**ALL, "maxima of every kind": lambda: randomise(Maxima()), "in place twice": lambda: randomise(KeptName())}


@pytest.mark.parametrize("name", COMPLETE)
@pytest.mark.parametrize("given", [False, True])
def test_contributions_add_up_to_the_change_of_the_score(name: str, given: bool) -> None:
    network, x = COMPLETE[name](), picture()
    reference = picture(1, seed=7) if given else torch.zeros_like(x[:1])
    # float32: single precision over a few layers
    for dtype, tolerance in ((torch.float64, EXACT), (torch.float32, 1e-4)):
        network, x, reference = network.to(dtype), x.to(dtype), reference.to(dtype)
        change = picked_scores(network, x) - picked_scores(network, reference.expand_as(x))
        total = deep_lift(network, x, TARGETS, reference=reference if given else None).sum((1, 2, 3))
        assert largest_difference(total, change, f"DeepLIFT {name}: Σ = f(x) − f(x0)") < tolerance


def test_a_share_is_found_where_the_gradient_is_zero() -> None:
    """Shrikumar et al.'s Figure 1: y = relu(x) saturates (here min(x, 6)): no gradient at 9, yet all of the change is x's."""
    network = nn.Sequential(nn.ReLU6(), nn.Flatten(), nn.Linear(3, 1, bias=False)).double()
    nn.init.ones_(network[2].weight)
    x = torch.full((1, 3, 1, 1), 9.0, dtype=torch.float64)
    assert largest_difference(deep_lift(network, x, 0), torch.full((1, 1, 1, 1), 18.0, dtype=torch.float64)) < 1e-12
