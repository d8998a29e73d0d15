"""Figure 4: the methods that the paper compares, side by side."""

from __future__ import annotations

from ..drawing.figures import Cell, Rows
from ..evaluation.settings import DEFAULT
from ..methods import METHODS, NotApplicable
from ..trgbp.explainer import TRGBP
from .subject import Subject

NOTE = "relu(R) of every method, each map bright at its own 99.9th percentile."


def compared(subject: Subject) -> Rows:
    """One row: the picture and every method's relu(R) for one class."""
    k = subject.one_class(TRGBP(subject.zoo.network).record(subject.x).top5[0])
    words = f"{subject.zoo.title}\n\n{subject.zoo.labels[k]}"
    return [[Cell(words=words), subject.input, *(_method(subject, k, key) for key in subject.options.methods or DEFAULT)]]


def _method(subject: Subject, k: int, key: str) -> Cell:
    method = METHODS[key]
    try:
        map = method.attribute(subject.zoo.network, subject.x, k)
    except NotApplicable as error:
        return Cell(title=method.title, words=str(error))
    return subject.map(map, method.title, specific=key in ("tr_gbp", "tr_gbp_conserving"))
