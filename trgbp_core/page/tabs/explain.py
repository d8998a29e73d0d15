"""The tabs Explain and Classes, which show the same payload, and the events with which every other tab's question begins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...explorer.explorer import Explorer
from .. import layout
from .context import HEAVY, QUIET, SETTLED_SECONDS, UNSEEN, PageContext, updates
from .links import LinkRequest


def build(context: PageContext) -> None:
    explorer = context.explorer
    for title, name in (("Explain", "explain"), ("Classes", "classes")):
        with gr.Tab(title, id=name) as tab:
            context.panel(name)
        context.on_open(tab, name)
    # Two carriers, for of two answers at once a component keeps the last.
    data, rest = context.carrier("explain"), context.carrier("rest")

    def new_picture(image: Any, model: str, asked: LinkRequest, there: Any) -> Iterator[tuple[Any, ...]]:
        # A link brings a network of its own: it is explained once its picture is there, too.
        yield from _explained(explorer, image, "" if there is None else model, asked, str(there))

    def new_class(image: Any, model: str, k: Any, known: Any) -> Iterator[tuple[Any, ...]]:
        answers = layout.with_progress(lambda step: layout.explain_class(explorer, image, model, k, known is True, step))
        yield from updates((answer.payload, answer.status) for answer in answers)

    def as_linked(image: Any, model: str, asked: LinkRequest, there: Any) -> Iterator[tuple[Any, ...]]:
        yield from _explained(explorer, image, model if asked.link is not None else "", asked, str(there))

    known, there = context.unseen(gr.Checkbox(False, **UNSEEN)), context.unseen(gr.Textbox("", **UNSEEN))
    shown = [data, rest, context.status, context.wanted]
    asked = [context.picture, context.model, context.request, there]
    # Gradio says twice and more often that a picture has changed; every time would be an explanation, and a megabyte on the way.
    context.image.change(None, context.image, None, js="(image) => TRGBP.pictured(image)", trigger_mode="multiple", **QUIET)
    tell = "(picture, model, request) => [picture, model, request, TRGBP.isFollowing() ? null : TRGBP.shownKey()]"
    context.restored = context.arrived.then(as_linked, asked, shown, js=tell, **HEAVY)
    context.restored.then(None, None, None, js="() => TRGBP.followed()", **QUIET)
    # The classes that the page has are shown at once; the server only adds the sentence.
    show = "(picture, model, wanted) => [picture, model, wanted, TRGBP.pick(wanted)]"
    context.changes += [
        context.restored,
        context.picture.submit(new_picture, asked, shown, js=tell, trigger_mode="always_last", **HEAVY),
        context.model.change(new_picture, asked, shown, js=tell, trigger_mode="always_last", **HEAVY),
        context.wanted.input(new_class, [*context.question, known], [data, context.status], js=show, trigger_mode="always_last", **HEAVY),
    ]


def _explained(explorer: Explorer, image: Any, model: str, asked: LinkRequest, there: str) -> Iterator[tuple[Any, ...]]:
    """Updates of (the class that is explained, the rest of the top 5, the status line, the class picker); ``there`` is on the page."""
    nothing, picker, at = gr.skip(), gr.skip(), 0.0
    if model:
        wanted = {asked.key: asked.k}
        for answer in layout.with_progress(lambda step: layout.explain(explorer, image, model, wanted, step, there)):
            if answer.payload is None:
                yield nothing, nothing, answer.status or nothing, nothing
            elif answer.choices:
                picker, at = gr.update(choices=answer.choices, value=answer.value), time.monotonic()
                yield layout.packed(asked.at_layer(answer.payload)), nothing, answer.status, picker
            else:
                time.sleep(max(0.0, at + SETTLED_SECONDS - time.monotonic()))
                yield nothing, layout.packed(answer.payload), nothing, nothing
    # Gradio sends the last answer once more at the end: no maps in it, but what the picker may have lost.
    yield nothing, nothing, nothing, picker
