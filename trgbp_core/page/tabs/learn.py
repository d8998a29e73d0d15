"""The tab Learn: lessons that ask for a prediction and then compute what is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ...data import examples
from ...explorer.lessons import handouts, lessons, presenting
from ...explorer.lessons.lessons import Lesson, Shelf
from .opening import Wish
from .room import HEAVY, Room

_EVENTS = "TRGBP.mount('learn', element); TRGBP.reveal = (n) => trigger('reveal', {n}); TRGBP.handout = (n) => trigger('handout', {n});"


def build(room: Room) -> None:
    asked, revealed, printed = room.carrier("learn"), room.carrier("revealed"), room.carrier("handout")
    explorer, pictures = room.explorer, examples.pictures()

    def shelf() -> Shelf:
        return lessons.load(pictures=pictures, models=[entry.name for entry in explorer.entries()])

    def of_lesson(number: Any, work: Callable[[Lesson], Any], done: str) -> tuple[Any, Any]:
        lesson = shelf().lessons.get(number) if isinstance(number, int) else None
        if lesson is None:
            return gr.skip(), "**There is no such lesson any more.**"
        try:
            return work(lesson), f"Lesson {lesson.number}: {done}."
        except ValueError as error:
            return gr.skip(), f"**{lesson.file}: {error}**"

    def open_lesson(wish: Wish) -> tuple[Any, Any]:
        number, listed = wish.link.lesson if wish.link else None, presenting.shelf(shelf())
        if number is None:
            return (listed if wish.first else gr.skip()), gr.skip()

        def question(lesson: Lesson) -> dict[str, Any]:
            return listed | {"open": presenting.question(explorer, lesson), "key": f"lesson {number}"}

        payload, sentence = of_lesson(number, question, "predict, then look")
        return (listed if sentence.startswith("**") else payload), sentence

    def reveal(event: gr.EventData) -> tuple[Any, Any]:
        return of_lesson(_number(event), lambda lesson: presenting.result(explorer, lesson), "computed just now")

    def handout(event: gr.EventData) -> tuple[Any, Any]:
        def sheet(lesson: Lesson) -> dict[str, Any]:
            return {"html": handouts.sheet(explorer, lesson)}

        return of_lesson(_number(event), sheet, "its handout goes to the printer")

    with gr.Tab("Learn", id="learn") as tab:
        view = gr.HTML(js_on_load=_EVENTS, elem_id="tg-learn")
    room.on_open(tab, "learn")
    room.arrived.then(open_lesson, room.wish, [asked, room.status], **HEAVY)
    view.reveal(reveal, None, [revealed, room.status], **HEAVY)
    view.handout(handout, None, [printed, room.status], **HEAVY)


def _number(event: gr.EventData) -> Any:
    return event._data.get("n") if isinstance(event._data, dict) else None
