"""Below the tabs: the figure, the numbers and the text of whatever tab is open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from ...explorer import export
from ...serving.jobs import Step, Update, streamed
from .. import layout
from .room import HEAVY, QUIET, Room, stop_button

SAVE = """(file) => {
  if (!file || !file.url) return;
  const link = document.createElement('a');
  link.href = file.url;
  link.download = file.orig_name || file.path.split('/').pop();
  link.click();
}"""
OPEN_TAB = "(...values) => { values[3] = window.TRGBP_OPEN_TAB(); return values; }"
"""Only the browser knows which tab is open."""

Answers = Iterator[tuple[Any, Any]]


def build(room: Room) -> None:
    options = [component for given in room.options.values() for component in given.values()]
    opened = gr.Textbox("explain", visible="hidden")
    asked = [*room.question, opened, *options]

    def taken(values: tuple[Any, ...], step: Step) -> export.Export:
        image, model, wanted, tab, *chosen = values
        question = layout.ask(room.explorer, image, model)
        k = room.explorer.find_class(question, wanted)
        return export.collect(room.explorer, question, k, tab, _options(room, tab, chosen), step)

    def write(values: tuple[Any, ...], kind: str, make: Callable[[export.Export], bytes]) -> Answers:
        try:
            for event in streamed(lambda step: iter([taken(values, step)])):
                if isinstance(event, Update):
                    yield gr.skip(), f"Getting ready: {event.what} {event.share:.0%} …"
                    continue
                path = export.save(make(event), room.folder / "taken", f"tr-gbp-{event.title[:60]}-{values[3]}.{kind}")
                yield str(path), f"Ready: {path.name}"
        except ValueError as error:
            yield gr.skip(), f"**{error}**"

    def figure(*values: Any) -> Answers:
        *rest, kind = values
        yield from write(tuple(rest), str(kind).lower(), lambda given: export.figure(given, kind))

    def data(*values: Any) -> Answers:
        yield from write(values, "npz", export.data)

    def reproduce(*values: Any) -> tuple[Any, Any]:
        image, model, wanted, tab, *chosen = values
        try:
            question = layout.ask(room.explorer, image, model)
            k = room.explorer.find_class(question, wanted)
            texts = export.code(room.explorer, question, k, tab, _options(room, tab, chosen))
        except ValueError as error:
            texts = f"# {error}", ""
        return gr.update(value=texts[0], visible=True), gr.update(value=texts[1], visible=bool(texts[1]))

    with gr.Accordion("Take along: figure, data, reproduce", open=False, elem_id="tg-take"):
        file = gr.File(visible="hidden", elem_id="tg-take-file")
        with gr.Row(elem_classes="tg-buttons"):
            kind = gr.Dropdown(
                list(export.FORMATS), value="PNG", label="Format of the figure", elem_id="tg-take-kind", scale=0, min_width=140
            )
            buttons = [gr.Button(f"Download {what}", elem_id=f"tg-take-{what}") for what in ("figure", "data")]
            again = gr.Button("Reproduce", elem_id="tg-take-reproduce")
            running = [buttons[0].click(figure, [*asked, kind], [file, room.status], js=OPEN_TAB, **HEAVY)]
            running.append(buttons[1].click(data, asked, [file, room.status], js=OPEN_TAB, **HEAVY))
            stop_button(running, "tg-take-stop")
        shown: dict[str, Any] = {"interactive": False, "wrap_lines": True, "visible": False}
        python = gr.Code("", language="python", label="Python", elem_id="tg-take-python", **shown)
        command = gr.Code("", language="shell", label="Command line", elem_id="tg-take-command", **shown)
        for event in running:
            event.success(None, file, None, js=SAVE, **QUIET)
        again.click(reproduce, asked, [python, command], js=OPEN_TAB, **HEAVY)


def _options(room: Room, tab: str, chosen: list[Any]) -> dict[str, Any]:
    """The open tab's own choices by name; ``chosen`` holds those of all tabs.

    Raises:
        ValueError: no method is ticked, or a seed or a number of draws is no number.
    """
    given = iter(chosen)
    found = {name: {option: next(given) for option in options} for name, options in room.options.items()}.get(tab, {})
    if "methods" in found:
        found["methods"] = layout.known_methods(found["methods"])
    if "seed" in found:
        found["seed"] = int(found["seed"] or 0)
    if "draws" in found:
        found["draws"] = layout.whole(found["draws"], "number of draws", 1)
    return found
