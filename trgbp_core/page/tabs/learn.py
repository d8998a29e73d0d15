"""The tab Learn: lessons that ask for a prediction and then compute what is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ...data import examples
from ...explorer.lessons import handouts, lessons, presenting
from ...explorer.lessons.lessons import Lesson, Shelf
from .context import HEAVY, PageContext
from .links import LinkRequest

_EVENTS = "TRGBP.mount('learn', element); TRGBP.reveal = (n) => trigger('reveal', {n}); TRGBP.handout = (n) => trigger('handout', {n});"


def build(context: PageContext) -> None:
    listed, revealed, printed = context.carrier("learn"), context.carrier("revealed"), context.carrier("handout")
    explorer, pictures = context.explorer, examples.pictures()

    def shelf() -> Shelf:
        return lessons.load(pictures=pictures, models=[entry.name for entry in explorer.entries()])

    def open_lesson(asked: LinkRequest) -> tuple[Any, Any]:
        number, found = asked.link.lesson if asked.link else None, presenting.shelf(shelf())
        if number is None:
            return (found if asked.first else gr.skip()), gr.skip()

        def question(lesson: Lesson) -> dict[str, Any]:
            return found | {"open": presenting.question(explorer, lesson), "key": f"lesson {number}"}

        return _of_lesson(shelf(), number, question, "predict, then look", found)

    def reveal(event: gr.EventData) -> tuple[Any, Any]:
        def result(lesson: Lesson) -> dict[str, Any]:
            return presenting.result(explorer, lesson)

        return _of_lesson(shelf(), _number(event), result, "computed just now", gr.skip())

    def handout(event: gr.EventData) -> tuple[Any, Any]:
        def sheet(lesson: Lesson) -> dict[str, Any]:
            return {"html": handouts.sheet(explorer, lesson)}

        return _of_lesson(shelf(), _number(event), sheet, "its handout is being printed", gr.skip())

    with gr.Tab("Learn", id="learn") as tab:
        line = context.status_line("learn")
        panel = gr.HTML(js_on_load=_EVENTS, elem_id="tg-learn")
    context.on_open(tab, "learn")
    context.arrived.then(open_lesson, context.request, [listed, line], **HEAVY)
    panel.reveal(reveal, None, [revealed, line], **HEAVY)
    panel.handout(handout, None, [printed, line], **HEAVY)


def _of_lesson(shelf: Shelf, number: Any, work: Callable[[Lesson], Any], done: str, otherwise: Any) -> tuple[Any, Any]:
    """(what ``work`` makes of the lesson, a sentence); ``otherwise`` where there is no such lesson, or it cannot be computed."""
    lesson = shelf.lessons.get(number) if isinstance(number, int) else None
    if lesson is None:
        return otherwise, "**This lesson does not exist any more.**"
    try:
        return work(lesson), f"Lesson {lesson.number}: {done}."
    except ValueError as error:
        return otherwise, f"**{lesson.file}: {error}**"


def _number(event: gr.EventData) -> Any:
    try:
        return event.n
    except (AttributeError, TypeError):  # not sent by this page
        return None
