"""Figures for paper and screen (matplotlib, without its global state)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..methods import METHODS
from .render import DIVERGING, PERCENTILE, lookup, read_tile

POSITIVE = "inferno"
COLUMNS = range(5, 8)
"""How many panels stand in a row of a large figure."""

SCALE = f"in every panel 1 is its own {PERCENTILE} % quantile"


@dataclass(frozen=True)
class Cell:
    """One map of a figure: (h, w) between 0 and 1, or between −1 and 1 where it is ``signed``; ``below`` is a second, smaller line."""

    title: str
    map: np.ndarray
    signed: bool = False
    below: str = ""


def comparison(picture: Image.Image, panels: Sequence[dict[str, Any]], title: str, kind: str) -> bytes:
    """The file that ``compare`` writes and the tab Compare gives out: every method's map beside the picture, in the order of METHODS.

    Args:
        panels: of :meth:`explorer.Explorer.compare`, in any order; those that do not apply are named below the figure.
        title: above it. kind: ``png``, ``pdf`` or ``svg``.
    """
    order = list(METHODS)
    panels = sorted(panels, key=lambda panel: order.index(panel["key"]))
    cells = [_cell(panel) for panel in panels if panel.get("src")]
    left_out = ", ".join(panel["title"] for panel in panels if not panel.get("src"))
    return written(grid(picture, cells, title, f"does not apply here: {left_out}" if left_out else ""), kind, title)


def _cell(panel: dict[str, Any]) -> Cell:
    below = f"{panel['citation'].partition(';')[0]}; {seconds(panel['seconds'])}"
    return Cell(panel["title"], read_tile(panel["src"], signed=panel["signed"]), panel["signed"], below)


def save_comparison(picture: Image.Image, panels: Sequence[dict[str, Any]], folder: Path, title: str) -> list[Path]:
    """:func:`comparison` as ``compare.png`` and ``compare.pdf`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "compare.png", folder / "compare.pdf"]
    for file in files:
        file.write_bytes(comparison(picture, panels, title, file.suffix[1:]))
    return files


def written(figure: Any, kind: str, title: str) -> bytes:
    """A matplotlib figure as a file: ``png``, ``pdf`` or ``svg``."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=160, metadata={"Title": title})
    return buffer.getvalue()


def seconds(value: float) -> str:
    """A method's time as a person reads it."""
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def grid(picture: Image.Image, cells: Sequence[Cell], title: str, note: str = "") -> Any:
    """A matplotlib figure: the picture and every map, all of one size, and the scale of their colours below."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    count = len(cells) + 1
    columns = count if count < COLUMNS[0] else min(reversed(COLUMNS), key=lambda n: -(-count // n) * n - count)
    rows = -(-count // columns)
    two_lines = any(cell.below for cell in cells)
    width, height = 2.1 * max(columns, 3), (2.5 if two_lines else 2.35) * rows + 1.1
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.06))
    figure.suptitle(title, fontsize=13)
    parts: Any = figure.subfigures(2, 1, height_ratios=(height - 1.0, 0.6))
    shown, scale = parts
    axes = np.atleast_1d(shown.subplots(rows, columns)).ravel()
    for axis in axes:
        axis.set_axis_off()
    axes[0].imshow(picture)
    axes[0].set_title("the picture\n" if two_lines else "the picture", fontsize=9)
    for axis, cell in zip(axes[1:], cells, strict=False):
        low = -1 if cell.signed else 0
        axis.imshow(cell.map, cmap=_colours(cell.signed), vmin=low, vmax=1, extent=(0, 1, 0, 1), interpolation="bilinear")
        axis.set_title(cell.title + ("\n" if two_lines else ""), fontsize=9)
        below = axis.text(0.5, 1.015, cell.below, transform=axis.transAxes, ha="center", va="bottom", fontsize=6.5, color="0.35")
        below.set_in_layout(False)
    _scales(scale, sorted({cell.signed for cell in cells}), width, note)
    return figure


def _colours(signed: bool) -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap(lookup(DIVERGING if signed else POSITIVE) / 255)


def _scales(figure: Any, kinds: Sequence[bool], width: float, note: str) -> None:
    """A bar of colours for each kind of map that is shown, and what they mean."""
    for i, signed in enumerate(kinds):
        axis = figure.add_axes(((0.5 + 3.4 * i) / width, 0.55, 2.4 / width, 0.2))
        axis.imshow(np.linspace(0, 1, 256)[None], cmap=_colours(signed), aspect="auto", extent=(-1 if signed else 0, 1, 0, 1))
        axis.set_yticks([])
        axis.set_xticks([-1, 0, 1] if signed else [0, 1], ["−1 against", "0", "for 1"] if signed else ["0", "1"], fontsize=7)
        axis.set_title("both signs" if signed else "the positive part", fontsize=7, pad=2)
    said = f"{SCALE}\n{note}" if note else SCALE
    figure.text((0.3 + 3.4 * len(kinds)) / width, 0.62, said, fontsize=7, va="center", color="0.25")
