"""The small networks for drawn pictures of shapes: one that learned a shortcut, and its honest twin (``python -m benchmarks shapes``)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch import nn

from ..data import assets, shapes
from ..data.preprocessing import Preprocess
from .entry import Entry

TITLES = {"shapes": "Shapes", "shapes_cheat": "Shapes, with a shortcut"}
SHA256 = {
    "shapes": "552ac3f7d37e1f5f4eb38c5ddd639458db80e867992d71773fc791d5c6c68a5b",
    "shapes_cheat": "980c904b7babefdb8c1fdc327d77b7cf6032fa43e0805380aa7d47a2f90ed733",
}
PREPROCESS = Preprocess(shapes.SIDE, None, False, (0.5,) * 3, (0.25,) * 3)
PARAMETERS = 23_280
CONVOLUTIONS = ((16, 5), (32, 3), (48, 3), (64, 1))
"""(channels, side of the kernel) of each."""


def build(classes: int = len(shapes.LABELS)) -> nn.Sequential:
    """(N, 3, 64, 64) → (N, classes): four convolutions, the first two with pooling behind, and a class's mean over all places.

    The last layer has no bias: the paper's ψ would enlarge its single value to the whole map, which says nothing about places.
    """
    layers: list[nn.Module] = []
    inputs = 3
    for index, (channels, side) in enumerate(CONVOLUTIONS):
        layers += [nn.Conv2d(inputs, channels, side, padding=side // 2, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if index < 2 else []
        inputs = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes, bias=False))


def file(name: str) -> Path:
    """Where the weights of ``shapes`` or ``shapes_cheat`` lie."""
    return assets.folder("networks") / f"{name}.safetensors"


def entries() -> list[Entry]:
    """Both as the catalogue lists them."""
    return [
        Entry(
            name=name,
            title=title,
            source="embedded: trained by this project on pictures that it draws",
            licence="Apache-2.0",
            parameters=PARAMETERS,
            accuracy=None,
            download_size=0,
            preprocess=PREPROCESS,
            embedded=True,
            labels=shapes.LABELS,
            sha256=SHA256[name],
            build=build,
            local=partial(file, name),
        )
        for name, title in TITLES.items()
    ]
