"""The tab Sanity check: the network's weights are randomised layer by layer (Section 5.2.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...sanity.cascade import MODES
from .. import handlers
from .opening import Wish
from .room import HEAVY, Room, method_choices, stop_button, told


def build(room: Room) -> None:
    data = room.carrier("cascade")

    def randomise(image: Any, model: str, k: Any, *options: Any) -> Iterator[tuple[Any, Any]]:
        yield from told(handlers.cascade(room.explorer, image, model, k, *options))

    def resume(wish: Wish, image: Any, model: str, k: Any, baseline: str, mode: Any, seed: Any) -> Iterator[tuple[Any, Any]]:
        if wish.link is None or not wish.link.stage:
            yield gr.skip(), gr.skip()
            return
        yield from told(handlers.cascade(room.explorer, image, model, k, baseline, mode, seed, at=wish.link.stage))

    with gr.Tab("Sanity check", id="cascade") as tab:
        buttons = gr.Row(elem_classes="tg-buttons")
        room.view("cascade")
        options = _options()
        room.options["cascade"] = dict(zip(("baseline", "mode", "seed"), options, strict=True))
    with buttons:
        run = gr.Button("Randomise", variant="primary", elem_id="tg-cascade-run")
        running = run.click(randomise, [*room.question, *options], [data, room.status], **HEAVY)
        wished = room.restored.then(_wished, room.wish, options, **HEAVY)
        resumed = wished.then(resume, [room.wish, *room.question, *options], [data, room.status], **HEAVY)
        stop_button([running, resumed], "tg-cascade-stop", room.status)
        room.view("stage")
    room.end_when_asked_anew([running, resumed])
    room.on_open(tab, "cascade")


def _wished(wish: Wish) -> tuple[Any, ...]:
    """The options that a link to a stage brings along."""
    if wish.link is None or not wish.link.stage:
        return gr.skip(), gr.skip(), gr.skip()
    return wish.link.beside, wish.link.mode, wish.link.seed


def _options() -> list[Any]:
    with gr.Accordion("Options", open=False):
        info = "Computed at every stage; slow methods make the cascade slow."
        baseline = gr.Dropdown(method_choices(), value="grad_cam", label="Method beside TR-GBP", info=info)
        kinds = ("Gaussian, zero mean (Theorem 1)", "Initialise anew: batch-norm biases become zero, and their Rˡ vanish")
        info = "Gaussian weights keep each layer's size."
        mode = gr.Radio(list(zip(kinds, MODES, strict=True)), value=MODES[0], label="What a randomised layer becomes", info=info)
        seed = gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed", info="The same seed draws the same weights.")
    return [baseline, mode, seed]
