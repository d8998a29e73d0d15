"""The command ``compare``: every method on one picture, by one network or by several, and one figure of them all."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..drawing import figures
from ..evaluation.settings import chosen_methods
from ..explorer import networks
from ..explorer.explorer import Payload
from ..methods import METHODS
from ..methods.learn_patterns import Patterns
from ..methods.patterns import use_patterns
from . import inputs
from .options import compared_picture, folder, methods


def options(command: argparse.ArgumentParser) -> None:
    compared_picture(command)
    methods(command, "all")
    command.add_argument("--patterns", type=Path, metavar="FILE", help="fitted by `patterns`, for PatternNet and PatternAttribution")
    folder(command)


def run(arguments: argparse.Namespace) -> None:
    inputs.picture_file(arguments)
    keys = chosen_methods(arguments.methods, "all", every=list(METHODS))
    if len(arguments.models or ()) + len(arguments.network or ()) > 1:
        _networks(arguments, keys)
        return
    explorer, question, k = inputs.question(arguments)
    if arguments.patterns is not None:
        use_patterns(question.zoo.network, Patterns.load(arguments.patterns))
    panels = _told(explorer.compare(question, k, keys))
    files = figures.save_comparison(
        question.picture, panels, arguments.out, f"{question.zoo.title}: {question.zoo.labels[k]}", order=METHODS
    )
    print(f"figure: {', '.join(map(str, files))}")


def _told(panels: Iterable[Payload]) -> list[Payload]:
    """The panels, each printed as it arrives."""
    found = []
    for panel in panels:
        found.append(panel)
        seconds = "" if panel["seconds"] is None else f"{panel['seconds']:8.2f} s"
        print(f"{panel['title']:28s} {seconds} {panel['empty']}", flush=True)
    return found


def _networks(arguments: argparse.Namespace, keys: Sequence[str]) -> None:
    """Several networks: one figure, a row for each."""
    if arguments.patterns is not None:
        raise ValueError("--patterns are those of one network: name one.")
    explorer, models = inputs.several(arguments)
    rows, shown = networks.rows(explorer, inputs.picture(arguments), models, arguments.wanted, arguments.crop), []
    for row in rows:
        print(f"{row.question.zoo.title}: {row.prediction}. {row.note}".rstrip())
        panels = [] if row.k is None else _told(explorer.compare(row.question, row.k, keys))
        shown.append((row.question.zoo.title, row.said, row.question.picture, panels))
    title = networks.title(rows)
    arguments.out.mkdir(parents=True, exist_ok=True)
    files = [arguments.out / f"compare.{kind}" for kind in ("png", "pdf")]
    for file in files:
        file.write_bytes(figures.networks(shown, title, file.suffix[1:], order=METHODS))
    print(f"figure: {', '.join(map(str, files))}")
