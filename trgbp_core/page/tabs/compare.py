"""The tab Compare: any methods side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...drawing import figures
from ...drawing.render import Look
from ...explorer import export, networks
from ...methods import METHODS
from ...serving.jobs import Step
from ...serving.stops import Stops
from .. import comparing, layout
from .context import HEAVY, QUIET, PageContext, methods_picker, updates
from .export import SAVE, File, download, look_of

FORMATS = ("PNG", "PDF")
LOOK = "(...values) => { values[5] = TRGBP.look(); return values; }"


def build(context: PageContext) -> None:
    explorer, stops = context.explorer, Stops()
    data, now = context.carrier("compare"), context.carrier("comparing")

    def compare(image: Any, model: str, k: Any, methods: list[str], further: Any, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        panels = updates(comparing.compare(explorer, image, model, k, methods, further))
        yield from stops.until(str(request.session_hash), panels, (gr.skip(), layout.packed(comparing.now()), "Stopped."))

    def end(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    with gr.Tab("Compare", id="compare") as tab:
        line = context.status_line("compare")
        context.panel("compare")
        methods = methods_picker("Each explains the same class of the same picture; the fast ones appear first.")
        further = gr.Dropdown(
            _networks(context),
            multiselect=True,
            max_choices=comparing.MOST,
            label="Further networks",
            info="Each gets a row of its own: the same class, found by its name. Those on this machine are listed.",
            elem_id="tg-compare-networks",
        )
        context.options["compare"] = {"methods": methods, "networks": further}
        tab.select(lambda: gr.update(choices=_networks(context)), None, further, queue=False, **QUIET)
        asked, shown = [*context.question, methods, further], [data, now, line]
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

    def figure(image: Any, model: str, wanted: Any, methods: list[str], further: Any, look: Any) -> Iterator[tuple[Any, Any]]:
        def make(step: Step) -> File:
            keys = layout.known_methods(methods)
            question = layout.ask(explorer, image, model)
            k = explorer.find_class(question, wanted)
            title = f"{question.zoo.title}: {question.zoo.labels[k]}"
            if others := comparing.further_networks(explorer, model, further):
                return _of_networks(context, image, [model, *others], wanted, keys, kind, look_of(look), step)
            panels, about = list(explorer.compare(question, k, keys, step)), export.prediction(explorer, question)
            content = figures.comparison(question.picture, panels, title, kind, order=METHODS, prediction=about, look=look_of(look))
            return content, f"tr-gbp-{title[:60]}-compare.{kind}"

        yield from download(make, context.folder)

    return figure


def _of_networks(
    context: PageContext, image: Any, models: list[str], wanted: Any, keys: list[str], kind: str, look: Look, step: Step
) -> File:
    """The figure of ``python -m trgbp_core compare`` with several networks."""
    explorer, shown = context.explorer, []
    rows = layout.rows(explorer, image, ",".join(models), wanted, step)
    for row in rows:
        panels = [] if row.k is None else list(explorer.compare(row.question, row.k, keys, step))
        shown.append((row.question.zoo.title, row.said, row.question.picture, panels))
    title = networks.title(rows)
    return figures.networks(shown, title, kind, order=METHODS, look=look), f"tr-gbp-{title[:60]}-compare.{kind}"


def _networks(context: PageContext) -> list[tuple[str, str]]:
    """(title, name) of the networks that are on this machine."""
    return [(entry.title, entry.name) for entry in context.explorer.entries() if entry.available]
