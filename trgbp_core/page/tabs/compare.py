"""The tab Compare: any methods side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...drawing import figures
from ...explorer import export
from ...methods import METHODS
from ...serving.jobs import Step
from ...serving.stops import Stops
from .. import handlers, layout
from .context import HEAVY, QUIET, PageContext, methods_picker, updates
from .export import SAVE, File, download, look_of

FORMATS = ("PNG", "PDF")
LOOK = "(...values) => { values[4] = TRGBP.look(); return values; }"


def build(context: PageContext) -> None:
    explorer, stops = context.explorer, Stops()
    data, now = context.carrier("compare"), context.carrier("comparing")

    def compare(image: Any, model: str, k: Any, methods: list[str], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        panels = updates(handlers.compare(explorer, image, model, k, methods))
        yield from stops.until(str(request.session_hash), panels, (gr.skip(), layout.packed(handlers.now()), "Stopped."))

    def end(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    with gr.Tab("Compare", id="compare") as tab:
        line = context.status_line("compare")
        context.panel("compare")
        methods = methods_picker("Each explains the same class of the same picture; the fast ones appear first.")
        context.options["compare"] = {"methods": methods}
        asked, shown = [*context.question, methods], [data, now, line]
        look = gr.Textbox("{}", visible="hidden")
        file = gr.File(visible="hidden", elem_id="tg-compare-file")
        with gr.Row(elem_classes="tg-buttons"):
            run = gr.Button("Compare", variant="primary", elem_id="tg-compare-run")
            stop = gr.Button("Stop", elem_id="tg-compare-stop")
            buttons = [gr.Button(f"Download {kind}", elem_id=f"tg-compare-{kind.lower()}") for kind in FORMATS]
        context.follow(tab, "compare", compare, asked, shown, visited=True, several=True)
        run.click(compare, asked, shown, **HEAVY)
        running = list[Any]()
        for button, kind in zip(buttons, FORMATS, strict=True):
            running.append(button.click(_figure_as(kind.lower(), context), [*asked, look], [file, line], js=LOOK, **HEAVY))
            running[-1].success(None, file, None, js=SAVE, **QUIET)
        stop.click(end, None, None, cancels=running, queue=False, **QUIET)


def _figure_as(kind: str, context: PageContext) -> Any:
    """The handler that gives the figure of ``python -m trgbp_core compare``; maps that are on the page are not computed again."""
    explorer = context.explorer

    def figure(image: Any, model: str, wanted: Any, methods: list[str], look: Any) -> Iterator[tuple[Any, Any]]:
        def make(step: Step) -> File:
            keys = layout.known_methods(methods)
            question = layout.ask(explorer, image, model)
            k = explorer.find_class(question, wanted)
            title = f"{question.zoo.title}: {question.zoo.labels[k]}"
            panels, about = list(explorer.compare(question, k, keys, step)), export.prediction(explorer, question)
            content = figures.comparison(question.picture, panels, title, kind, order=METHODS, prediction=about, look=look_of(look))
            return content, f"tr-gbp-{title[:60]}-compare.{kind}"

        yield from download(make, context.folder)

    return figure
