"""The tab Sanity check: the network's weights are randomised layer by layer (Section 5.2.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...sanity.cascade import MODES
from .. import handlers
from .context import HEAVY, PageContext, method_choices, stop_button, updates
from .links import LinkRequest


def build(context: PageContext) -> None:
    explorer, data = context.explorer, context.carrier("cascade")

    def randomise(image: Any, model: str, k: Any, *options: Any) -> Iterator[tuple[Any, ...]]:
        yield from updates(handlers.cascade(explorer, image, model, k, *options))

    def resume(asked: LinkRequest, image: Any, model: str, k: Any, baseline: str, mode: Any, seed: Any) -> Iterator[tuple[Any, ...]]:
        if asked.link is None or not asked.link.stage:
            yield gr.skip(), gr.skip()
            return
        yield from updates(handlers.cascade(explorer, image, model, k, baseline, mode, seed, at=asked.link.stage))

    with gr.Tab("Sanity check", id="cascade") as tab:
        buttons = gr.Row(elem_classes="tg-buttons")
        line = context.status_line("cascade")
        context.panel("cascade")
        context.options["cascade"] = _options()
        options = list(context.options["cascade"].values())
    with buttons:
        run = gr.Button("Randomise", variant="primary", elem_id="tg-cascade-run")
        running = run.click(randomise, [*context.question, *options], [data, line], **HEAVY)
        linked = context.restored.then(_linked_options, context.request, options, **HEAVY)
        resumed = linked.then(resume, [context.request, *context.question, *options], [data, line], **HEAVY)
        stop_button([running, resumed], "tg-cascade-stop", line)
        context.panel("stage")
    context.stop_on_change([running, resumed])
    context.on_open(tab, "cascade")


def _linked_options(asked: LinkRequest) -> tuple[Any, ...]:
    """The options in a link to a stage."""
    if asked.link is None or not asked.link.stage:
        return gr.skip(), gr.skip(), gr.skip()
    return asked.link.beside, asked.link.mode, asked.link.seed


def _options() -> dict[str, Any]:
    with gr.Accordion("Options", open=False):
        info = "Computed at every stage; slow methods make the sanity check slow."
        baseline = gr.Dropdown(method_choices(), value="grad_cam", label="Method beside TR-GBP", info=info)
        kinds = ("Gaussian, zero mean (Theorem 1)", "Initialised anew: batch-norm biases become zero, and their Rˡ vanish")
        info = "Gaussian weights keep each layer's size."
        mode = gr.Radio(list(zip(kinds, MODES, strict=True)), value=MODES[0], label="Weights of a randomised layer", info=info)
        seed = gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed", info="The same seed draws the same weights.")
    return {"baseline": baseline, "mode": mode, "seed": seed}
