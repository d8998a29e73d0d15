"""A picture before a network: what ``explain``, ``compare`` and ``cascade`` ask."""

from __future__ import annotations

import argparse

from ..data import images
from ..engine import devices
from ..explorer.explorer import Explorer, Question
from ..serving.memory import keep_freed_memory
from ..zoo.custom import with_weights
from ..zoo.download_progress import on_terminal
from ..zoo.loading import ModelCache
from . import options


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("picture", metavar="PICTURE")
    options.model(command)
    options.weights(command)
    options.wanted_class(command)
    options.threads(command)
    options.folder(command)


def ask(arguments: argparse.Namespace, *, float64: bool = True) -> tuple[Explorer, Question, int]:
    """The explorer, the picture before the network, and the class to explain.

    Args:
        float64: whether the command needs it of its device.
    """
    keep_freed_memory()
    device = devices.prepare(arguments.device, float64=float64)
    picture = images.read(arguments.picture)
    explorer = Explorer(ModelCache(own=with_weights(arguments.model, arguments.weights, device), device=device))
    with on_terminal(arguments.model) as progress:
        question = explorer.ask(picture, arguments.model, progress=progress)
    return explorer, question, explorer.find_class(question, arguments.wanted)
