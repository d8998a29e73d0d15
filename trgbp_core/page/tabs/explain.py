"""The tab Explain, and the events with which every other tab's question begins."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...explorer.explorer import Explorer
from .. import handlers, layout
from . import brush
from .context import AT_ONCE, HEAVY, QUIET, SETTLED_SECONDS, UNSEEN, PageContext, last, updates
from .links import LinkRequest

_failures = itertools.count(1)


def build(context: PageContext) -> None:
    explorer = context.explorer
    with gr.Tab("Explain", id="explain") as tab:
        context.panel("explain")
        brush.build(context)
    context.on_open(tab, "explain")
    # Several carriers, for of two answers at once a component keeps the last.
    data, rest, stale = context.carrier("explain"), context.carrier("rest"), context.carrier("stale")

    def new_picture(image: Any, model: str, asked: LinkRequest, there: Any, kept: Any) -> Iterator[tuple[Any, ...]]:
        # A link brings a network of its own: it is explained once its picture is there, too.
        of, _, k = str(kept).rpartition(":")
        yield from _explained(explorer, image, "" if there is None else model, asked, str(there), k if of == model else "")

    def new_class(image: Any, model: str, k: Any, known: Any, *, shown: Any) -> Iterator[tuple[Any, ...]]:
        """``shown``: what the class picker holds; where that is no class's number it becomes one."""
        answers = layout.with_progress(lambda step: layout.explain_class(explorer, image, model, k, known is True, step))
        for answer in answers:
            (update,) = updates(iter([(answer.payload, _stale(answer), answer.status)]))
            yield *update, gr.skip() if answer.value in (None, shown) else gr.update(value=answer.value)

    def picked_class(image: Any, model: str, k: Any, known: Any) -> Iterator[tuple[Any, ...]]:
        yield from new_class(image, model, k, known, shown="")

    def typed_class(image: Any, model: str, k: Any, known: Any) -> Iterator[tuple[Any, ...]]:
        yield from new_class(image, model, k, known, shown=k)

    def as_linked(image: Any, model: str, asked: LinkRequest, there: Any) -> Iterator[tuple[Any, ...]]:
        yield from _explained(explorer, image, model if asked.link is not None else "", asked, str(there))

    def contrasted(image: Any, model: str, pair: Any) -> tuple[Any, ...]:
        return last(handlers.contrast(explorer, image, model, pair))

    def shared(image: Any, model: str, asked: Any) -> tuple[Any, ...]:
        return last(handlers.shares(explorer, image, model, asked))

    known, there = context.unseen(gr.Checkbox(False, **UNSEEN)), context.unseen(gr.Textbox("", **UNSEEN))
    shown = [data, rest, stale, context.status]
    asked = [context.picture, context.model, context.request, there]
    # The class that the visitor has picked stays when another part of the same picture is asked about.
    kept = context.unseen(gr.Textbox("", **UNSEEN))
    # Only the browser knows what was picked meanwhile, so that it fills the field itself.
    field = context.carrier("field", "TRGBP.fillField = () => trigger('submit');")
    field.submit(None, None, context.wanted, js="() => TRGBP.classField()", trigger_mode="multiple", **QUIET)
    # Gradio says twice and more often that a picture has changed; every time would be an explanation, and a megabyte on the way.
    context.image.change(None, context.image, None, js="(image) => TRGBP.pictured(image)", trigger_mode="multiple", **QUIET)
    tell = "(picture, model, request) => [picture, model, request, TRGBP.isFollowing() ? null : TRGBP.shownKey()]"
    ask_new = "(...given) => [...given.slice(0, 3), TRGBP.isFollowing() ? null : TRGBP.shownKey(), TRGBP.keptClass(given[0])]"
    context.restored = context.arrived.then(as_linked, asked, shown, js=tell, **HEAVY)
    context.restored.then(None, None, None, js="() => TRGBP.followed()", **QUIET)
    # The classes that the page has are shown at once; the server only adds the sentence.
    show = "(picture, model, wanted) => [picture, model, wanted, TRGBP.pick(wanted)]"
    choose = "(picture, model) => [picture, model, TRGBP.chosen, TRGBP.pick(TRGBP.chosen)]"
    ask = "TRGBP.askContrast = (pair) => { TRGBP.pair = pair; trigger('submit'); };"
    contrast, pair = context.carrier("contrast", ask), context.unseen(gr.Textbox("", **UNSEEN))
    asked_pair, send = [context.picture, context.model, pair], "(picture, model) => [picture, model, TRGBP.pair]"
    contrast.submit(contrasted, asked_pair, [contrast, context.status], js=send, trigger_mode="always_last", **AT_ONCE)
    ask = "TRGBP.askShares = (place) => { TRGBP.place = JSON.stringify(place); trigger('submit'); };"
    shares, place = context.carrier("shares", ask), context.unseen(gr.Textbox("", **UNSEEN))
    asked_place, send = [context.picture, context.model, place], "(picture, model) => [picture, model, TRGBP.place]"
    shares.submit(shared, asked_place, [shares, context.status], js=send, trigger_mode="always_last", **AT_ONCE)
    asks_class, answers_class = [*context.question, known], [data, stale, context.status, context.wanted]
    context.changes += [
        context.restored,
        context.picture.submit(new_picture, [*asked, kept], shown, js=ask_new, trigger_mode="always_last", **HEAVY),
        context.model.change(new_picture, [*asked, kept], shown, js=ask_new, trigger_mode="always_last", **HEAVY),
        context.wanted.input(typed_class, asks_class, answers_class, js=show, trigger_mode="always_last", **HEAVY),
        context.picked.submit(picked_class, asks_class, answers_class, js=choose, trigger_mode="always_last", **HEAVY),
    ]


def _explained(explorer: Explorer, image: Any, model: str, asked: LinkRequest, there: str, kept: str = "") -> Iterator[tuple[Any, ...]]:
    """Updates of (the explained class, the rest of the top 5, what is stale, the status line); ``there`` is on the page."""
    nothing, at = gr.skip(), 0.0
    if model:
        wanted = {asked.key: asked.k}
        for answer in layout.with_progress(lambda step: layout.explain(explorer, image, model, wanted, step, there, kept)):
            if answer.payload is None:
                said = answer.status if answer.failed or not at else ""  # whose map is there waits for nothing that concerns them
                yield nothing, nothing, layout.packed(_stale(answer)) if answer.failed else nothing, said or nothing
            elif not at:
                at = time.monotonic()
                yield layout.packed(asked.at_layer(answer.payload)), nothing, nothing, answer.status
            else:
                time.sleep(max(0.0, at + SETTLED_SECONDS - time.monotonic()))
                yield nothing, layout.packed(answer.payload), nothing, nothing
        time.sleep(max(0.0, at + SETTLED_SECONDS - time.monotonic()))  # what other tabs then ask about is the class in the field
    yield nothing, nothing, nothing, nothing  # Gradio sends the last answer once more at the end: no maps in it


def _stale(answer: layout.Answer) -> Any:
    """Tells the page that what it shows answers another question; a number, for only what differs is noticed."""
    return {"number": next(_failures)} if answer.failed else None
