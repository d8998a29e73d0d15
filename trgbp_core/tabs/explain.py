"""The tab Explain. What it asks for, the tab Classes shows too."""

from __future__ import annotations

from typing import Any

import gradio as gr

from .. import page
from .room import HEAVY, Room


def build(room: Room) -> None:
    """The tab, and the events with which every other tab's question begins."""
    with gr.Tab("Explain", id="explain") as tab:
        room.view("explain")
    room.on_open(tab, "explain")
    data = room.carrier("explain")

    def new_picture(image: Any, model: str) -> tuple[Any, Any, Any]:
        if not model:
            return gr.skip(), gr.skip(), gr.skip()
        answer = page.explain(room.explorer, image, model)
        chosen = gr.update(choices=answer.choices, value=answer.value) if answer.payload else gr.skip()
        return answer.payload or gr.skip(), answer.status, chosen

    def new_class(image: Any, model: str, k: Any) -> tuple[Any, Any]:
        answer = page.explain(room.explorer, image, model, k)
        return answer.payload or gr.skip(), answer.status

    shown = [data, room.status, room.wanted]
    room.changes += [
        room.picture.change(new_picture, [room.picture, room.model], shown, trigger_mode="always_last", **HEAVY),
        room.model.change(new_picture, [room.picture, room.model], shown, trigger_mode="always_last", **HEAVY),
        room.wanted.input(new_class, room.question, [data, room.status], trigger_mode="always_last", **HEAVY),
    ]
