"""What every tab finds on the page: the question at the side, the status line, and how to answer."""

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
HEAVY: dict[str, Any] = {"concurrency_limit": None, "concurrency_id": "compute", **QUIET}
"""No limit: whoever asks waits in the explorer's own queue, where his place in it is known, and where he can leave it."""
UNSEEN: dict[str, Any] = {"elem_classes": "tg-data", "render": False}
SETTLED_SECONDS = 0.3
"""Of two answers that come at once a list may lose what the first says, even where the second leaves it as it is."""

DEFAULT_METHODS = ["tr_gbp_conserving", "tr_gbp", "guided_backprop", "saliency", "grad_cam"]

Handler = Callable[..., Iterator[tuple[Any, ...]]]


@dataclass
class Room:
    """The page as a tab sees it.

    Attributes:
        picture, model, wanted: the question: what was put in, the name of the network that has arrived, the class to explain.
        status: the line that says what happened. opened: the name of the tab that is open. folder: for files that are given out.
        changes: the events after which the question is another one. options: a tab's own choices by name, for what is taken along from it.
        wish: what the last link asked for. arrived: the event that has put it on the page. restored: the event that has explained it.
    """

    explorer: Explorer
    picture: gr.Image
    model: gr.State
    wanted: gr.Dropdown
    status: gr.Markdown
    opened: gr.State
    folder: Path
    changes: list[Any] = field(default_factory=list)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    wish: Any = None
    arrived: Any = None
    restored: Any = None
    _carriers: list[Any] = field(default_factory=list)

    @property
    def question(self) -> list[Any]:
        """The inputs of a handler that needs to know what is asked."""
        return [self.picture, self.model, self.wanted]

    def view(self, name: str) -> None:
        """The place where the browser's part of the page builds the view of that name."""
        gr.HTML(js_on_load=f"TRGBP.mount('{name}', element)", elem_id=f"tg-{name}")

    def carrier(self, name: str, script: str = "") -> gr.HTML:
        """Carries a payload to the view of that name; nothing of it is seen. It lies outside the tabs, for a closed tab hears nothing.

        ``script`` runs when it is on the page; an event that it triggers is an attribute of the carrier.
        """
        watch = f"{script} watch('value', () => TRGBP.receive('{name}', props.value)); TRGBP.receive('{name}', props.value);"
        html = gr.HTML(None, html_template="<i></i>", js_on_load=watch, elem_id=f"tg-data-{name}", **UNSEEN)
        self.unseen(html)
        return html

    def unseen(self, component: Any) -> Any:
        """Keep a component, made with :data:`UNSEEN`, for the page's end; returns it."""
        self._carriers.append(component)
        return component

    def render_carriers(self) -> None:
        """Put all that is not seen on the page, behind the tabs."""
        for component in self._carriers:
            component.render()

    def on_open(self, tab: gr.Tab, name: str) -> Any:
        """Remember that ``tab`` is open; returns the event."""
        return tab.select(lambda: name, None, self.opened, queue=False, **QUIET)

    def follow(
        self, tab: gr.Tab, name: str, handler: Handler, inputs: list[Any], outputs: list[Any], *, visited: bool = False
    ) -> list[Any]:
        """Run ``handler`` whenever the question changes while ``tab`` is open, and when it is opened; returns the events.

        ``visited``: the handler's last argument is the request, by which it knows its visitor.
        """

        def if_open(request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
            *given, opened = values
            if opened != name:
                yield tuple(gr.skip() for _ in outputs)  # a generator that yields nothing would empty its outputs
                return
            yield from handler(*given, *([request] if visited else []))

        events = [*self.changes, self.on_open(tab, name)]
        return [event.then(if_open, [*inputs, self.opened], outputs, **HEAVY) for event in events]

    def end_when_asked_anew(self, events: list[Any]) -> None:
        """Stop ``events``, and the work that they wait for, as soon as the question becomes another one."""
        for asked in (self.picture.change, self.model.change, self.wanted.input):
            asked(None, None, None, cancels=events, **QUIET)


def stop_button(events: list[Any], elem_id: str, line: gr.Markdown | None = None) -> gr.Button:
    """A button that ends ``events``, and with them the work that they wait for; ``line`` says that they have ended."""
    button = gr.Button("Stop", elem_id=elem_id)
    ended = button.click(None, None, None, cancels=events, **QUIET)
    if line is not None:  # said afterwards, for a last result may be on its way
        ended.then(lambda: "Stopped.", None, line, queue=False, **QUIET)
    return button


def method_choices() -> list[tuple[str, str]]:
    """(title, key) of every method that is registered now."""
    return [(method.title, key) for key, method in METHODS.items()]


def methods_picker(info: str) -> gr.CheckboxGroup:
    """Which methods to run, folded away."""
    with gr.Accordion("Which methods", open=False):
        return gr.CheckboxGroup(method_choices(), value=DEFAULT_METHODS, label="Methods", info=info)


def told(answers: Iterator[tuple[Any, str]]) -> Iterator[tuple[Any, Any]]:
    """Payloads and sentences as a handler yields them: what has not changed is left as it is."""
    for payload, sentence in answers:
        yield packed(payload) if payload else gr.skip(), sentence or gr.skip()
