"""``app.py`` with two small networks of its owner's, whose pictures cannot be drawn: a fault inside, and one of memory."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import nn

import app
from trgbp_core import own_model
from trgbp_core.data.preprocessing import Preprocess
from trgbp_core.page import endpoints
from trgbp_core.zoo.loading import Zoo

FAULTS = {32: RuntimeError("a fault of its own"), 33: MemoryError()}
drawn = endpoints.overlay


def overlay(picture: Any, *given: Any, **options: Any) -> Any:
    if picture.width in FAULTS:
        raise FAULTS[picture.width]
    return drawn(picture, *given, **options)


def zoo(size: int) -> Zoo:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    return own_model(network, ["a", "b", "c"], preprocess=Preprocess(size=size, resize=None))


if __name__ == "__main__":
    endpoints.overlay = overlay
    app.launch(sys.argv[1:], models={"breaks": zoo(32), "hungry": zoo(33)})
