"""The tab Explain. What it asks for, the tab Classes shows too."""

from __future__ import annotations

from typing import Any

import gradio as gr

from .. import page
from .opening import Wish
from .room import HEAVY, Room


def build(room: Room) -> None:
    """The tab, and the events with which every other tab's question begins."""
    with gr.Tab("Explain", id="explain") as tab:
        room.view("explain")
    room.on_open(tab, "explain")
    data = room.carrier("explain")

    def new_picture(image: Any, model: str, wish: Wish) -> tuple[Any, Any, Any]:
        if not model:
            return gr.skip(), gr.skip(), gr.skip()
        answer = page.explain(room.explorer, image, model, asked=wish.asked)
        chosen = gr.update(choices=answer.choices, value=answer.value) if answer.payload else gr.skip()
        return wish.at_layer(answer.payload) if answer.payload else gr.skip(), answer.status, chosen

    def new_class(image: Any, model: str, k: Any) -> tuple[Any, Any]:
        answer = page.explain(room.explorer, image, model, k)
        return answer.payload or gr.skip(), answer.status

    def as_wished(image: Any, model: str, wish: Wish) -> tuple[Any, Any, Any]:
        return new_picture(image, model, wish) if wish.link is not None else (gr.skip(), gr.skip(), gr.skip())

    shown = [data, room.status, room.wanted]
    asked = [room.picture, room.model, room.wish]
    room.restored = room.arrived.then(as_wished, asked, shown, **HEAVY)
    room.changes += [
        room.restored,
        room.picture.change(new_picture, asked, shown, trigger_mode="always_last", **HEAVY),
        room.model.change(new_picture, asked, shown, trigger_mode="always_last", **HEAVY),
        room.wanted.input(new_class, room.question, [data, room.status], trigger_mode="always_last", **HEAVY),
    ]
