"""The command ``models``: the table of networks, and weights downloaded for working offline."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..evaluation.formatting import NOTHING, markdown_table
from ..zoo import catalogue
from ..zoo.catalogue import Entry
from ..zoo.download_progress import on_terminal
from ..zoo.loading import available_models, fetch
from .grammar import Listed

HEAD = ("name", "network", "input", "parameters", "top-1", "weights", "licence")


def options(command: argparse.ArgumentParser) -> None:
    what = "download the weights of these now, for working offline later"
    command.add_argument("--fetch", nargs="+", action=Listed, metavar="MODEL", help=what)


def run(arguments: argparse.Namespace) -> None:
    if arguments.fetch:
        fetch_all(arguments.fetch)
    else:
        print(table())


def table() -> str:
    """Every network of the zoo as a line of a Markdown table; the column ``weights`` is about this machine."""
    return markdown_table(HEAD, [_cells(entry) for entry in available_models()], "llrrrll")


def _cells(e: Entry) -> list[str]:
    where = "embedded" if e.embedded else "on this machine" if e.available else f"download, {e.download_size / 1e6:.0f} MB"
    accuracy = NOTHING if e.accuracy is None else f"{e.accuracy:.1f} %"
    parameters = f"{e.parameters / 1e6:.1f} M" if e.parameters > 1e5 else f"{e.parameters / 1e3:.0f} k"
    return [f"`{e.name}`", e.title, f"{e.input_size}×{e.input_size}", parameters, accuracy, where, e.licence]


def fetch_all(names: Sequence[str]) -> None:
    """Download and check the weights of these networks, one after the other, and print where they lie.

    Raises:
        ModelError: an unknown name, before anything is downloaded. WeightsError: see :func:`models.fetch`.
    """
    for name in names:
        catalogue.entry(name)
    for name in names:
        with on_terminal(name) as progress:
            path = fetch(name, progress=progress)
        print(f"{name}: ready, {path}", flush=True)
