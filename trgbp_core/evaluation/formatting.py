"""Markdown tables, and how names and numbers are written in their cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..methods import METHODS
from ..metrics.estimate import Estimate

NOTHING = "–"
COLUMN_TITLES = {
    "guided_backprop": "GBP",
    "guided_ig": "GIG",
    "grad_cam": "GradCAM",
    "tr_gbp": "TR-GBP (ours)",
    "tr_gbp_conserving": "TR-GBP, conserving ψ",
}
"""The paper's names for methods, where they are others than :data:`METHODS` has."""


def title(method: str) -> str:
    """A method's name at the head of a column."""
    return COLUMN_TITLES.get(method, METHODS[method].title)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]] = (), align: str = "") -> str:
    """A Markdown table.

    Args:
        align: a letter a column, ``l`` for text and ``r`` for numbers; by default numbers to the right of the first column.
    """
    align = align or "l" + "r" * (len(head) - 1)
    ruler = f"|{'|'.join('---' if letter == 'l' else '---:' for letter in align)}|"
    return "\n".join([markdown_row(head), ruler, *map(markdown_row, rows)])


def markdown_row(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def number(value: float, digits: int | None = 1, scale: float = 100.0) -> str:
    """``scale`` · value with so many digits behind the point; None: with three significant ones."""
    return NOTHING if not math.isfinite(value) else f"{scale * value:.{_behind(digits, scale * value)}f}"


def interval(e: Estimate, digits: int | None = 1, scale: float = 100.0) -> str:
    return NOTHING if not math.isfinite(e.low) else f"{number(e.low, digits, scale)} to {number(e.high, digits, scale)}"


def with_interval(e: Estimate, digits: int | None = 1, scale: float = 100.0) -> str:
    return f"{number(e.value, digits, scale)} [{interval(e, digits, scale)}]"


def signed(e: Estimate, digits: int | None = 1, scale: float = 100.0) -> str:
    """A difference with its interval; bold where zero lies outside."""
    if not math.isfinite(e.low):
        return NOTHING
    behind = _behind(digits, scale * max(map(abs, (e.value, e.low, e.high))))
    text = f"{scale * e.value:+.{behind}f} [{scale * e.low:+.{behind}f}, {scale * e.high:+.{behind}f}]"
    return f"**{text}**" if e.low > 0 or e.high < 0 else text


def _behind(digits: int | None, value: float) -> int:
    """Digits behind the point: as said, or those that show three significant ones of a number."""
    return digits if digits is not None else max(0, 2 - math.floor(math.log10(abs(value)))) if value else 2


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names in a sentence; many of them are cut short."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
