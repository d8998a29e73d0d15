"""What commands work on: networks, labelled pictures, a picture before a network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from ..data import datasets
from ..data import images as pictures
from ..data.datasets import Dataset
from ..engine import devices
from ..explorer.explorer import Explorer, Question
from ..zoo import catalogue
from ..zoo.custom import from_code, loaded
from ..zoo.loading import RANDOM, ModelCache, Zoo
from .grammar import only
from .options import MODEL


def network(arguments: argparse.Namespace, device: torch.device = devices.CPU) -> Zoo:
    """The one network of ``--model`` or ``--network``, with ``--weights``; a download shows its progress."""
    named = arguments.models if hasattr(arguments, "models") else [arguments.model] if arguments.model else None
    if named and arguments.network:
        raise ValueError("Give --model or --network, not both.")
    if arguments.network:
        return from_code(only(arguments.network, "network", "--network"), arguments.weights).to(device)
    return loaded(only(named, "network", "--model") if named else MODEL, device, arguments.weights)


def networks(arguments: argparse.Namespace, device: torch.device, default: Sequence[str] = (MODEL,)) -> list[Zoo | str]:
    """The networks of ``--models`` and ``--network``: what is loaded only when its turn comes stays a name, for :func:`loaded`.

    Raises:
        ModelError: one of them does not exist, before anything is computed.
    """
    names = arguments.models or ([] if arguments.network else list(default))
    for name in names:
        catalogue.entry(name.removeprefix(f"{RANDOM}:"))
    own = arguments.network or []
    if arguments.weights is None:
        return [*names, *(from_code(spec).to(device) for spec in own)]
    spec = only([*names, *own], "network with --weights", "--models")
    return [from_code(spec, arguments.weights).to(device) if own else loaded(spec, device, arguments.weights)]


def several(arguments: argparse.Namespace) -> tuple[Explorer, list[str]]:
    """An explorer of all networks of ``--models`` and ``--network``, and their names."""
    device = devices.prepare(arguments.device, float64=True)
    zoos = [zoo if isinstance(zoo, Zoo) else loaded(zoo, device) for zoo in networks(arguments, device)]
    return Explorer(ModelCache(own={zoo.name: zoo for zoo in zoos}, device=device)), [zoo.name for zoo in zoos]


def images(arguments: argparse.Namespace) -> list[Path]:
    """The pictures, or the folder, that stand alone or after ``--images``."""
    return [*arguments.images, *(arguments.named_images or ())]


def picture_file(arguments: argparse.Namespace) -> Path:
    """The one picture that is named."""
    file: Path = only(images(arguments), "picture", "--images")
    return file


def picture(arguments: argparse.Namespace) -> Image.Image:
    """That picture, read."""
    return pictures.read(picture_file(arguments))


def labelled_pictures(arguments: argparse.Namespace, zoo: Zoo) -> Dataset:
    """The folder of pictures with ``--annotations`` (and ``--boxes``)."""
    folder = only(images(arguments), "folder of pictures", "--images")
    return datasets.load(folder, arguments.annotations, boxes=getattr(arguments, "boxes", None), labels=zoo.labels)


def reading(arguments: argparse.Namespace, device: torch.device) -> int:
    """``--workers``, or what suits the device."""
    count: int = devices.reading_processes(device) if arguments.workers is None else arguments.workers
    if count < 0:
        raise ValueError(f"--workers is at least 0, not {count}.")
    return count


def question(arguments: argparse.Namespace, *, float64: bool = True) -> tuple[Explorer, Question, int]:
    """The explorer, the picture before the network, and the class to explain.

    Args:
        float64: whether the command needs it of its device.
    """
    device = devices.prepare(arguments.device, float64=float64)
    given = picture(arguments)
    zoo = network(arguments, device)
    explorer = Explorer(ModelCache(own={zoo.name: zoo}, device=device))
    asked = explorer.ask(given, zoo.name, arguments.crop)
    return explorer, asked, explorer.find_class(asked, arguments.wanted)
