"""What the tab Learn shows: a lesson as it asks, and, computed when it is asked for, how it turns out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...drawing.render import data_uri
from ..explorer import Explorer, Payload, panel
from ..links import query_of
from . import equations
from .claims import Claim, MapSpec
from .experiments import Laboratory, Setting, said
from .lessons import Lesson, Shelf, html, html_line

_SIGNS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than", "=": "exactly"}


@dataclass(frozen=True)
class Finding:
    """A claim and what was measured."""

    claim: Claim
    measured: float

    @property
    def holds(self) -> bool:
        return self.claim.condition.holds(self.measured)

    @property
    def stated(self) -> str:
        """What the lesson says the number is."""
        return f"{_SIGNS[self.claim.condition.operator]} {said(self.claim.measure, self.claim.condition.value)}"


def laboratory(explorer: Explorer, lesson: Lesson, pictures: Mapping[str, Path]) -> Laboratory:
    return Laboratory(explorer, Setting(lesson.picture, lesson.model, lesson.wanted), pictures)


def answer(room: Laboratory, lesson: Lesson) -> tuple[float, int | None]:
    """The measured number, and the choice that it makes the right one."""
    measured = room.measure(lesson.measure)
    return measured, lesson.chosen_by(measured)


def findings(room: Laboratory, lesson: Lesson) -> list[Finding]:
    """Every claim of the lesson, computed."""
    return [Finding(claim, room.measure(claim.measure)) for claim in lesson.checks]


def shelf(found: Shelf) -> Payload:
    """The list of lessons, which files could not be read, and the equations that lessons link to, as HTML."""
    listed = [{"number": one.number, "title": one.title} for one in found.lessons.values()]
    return {"key": "shelf", "lessons": listed, "broken": list(found.broken), "equations": list(map(equations.section, equations.load()))}


def asked(explorer: Explorer, lesson: Lesson, pictures: Mapping[str, Path]) -> Payload:
    """A lesson up to its question; nothing of what it will reveal is computed."""
    room = laboratory(explorer, lesson, pictures)
    return {
        "number": lesson.number,
        "title": lesson.title,
        "introduction": html(lesson.introduction),
        "question": html_line(lesson.question),
        "choices": [html_line(choice.text) for choice in lesson.choices],
        "panels": [_panel(room, title, spec) for title, spec in lesson.before],
        "framed": framed(lesson),
    }


def revealed(explorer: Explorer, lesson: Lesson, pictures: Mapping[str, Path]) -> Payload:
    """How it turns out: every number and map computed by the engine from the picture.

    Raises:
        ValueError: a class, layer or stage that does not exist, in a sentence.
    """
    room = laboratory(explorer, lesson, pictures)
    measured, right = answer(room, lesson)
    rows = [
        {"label": html_line(f.claim.label), "value": said(f.claim.measure, f.measured), "stated": f.stated, "holds": f.holds}
        for f in findings(room, lesson)
    ]
    return {
        "key": f"lesson {lesson.number}",
        "number": lesson.number,
        "measured": f"{html_line(lesson.measured)}: {said(lesson.measure, measured)}",
        "right": right,
        "stated": lesson.answer,
        "panels": [_panel(room, title, spec) for title, spec in lesson.reveal],
        "rows": rows,
        "explanation": html(lesson.explanation),
        "further": html(lesson.further),
        "equations": list(lesson.equations),
        "page": query_of(lesson),
        "tab": lesson.tab,
    }


def framed(lesson: Lesson) -> bool:
    """Its maps are shown with the frame of Eq. 12, since it measures it."""
    return any(claim.measure.kind == "ibd" for claim in lesson.checks)


def _panel(room: Laboratory, title: str, spec: MapSpec) -> Payload:
    """A map with the picture that it lies over. Its words name no class: that may be what is asked."""
    question, _ = room.question(spec)
    return panel(room.map(spec), title, "", "the lesson") | {"under": data_uri(question.picture, "JPEG", quality=80)}
