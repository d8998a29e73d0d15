"""How the page gets into the state that a link or a lesson asks for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from ...data import examples
from ...explorer import links
from ...explorer.lessons import lessons
from ...explorer.links import Known, Link
from .. import layout
from .context import HEAVY, PageContext
from .controls import DOWNLOADS, Controls

_numbers = itertools.count(1)


@dataclass(frozen=True)
class LinkRequest:
    """A visitor's link while it is followed.

    Attributes:
        link: what it asks for; None if nothing is to change. note: why it, or a part of it, was not followed.
        first: the page was just opened. key, k: the question and the class, as soon as they are known.
        number: differs from that of any other request.
    """

    link: Link | None = None
    note: str = ""
    first: bool = False
    key: str = ""
    k: int = 0
    number: int = 0

    def at_layer(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The payload of the tab Explain, with the layer that was asked for if it is of that very question and class."""
        if self.link is None or (payload["key"], payload["chosen"]) != (self.key, self.k):
            return payload
        return payload | {"layer": self.link.layer, "wish": self.number}


class LinkFollower:
    """Follows the address with which the page is opened, and links within it (``TRGBP.wish`` in ``assets/page/links.js``).

    To be made before the tabs are built: they go on from ``context.arrived``.
    """

    def __init__(self, demo: gr.Blocks, context: PageContext, controls: Controls, tabs: gr.Tabs, first: Link) -> None:
        self._explorer, self._controls, self._tabs, self._first = context.explorer, controls, tabs, first
        asker, notice = context.carrier("asker", "TRGBP.asker = () => trigger('submit');"), context.carrier("notice")
        context.request = gr.State(LinkRequest())
        read = [context.request, context.status, controls.cancel]
        placed = [context.picture, controls.network, context.model, tabs, context.opened, context.request, notice]
        query = "(_, model) => [TRGBP.wanted(), model]"
        started = gr.on([demo.load, asker.submit], self._read, [asker, context.model], read, js=query, **DOWNLOADS)
        context.arrived = started.then(self._place, context.request, placed, **HEAVY)

    def _known(self) -> Known:
        """What links may name now."""
        pictures = examples.pictures()
        models = [entry.name for entry in self._explorer.entries()]
        tabs = [str(tab.id) for tab in self._tabs.children if isinstance(tab, gr.Tab)] + ["classes"]
        return Known(self._first, models, pictures, tabs, lessons.load(pictures=pictures, models=models).lessons)

    def _read(self, query: Any, shown: str, request: gr.Request) -> Iterator[tuple[Any, Any, Any]]:
        """The request, once its network is loaded; sentences on the way."""
        asked = LinkRequest(first=not shown, number=next(_numbers))
        try:
            asked = replace(asked, link=links.read(query, self._known()))
        except ValueError as error:
            asked = replace(asked, link=self._first if asked.first else None, note=str(error))
        while asked.link is not None and asked.link.model != shown:
            failed = ""
            for step in self._controls.steps(asked.link.model, request):
                failed = step.sentence if step.failed else ""
                yield gr.skip(), step.sentence, gr.update(visible=step.running)
            if not failed:
                break
            again = asked.first and asked.link.model != self._first.model
            asked = replace(asked, link=self._first if again else None, note=failed.strip("*"))
        yield asked, gr.skip(), gr.skip()

    def _place(self, asked: LinkRequest) -> tuple[Any, ...]:
        """Picture, network and tab as asked for; a class, layer or stage that does not exist becomes a note."""
        changes: tuple[Any, ...] = tuple(gr.skip() for _ in range(6))
        if asked.link is not None:
            path = examples.pictures()[asked.link.image]
            question = layout.ask(self._explorer, path, asked.link.model)
            k, link, missing = layout.follow(self._explorer, question, asked.link)
            asked = replace(asked, link=link, note=" ".join([asked.note, *missing]).strip(), key=question.key, k=k)
            picker = gr.update(value=link.model, choices=self._controls.choices())
            tab = "explain" if link.tab == "classes" else link.tab
            changes = str(path), picker, link.model, gr.Tabs(selected=tab), tab, asked
        return *changes, {"key": asked.note or "none", "note": asked.note, "unfold": _unfolded(asked), "number": asked.number}


def _unfolded(asked: LinkRequest) -> str:
    """The part of the tab Explain that a link opens: the five classes, or, from within a lesson, the layers."""
    if asked.link is None or asked.link.tab == "classes":
        return "classes" if asked.link else ""
    return "inside" if asked.link.tab == "explain" and not asked.first else ""
