"""``app.py`` on the hostile machine, with a network of its owner's own."""

from __future__ import annotations

import sys

import app
from tests.hostile_machine import prepare
from trgbp_core import Preprocess, own_model
from trgbp_core.models import Zoo


def tiny() -> Zoo:
    """Three classes, 32 pixels."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    return own_model(network, ["apple", "banana", "cherry"], preprocess=Preprocess(size=32, resize=None))


if __name__ == "__main__":
    prepare()
    app.launch(sys.argv[1:], models={"tiny": tiny()})
