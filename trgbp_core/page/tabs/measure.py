"""The tab Measure: a box drawn on the picture, and pixels removed in the order of a map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...serving.stops import Stops
from .. import handlers
from .context import HEAVY, QUIET, PageContext, methods_picker, stop_button, updates


def build(context: PageContext) -> None:
    explorer, locates, stops = context.explorer, Stops(), Stops()
    located, perturbed = context.carrier("measure"), context.carrier("perturb")

    def locate(image: Any, model: str, k: Any, methods: list[str], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        maps = updates(handlers.measure(explorer, image, model, k, methods))
        yield from locates.until(str(request.session_hash), maps, (gr.skip(), "Stopped."))

    def perturb(image: Any, model: str, k: Any, methods: list[str], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        curves = updates(handlers.perturb(explorer, image, model, k, methods))
        yield from stops.until(str(request.session_hash), curves, (gr.skip(), "Stopped."))

    def begin(request: gr.Request) -> None:
        stops.begin(str(request.session_hash))

    def stop(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    with gr.Tab("Measure", id="measure") as tab:
        said = context.status_line("measure")
        context.panel("measure")
        methods = methods_picker("The methods whose maps are measured, for the class that is picked.")
        context.options["measure"] = {"methods": methods}
        asked = [*context.question, methods]
        locating = context.follow(tab, "measure", locate, asked, [located, said], visited=True)
        locating.append(methods.input(locate, asked, [located, said], trigger_mode="always_last", **HEAVY))
        buttons = gr.Row(elem_classes="tg-buttons")
        line = context.status_line("perturb")
        with buttons:
            run = gr.Button("Remove pixels (MoRF, LeRF)", variant="primary", elem_id="tg-perturb-run")
            # Not by `cancels`: an answer that is still on its way would overwrite the line, or leave "Error" on it.
            run.click(begin, queue=False, **QUIET).then(perturb, asked, [perturbed, line], **HEAVY)
            stop_button(locating, "tg-measure-stop").click(stop, queue=False, **QUIET)
        for asks in context.asks:
            asks(stop, queue=False, **QUIET)
        context.panel("perturb")
