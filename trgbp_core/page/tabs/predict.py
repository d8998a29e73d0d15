"""The tab Predict: what theory predicts of the maps, a verdict on this picture's, and, when asked, what random weights make of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...explorer.predict import DRAWS, MOST_DRAWS
from ...serving.stops import Stops
from .. import handlers
from .context import HEAVY, QUIET, PageContext, updates


def build(context: PageContext) -> None:
    explorer, stops = context.explorer, Stops()
    predicted, measured = context.carrier("predict"), context.carrier("predict_measured")

    def predict(image: Any, model: str, k: Any) -> Iterator[tuple[Any, ...]]:
        yield from updates(handlers.predict(explorer, image, model, k))

    def measure(request: gr.Request, *asked: Any) -> Iterator[tuple[Any, ...]]:
        draws = updates(handlers.check_prediction(explorer, *asked))
        yield from stops.until(str(request.session_hash), draws, (gr.skip(), "Stopped."))

    def begin(request: gr.Request) -> None:
        stops.begin(str(request.session_hash))

    def end(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    with gr.Tab("Predict", id="predict") as tab:
        said = context.status_line("predict")
        context.panel("predict")
        with gr.Accordion("Details", open=False, elem_id="tg-predict-more"):
            label = "How many networks with random weights"
            draws = gr.Number(DRAWS, precision=0, minimum=2, maximum=MOST_DRAWS, label=label, elem_id="tg-predict-draws")
            with gr.Row(elem_classes="tg-buttons"):
                run = gr.Button("Draw random weights", variant="primary", elem_id="tg-predict-run")
                stop = gr.Button("Stop", elem_id="tg-predict-stop")
            line = context.status_line("predict_draws")
            context.panel("predict_details")
        context.options["predict"] = {"draws": draws}
    context.follow(tab, "predict", predict, context.question, [predicted, said], several=True)
    run.click(begin, queue=False, **QUIET).then(measure, [*context.question, draws], [measured, line], **HEAVY)
    stop.click(end, None, None, queue=False, **QUIET)
    for asks in context.asks:
        asks(end, None, None, queue=False, **QUIET)
