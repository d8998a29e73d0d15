"""The propagation methods see what a network computes, however it is written."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core import METHODS

from .rule_networks import EXACT, RULES, pictures, plain, report
from .zennit_reference import TARGETS


class Same(nn.Module):
    """One network, written in two ways: as modules that are used once, or by hand, in place and reusing its rectifier."""

    def __init__(self, *, by_hand: bool) -> None:
        super().__init__()
        self.by_hand = by_hand
        self.norm = nn.BatchNorm2d(3)
        self.one, self.two, self.three = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 5)
        self.first, self.second, self.reused = nn.ReLU(), nn.ReLU6(), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        if not self.by_hand:
            x = self.first(self.one(self.norm(x)))
            x = self.second(torch.add(x, self.two(x)))
            return self.three(F.adaptive_avg_pool2d(x, 1).flatten(1))
        x = self.reused(self.one(self.norm(x)))
        y = self.two(x)
        y += x
        return self.three(y.clamp_(0, 6).mean((2, 3)))


@pytest.mark.parametrize("key", RULES)
def test_functional_reused_and_in_place_operations_are_the_same_as_modules(key: str) -> None:
    torch.manual_seed(0)
    modules = Same(by_hand=False).double().eval()
    by_hand = Same(by_hand=True).double().eval()
    by_hand.load_state_dict(modules.state_dict())
    x = pictures()
    ours, theirs = (METHODS[key].attribute(network, x, TARGETS) for network in (by_hand, modules))
    assert report(f"{key}: by hand against modules", ours, theirs) < EXACT


@pytest.mark.parametrize("key", ["lrp_alpha_beta", "deep_taylor", "excitation_backprop"])
def test_lone_batch_norms_constants_and_scalings_hand_on_what_they_get(key: str) -> None:
    """A normalisation inside the network is a change of units: the map is that of the bare network on the normalised picture."""
    network, x = plain(), pictures()
    norm = nn.BatchNorm2d(3).double().eval()
    norm.running_mean.copy_(torch.tensor([0.1, -0.2, 0.3]))
    norm.running_var.copy_(torch.tensor([0.5, 1.5, 2.0]))

    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.network = norm, network

        def forward(self, x: Tensor) -> Tensor:
            return self.network(-self.norm((x - 0.3) / 0.7))

    ours = METHODS[key].attribute(Normalised().eval(), x, TARGETS)
    theirs = METHODS[key].attribute(network, -norm((x - 0.3) / 0.7).detach(), TARGETS)
    assert report(f"{key}: normalisation inside", ours, theirs) < EXACT
