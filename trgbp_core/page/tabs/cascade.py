"""The tab Sanity check: the network's weights are randomised layer by layer (Section 5.2.2), as soon as the tab is opened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...explorer.explorer import Explorer
from ...explorer.links import MOST_SEED
from ...sanity.cascade import MODES
from ...serving.stops import Stops
from .. import handlers, layout
from .context import HEAVY, QUIET, PageContext, method_choices, updates
from .links import LinkRequest

NEWER: dict[str, Any] = {"trigger_mode": "multiple", **HEAVY}
"""A newer run takes the place of the one before."""

WHOLE = "(link, followed, there, ...values) => [link, followed, TRGBP.wholeRun(), ...values]"
"""Which run the page has whole, in the place of the third value: opening the tab again starts nothing."""


def build(context: PageContext) -> None:
    explorer, data, stops = context.explorer, context.carrier("cascade"), Stops()

    def run(request: gr.Request, *asked: Any, **how: Any) -> Iterator[tuple[Any, ...]]:
        stages = updates(handlers.cascade(explorer, *asked, **how))
        yield from stops.until(str(request.session_hash), stages, (gr.skip(), "Stopped."))

    def randomise(request: gr.Request, *asked: Any) -> Iterator[tuple[Any, ...]]:
        yield from run(request, *asked)

    def opening(request: gr.Request, link: LinkRequest, followed: int, there: Any, *asked: Any) -> Iterator[tuple[Any, ...]]:
        if _is_to_come(link, followed):
            yield gr.skip(), gr.skip()
        else:
            same = link.link is not None and asked[3:] == _linked_options(link) and _is_of(explorer, link, *asked[:3])
            yield from run(request, *asked, there=there, at=link.link.stage if link.link is not None and same else None)

    def if_open(request: gr.Request, link: LinkRequest, followed: int, there: Any, *values: Any) -> Iterator[tuple[Any, ...]]:
        *asked, opened = values
        if _is_to_come(link, followed):
            yield gr.skip(), gr.skip()
        elif opened == "cascade":
            yield from run(request, *asked, there=there)
        else:
            stops.stop(str(request.session_hash))
            yield gr.skip(), gr.skip()

    def linked(request: gr.Request, link: LinkRequest, there: Any, *values: Any) -> Iterator[tuple[Any, ...]]:
        if link.link is not None and link.link.stage:
            yield from run(request, *values[:-1], at=link.link.stage)
        else:
            yield from if_open(request, link, link.number, there, *values)

    def end(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    with gr.Tab("Sanity check", id="cascade") as tab:
        buttons = gr.Row(elem_classes="tg-buttons")
        line = context.status_line("cascade")
        context.panel("cascade")
        context.options["cascade"] = _options()
        followed = gr.State(0)  # the number of the newest link whose options the browser has
    options = list(context.options["cascade"].values())
    asked, shown = [*context.question, *options], [data, line]
    with buttons:
        gr.Button("Randomise", variant="primary", elem_id="tg-cascade-run").click(randomise, asked, shown, **NEWER)
        gr.Button("Stop", elem_id="tg-cascade-stop").click(end, None, None, queue=False, **QUIET)
        context.panel("stage")
    links = [context.request, followed, data]
    context.on_open(tab, "cascade").then(opening, [*links, *asked], shown, js=WHOLE, **NEWER)
    # The link counts as followed when the browser has its options: until then nothing else starts, which would have others.
    placed = context.restored.then(_linked_options, context.request, options, **HEAVY)
    placed = placed.then(lambda link: link.number, context.request, followed, **HEAVY)
    whole = "(link, there, ...values) => [link, TRGBP.wholeRun(), ...values]"
    placed.then(linked, [context.request, data, *asked, context.opened], shown, js=whole, **NEWER)
    for event in context.changes:
        if event is not context.restored:
            event.then(if_open, [*links, *asked, context.opened], shown, js=WHOLE, **NEWER)


def _is_to_come(link: LinkRequest, followed: int) -> bool:
    """Whether a stage that a link asks for is still to be computed, with the link's options."""
    return link.link is not None and bool(link.link.stage) and followed != link.number


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
            maximum=MOST_SEED,
            label="Seed",
            info="The same seed draws the same weights.",
            elem_id="tg-cascade-seed",
        )
    return {"baseline": baseline, "mode": mode, "seed": seed}
