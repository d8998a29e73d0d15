"""How the page gets into the state that a link or a lesson asks for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from ...data import examples, images
from ...explorer import links
from ...explorer.lessons import lessons
from ...explorer.links import Known, Link
from .. import layout
from .room import HEAVY, Room
from .side import WAITING, Side

_wishes = itertools.count(1)


@dataclass(frozen=True)
class Wish:
    """A visitor's link on its way.

    Attributes:
        link: what it asks for; None if nothing is to change. note: why it, or a part of it, was not followed.
        first: the page was just opened. key, k: the question and the class, as soon as they are known.
        number: tells it from any other wish.
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

    @property
    def asked(self) -> dict[str, int]:
        """The class that was asked for, for that very question."""
        return {self.key: self.k}


class Opening:
    """Listens to the address with which the page is opened, and to links within it (``TRGBP.wish`` in ``assets/page/links.js``)."""

    def __init__(self, room: Room, side: Side, tabs: gr.Tabs, first: Link) -> None:
        self._room, self._side, self._tabs, self._first = room, side, tabs, first
        self._asker = room.carrier("asker", "TRGBP.asker = () => trigger('submit');")
        self._notice = room.carrier("notice")
        room.wish = gr.State(Wish())

    def wire(self, demo: gr.Blocks) -> None:
        """To be called before the tabs are built: they go on from ``room.arrived``."""
        room, side = self._room, self._side
        told = [room.wish, room.status, side.cancel]
        triggers = [demo.load, self._asker.submit]
        heard = gr.on(triggers, self._hear, [self._asker, room.model], told, js="(_, model) => [TRGBP.wanted(), model]", **WAITING)
        placed = [room.picture, side.network, room.model, self._tabs, room.opened, room.wish, self._notice]
        room.arrived = heard.then(self._arrive, room.wish, placed, **HEAVY)

    def known(self) -> Known:
        """What links may name now."""
        pictures = examples.pictures()
        models = [entry.name for entry in self._room.explorer.entries()]
        tabs = [str(tab.id) for tab in self._tabs.children if isinstance(tab, gr.Tab)]
        return Known(self._first, models, pictures, tabs, lessons.load(pictures=pictures, models=models).lessons)

    def _hear(self, query: Any, shown: str, request: gr.Request) -> Iterator[tuple[Any, Any, Any]]:
        """The wish, once its network is on this machine; sentences on the way."""
        wish = Wish(first=not shown, number=next(_wishes))
        try:
            wish = replace(wish, link=links.read(query, self.known()))
        except ValueError as error:
            wish = replace(wish, link=self._first if wish.first else None, note=str(error))
        while wish.link is not None and wish.link.model != shown:
            failed = ""
            for step in self._side.steps(wish.link.model, request):
                failed = step.sentence if step.failed else ""
                yield gr.skip(), step.sentence, gr.update(visible=step.running)
            if not failed:
                break
            again = wish.first and wish.link.model != self._first.model
            wish = replace(wish, link=self._first if again else None, note=failed.strip("*"))
        yield wish, gr.skip(), gr.skip()

    def _arrive(self, wish: Wish) -> tuple[Any, ...]:
        """Picture, network and tab as wished; a class, layer or stage that does not exist becomes a note."""
        if wish.link is None:
            return (*(gr.skip() for _ in range(6)), _notice(wish))
        link, explorer = wish.link, self._room.explorer
        path = examples.pictures()[link.image]
        question = layout.ask(explorer, images.read(path), link.model)
        k, link, missing = layout.follow(explorer, question, link)
        note = " ".join([wish.note, *missing]).strip()
        wish = replace(wish, link=link, note=note, key=question.key, k=k)
        picker = gr.update(value=link.model, choices=layout.model_choices(explorer.entries()))
        return str(path), picker, link.model, gr.Tabs(selected=link.tab), link.tab, wish, _notice(wish)


def _notice(wish: Wish) -> dict[str, str]:
    return {"key": wish.note or "none", "note": wish.note}
