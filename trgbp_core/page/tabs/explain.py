"""The tab Explain. What it asks for, the tab Classes shows too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from .. import layout
from .opening import Wish
from .room import HEAVY, QUIET, SETTLED_SECONDS, UNSEEN, Room


def build(room: Room) -> None:
    """The tab, and the events with which every other tab's question begins."""
    with gr.Tab("Explain", id="explain") as tab:
        room.view("explain")
    room.on_open(tab, "explain")
    # Two carriers, for of two answers that come at once a component keeps the last.
    data, rest = room.carrier("explain"), room.carrier("rest")

    def new_picture(image: Any, model: str, wish: Wish, there: Any) -> Iterator[tuple[Any, ...]]:
        nothing, picker, at = gr.skip(), gr.skip(), 0.0
        if model:
            for answer in layout.told(lambda step: layout.explain(room.explorer, image, model, wish.asked, step, str(there))):
                if answer.payload is None:
                    yield nothing, nothing, answer.status or nothing, nothing
                elif answer.choices:
                    picker, at = gr.update(choices=answer.choices, value=answer.value), time.monotonic()
                    yield layout.packed(wish.at_layer(answer.payload)), nothing, answer.status, picker
                else:
                    time.sleep(max(0.0, at + SETTLED_SECONDS - time.monotonic()))
                    yield nothing, layout.packed(answer.payload), nothing, nothing
        # Gradio sends the last answer once more at the end: no maps in it, but what the picker may have lost.
        yield nothing, nothing, nothing, picker

    def new_class(image: Any, model: str, k: Any, known: bool) -> Iterator[tuple[Any, Any]]:
        for answer in layout.told(lambda step: layout.explain_class(room.explorer, image, model, k, known, step)):
            yield layout.packed(answer.payload) if answer.payload else gr.skip(), answer.status or gr.skip()

    def as_wished(image: Any, model: str, wish: Wish, there: Any) -> Iterator[tuple[Any, ...]]:
        yield from new_picture(image, model if wish.link is not None else "", wish, there)

    known = room.unseen(gr.Checkbox(False, **UNSEEN))
    shown = [data, rest, room.status, room.wanted]
    there = room.unseen(gr.Textbox("", **UNSEEN))
    asked = [room.picture, room.model, room.wish, there]
    # Gradio says twice and more often that a picture has changed; every time would be an explanation, and a megabyte on the way.
    another = room.carrier("another", "TRGBP.another = () => trigger('submit');")
    room.picture.change(None, room.picture, None, js="(picture) => TRGBP.pictured(picture)", trigger_mode="multiple", **QUIET)
    tell = "(picture, model, wish) => [picture, model, wish, TRGBP.shownKey()]"
    room.restored = room.arrived.then(as_wished, asked, shown, js=tell, **HEAVY)
    # The classes that the page has are shown at once; the server only says the sentence to them.
    show = "(picture, model, wanted) => [picture, model, wanted, TRGBP.pick(wanted)]"
    room.changes += [
        room.restored,
        another.submit(new_picture, asked, shown, js=tell, trigger_mode="always_last", **HEAVY),
        room.model.change(new_picture, asked, shown, js=tell, trigger_mode="always_last", **HEAVY),
        room.wanted.input(new_class, [*room.question, known], [data, room.status], js=show, trigger_mode="always_last", **HEAVY),
    ]
