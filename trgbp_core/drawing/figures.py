"""Figures for paper and screen: panels in rows and columns, all of one size, with words beside and above them (matplotlib)."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from .render import COLOUR_MAPS, DIVERGING, PERCENTILE, Look, covers, heat, lookup, page_overlay, read_tile

PANEL, WORDS = 1.5, 1.0
"""Inches: a panel's side, and the width of a column that holds words alone."""
GAP, BLOCK_GAP, MARGIN = 0.06, 0.2, 0.1
"""Inches: between two panels, between two blocks of rows, around all."""
LINE, TITLE, HEAD, SCALES = 0.145, 0.3, 0.56, 0.6  # inches: a line of text, the heading, the same with a note, the bars of colours
NARROWEST = 6.3  # inches, of a figure with bars of colours
CHARACTERS, WORDS_CHARACTERS = 23, 16  # that fit into a panel's width, into a column of words
COLUMNS = range(5, 8)
"""How many panels stand in a row of a large figure."""

UNDATED: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
"""Metadata by the kind of file: no date, so that the same figure drawn again is the same file."""

SCALE = f"in every panel 1 is its own {PERCENTILE} % quantile"


@dataclass(frozen=True)
class Cell:
    """One place of a figure.

    Attributes:
        image: what is seen there, a square; nothing leaves the place to the words.
        title: above it. note: a second line, small and grey, between the two. words: in the place of an image, or across the foot of one.
        signed: whether the image's colours have two signs, if the figure is to explain them.
        box: an outline on the image, in fractions of it. bars: signed numbers, drawn side by side in the place of an image.
    """

    image: Image.Image | None = None
    title: str = ""
    words: str = ""
    note: str = ""
    signed: bool | None = None
    box: Sequence[float] | None = None
    bars: Sequence[float] = ()


Rows = Sequence[Sequence[Cell]]
NetworkRow = tuple[str, str, Image.Image, Sequence[dict[str, Any]]]
"""A network's title, its prediction or why it has no maps, what it saw, its panels as in :func:`comparison`."""


@dataclass(frozen=True)
class _Placed:
    """A row with the height of its titles, and how far below the sheet's upper edge its panels begin, in inches."""

    cells: Sequence[Cell]
    titles: tuple[str, ...]
    top: float


def sheet(heading: str, note: str, blocks: Sequence[Rows], footer: str = "", look: Look | None = None) -> Any:
    """A matplotlib figure of all rows of all blocks, independent of matplotlib's global state.

    Args:
        heading: in bold above all. note: the line beneath it. blocks: rows that belong together. A row of titles that would repeat the
            one above it is left out. footer: beneath the bars of colours that cells ask for.
        look: of the page, if the maps are as the page shows them.
    """
    from matplotlib.figure import Figure

    rows = [row for block in blocks for row in block]
    signs = sorted({cell.signed for row in rows for cell in row if cell.signed is not None})
    lefts, widths = _columns(rows)
    width = max(lefts[-1] + widths[-1] + MARGIN, NARROWEST if signs else 0)
    placed, footer = list(_place(blocks, HEAD if note else TITLE)), _wrapped(footer, 15 * width)
    beneath = SCALES + LINE * (1 + footer.count("\n")) if signs else 0
    height = placed[-1].top + PANEL + MARGIN + beneath
    figure = Figure(figsize=(width, height))
    figure.text(MARGIN / width, 1 - MARGIN / height, heading, va="top", fontsize=10, fontweight="bold")
    beneath_heading = _wrapped(note, 13 * (width - 2 * MARGIN))
    figure.text(MARGIN / width, 1 - (MARGIN + 0.2) / height, beneath_heading, va="top", fontsize=8, color="0.3", linespacing=1.2)
    for row in placed:
        for cell, title, left, wide in zip(row.cells, row.titles, lefts, widths, strict=False):
            axis = figure.add_axes((left / width, 1 - (row.top + PANEL) / height, wide / width, PANEL / height))
            _draw(axis, cell, title, wide, lifted=LINE * any(cell.note for cell in row.cells))
    _scales(figure, signs, beneath, look)
    if signs:
        figure.text(MARGIN / width, MARGIN / height, footer, va="bottom", fontsize=7, color="0.25", linespacing=1.2)
    return figure


def _columns(rows: Rows) -> tuple[list[float], list[float]]:
    """Left edge and width of every column, inches."""
    count = max(len(row) for row in rows)
    widths = [PANEL if any(len(row) > i and (row[i].image is not None or row[i].bars) for row in rows) else WORDS for i in range(count)]
    lefts = [MARGIN + sum(widths[:i]) + i * GAP for i in range(count)]
    return lefts, widths


def _place(blocks: Sequence[Rows], head: float) -> Iterator[_Placed]:
    top = MARGIN + head - BLOCK_GAP
    above: tuple[str, ...] = ()
    for rows in blocks:
        top += BLOCK_GAP - GAP
        for row in rows:
            titles = tuple(_lines(cell.title, CHARACTERS, 4) for cell in row)
            top += GAP + LINE * any(cell.note for cell in row)
            if any(titles) and titles != above:
                above = titles
                top += LINE * max(1 + title.count("\n") for title in titles)
            else:
                titles = ("",) * len(row)
            yield _Placed(row, titles, top)
            top += PANEL


def _draw(axis: Any, cell: Cell, title: str, wide: float, lifted: float) -> None:
    axis.set_axis_off()
    axis.set(xlim=(0, wide), ylim=(0, PANEL))
    axis.text(wide / 2, PANEL + 0.03, cell.note, ha="center", va="bottom", fontsize=6.5, color="0.35")
    axis.text(wide / 2, PANEL + 0.03 + lifted, title, ha="center", va="bottom", fontsize=8, linespacing=1.1)
    if cell.image is not None:
        axis.imshow(cell.image, extent=(0, PANEL, 0, PANEL), interpolation="antialiased")
        band = {"boxstyle": "square,pad=0.3", "facecolor": "black", "edgecolor": "none", "alpha": 0.7}
        if cell.words:
            words = _lines(cell.words, 28, 4)
            axis.text(PANEL / 2, 0.07, words, ha="center", va="bottom", fontsize=6.5, color="white", bbox=band)
        if cell.box is not None:
            left, top, right, bottom = (PANEL * edge for edge in cell.box)
            x, y = [left, right, right, left, left], [PANEL - edge for edge in (top, top, bottom, bottom, top)]
            axis.plot(x, y, color="black", linewidth=2.2, clip_on=False)
            axis.plot(x, y, color="white", linewidth=1.2, clip_on=False)
    elif cell.bars:
        _bars(axis, np.asarray(cell.bars, float))
    elif cell.words:
        words = _lines(cell.words, CHARACTERS if wide == PANEL else WORDS_CHARACTERS, 9)
        axis.text(wide - GAP, PANEL / 2, words, ha="right", va="center", fontsize=8, linespacing=1.3)


def _bars(axis: Any, values: np.ndarray) -> None:
    """In the colours of signed maps: what is above zero red, what is below it blue."""
    low, high = min(0.0, values.min()), max(0.0, values.max())
    scale, colours = PANEL / ((high - low) or 1), lookup(DIVERGING) / 255
    places = (np.arange(len(values)) + 0.5) * PANEL / len(values)
    axis.bar(
        places,
        values * scale,
        0.8 * PANEL / len(values),
        bottom=-low * scale,
        color=[colours[191] if v > 0 else colours[64] for v in values],
    )
    axis.plot([0, PANEL], [-low * scale] * 2, color="0.4", linewidth=0.6)


def _scales(figure: Any, signs: Sequence[bool], beneath: float, look: Look | None) -> None:
    """A bar of colours for each kind of map that is shown."""
    width, height = figure.get_size_inches()
    for i, signed in enumerate(signs):
        axis = figure.add_axes(((0.3 + 3.0 * i) / width, (beneath - 0.25) / height, 2.4 / width, 0.12 / height))
        colours = lookup(DIVERGING if signed else look.colours if look else COLOUR_MAPS[0])[None]
        if look:
            colours = np.dstack([colours, (255 * covers(signed)).astype(np.uint8)[None]])
        axis.imshow(colours, aspect="auto", extent=(-1 if signed else 0, 1, 0, 1))
        axis.set_yticks([])
        axis.set_xticks([-1, 0, 1] if signed else [0, 1], ["−1 against", "0", "for 1"] if signed else ["0", "1"], fontsize=7)
        axis.set_title("both signs" if signed else "the positive part", fontsize=7, pad=2)


def _wrapped(text: str, characters: float) -> str:
    return "\n".join(textwrap.fill(line, round(characters)) for line in text.split("\n"))


def _lines(text: str, width: int, most: int) -> str:
    """``text`` broken where it would be wider than so many characters, in at most so many lines; long names break behind a dot."""
    lines: list[str] = []
    for line in text.split("\n"):
        breakable = line.replace(".", ". ") if len(line) > width and " " not in line else line
        parts = textwrap.wrap(breakable, width, break_long_words=False) or [""]
        lines += parts if breakable is line else [part.replace(". ", ".") for part in parts]
    return "\n".join(lines if len(lines) <= most else [*lines[: most - 1], "…"])


def map_cell(
    title: str,
    map: Tensor | np.ndarray,
    picture: Image.Image,
    *,
    signed: bool = False,
    note: str = "",
    look: Look | None = None,
    box: Sequence[float] | None = None,
) -> Cell:
    """A map (h, w) in colours, of the picture's size, as a panel whose colours the figure explains; ``look``: over the picture."""
    image = page_overlay(picture, map, look, signed=signed) if look else heat(map, picture.size, signed=signed)
    return Cell(image, title, note=note, signed=signed, box=box)


def grid(picture: Image.Image, cells: Sequence[Cell], title: str, note: str = "", *, prediction: str = "", look: Look | None = None) -> Any:
    """A matplotlib figure: the picture and every map, and the scale of their colours below; ``prediction`` stands beneath the title."""
    panels = [Cell(picture, "the picture"), *cells]
    count = len(panels)
    columns = count if count < COLUMNS[0] else min(reversed(COLUMNS), key=lambda n: -(-count // n) * n - count)
    rows = [panels[start : start + columns] for start in range(0, count, columns)]
    return sheet(title, prediction, [rows], f"{SCALE}\n{note}" if note else SCALE, look)


def comparison(
    picture: Image.Image,
    panels: Sequence[dict[str, Any]],
    title: str,
    kind: str,
    *,
    order: Iterable[str],
    prediction: str = "",
    look: Look | None = None,
) -> bytes:
    """The file that ``compare`` writes and the tab Compare offers: every method's map beside the picture.

    Args:
        panels: of :meth:`explorer.Explorer.compare`, in any order; those that do not apply are named below the figure.
        title: above it. kind: ``png``, ``pdf`` or ``svg``. order: the methods' keys as they are to stand, METHODS itself for instance.
        prediction, look: see :func:`grid`.
    """
    keys = list(order)
    panels = sorted(panels, key=lambda panel: keys.index(panel["key"]))
    cells = []
    for panel in (panel for panel in panels if panel.get("src")):
        note = f"{panel['citation'].partition(';')[0]}; {seconds(panel['seconds'])}"
        map = read_tile(panel["src"], signed=panel["signed"])
        cells.append(map_cell(panel["title"], map, picture, signed=panel["signed"], note=note, look=look))
    left_out = ", ".join(panel["title"] for panel in panels if not panel.get("src"))
    note = f"does not apply here: {left_out}" if left_out else ""
    return written(grid(picture, cells, title, note, prediction=prediction, look=look), kind, title)


def save_comparison(
    picture: Image.Image, panels: Sequence[dict[str, Any]], folder: Path, title: str, *, order: Iterable[str]
) -> list[Path]:
    """:func:`comparison` as ``compare.png`` and ``compare.pdf`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "compare.png", folder / "compare.pdf"]
    for file in files:
        file.write_bytes(comparison(picture, panels, title, file.suffix[1:], order=order))
    return files


def networks(rows: Sequence[NetworkRow], title: str, kind: str, *, order: Iterable[str], look: Look | None = None) -> bytes:
    """The figure of several networks, one a row: the picture as it saw it with its prediction, then its maps, a method a column.

    Args:
        title, kind, order, look: see :func:`comparison`.
    """
    titles = {panel["key"]: panel["title"] for *_, panels in rows for panel in panels}
    keys = [key for key in order if key in titles]
    block = []
    for name, said, picture, panels in rows:
        found = {panel["key"]: panel for panel in panels}
        block.append(
            [
                Cell(words=name),
                Cell(picture, "what it sees", words=said),
                *(_network_cell(titles[key], found.get(key), picture, look) for key in keys),
            ]
        )
    return written(sheet(title, "", [block], SCALE, look), kind, title)


def _network_cell(title: str, panel: dict[str, Any] | None, picture: Image.Image, look: Look | None) -> Cell:
    if panel is None or not panel.get("src"):
        return Cell(title=title, words="" if panel is None else "does not apply")
    return map_cell(title, read_tile(panel["src"], signed=panel["signed"]), picture, signed=panel["signed"], look=look)


def seconds(value: float) -> str:
    """A method's time as a person reads it."""
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def written(figure: Any, kind: str, title: str) -> bytes:
    """A matplotlib figure as a file: ``png``, ``pdf`` or ``svg``."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=200, metadata={"Title": title} | UNDATED.get(kind, {}))
    return buffer.getvalue()


def save(figure: Any, folder: Path, name: str, *, dpi: int = 150) -> list[Path]:
    """``name.png`` and ``name.pdf`` in ``folder``, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.png", folder / f"{name}.pdf"]
    for file in files:
        figure.savefig(file, dpi=dpi, metadata=UNDATED.get(file.suffix[1:]))
    return files
