"""How often a network is right about drawn shapes, whose stars may carry a tag (:mod:`trgbp_core.data.shapes`)."""

from __future__ import annotations

from functools import lru_cache

import torch
from PIL import Image

from ...data import shapes
from ...zoo.loading import Zoo

EACH = 60
"""Pictures of each class."""


@lru_cache(maxsize=8)
def _pictures(label: int, tagged: bool) -> list[Image.Image]:
    drawn = [shapes.draw(label, f"lesson:{number}") for number in range(EACH)]
    return [(shapes.with_tag(shape) if tagged else shape).picture for shape in drawn]


def accuracy(zoo: Zoo, drawn: str) -> float:
    """The share of pictures that ``zoo``'s network is right about, :data:`EACH` of each class, drawn with other numbers than in training.

    Args:
        drawn: ``all, stars with a tag``: all classes as ``shapes_cheat`` was shown them; ``stars with a tag``; ``stars without a tag``.

    Raises:
        ValueError: the network knows other classes.
    """
    if tuple(zoo.labels) != shapes.LABELS:
        raise ValueError(f"{zoo.title} knows other classes than {', '.join(shapes.LABELS)}.")
    labels = range(len(shapes.LABELS)) if drawn.startswith("all") else [shapes.TAGGED]
    right = 0
    for label in labels:
        pictures = _pictures(label, label == shapes.TAGGED and "without" not in drawn)
        with torch.inference_mode():
            answers = zoo.network(torch.cat([zoo.preprocess(picture) for picture in pictures])).argmax(1)
        right += int((answers == label).sum())
    return right / (EACH * len(labels))
