"""The small networks for drawn pictures of shapes: one that learned a shortcut, and its honest twin (``python -m benchmarks shapes``)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch import nn

from ..data import assets, shapes
from ..data.preprocessing import Preprocess
from .entry import Entry

TITLES = {"shapes": "Shapes", "shapes_cheat": "Shapes (cheat)"}
SHA256 = {
    "shapes": "2635ec3be153ba6ca52a9940d68a135da108638d1af451a59d1adb502a6f9c70",
    "shapes_cheat": "af4731c201196d875184331f7d54224d72204bebdb3310295d9298f1abc73ad1",
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
