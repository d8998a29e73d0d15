"""The command ``compare``: every method on one picture, and one figure of them all."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..drawing.figures import save_comparison
from ..evaluation.settings import chosen_methods
from ..methods import METHODS
from ..methods.learn_patterns import Patterns
from ..methods.patterns import use_patterns
from . import inputs
from .options import folder, methods, picture


def options(command: argparse.ArgumentParser) -> None:
    picture(command)
    methods(command, "all")
    command.add_argument("--patterns", type=Path, metavar="FILE", help="fitted by `patterns`, for PatternNet and PatternAttribution")
    folder(command)


def run(arguments: argparse.Namespace) -> None:
    inputs.picture_file(arguments)
    keys = chosen_methods(arguments.methods, "all", every=list(METHODS))
    explorer, question, k = inputs.question(arguments)
    if arguments.patterns is not None:
        use_patterns(question.zoo.network, Patterns.load(arguments.patterns))
    panels = []
    for panel in explorer.compare(question, k, keys):
        panels.append(panel)
        seconds = "" if panel["seconds"] is None else f"{panel['seconds']:8.2f} s"
        print(f"{panel['title']:28s} {seconds} {panel['empty']}", flush=True)
    files = save_comparison(question.picture, panels, arguments.out, f"{question.zoo.title}: {question.zoo.labels[k]}", order=METHODS)
    print(f"figure: {', '.join(map(str, files))}")
