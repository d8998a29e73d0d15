"""DeepLIFT against captum, where captum can run it, and against its completeness everywhere."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from captum.attr import DeepLift
from captum.attr._core import deep_lift as captum_deep_lift
from torch import Tensor, nn

from trgbp_core import METHODS, NotApplicable

from .rule_networks import functional, mobile, pictures, plain, report, residual, saturating, settled

TARGETS = [1, 3]
EXACT = 1e-9  # float64; quotients of small changes magnify rounding
deep_lift = METHODS["deep_lift"].attribute


class OnceEach(nn.Module):
    """A batch-norm residual network as captum needs it: every rectifier a module of its own, none in place."""

    def __init__(self) -> None:
        super().__init__()

        def block(before: int, after: int, stride: int = 1) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(after))

        self.stem, self.first = block(3, 8), nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.one, self.second, self.two, self.third = block(8, 8), nn.ReLU(), block(8, 8), nn.ReLU()
        self.three, self.short, self.fourth = block(8, 12, 2), block(8, 12, 2), nn.ReLU()
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.first(self.stem(x)).clone())  # a clone between: see apart()
        x = self.third(x + self.two(self.second(self.one(x))))
        x = self.fourth(self.three(x) + self.short(x))
        return self.head(x.mean((2, 3)))


class Clone(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


def apart(network: nn.Module) -> nn.Module:
    """Something between a rectifier and the pooling behind it, for captum.

    Where the two touch, captum (0.9) hands the rectifier the gradient from before the pooling's rule, and its own convergence delta says
    so: up to the size of the score. A clone, which changes nothing, keeps the two hooks on tensors of their own.
    """
    if not isinstance(network, nn.Sequential):
        return network
    return nn.Sequential(*[m for module in network for m in ((Clone(), module) if isinstance(module, nn.MaxPool2d) else (module,))])


CAPTUM_CAN = {"plain": plain, "residual, no module twice": lambda: settled(OnceEach()), "saturating": saturating}
ALL = {"plain": plain, "residual": residual, "saturating": saturating, "mobile": mobile, "functional": functional}


@pytest.mark.parametrize("name", CAPTUM_CAN)
@pytest.mark.parametrize("scale", [1e-6, 1.0])
def test_deep_lift_equals_captum(name: str, scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a picture as reference, and against zeros but for 1e-6: where the reference is constant, the units of a pooling window tie,
    and rounding decides which of them a fall is owed to, here as in captum."""
    # Captum has the rescale rule but does not list ReLU6 among the modules to give it to.
    monkeypatch.setitem(captum_deep_lift.SUPPORTED_NON_LINEAR, nn.ReLU6, captum_deep_lift.nonlinear)
    network, x, reference = CAPTUM_CAN[name](), pictures(), scale * pictures(2, seed=7)
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = False  # captum's hooks cannot stand a rectifier in place
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explainer = DeepLift(apart(network))
        theirs, delta = explainer.attribute(x, reference, target=torch.tensor(TARGETS), return_convergence_delta=True)
    assert float(delta.abs().max()) < EXACT, "captum is not complete itself, and no reference"
    ours = deep_lift(network, x, TARGETS, reference=reference)
    assert report(f"DeepLIFT {name}, reference × {scale:g}", ours, theirs.detach().sum(1, keepdim=True)) < EXACT


def test_the_reference_is_zeros_unless_given() -> None:
    network, x = residual(), pictures()
    assert torch.equal(deep_lift(network, x, TARGETS), deep_lift(network, x, TARGETS, reference=torch.zeros(1, 3, 1, 1)))
    assert not torch.allclose(deep_lift(network, x, TARGETS), deep_lift(network, x, TARGETS, reference=torch.ones(1, 3, 1, 1)))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("given", [False, True])
def test_contributions_add_up_to_the_change_of_the_score(name: str, given: bool) -> None:
    network, x = ALL[name](), pictures()
    reference = pictures(1, seed=7) if given else torch.zeros_like(x)
    with torch.no_grad():
        change = (network(x) - network(reference.expand_as(x)))[range(2), TARGETS]
    total = deep_lift(network, x, TARGETS, reference=reference if given else None).sum((1, 2, 3))
    assert report(f"DeepLIFT {name}: Σ = f(x) − f(x0)", total, change) < EXACT


class Maxima(nn.Module):
    """Maxima of every kind: overlapping, dilated, adaptive, with indices, over a dimension, of two maps, against a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 1), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.one(x), 3, stride=1, padding=1)
        x, _ = F.max_pool2d(x, 2, stride=1, dilation=2, return_indices=True)
        x = torch.maximum(x, self.two(x))
        x = torch.max(x, torch.zeros(()).to(x))
        x = F.adaptive_max_pool2d(x, 5)
        return self.head(x.amax(3).max(2).values)


def test_contributions_add_up_through_maxima_of_every_kind() -> None:
    network, x = settled(Maxima()), pictures()
    with torch.no_grad():
        change = (network(x) - network(torch.zeros_like(x)))[range(2), TARGETS]
    assert report("DeepLIFT, maxima: Σ = f(x) − f(x0)", deep_lift(network, x, TARGETS).sum((1, 2, 3)), change) < EXACT


class KeptName(nn.Module):
    """Rectified in place twice, and used under its first name."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        kept = self.one(x)
        once = kept.relu_()
        once.clamp_(0, 0.5)
        return self.head(kept.mean((2, 3)))


def test_a_tensor_changed_in_place_twice_is_followed_under_every_name() -> None:
    network, x = settled(KeptName()), pictures()
    with torch.no_grad():
        change = (network(x) - network(torch.zeros_like(x)))[range(2), TARGETS]
    assert report("in place twice", deep_lift(network, x, TARGETS).sum((1, 2, 3)), change) < EXACT


def test_a_share_is_found_where_the_gradient_is_zero() -> None:
    """Shrikumar et al.'s Figure 1: y = relu(x) saturates (here min(x, 6)): no gradient at 9, yet all of the change is x's."""
    network = nn.Sequential(nn.ReLU6(), nn.Flatten(), nn.Linear(3, 1, bias=False)).double()
    nn.init.ones_(network[2].weight)
    x = torch.full((1, 3, 1, 1), 9.0, dtype=torch.float64)
    ours = deep_lift(network, x, 0)
    assert report("saturated units", ours, torch.full((1, 1, 1, 1), 18.0, dtype=torch.float64)) < 1e-12


def test_float32_is_complete_too() -> None:
    network, x = functional().float(), pictures().float()
    with torch.no_grad():
        change = (network(x) - network(torch.zeros_like(x)))[range(2), TARGETS]
    assert report("DeepLIFT float32", deep_lift(network, x, TARGETS).sum((1, 2, 3)), change) < 1e-4  # single precision over a few layers


def test_each_picture_by_itself_is_the_same_as_all_together() -> None:
    network, x = residual(), pictures()
    alone = torch.cat([deep_lift(network, x[i : i + 1], TARGETS[i]) for i in range(2)])
    assert report("batch against one by one", deep_lift(network, x, TARGETS), alone) < EXACT


def test_what_does_not_fit_is_refused_in_words() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).double()
    with pytest.raises(NotApplicable, match="DeepLIFT has no rule for 'sigmoid'"):
        deep_lift(network, pictures())
    with pytest.raises(ValueError, match="does not fit pictures"):
        deep_lift(plain(), pictures(), reference=torch.zeros(1, 3, 8, 8))
