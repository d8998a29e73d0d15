"""What the tab Learn shows: a lesson up to its question, and, once it is answered, what the engine computes."""

from __future__ import annotations

import torch

from ...drawing.render import data_uri, tile
from ..explorer import Explorer, Payload, panel
from ..links import query_of
from . import equations
from .experiments import Experiment, in_words
from .lessons import Lesson, Shelf, html, html_line
from .specs import TitledMap


def shelf(found: Shelf) -> Payload:
    """The list of lessons, which files could not be read, and the equations that lessons link to, as HTML."""
    listed = [{"number": one.number, "title": one.title} for one in found.lessons.values()]
    return {"key": "shelf", "lessons": listed, "broken": list(found.broken), "equations": list(map(equations.section, equations.load()))}


def question(explorer: Explorer, lesson: Lesson) -> Payload:
    """A lesson up to its question; nothing of what it will reveal is computed."""
    experiment = Experiment(explorer, lesson)
    return {
        "number": lesson.number,
        "title": lesson.title,
        "introduction": html(lesson.introduction),
        "question": html_line(lesson.question),
        "choices": [html_line(choice.text) for choice in lesson.choices],
        "panels": [_panel(experiment, spec) for spec in lesson.before],
        "framed": framed(lesson),
    }


def result(explorer: Explorer, lesson: Lesson) -> Payload:
    """The right answer, the maps and the explanation, with every number computed from the picture.

    Raises:
        ValueError: a class, layer or stage that does not exist, in a sentence.
    """
    experiment = Experiment(explorer, lesson)
    measured, right = experiment.answer()
    rows = [
        {"label": html_line(f.claim.name), "value": in_words(f.claim, f.measured), "stated": f.stated, "holds": f.holds}
        for f in experiment.findings()
    ]
    return {
        "key": f"lesson {lesson.number}",
        "number": lesson.number,
        "measured": f"{html_line(lesson.measure.name)}: {in_words(lesson.measure, measured)}",
        "right": right,
        "stated": lesson.answer,
        "panels": [_panel(experiment, spec) for spec in lesson.reveal],
        "rows": rows,
        "explanation": html(lesson.explanation),
        "further": html(lesson.further),
        "equations": list(lesson.equations),
        "page": query_of(lesson),
        "tab": lesson.tab,
    }


def framed(lesson: Lesson) -> bool:
    """Its maps are shown with the frame of Eq. 12, since it measures it."""
    return any(claim.kind == "ibd" for claim in lesson.checks)


def _panel(experiment: Experiment, spec: TitledMap) -> Payload:
    """A map with the picture that it lies over, or the picture alone. Its words name no class: that may be what is asked."""
    asked, _ = experiment.question(spec)
    under = {"under": data_uri(asked.picture, "JPEG", quality=80)}
    if not spec.method:
        alt = f"{spec.title}: a picture of the lesson"
        return under | {"title": spec.title, "caption": "", "src": tile(torch.zeros(1, 1)), "alt": alt, "empty": ""}
    return panel(experiment.map(spec), spec.title, "", "the lesson", signed=spec.signed) | under
