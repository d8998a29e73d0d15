"""The command ``patterns``: learn the patterns of PatternNet and PatternAttribution from a folder of pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..data import images as pictures
from ..engine import devices
from ..methods.learn_patterns import fit_patterns
from ..zoo.loading import Zoo
from .grammar import only
from .inputs import images as given_images
from .inputs import network
from .options import file as out_file
from .options import images, model

BATCH = 16


def options(command: argparse.ArgumentParser) -> None:
    images(command, "DIR", "the folder of pictures; labels are not needed")
    model(command)
    out_file(command, "what `compare --patterns` reads")


def run(arguments: argparse.Namespace) -> None:
    device = devices.prepare(arguments.device)
    folder = only(given_images(arguments), "folder of pictures", "--images")
    if not folder.is_dir():
        raise ValueError(f"There is no folder of pictures {folder}.")
    files = sorted(file for file in folder.iterdir() if file.is_file())
    zoo = network(arguments, device)

    def count_pictures(count: int) -> None:
        print(f"\r{count} pictures", end="", file=sys.stderr, flush=True)

    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    fit_patterns(zoo.network, _batches(files, zoo), seen=count_pictures).save(arguments.out)
    print(f"\npatterns of {zoo.name} in {arguments.out}")


def _batches(files: list[Path], zoo: Zoo) -> Iterator[Tensor]:
    waiting = []
    for file in files:
        try:
            waiting.append(zoo.preprocess(pictures.read(file)))
        except pictures.ImageError as error:
            print(f"skipped {file.name}: {error}", file=sys.stderr)
        if len(waiting) == BATCH:
            yield torch.cat(waiting)
            waiting = []
    if waiting:
        yield torch.cat(waiting)
