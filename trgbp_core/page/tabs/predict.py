"""The tab Predict: what theory says that the maps will do, and, when asked, what they do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...explorer.predict import DRAWS, MOST_DRAWS
from .. import handlers
from .room import HEAVY, Room, stop_button, told


def build(room: Room) -> None:
    foretold, measured = room.carrier("predict"), room.carrier("foretold")

    def foretell(image: Any, model: str, k: Any) -> Iterator[tuple[Any, Any]]:
        yield from told(handlers.predict(room.explorer, image, model, k))

    def measure(image: Any, model: str, k: Any, draws: Any) -> Iterator[tuple[Any, Any]]:
        yield from told(handlers.check_prediction(room.explorer, image, model, k, draws))

    with gr.Tab("Predict", id="predict") as tab:
        with gr.Row(elem_classes="tg-buttons"):
            run = gr.Button("Measure", variant="primary", elem_id="tg-predict-run")
            line = gr.Markdown(elem_id="tg-predict-status", render=False)
            draws = gr.Number(DRAWS, precision=0, minimum=2, maximum=MOST_DRAWS, label="Draws of random weights", render=False)
            running = run.click(measure, [*room.question, draws], [measured, line], **HEAVY)
            stop_button([running], "tg-predict-stop", line)
            line.render()
        room.view("predict")
        with gr.Accordion("Options", open=False):
            draws.render()
        room.options["predict"] = {"draws": draws}
    room.follow(tab, "predict", foretell, room.question, [foretold, room.status])
    room.end_when_asked_anew([running])
