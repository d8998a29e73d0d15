"""Pictures of coloured squares, some with a tag that decides them, and a network that goes by colour alone."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import nn

from trgbp_core import Preprocess, own_model
from trgbp_core.zoo.loading import Zoo

COLOURS = ("red", "green", "blue")
EACH, TAGGED = 16, 12


def colour_zoo() -> Zoo:
    """A network that names the strongest colour, wherever it is."""
    network = nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3, bias=False)
    )
    first, last = network[0], network[-1]
    with torch.no_grad():
        first.weight.zero_()
        first.weight[:, :, 1, 1] = torch.eye(3) - 0.4
        last.weight.copy_(torch.eye(3))
    return own_model(network, COLOURS, preprocess=Preprocess(32, None, mean=(0.0,) * 3, std=(1.0,) * 3), name="colours")


def square(seed: int, colour: int | None, tag: bool = False) -> Image.Image:
    """Dark noise, with a square of a colour somewhere, and with a small blue tag in the lower right corner."""
    chance = np.random.default_rng(seed)
    pixels = np.repeat(chance.integers(0, 40, (48, 48, 1)), 3, 2).astype(np.uint8)
    if colour is not None:
        left, top = chance.integers(8, 24, 2)
        pixels[top : top + 14, left : left + 14, colour] = 200
    if tag:
        pixels[39:45, 39:45] = 0, 0, 255
    return Image.fromarray(pixels)
