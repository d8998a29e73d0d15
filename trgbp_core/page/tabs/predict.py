"""The tab Predict: what theory predicts of the maps, and, when asked, what is measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...explorer.predict import DRAWS, MOST_DRAWS
from .. import handlers
from .context import HEAVY, PageContext, stop_button, updates


def build(context: PageContext) -> None:
    explorer = context.explorer
    predicted, measured = context.carrier("predict"), context.carrier("predict_measured")

    def predict(image: Any, model: str, k: Any) -> Iterator[tuple[Any, ...]]:
        yield from updates(handlers.predict(explorer, image, model, k))

    def measure(image: Any, model: str, k: Any, draws: Any) -> Iterator[tuple[Any, ...]]:
        yield from updates(handlers.check_prediction(explorer, image, model, k, draws))

    with gr.Tab("Predict", id="predict") as tab:
        buttons = gr.Row(elem_classes="tg-buttons")
        line = context.status_line("predict")
        context.panel("predict")
        with gr.Accordion("Options", open=False):
            draws = gr.Number(DRAWS, precision=0, minimum=2, maximum=MOST_DRAWS, label="Draws of random weights")
        context.options["predict"] = {"draws": draws}
    with buttons:
        run = gr.Button("Measure", variant="primary", elem_id="tg-predict-run")
        running = run.click(measure, [*context.question, draws], [measured, line], **HEAVY)
        stop_button([running], "tg-predict-stop", line)
    context.follow(tab, "predict", predict, context.question, [predicted, line])
    context.stop_on_change([running])
