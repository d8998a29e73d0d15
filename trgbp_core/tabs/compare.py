"""The tab Compare: any methods side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from .. import page
from .room import HEAVY, Room, methods_picker, stop_button, told


def build(room: Room) -> None:
    data = room.carrier("compare")

    def compare(image: Any, model: str, k: Any, methods: list[str]) -> Iterator[tuple[Any, Any]]:
        yield from told(page.compare(room.explorer, image, model, k, methods))

    with gr.Tab("Compare", id="compare") as tab:
        room.view("compare")
        methods = methods_picker("Each explains the same class of the same picture; the fast ones appear first.")
        room.options["compare"] = {"methods": methods}
        with gr.Row(elem_classes="tg-buttons"):
            asked, shown = [*room.question, methods], [data, room.status]
            run = gr.Button("Compare", variant="primary", elem_id="tg-compare-run")
            running = [*room.follow(tab, "compare", compare, asked, shown), run.click(compare, asked, shown, **HEAVY)]
            stop_button(running, "tg-compare-stop")
