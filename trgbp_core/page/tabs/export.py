"""Below the tabs: the figure, the numbers and the code of whatever tab is open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ...drawing.render import Look
from ...explorer import contrast, export
from ...explorer.explorer import Question
from ...explorer.measure import edges_of
from ...serving.jobs import Step, Update, streamed
from .. import comparing, layout
from .context import HEAVY, QUIET, PageContext, stop_button

SAVE = """(file) => {
  if (!file || !file.url) return;
  const link = document.createElement('a');
  link.href = file.url;
  link.download = file.orig_name || file.path.split('/').pop();
  link.click();
}"""
OPEN_TAB = "(...values) => { values[3] = window.TRGBP_OPEN_TAB(); values[4] = TRGBP.look(); return values; }"
"""Only the browser knows which tab is open, and how it shows its maps: see :func:`look_of` and :func:`_place_of`."""

File = tuple[bytes, str]
"""Content and name of a file to download."""


def download(make: Callable[[Step], File], folder: Path) -> Iterator[tuple[Any, Any]]:
    """Updates of (the file, the sentence) while ``make`` computes a file, which is written to ``folder``."""
    try:
        for event in streamed(lambda step: iter([make(step)])):
            if isinstance(event, Update):
                yield gr.skip(), f"Preparing: {event.what} {event.share:.0%} …"
            else:
                content, name = event
                path = export.save(content, folder / "exported", name)
                yield str(path), f"Ready: {path.name}"
    except ValueError as error:
        yield gr.skip(), f"**{error}**"


def build(context: PageContext) -> None:
    options = [component for given in context.options.values() for component in given.values()]
    opened = gr.Textbox("explain", visible="hidden")
    look = gr.Textbox("{}", visible="hidden")
    asked = [*context.question, opened, look, *options]

    def figure(*values: Any) -> Iterator[tuple[Any, Any]]:
        *rest, kind = values
        yield from _write(context, tuple(rest), str(kind).lower(), lambda given: export.figure(given, kind, look_of(values[4])))

    def data(*values: Any) -> Iterator[tuple[Any, Any]]:
        yield from _write(context, values, "npz", export.data)

    def reproduce(*values: Any) -> tuple[Any, Any]:
        try:
            python, command = export.code(context.explorer, *_parsed(context, values))
        except ValueError as error:
            python, command = f"# {error}", ""
        return gr.update(value=python, visible=True), gr.update(value=command, visible=bool(command))

    with gr.Accordion("Export: figure, data, code", open=False, elem_id="tg-export"):
        file = gr.File(visible="hidden", elem_id="tg-export-file")
        buttons_row = gr.Row(elem_classes="tg-buttons")
        line = context.status_line("export")
        with buttons_row:
            formats = list(export.FORMATS)
            kind = gr.Dropdown(formats, value="PNG", label="Format of the figure", elem_id="tg-export-kind", scale=0, min_width=140)
            buttons = [gr.Button(f"Download {what}", elem_id=f"tg-export-{what}") for what in ("figure", "data")]
            again = gr.Button("Show code", elem_id="tg-export-code")
            running = [buttons[0].click(figure, [*asked, kind], [file, line], js=OPEN_TAB, **HEAVY)]
            running.append(buttons[1].click(data, asked, [file, line], js=OPEN_TAB, **HEAVY))
            stop_button(running, "tg-export-stop", line)
        shown: dict[str, Any] = {"interactive": False, "wrap_lines": True, "visible": False}
        python = gr.Code("", language="python", label="Python", elem_id="tg-export-python", **shown)
        command = gr.Code("", language="shell", label="Command line", elem_id="tg-export-command", **shown)
        for event in running:
            event.success(None, file, None, js=SAVE, **QUIET)
        again.click(reproduce, asked, [python, command], js=OPEN_TAB, **HEAVY)


def look_of(sent: Any) -> Look:
    """The look of the page's maps as the browser sends it; raises ValueError if it is not one."""
    try:
        given = json.loads(sent)
        colours, opacity = str(given["colours"]), float(given["opacity"])
    except (TypeError, KeyError, ValueError):
        raise ValueError("The look of the maps is a colour map and an opacity.") from None
    return Look(colours, opacity)


def _place_of(context: PageContext, question: Question, k: int, sent: Any) -> dict[str, Any]:
    """The second class and the box that the tab Explain shows, as :func:`export.collect` takes them.

    Raises:
        ValueError: there are none such.
    """
    given = json.loads(sent)
    against, box = given.get("against"), given.get("box")
    other = None if against is None else contrast.other_class(context.explorer.find_class(question, against), k)
    return {"against": other, "box": None if box is None else edges_of(box)}


def _write(
    context: PageContext, values: tuple[Any, ...], kind: str, content: Callable[[export.Export], bytes]
) -> Iterator[tuple[Any, Any]]:
    def make(step: Step) -> File:
        question, k, tab, options = _parsed(context, values)
        given = export.collect(context.explorer, question, k, tab, options, step)
        return content(given), f"tr-gbp-{given.title[:60]}-{tab}.{kind}"

    yield from download(make, context.folder)


def _parsed(context: PageContext, values: tuple[Any, ...]) -> tuple[Question, int, str, dict[str, Any]]:
    """Question, class, open tab and its options from the values of picture, network, class, tab, look and all tabs' options."""
    image, model, wanted, tab, look, *chosen = values
    explorer, tab = context.explorer, str(tab)[:20]
    question = layout.ask(explorer, image, model)
    k, found = explorer.find_class(question, wanted), _options(context, tab, chosen)
    if names := comparing.further_networks(explorer, model, found.pop("networks", ())):
        picture, crop = layout.picture_of(image)
        found["further"] = [explorer.ask(picture, name, crop) for name in names]
    if tab in ("explain", "classes"):
        look_of(look)
        found = _place_of(context, question, k, look)
        tab = "explain" if any(value is not None for value in found.values()) else tab  # what stands above the five classes
    return question, k, tab, found


def _options(context: PageContext, tab: str, chosen: list[Any]) -> dict[str, Any]:
    """The open tab's own choices by name; ``chosen`` holds those of all tabs.

    Raises:
        ValueError: no method is ticked, or a seed or a number of draws is no number.
    """
    given = iter(chosen)
    found = {name: {option: next(given) for option in options} for name, options in context.options.items()}.get(tab, {})
    if "methods" in found:
        found["methods"] = layout.known_methods(found["methods"])
    if "seed" in found:
        found["seed"] = layout.whole(found["seed"] or 0, "seed")
    if "draws" in found:
        found["draws"] = layout.whole(found["draws"], "number of draws", 1)
    return found
