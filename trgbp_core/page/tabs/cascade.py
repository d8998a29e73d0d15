"""The tab Sanity check: the network's weights are randomised layer by layer (Section 5.2.2), as soon as the tab is opened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...explorer.explorer import Explorer
from ...sanity.cascade import MODES
from ...serving.stops import Stops
from .. import handlers, layout
from .context import HEAVY, QUIET, PageContext, method_choices, updates
from .links import LinkRequest

NEWER: dict[str, Any] = {"trigger_mode": "multiple", **HEAVY}
"""A newer run takes the place of the one before."""

WHOLE = "(there, ...values) => [TRGBP.wholeRun(), ...values]"
"""Which run the page has whole, in the place of the first value: opening the tab again starts nothing."""


def build(context: PageContext) -> None:
    explorer, data, stops = context.explorer, context.carrier("cascade"), Stops()

    def run(request: gr.Request, *asked: Any, **how: Any) -> Iterator[tuple[Any, ...]]:
        stages = updates(handlers.cascade(explorer, *asked, **how))
        yield from stops.until(str(request.session_hash), stages, (gr.skip(), "Stopped."))

    def anew(request: gr.Request, *asked: Any) -> Iterator[tuple[Any, ...]]:
        yield from run(request, *asked)

    def opening(request: gr.Request, link: LinkRequest, seen: Any, *asked: Any) -> Iterator[tuple[Any, ...]]:
        wish, _, there = str(seen).partition(" ")
        stage = link.link.stage if link.link is not None else 0
        if stage and wish != str(link.number):
            yield gr.skip(), gr.skip()  # its picture is still to come: then its stage is computed, with its options
        elif stage and _is_of(explorer, link, *asked[:3]):
            if asked[3:] != _linked_options(link):
                yield gr.skip(), gr.skip()  # its options are still to come
            else:
                yield from run(request, *asked, at=stage, there=there)
        else:
            yield from run(request, *asked, there=there)

    def if_open(request: gr.Request, there: Any, *values: Any) -> Iterator[tuple[Any, ...]]:
        *asked, opened = values
        if opened == "cascade":
            yield from run(request, *asked, there=there)
        else:
            stops.stop(str(request.session_hash))
            yield gr.skip(), gr.skip()

    def linked(request: gr.Request, link: LinkRequest, there: Any, *values: Any) -> Iterator[tuple[Any, ...]]:
        if link.link is not None and link.link.stage:
            yield from run(request, *values[:-1], at=link.link.stage)
        else:
            yield from if_open(request, there, *values)

    def end(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    with gr.Tab("Sanity check", id="cascade") as tab:
        buttons = gr.Row(elem_classes="tg-buttons")
        line = context.status_line("cascade")
        context.panel("cascade")
        context.options["cascade"] = _options()
    options = list(context.options["cascade"].values())
    asked, shown = [*context.question, *options], [data, line]
    with buttons:
        gr.Button("Randomise", variant="primary", elem_id="tg-cascade-run").click(anew, asked, shown, **NEWER)
        gr.Button("Stop", elem_id="tg-cascade-stop").click(end, None, None, queue=False, **QUIET)
        context.panel("stage")
    seen = "(link, there, ...values) => [link, `${TRGBP.state.wish ?? ''} ${TRGBP.wholeRun()}`, ...values]"
    context.on_open(tab, "cascade").then(opening, [context.request, data, *asked], shown, js=seen, **NEWER)
    chosen = context.restored.then(_linked_options, context.request, options, **HEAVY)
    whole = "(link, there, ...values) => [link, TRGBP.wholeRun(), ...values]"
    chosen.then(linked, [context.request, data, *asked, context.opened], shown, js=whole, **NEWER)
    for event in context.changes:
        if event is not context.restored:
            event.then(if_open, [data, *asked, context.opened], shown, js=WHOLE, **NEWER)


def _is_of(explorer: Explorer, link: LinkRequest, picture: Any, model: str, k: Any) -> bool:
    """Whether the page shows the question that ``link`` asks."""
    try:
        return str(k) == str(link.k) and layout.ask(explorer, picture, model).key == link.key
    except ValueError:
        return False


def _linked_options(asked: LinkRequest) -> tuple[Any, ...]:
    """The options in a link to a stage."""
    if asked.link is None or not asked.link.stage:
        return gr.skip(), gr.skip(), gr.skip()
    return asked.link.beside, asked.link.mode, asked.link.seed


def _options() -> dict[str, Any]:
    with gr.Accordion("Options", open=False):
        info = "Its map is computed after every layer: with a slow method the check is slow."
        baseline = gr.Dropdown(method_choices(), value="grad_cam", label="Method beside TR-GBP", info=info)
        kinds = ("Normally distributed, as in the paper’s theory", "As before training: most biases are zero, their maps empty")
        info = "The first kind keeps the size of each layer’s weights."
        mode = gr.Radio(list(zip(kinds, MODES, strict=True)), value=MODES[0], label="Weights of a randomised layer", info=info)
        seed = gr.Number(
            0,
            precision=0,
            minimum=0,
            maximum=2**31 - 1,
            label="Seed",
            info="The same seed draws the same weights.",
            elem_id="tg-cascade-seed",
        )
    return {"baseline": baseline, "mode": mode, "seed": seed}
