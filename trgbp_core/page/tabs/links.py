"""How the page gets into the state that its address, a link or a lesson asks for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from ...data import examples, images
from ...data.crop import CENTRE
from ...explorer import links
from ...explorer.lessons import lessons
from ...explorer.links import Known, Link
from ...serving.server import Page
from .. import layout
from .context import HEAVY, QUIET, PageContext
from .controls import DOWNLOADS, Controls

_numbers = itertools.count(1)


@dataclass(frozen=True)
class LinkRequest:
    """A visitor's link while it is followed.

    Attributes:
        link: what it asks for; None if nothing is to change. note: why it, or a part of it, was not followed.
        own: the file of the visitor's own picture, where the link asks for that. first: the page was just opened.
        key, k: the question and the class, as soon as they are known. number: differs from that of any other request.
    """

    link: Link | None = None
    note: str = ""
    own: str = ""
    first: bool = False
    key: str = ""
    k: int = 0
    number: int = 0

    def at_layer(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The payload of the tab Explain, with the layer that was asked for if it is of that very question and class."""
        if self.link is None or (payload["key"], payload["chosen"]) != (self.key, self.k):
            return payload
        return payload | {"layer": self.link.layer, "wish": self.number}

    def noting(self, *sentences: str) -> LinkRequest:
        """The same with further notes."""
        return replace(self, note=" ".join(filter(None, (self.note, *sentences))))


class LinkFollower:
    """Follows the address with which the page is opened, steps back and forth, and links within the page (``assets/page/links.js``).

    To be made before the tabs are built: they go on from ``context.arrived``.
    """

    def __init__(self, demo: Page, context: PageContext, controls: Controls, tabs: gr.Tabs, first: Link) -> None:
        self._explorer, self._controls, self._tabs, self._first = context.explorer, controls, tabs, first
        self._uploads = demo.uploads
        asker, notice = context.carrier("asker", "TRGBP.asker = () => trigger('submit');"), context.carrier("notice")
        context.request = gr.State(LinkRequest())
        read = [context.request, context.status, controls.cancel]
        placed = [context.image, controls.network, context.model, tabs, context.opened, context.request, notice]
        query = "(_, model) => [TRGBP.wanted(), model]"
        started = gr.on([demo.load, asker.submit], self._read, [asker, context.model], read, js=query, **DOWNLOADS)
        there = started.then(self._place, context.request, placed, **HEAVY)
        # What is asked about is the file that the browser has got, and the crop that the link asks for.
        together = "(image, notice) => TRGBP.placed(image, notice)"
        context.arrived = there.then(None, [context.image, notice], context.picture, js=together, **QUIET)

    def _known(self) -> Known:
        """What links may name now."""
        pictures = examples.pictures()
        models = [entry.name for entry in self._explorer.entries()]
        tabs = [str(tab.id) for tab in self._tabs.children if isinstance(tab, gr.Tab)] + ["classes"]
        return Known(self._first, models, pictures, tabs, lessons.load(pictures=pictures, models=models).lessons)

    def _read(self, given: Any, shown: str, request: gr.Request) -> Iterator[tuple[Any, Any, Any]]:
        """The request, once its network is loaded; sentences on the way."""
        asked = self._asked(given if isinstance(given, dict) else {}, not shown, str(request.session_hash))
        while asked.link is not None and asked.link.model != shown:
            failed = ""
            for step in self._controls.steps(asked.link.model, request):
                failed = step.sentence if step.failed else ""
                yield gr.skip(), step.sentence, gr.update(visible=step.running)
            if not failed:
                break
            again = asked.first and asked.link.model != self._first.model
            asked = replace(asked, link=self._first if again else None).noting(failed.strip("*"))
        yield asked, gr.skip(), gr.skip()

    def _asked(self, given: dict[str, Any], first: bool, visitor: str) -> LinkRequest:
        """The request of a browser that sends ``query`` and ``own``, the path of its visitor's picture."""
        asked = LinkRequest(first=first, number=next(_numbers))
        try:
            link, note = links.read(given.get("query"), self._known())
        except ValueError as error:
            return replace(asked, link=self._first if first else None, note=str(error))
        asked = replace(asked, link=link, note=note)
        if link.image != links.OWN:
            return asked
        own = str(given.get("own") or "")
        if self._uploads.holds(own):
            self._uploads.remember(visitor, own)  # before the page that was reloaded is forgotten
            return replace(asked, own=own)
        gone = "Your picture is not kept here any more: put it in again." if own else "The picture of this link stays with who put it in."
        return replace(asked, link=replace(link, image=self._first.image, wanted="", crop=CENTRE)).noting(gone)

    def _place(self, asked: LinkRequest) -> tuple[Any, ...]:
        """Picture, network and tab as asked for; a class, layer or stage that does not exist becomes a note."""
        changes: tuple[Any, ...] = tuple(gr.skip() for _ in range(6))
        if asked.link is not None:
            path = Path(asked.own) if asked.own else examples.pictures()[asked.link.image]
            try:
                question = self._explorer.ask(images.read(path), asked.link.model, asked.link.crop)
            except ValueError as error:  # the visitor's own, removed a moment ago
                return *changes, {"key": asked.note or "none", "note": str(error), "crop": None, "number": asked.number}
            k, link, missing = layout.follow(self._explorer, question, asked.link)
            asked = replace(asked, link=link, key=question.key, k=k).noting(*missing)
            picker = gr.update(value=link.model, choices=self._controls.choices())
            tab = "explain" if link.tab == "classes" else link.tab
            changes = str(path), picker, link.model, gr.Tabs(selected=tab), tab, asked
        sent = {"key": asked.note or "none", "note": asked.note, "unfold": _unfolded(asked), "number": asked.number}
        if asked.link is None:
            return *changes, sent | {"crop": None, "against": None, "cascade": {}}
        link = asked.link
        cascade = {"stage": link.stage, "beside": link.beside, "mode": link.mode, "seed": link.seed}
        return *changes, sent | {"crop": link.crop, "against": int(link.against) if link.against else None, "cascade": cascade}


def _unfolded(asked: LinkRequest) -> str:
    """The part of the tab Explain that a link opens: the five classes, or, from within a lesson, the layers."""
    if asked.link is None or asked.link.tab == "classes":
        return "classes" if asked.link else ""
    return "inside" if asked.link.tab == "explain" and not asked.first else ""
