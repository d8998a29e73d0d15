"""The tab Measure: a box drawn on the picture, and pixels taken away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...serving.jobs import Stops
from .. import handlers
from .room import HEAVY, QUIET, Room, methods_picker, stop_button, told


def build(room: Room) -> None:
    located, perturbed = room.carrier("measure"), room.carrier("perturb")

    def locate(image: Any, model: str, k: Any, methods: list[str]) -> Iterator[tuple[Any, Any]]:
        yield from told(handlers.measure(room.explorer, image, model, k, methods))

    stops = Stops()

    def perturb(image: Any, model: str, k: Any, methods: list[str], request: gr.Request) -> Iterator[tuple[Any, Any]]:
        curves = told(handlers.perturb(room.explorer, image, model, k, methods))
        yield from stops.until(str(request.session_hash), curves, (gr.skip(), "Stopped."))

    def begin(request: gr.Request) -> None:
        stops.begin(str(request.session_hash))

    def stop(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    with gr.Tab("Measure", id="measure") as tab:
        room.view("measure")
        methods = methods_picker("Those whose maps are measured, for the class that is picked.")
        room.options["measure"] = {"methods": methods}
        asked = [*room.question, methods]
        locating = room.follow(tab, "measure", locate, asked, [located, room.status])
        locating.append(methods.input(locate, asked, [located, room.status], trigger_mode="always_last", **HEAVY))
        with gr.Row(elem_classes="tg-buttons"):
            run = gr.Button("Take pixels away (MoRF, LeRF)", variant="primary", elem_id="tg-perturb-run")
            line = gr.Markdown(elem_id="tg-perturb-status", render=False)
            # Not by `cancels`: an answer that is still on its way would overwrite the line, or leave "Error" on it.
            run.click(begin, queue=False, **QUIET).then(perturb, asked, [perturbed, line], **HEAVY)
            stop_button(locating, "tg-measure-stop").click(stop, queue=False, **QUIET)
            line.render()
        for asked_anew in (room.picture.change, room.model.change, room.wanted.input):
            asked_anew(stop, queue=False, **QUIET)
        room.view("perturb")
