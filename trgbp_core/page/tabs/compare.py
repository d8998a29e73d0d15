"""The tab Compare: any methods side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...drawing import figures
from ...explorer import export
from ...serving.jobs import Step, Stops, Update, streamed
from .. import handlers, layout
from .export import SAVE
from .room import HEAVY, QUIET, Room, methods_picker

FORMATS = ("PNG", "PDF")


def build(room: Room) -> None:
    data, now = room.carrier("compare"), room.carrier("comparing")

    stops = Stops()

    def panels(image: Any, model: str, k: Any, methods: list[str]) -> Iterator[tuple[Any, Any, Any]]:
        for payload, computing, sentence in handlers.compare(room.explorer, image, model, k, methods):
            yield layout.packed(payload) if payload else gr.skip(), computing or gr.skip(), sentence or gr.skip()

    def compare(image: Any, model: str, k: Any, methods: list[str], request: gr.Request) -> Iterator[tuple[Any, Any, Any]]:
        last = (gr.skip(), handlers.now(), "Stopped.")
        yield from stops.until(str(request.session_hash), panels(image, model, k, methods), last)

    def end(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    with gr.Tab("Compare", id="compare") as tab:
        room.view("compare")
        methods = methods_picker("Each explains the same class of the same picture; the fast ones appear first.")
        room.options["compare"] = {"methods": methods}
        asked, shown = [*room.question, methods], [data, now, room.status]
        file = gr.File(visible="hidden", elem_id="tg-compare-file")
        with gr.Row(elem_classes="tg-buttons"):
            run = gr.Button("Compare", variant="primary", elem_id="tg-compare-run")
            stop = gr.Button("Stop", elem_id="tg-compare-stop")
            buttons = [gr.Button(f"Download {kind}", elem_id=f"tg-compare-{kind.lower()}") for kind in FORMATS]
        room.follow(tab, "compare", compare, asked, shown, visited=True)
        run.click(compare, asked, shown, **HEAVY)
        running = list[Any]()
        for button, kind in zip(buttons, FORMATS, strict=True):
            running.append(button.click(_giving(room, kind.lower()), asked, [file, room.status], **HEAVY))
            running[-1].success(None, file, None, js=SAVE, **QUIET)
        stop.click(end, None, None, cancels=running, queue=False, **QUIET)


def _giving(room: Room, kind: str) -> Any:
    """The handler that gives out the figure of ``python -m trgbp_core compare``; what is on the page already is not computed again."""

    def give(image: Any, model: str, wanted: Any, methods: list[str]) -> Iterator[tuple[Any, Any]]:
        try:
            methods = layout.known_methods(methods)
            question = layout.ask(room.explorer, image, model)
            k = room.explorer.find_class(question, wanted)
            panels = []

            def work(step: Step) -> Iterator[Any]:
                return room.explorer.compare(question, k, methods, step)

            for event in streamed(work):
                if isinstance(event, Update):
                    yield gr.skip(), f"Getting ready: {event.what} {event.share:.0%} …"
                else:
                    panels.append(event)
            title = f"{question.zoo.title}: {question.zoo.labels[k]}"
            content = figures.comparison(question.picture, panels, title, kind)
            path = export.save(content, room.folder / "taken", f"tr-gbp-{title[:60]}-compare.{kind}")
            yield str(path), f"Ready: {path.name}"
        except ValueError as error:
            yield gr.skip(), f"**{error}**"

    return give
