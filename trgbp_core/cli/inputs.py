"""What commands work on: a network, labelled pictures, a picture before a network."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..data import datasets, images
from ..data.datasets import Dataset
from ..engine import devices
from ..explorer.explorer import Explorer, Question
from ..zoo.custom import preloaded
from ..zoo.download_progress import on_terminal
from ..zoo.loading import ModelCache, Zoo, load_model


def network(name: str, device: torch.device = devices.CPU, weights: Path | None = None) -> Zoo:
    """A network of the zoo; a download shows its progress."""
    with on_terminal(name) as progress:
        return load_model(name, weights=weights, device=device, progress=progress)


def labelled_pictures(arguments: argparse.Namespace, zoo: Zoo) -> Dataset:
    """What ``--images`` and ``--annotations`` (and ``--boxes``) name."""
    return datasets.load(arguments.images, arguments.annotations, boxes=getattr(arguments, "boxes", None), labels=zoo.labels)


def question(arguments: argparse.Namespace, *, float64: bool = True) -> tuple[Explorer, Question, int]:
    """The explorer, ``PICTURE`` before ``--model``, and the class to explain.

    Args:
        float64: whether the command needs it of its device.
    """
    device = devices.prepare(arguments.device, float64=float64)
    picture = images.read(arguments.picture)
    explorer = Explorer(ModelCache(own=preloaded(arguments.model, arguments.weights, device=device), device=device))
    with on_terminal(arguments.model) as progress:
        asked = explorer.ask(picture, arguments.model, arguments.crop, progress=progress)
    return explorer, asked, explorer.find_class(asked, arguments.wanted)
