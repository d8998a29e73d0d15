"""The command ``models``: the table of networks, and a machine made ready to work offline."""

from __future__ import annotations

from collections.abc import Sequence

from ..zoo import catalogue
from ..zoo.catalogue import Entry
from ..zoo.download_progress import on_terminal
from ..zoo.loading import available_models, fetch

HEAD = ("| name | network | input | parameters | top-1 | weights | licence |", "|---|---|---:|---:|---:|---|---|")


def table() -> str:
    """Every network of the zoo as a line of a Markdown table; the column ``weights`` is about this machine."""
    return "\n".join([*HEAD, *map(_line, available_models())])


def _line(e: Entry) -> str:
    where = "embedded" if e.embedded else "on this machine" if e.available else f"download, {e.download_size / 1e6:.0f} MB"
    accuracy = "–" if e.accuracy is None else f"{e.accuracy:.1f} %"
    return f"| `{e.name}` | {e.title} | {e.input_size}×{e.input_size} | {e.parameters / 1e6:.1f} M | {accuracy} | {where} | {e.licence} |"


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
