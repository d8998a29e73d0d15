"""The tab Measure: a box drawn on the picture, and pixels taken away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from .. import page
from .room import HEAVY, Room, methods_picker, stop_button, told


def build(room: Room) -> None:
    located, perturbed = room.carrier("measure"), room.carrier("perturb")

    def locate(image: Any, model: str, k: Any, methods: list[str]) -> Iterator[tuple[Any, Any]]:
        yield from told(page.measure(room.explorer, image, model, k, methods))

    def perturb(image: Any, model: str, k: Any, methods: list[str]) -> Iterator[tuple[Any, Any]]:
        yield from told(page.perturb(room.explorer, image, model, k, methods))

    with gr.Tab("Measure", id="measure") as tab:
        room.view("measure")
        methods = methods_picker("Those whose maps are measured, for the class that is picked.")
        room.options["measure"] = {"methods": methods}
        asked = [*room.question, methods]
        running = room.follow(tab, "measure", locate, asked, [located, room.status])
        running.append(methods.input(locate, asked, [located, room.status], trigger_mode="always_last", **HEAVY))
        with gr.Row(elem_classes="tg-buttons"):
            run = gr.Button("Take pixels away (MoRF, LeRF)", variant="primary", elem_id="tg-perturb-run")
            running.append(run.click(perturb, asked, [perturbed, room.status], **HEAVY))
            stop_button(running, "tg-measure-stop")
        room.view("perturb")
