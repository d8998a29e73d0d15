"""The small networks for drawn pictures of shapes: one that learned a shortcut, and its honest twin (``python -m benchmarks shapes``)."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from pathlib import Path

from torch import nn

from ..data import assets, shapes
from ..data.preprocessing import Preprocess
from .entry import Entry

TITLES = {"shapes": "Shapes", "shapes_cheat": "Shapes (cheat)"}
SHA256 = {
    "shapes": "e0a33132d594250e872ca48a40276d095095c3b9ec35d0d6f8619caf63cf7674",
    "shapes_cheat": "002af5815c7452937be29b8dc76cc3bdacca0659f7b3ad9a6c4f9feb9befd83e",
}
PREPROCESS = Preprocess(shapes.SIDE, None, False, (0.5,) * 3, (0.25,) * 3)
PARAMETERS = 23_280
CONVOLUTIONS = ((16, 5), (32, 3), (48, 3), (64, 1))
"""(channels, side of the kernel) of each."""


def build(classes: int = len(shapes.LABELS)) -> nn.Sequential:
    """(N, 3, 64, 64) → (N, classes): four convolutions, the first two with pooling behind, and a class's mean over all places.

    The last layer has no bias: the paper's ψ would enlarge its single value to the whole map, which says nothing about places.
    """
    layers: dict[str, nn.Module] = {}
    inputs = 3
    for number, (channels, side) in enumerate(CONVOLUTIONS, 1):
        layers[f"conv{number}"] = nn.Conv2d(inputs, channels, side, padding=side // 2, bias=False)
        layers[f"norm{number}"], layers[f"relu{number}"] = nn.BatchNorm2d(channels), nn.ReLU()
        if number <= 2:
            layers[f"pool{number}"] = nn.MaxPool2d(2)
        inputs = channels
    layers |= {"mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "classes": nn.Linear(inputs, classes, bias=False)}
    return nn.Sequential(OrderedDict(layers))


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
