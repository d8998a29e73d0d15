"""What every tab needs of the page: the inputs of a question, a line for what it says, and how payloads reach the browser's part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from ...explorer.explorer import Explorer
from ...methods import METHODS
from ..layout import packed

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
HEAVY: dict[str, Any] = {"concurrency_limit": None, "concurrency_id": "compute", "preprocess": False, **QUIET}
"""Events that compute. No limit: callers wait in the explorer's own queue, which tells them their place and which they can leave.

Inputs arrive as the browser sent them: :mod:`trgbp_core.page.layout` reads them, and says better than Gradio what is wrong with them."""

AT_ONCE: dict[str, Any] = HEAVY | {"queue": False}
"""Events of one short answer, which are asked beside Gradio's queue: its two messages more would take longer than the answer."""

UNSEEN: dict[str, Any] = {"elem_classes": "tg-data", "render": False}
SETTLED_SECONDS = 0.3
"""Of two answers at once a list may lose what the first says, even where the second leaves it as it is."""

DEFAULT_METHODS = ["tr_gbp_conserving", "tr_gbp", "guided_backprop", "saliency", "grad_cam"]

Handler = Callable[..., Iterator[tuple[Any, ...]]]


@dataclass
class PageContext:
    """The page as a tab sees it.

    Attributes:
        image: where a picture is put in. picture, model, wanted: the question: the picture and which part of it
            (``{"file": …, "crop": …}``), the name of the network that has been loaded, the class to explain.
        status: the line over the tabs, with the network's answer and what is wrong with the question; a tab has lines of its own,
            see :meth:`status_line`. opened: the name of the open tab. folder: for files to download.
        picked: its event ``submit`` says that a class is picked by its button. changes: the events after which the question is another one.
        options: a tab's own choices by name, for the export.
        request: what the last link asks for. arrived: the event that has put it on the page. restored: the event that has explained it.
    """

    explorer: Explorer
    image: gr.Image
    model: gr.State
    wanted: gr.Dropdown
    status: gr.Markdown
    opened: gr.State
    folder: Path
    picked: Any = field(init=False)
    changes: list[Any] = field(default_factory=list)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    request: Any = None
    arrived: Any = None
    restored: Any = None
    _unseen: list[Any] = field(default_factory=list)
    _lines: dict[str, gr.HTML] = field(default_factory=dict)

    def __post_init__(self) -> None:
        put = "TRGBP.put = (asked) => { props.value = asked; trigger('submit'); };"
        self.picture = self.carrier("asked", put)
        self.picked = self.carrier("picked", "TRGBP.choose = (k) => { TRGBP.chosen = String(k); trigger('submit'); };")

    @property
    def asks(self) -> tuple[Any, ...]:
        """The events with which another question begins."""
        return self.picture.change, self.model.change, self.wanted.input, self.picked.submit

    @property
    def question(self) -> list[Any]:
        """The inputs of a handler that needs the question."""
        return [self.picture, self.model, self.wanted]

    def panel(self, name: str) -> None:
        """The place where the browser builds the panel of that name (``assets/page/panels.js``)."""
        gr.HTML(js_on_load=f"TRGBP.mount('{name}', element)", elem_id=f"tg-{name}")

    def carrier(self, name: str, script: str = "") -> gr.HTML:
        """An invisible output whose value goes to the panel of that name. It lies outside the tabs: a closed tab gets no values.

        ``script`` runs when it is on the page; an event that it triggers is an attribute of the carrier.
        """
        watch = f"{script} watch('value', () => TRGBP.receive('{name}', props.value)); TRGBP.receive('{name}', props.value);"
        return self.unseen(gr.HTML(None, html_template="<i></i>", js_on_load=watch, elem_id=f"tg-data-{name}", **UNSEEN))

    def status_line(self, name: str) -> gr.HTML:
        """The output for the sentences of a tab, or of a part of it; where it is first called the line is placed.

        A sentence may hold ``**bold**``. The line is emptied as soon as another picture or class is explained.
        """
        if name not in self._lines:
            gr.HTML(js_on_load=f"TRGBP.placeLine('{name}', element)", elem_id=f"tg-{name}-status", elem_classes="tg-line")
            watch = f"const said = () => TRGBP.say('{name}', props.value, () => {{ props.value = ''; }}); watch('value', said); said();"
            self._lines[name] = self.unseen(gr.HTML("", html_template="<i></i>", js_on_load=watch, **UNSEEN))
        return self._lines[name]

    def unseen(self, component: Any) -> Any:
        """Keep a component, made with :data:`UNSEEN`, for the page's end; returns it."""
        self._unseen.append(component)
        return component

    def render_unseen(self) -> None:
        """Put all that is not seen on the page, behind the tabs."""
        with gr.Column(elem_classes="tg-data"):  # Gradio draws a frame around neighbours, seen or not
            for component in self._unseen:
                component.render()

    def on_open(self, tab: gr.Tab, name: str) -> Any:
        """Remember that ``tab`` is open; returns the event."""
        return tab.select(lambda: name, None, self.opened, queue=False, **QUIET)

    def follow(
        self,
        tab: gr.Tab,
        name: str,
        handler: Handler,
        inputs: list[Any],
        outputs: list[Any],
        *,
        visited: bool = False,
        several: bool = False,
    ) -> list[Any]:
        """Run ``handler`` when ``tab`` is opened, and while it is open whenever the question changes; returns the events.

        Args:
            visited: the handler's last argument is the request, by which it knows its visitor.
            several: a question that comes while an answer to the one before is on its way is answered too; Gradio's default drops it.
        """

        def if_open(request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
            *given, opened = values
            if opened != name:
                yield tuple(gr.skip() for _ in outputs)  # a generator that yields nothing would empty its outputs
                return
            yield from handler(*given, *([request] if visited else []))

        # Of two tabs opened at once the first may be remembered last: an opening itself is not asked whether the tab is open.
        how = HEAVY | {"trigger_mode": "multiple"} if several else HEAVY
        opening = self.on_open(tab, name).then(handler, inputs, outputs, **how)
        return [opening, *(event.then(if_open, [*inputs, self.opened], outputs, **how) for event in self.changes)]


def stop_button(events: list[Any], elem_id: str, line: gr.HTML | None = None) -> gr.Button:
    """A button that cancels ``events``, and with them the work that they wait for; ``line`` says so."""
    button = gr.Button("Stop", elem_id=elem_id)
    ended = button.click(None, None, None, cancels=events, **QUIET)
    if line is not None:  # afterwards, for a last result may be on its way
        ended.then(lambda: "Stopped.", None, line, queue=False, **QUIET)
    return button


def method_choices() -> list[tuple[str, str]]:
    """(title, key) of every method that is registered now."""
    return [(method.title, key) for key, method in METHODS.items()]


def methods_picker(info: str) -> gr.CheckboxGroup:
    """Which methods to run, folded away."""
    with gr.Accordion("Which methods", open=False):
        return gr.CheckboxGroup(method_choices(), value=DEFAULT_METHODS, label="Methods", info=info)


def last(answers: Iterator[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The last of :func:`updates`, for an event :data:`AT_ONCE`."""
    *_, found = updates(answers)
    return found


def updates(answers: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """(payload, …, sentence) as outputs take them: payloads as text, and what is empty left as it is."""
    for *payloads, sentence in answers:
        yield *(packed(payload) if payload else gr.skip() for payload in payloads), sentence or gr.skip()
