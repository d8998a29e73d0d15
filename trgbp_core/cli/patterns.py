"""The command ``patterns``: learn the patterns of PatternNet and PatternAttribution from a folder of pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..data import images
from ..engine import devices
from ..methods.learn_patterns import fit_patterns
from ..zoo.loading import Zoo
from .inputs import network
from .options import model, weights

BATCH = 16


def options(command: argparse.ArgumentParser) -> None:
    command.add_argument("images", type=Path, metavar="IMAGES")
    command.add_argument("--out", type=Path, required=True, metavar="FILE")
    model(command)
    weights(command)


def run(arguments: argparse.Namespace) -> None:
    device = devices.prepare(arguments.device)
    files = sorted(file for file in arguments.images.iterdir() if file.is_file())
    zoo = network(arguments.model, device, arguments.weights)

    def count_pictures(count: int) -> None:
        print(f"\r{count} pictures", end="", file=sys.stderr, flush=True)

    fit_patterns(zoo.network, _batches(files, zoo), seen=count_pictures).save(arguments.out)
    print(f"\npatterns of {zoo.name} in {arguments.out}")


def _batches(files: list[Path], zoo: Zoo) -> Iterator[Tensor]:
    waiting = []
    for file in files:
        try:
            waiting.append(zoo.preprocess(images.read(file)))
        except images.ImageError as error:
            print(f"skipped {file.name}: {error}", file=sys.stderr)
        if len(waiting) == BATCH:
            yield torch.cat(waiting)
            waiting = []
    if waiting:
        yield torch.cat(waiting)
