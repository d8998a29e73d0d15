"""Small generated data sets: a bright rectangle on noise, whose place is known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from trgbp_core import Preprocess, own_model
from trgbp_core.zoo.loading import Zoo

from .nets import randomise

LABELS = [f"thing {i}" for i in range(7)]


def rectangle(index: int, width: int = 60, height: int = 48) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """A picture with one white rectangle, and the rectangle in fractions of it."""
    generator = np.random.default_rng(index)
    pixels = (generator.integers(0, 120, (height, width, 3)) * generator.random(3)).astype(np.uint8)
    left, top = int(generator.integers(5, width // 2)), int(generator.integers(5, height // 2))
    right, bottom = left + width // 3, top + height // 3
    pixels[top:bottom, left:right] = 255
    return Image.fromarray(pixels), (left / width, top / height, right / width, bottom / height)


def csv_set(folder: Path, count: int, classes: int = len(LABELS), size: tuple[int, int] = (60, 48)) -> tuple[Path, Path]:
    """``count`` pictures in ``folder``/images and their annotations: one box each."""
    images, annotations = folder / "images", folder / "annotations.csv"
    images.mkdir(parents=True)
    with annotations.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "class_index", "x0", "y0", "x1", "y1"])
        for index in range(count):
            picture, box = rectangle(index, *size)
            picture.save(images / f"{index:04d}.png")
            writer.writerow([f"{index:04d}.png", index % classes, *box])
    return images, annotations


def small_zoo(size: int = 32) -> Zoo:
    """A small convolutional network with biases, ready to be explained, that calls such pictures by several classes."""
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2, padding=1),
        nn.ReLU6(),
        nn.Conv2d(12, 12, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, len(LABELS)),
    )
    randomise(network).float()
    preprocess = Preprocess(size=size, resize=size + 4)
    last = network[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        logits = network(torch.cat([preprocess(rectangle(index)[0]) for index in range(20)]))
        last.weight /= logits.std(0)[:, None]
        last.bias.copy_((last.bias - logits.mean(0)) / logits.std(0))
    return own_model(network, LABELS, preprocess=preprocess, name="small")
