"""The tab Measure: a box drawn on the picture, and pixels removed in the order of a map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...serving.stops import Stops
from .. import handlers
from .context import HEAVY, QUIET, PageContext, methods_picker, updates

QUESTION = """<h2 class="tg-question">Which pixels does the score need?</h2>
<p class="tg-lead">Pixels are made black in the order of the map: the most important first
(<abbr title="most relevant first">MoRF</abbr>), then again the least important first
(<abbr title="least relevant first">LeRF</abbr>). The curves show how the score changes.</p>"""


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

    def stop_all(request: gr.Request) -> None:
        locates.stop(str(request.session_hash))
        stop(request)

    with gr.Tab("Measure", id="measure") as tab:
        said = context.status_line("measure")
        context.panel("measure")
        methods = methods_picker("The methods whose maps are measured, for the class that is picked.")
        context.options["measure"] = {"methods": methods}
        asked = [*context.question, methods]
        context.follow(tab, "measure", locate, asked, [located, said], visited=True, several=True)
        methods.input(locate, asked, [located, said], trigger_mode="always_last", **HEAVY)
        gr.HTML(QUESTION)
        buttons = gr.Row(elem_classes="tg-buttons")
        line = context.status_line("perturb")
        with buttons:
            run = gr.Button("Make pixels black", variant="primary", elem_id="tg-perturb-run")
            # Not by `cancels`: an answer that is still on its way would overwrite the line, or leave "Error" on it.
            run.click(begin, queue=False, **QUIET).then(perturb, asked, [perturbed, line], **HEAVY)
            gr.Button("Stop", elem_id="tg-measure-stop").click(stop_all, queue=False, **QUIET)
        for asks in context.asks:
            asks(stop, queue=False, **QUIET)
        context.panel("perturb")
