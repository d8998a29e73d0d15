"""Markdown tables and the numbers in their cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .results import Results, title
from .statistics import Array, Estimate, Statistic, bootstrap, estimate

NOTHING = "–"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table, numbers to the right of its first column."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float, digits: int = 1, scale: float = 100.0) -> str:
    return NOTHING if not math.isfinite(value) else f"{scale * value:.{digits}f}"


def interval(e: Estimate, digits: int = 1, scale: float = 100.0) -> str:
    return NOTHING if not math.isfinite(e.low) else f"{number(e.low, digits, scale)} to {number(e.high, digits, scale)}"


def signed(e: Estimate, digits: int = 1, scale: float = 100.0) -> str:
    """A difference with its interval; bold where zero lies outside."""
    if not math.isfinite(e.low):
        return NOTHING
    text = f"{scale * e.value:+.{digits}f} [{scale * e.low:+.{digits}f}, {scale * e.high:+.{digits}f}]"
    return f"**{text}**" if e.low > 0 or e.high < 0 else text


@dataclass(frozen=True)
class Compared:
    """One figure of every method on the same pictures, and the resamples (B, methods) that its intervals come from."""

    methods: tuple[str, ...]
    values: Array
    draws: Array

    def estimates(self) -> list[Estimate]:
        return [estimate(value, draws) for value, draws in zip(self.values, self.draws.T, strict=True)]

    def difference(self, method: str, other: str) -> Estimate:
        """The first method minus the other, resample by resample: their interval is that of the difference on the same pictures."""
        a, b = self.methods.index(method), self.methods.index(other)
        return estimate(self.values[a] - self.values[b], self.draws[:, a] - self.draws[:, b])


def compared(results: Results, statistic: Statistic, count: int) -> Compared:
    """Bootstrap a statistic (B, N) → (B, methods) of ``count`` pictures."""
    if count == 0:
        nothing = np.full(len(results.methods), np.nan)
        return Compared(results.methods, nothing, nothing[None])
    return Compared(results.methods, statistic(np.ones((1, count)))[0], bootstrap(statistic, count, results.settings.seed))


def head(results: Results, first: str) -> list[str]:
    return [first, *(title(method) for method in results.methods)]


def two_rows(name: str, of: Compared, digits: int = 1, scale: float = 100.0) -> list[list[str]]:
    """A figure of every method, and its interval below."""
    estimates = of.estimates()
    return [
        [name, *(number(e.value, digits, scale) for e in estimates)],
        ["95 % interval", *(interval(e, digits, scale) for e in estimates)],
    ]


def named(names: Sequence[str], most: int = 20) -> str:
    """Names in a sentence; many of them are cut short."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
