"""The tab Many pictures: up to 64 pictures, grouped by where the network looks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...evaluation.survey import words
from ...explorer import many
from ...serving.stops import Stops
from ...serving.uploads import written
from .. import handlers
from .context import HEAVY, QUIET, PageContext, updates

QUESTION = f"""<h2 class="tg-question">Were some of these pictures decided by a shortcut?</h2>
<p class="tg-lead">A network may have learned to look for something that has nothing to do with the class: a watermark, a ruler, a tag in a
corner. One picture does not show that. Here up to {many.MOST} pictures (40 MB at a time) are grouped by where the network looks; a
group whose pictures were all decided at the same small place, away from the middle, is marked.</p>"""


def build(context: PageContext) -> None:
    explorer, stops, folder = context.explorer, Stops(), context.folder
    found = context.carrier("many")

    def looked(files: Any, model: str, request: gr.Request, name: str = "") -> Iterator[tuple[Any, ...]]:
        answers = updates(handlers.many(explorer, files, name, model, lambda picture: written(picture, folder)))
        yield from stops.until(str(request.session_hash), answers, (gr.skip(), "Stopped."))

    def begin(request: gr.Request) -> None:
        stops.begin(str(request.session_hash))

    def stop(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    with gr.Tab("Many pictures", id="many") as tab:
        gr.HTML(QUESTION)
        files = gr.File(file_count="multiple", label="Your pictures", height=120, elem_id="tg-many-files")
        buttons = gr.Row(elem_classes="tg-buttons")
        line = context.status_line("many")
        with buttons:
            own = gr.Button("Look at my pictures", variant="primary", elem_id="tg-many-run")
            own.click(begin, queue=False, **QUIET).then(looked, [files, context.model], [found, line], **HEAVY)
            for name, (title, _) in many.SETS.items():
                button = gr.Button(title, elem_id=f"tg-many-{name}")
                button.click(begin, queue=False, **QUIET).then(_of_set(looked, name), context.model, [found, line], **HEAVY)
            gr.Button("Stop", elem_id="tg-many-stop").click(stop, queue=False, **QUIET)
        context.panel("many")
        gr.HTML(words.meanings())
    context.on_open(tab, "many")


def _of_set(looked: Any, name: str) -> Any:
    def look_at(model: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        yield from looked(None, model, request, name)

    return look_at
