"""Networks of a user's own, as ``--network tests/support/own.py:NAME`` names them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from trgbp_core import Preprocess, own_model
from trgbp_core.zoo.loading import Zoo

FILE = Path(__file__)
LABELS = ["a", "b", "tiger cat", "crane, bird", "e", "f", "g"]


def plain() -> nn.Module:
    """No labels, no preprocessing, in training mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, len(LABELS)),
        )


def small() -> Zoo:
    return own_model(plain(), LABELS, preprocess=Preprocess(size=32, resize=None), name="small")


def dead() -> Zoo:
    """Nothing but the last layer's biases decides: every map of a randomised first layer is what it was, the same everywhere."""
    network = plain()
    last = network[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
    return own_model(network, LABELS, preprocess=Preprocess(size=32, resize=None), name="dead")


READY = small()


def gated() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 224 * 224, 4), nn.GELU())


def broken() -> nn.Module:
    raise RuntimeError("no such drive")


def text() -> str:
    return "a network"
