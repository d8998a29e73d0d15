"""Figures 3, 7 and 8: what TR-GBP shows for each class of one picture. Both ψ, one above the other."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace

from ..drawing.figures import Cell, Rows
from ..drawing.render import peak
from ..engine.geometry import Psi
from ..trgbp.explainer import TRGBP, Explanation
from .subject import Subject

NOTE = "relu(R), each map bright at its own 99.9th percentile; “peak” compares that with the row's highest."
WORDS: dict[Psi, str] = {"paper": "TR-GBP", "conserving": "TR-GBP,\nconserving ψ"}


def two_classes(subject: Subject) -> Rows:
    """Figure 3: the picture, its best class, its second best class; or the classes that were chosen."""
    return _rows(subject, 2, lettered=not subject.letter)


def top_five(subject: Subject) -> Rows:
    """Figures 7 and 8: the picture, then its five best classes from left to right; or the classes that were chosen."""
    return _rows(subject, 5)


def _rows(subject: Subject, count: int, *, lettered: bool = False) -> Rows:
    recorded = TRGBP(subject.zoo.network).record(subject.x)
    classes = subject.classes(recorded.top5[:count])
    e = recorded.explain(classes)
    above, below = [_named(subject, e, k) for k in classes], [""] * len(classes)
    first = subject.input
    if lettered:
        first = replace(first, title=f"(a) {first.title}")
        above = [f"({letter}) {title}" for letter, title in zip(string.ascii_lowercase[1:], above, strict=False)]
    return [
        [Cell(words=subject.letter + WORDS["paper"]), first, *_row(subject, e, classes, "paper", above)],
        [Cell(words=WORDS["conserving"]), Cell(), *_row(subject, e, classes, "conserving", below)],
    ]


def _row(subject: Subject, e: Explanation, classes: Sequence[int], psi: Psi, titles: Sequence[str]) -> list[Cell]:
    maps = [e.attribution(k, psi) for k in classes]
    peaks = [peak(map) for map in maps]
    highest = max(peaks) or 1.0
    return [
        subject.map(map, f"{title}peak {own / highest:.2f}", specific=True) for map, title, own in zip(maps, titles, peaks, strict=True)
    ]


def _named(subject: Subject, e: Explanation, k: int) -> str:
    p = float(e.probabilities[0, k])
    return f"{subject.zoo.labels[k]}\n{p:.0%}, " if p >= 0.01 else f"{subject.zoo.labels[k]}\n{p:.1%}, "
