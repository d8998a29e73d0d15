"""The tab Camera: what the network sees now. Frames come one at a time, and nothing of them is kept."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ...explorer import live
from ...methods import METHODS
from .. import layout
from .context import AT_ONCE, QUIET, UNSEEN, PageContext


def build(context: PageContext) -> None:
    camera, explorer = live.Camera(context.explorer), context.explorer

    def explain(model: Any, psi: Any, beside: Any, sent: Any) -> str:
        given = sent if isinstance(sent, dict) else {}
        number = given.get("number")
        try:
            layout.offered(explorer, model)
            found = camera.explain(live.read_frame(given.get("frame")), model, psi, beside, live.sent_class(given.get("class")))
        except ValueError as error:
            found = {"wrong": str(error)}
        # The page notices only what differs from the answer before.
        return layout.packed(found | {"key": str(number)[:20]})

    with gr.Tab("Camera", id="camera") as tab:
        context.panel("camera")
        with gr.Accordion("Options", open=False):
            psi = gr.Radio(list(live.PSI), value="smooth", label="TR-GBP", info="Smooth as in the paper, or sharp (conserving ψ).")
            choices = [(METHODS[key].title, key) for key in live.quick_methods()]
            beside = gr.Dropdown(choices, value="grad_cam", label="Method beside TR-GBP", info="The quick ones.")
    context.on_open(tab, "camera")
    ask = "TRGBP.askFrame = (sent) => { TRGBP.frame = sent; trigger('submit'); };"
    answered, sent = context.carrier("camera", ask), context.unseen(gr.JSON(**UNSEEN))
    send = "(model, psi, beside) => [model, psi, beside, TRGBP.frame]"
    # The page asks for a frame only when the one before is answered.
    answered.submit(explain, [context.model, psi, beside, sent], answered, js=send, trigger_mode="multiple", **AT_ONCE)
    put = context.carrier("frozen", "TRGBP.putPicture = (file) => { TRGBP.uploaded = file; trigger('submit'); };")
    put.submit(None, None, context.image, js="() => TRGBP.uploaded", **QUIET)
