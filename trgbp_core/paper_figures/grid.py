"""Pictures in rows and columns, all of one size, with words beside and above them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

PANEL, WORDS = 1.5, 1.0
"""Inches: a panel's side, and the width of a column that holds words alone."""
GAP, BLOCK_GAP, MARGIN = 0.06, 0.2, 0.1
"""Inches: between two panels, between two blocks of rows, around all."""
LINE, HEAD = 0.145, 0.56  # inches: a line of text, the heading with its note
CHARACTERS, WORDS_CHARACTERS = 23, 16  # that fit into a panel's width, into a column of words


@dataclass(frozen=True)
class Cell:
    """One place of the grid.

    Attributes:
        image: what is seen there, a square; nothing leaves the place to the words.
        title: above it. words: in the place of an image, or across the foot of one.
    """

    image: Image.Image | None = None
    title: str = ""
    words: str = ""


Rows = Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class _Placed:
    """A row with the height of its titles, and how far below the sheet's upper edge its panels begin, in inches."""

    cells: Sequence[Cell]
    titles: tuple[str, ...]
    top: float


def sheet(heading: str, note: str, blocks: Sequence[Rows]) -> Any:
    """A matplotlib figure of all rows of all blocks, independent of matplotlib's global state.

    Args:
        heading: in bold above all. note: the line beneath it. blocks: rows that belong together. A row of titles that would repeat the
            one above it is left out.
    """
    from matplotlib.figure import Figure

    lefts, widths = _columns([row for rows in blocks for row in rows])
    placed = list(_place(blocks))
    width, height = lefts[-1] + widths[-1] + MARGIN, placed[-1].top + PANEL + MARGIN
    figure = Figure(figsize=(width, height))
    figure.text(MARGIN / width, 1 - MARGIN / height, heading, va="top", fontsize=10, fontweight="bold")
    note = textwrap.fill(note, round(13 * (width - 2 * MARGIN)))
    figure.text(MARGIN / width, 1 - (MARGIN + 0.2) / height, note, va="top", fontsize=8, color="0.3", linespacing=1.2)
    for row in placed:
        for cell, title, left, wide in zip(row.cells, row.titles, lefts, widths, strict=False):
            axis = figure.add_axes((left / width, 1 - (row.top + PANEL) / height, wide / width, PANEL / height))
            _draw(axis, cell, title, wide)
    return figure


def _columns(rows: Rows) -> tuple[list[float], list[float]]:
    """Left edge and width of every column, inches."""
    count = max(len(row) for row in rows)
    widths = [PANEL if any(len(row) > i and row[i].image is not None for row in rows) else WORDS for i in range(count)]
    lefts = [MARGIN + sum(widths[:i]) + i * GAP for i in range(count)]
    return lefts, widths


def _place(blocks: Sequence[Rows]) -> Iterator[_Placed]:
    top = MARGIN + HEAD - BLOCK_GAP
    above: tuple[str, ...] = ()
    for rows in blocks:
        top += BLOCK_GAP - GAP
        for row in rows:
            titles = tuple(_lines(cell.title, CHARACTERS, 4) for cell in row)
            top += GAP
            if any(titles) and titles != above:
                above = titles
                top += LINE * max(1 + title.count("\n") for title in titles)
            else:
                titles = ("",) * len(row)
            yield _Placed(row, titles, top)
            top += PANEL


def _draw(axis: Any, cell: Cell, title: str, wide: float) -> None:
    axis.set_axis_off()
    axis.set(xlim=(0, wide), ylim=(0, PANEL))
    if title:
        axis.text(wide / 2, PANEL + 0.03, title, ha="center", va="bottom", fontsize=8, linespacing=1.1)
    if cell.image is not None:
        axis.imshow(cell.image, extent=(0, PANEL, 0, PANEL), interpolation="antialiased")
        band = {"boxstyle": "square,pad=0.3", "facecolor": "black", "edgecolor": "none", "alpha": 0.7}
        if cell.words:
            words = _lines(cell.words, 28, 4)
            axis.text(PANEL / 2, 0.07, words, ha="center", va="bottom", fontsize=6.5, color="white", bbox=band)
    elif cell.words:
        words = _lines(cell.words, CHARACTERS if wide == PANEL else WORDS_CHARACTERS, 9)
        axis.text(wide - GAP, PANEL / 2, words, ha="right", va="center", fontsize=8, linespacing=1.3)


def _lines(text: str, width: int, most: int) -> str:
    """``text`` broken where it would be wider than so many characters, in at most so many lines; long names break behind a dot."""
    lines: list[str] = []
    for line in text.split("\n"):
        breakable = line.replace(".", ". ") if len(line) > width and " " not in line else line
        parts = textwrap.wrap(breakable, width, break_long_words=False) or [""]
        lines += parts if breakable is line else [part.replace(". ", ".") for part in parts]
    return "\n".join(lines if len(lines) <= most else [*lines[: most - 1], "…"])


def save(figure: Any, folder: Path, name: str, *, dpi: int = 150) -> list[Path]:
    """``name.png`` and ``name.pdf`` in ``folder``, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.png", folder / f"{name}.pdf"]
    for file in files:
        figure.savefig(file, dpi=dpi)
    return files
