"""Compare: methods side by side, of the network that is picked and of further ones, panel by panel as they finish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..explorer import networks
from ..explorer.explorer import Explorer, Payload, Question
from ..methods import METHODS
from ..serving.jobs import Step, Update
from .handlers import asked_of, doing, or_sentence, replies
from .layout import known_methods, offered, picture_of

ABOUT = ("key", "title", "what", "promise", "failure", "citation")
"""What a panel says of its method."""

MOST = 3
"""So many networks beside the one that is picked."""


def now(key: str = "", share: float = 0.0) -> Payload:
    """Which panel is being computed, and how much of it is done; no ``key``: none any more."""
    return {"key": key, "share": share}


def further_networks(explorer: Explorer, model: str, names: Any) -> list[str]:
    """``names`` without ``model``. Raises ValueError with a sentence: too many, or one that is not on this machine."""
    chosen = list(dict.fromkeys(name for name in names or () if name != model)) if isinstance(names, (list, tuple)) else []
    if len(chosen) > MOST:
        raise ValueError(f"At most {MOST} further networks stand beside the first; these are {len(chosen)}.")
    for name in chosen:
        entry = offered(explorer, name)
        if not entry.available:
            raise ValueError(f"{entry.title} has not been downloaded yet: pick it once as the network, on the left.")
    return chosen


def place_of(model: str, key: str, first: str) -> str:
    """What a panel is called on the page: by its method, and where a further network made it by that too."""
    return key if model == first else f"{model}/{key}"


class _Comparison:
    """What is finished, and what is to come."""

    def __init__(self, question: Question, k: int, methods: Sequence[str], order: Sequence[str], titles: dict[str, str]) -> None:
        self.label, self.first, self.titles = question.zoo.labels[k], question.zoo.name, titles
        self.panels: list[Payload] = []
        self._waiting = [place_of(model, key, self.first) for model in titles for key in order]
        self._count = len(self._waiting)
        self._rows = [{"model": model, "title": title, "said": ""} for model, title in titles.items()]
        self._places = [
            {name: getattr(METHODS[key], name) for name in ABOUT} | {"id": place_of(model, key, self.first), "model": model}
            for model in titles
            for key in methods
        ]

    def said(self, doing_now: str = "") -> str:
        by = "" if len(self.titles) == 1 else f" by {len(self.titles)} networks"
        compared = f"Compared {len(self.panels)} of {self._count} {'maps' if by else 'methods'} for **{self.label}**{by}"
        return f"{compared}; {doing_now} …" if doing_now else f"{compared}."

    def computing(self, share: float = 0.0) -> Payload:
        return now(self._waiting[0], share) if self._waiting else now()

    def add(self, found: networks.Row | Payload | None = None) -> tuple[Payload, Payload, str]:
        if isinstance(found, networks.Row):
            self._introduce(found)
        elif found is not None:
            self.panels.append(found)
            self._waiting.remove(found["id"])
        shown = {"places": self._places, "panels": list(self.panels)}
        if len(self.titles) > 1:
            shown["rows"] = [dict(row) for row in self._rows]
        return shown, self.computing(), self.said()

    def _introduce(self, row: networks.Row) -> None:
        model = row.question.zoo.name
        next(one for one in self._rows if one["model"] == model)["said"] = f"{row.prediction}. {row.note}".strip()
        if row.k is None:
            gone = {place["id"] for place in self._places if place["model"] == model}
            self._places = [place for place in self._places if place["id"] not in gone]
            self._waiting = [one for one in self._waiting if one not in gone]
            self._count -= len(gone)


@or_sentence(lambda sentence: (None, now(), sentence))
def compare(
    explorer: Explorer, picture: Any, model: str, wanted: Any, methods: list[str], further: Any = ()
) -> Iterator[tuple[Payload | None, Payload | None, str]]:
    """(the places of all panels and those that are finished, what is being computed, a sentence), whatever of it is new.

    ``further``: names of networks whose maps stand below those of ``model``, each with its prediction.
    """
    methods, others = known_methods(methods), further_networks(explorer, model, further)
    question, k = asked_of(explorer, picture, model, wanted)
    order, titles = explorer.fastest_first(question, methods), {name: offered(explorer, name).title for name in (model, *others)}
    state = _Comparison(question, k, methods, order, titles)

    def work(step: Step) -> Iterator[networks.Row | Payload]:
        for name in titles:
            row = networks.Row(question, k, "", "")
            if others:
                image, crop = picture_of(picture)
                row = networks.row(explorer, explorer.ask(image, name, crop), state.label, k, step)
                yield row
            panels = () if row.k is None else explorer.compare(row.question, row.k, order, step)
            yield from (panel | {"id": place_of(name, panel["key"], model), "model": name} for panel in panels)

    def under_way(update: Update) -> tuple[None, Payload, str]:
        return None, state.computing(update.share), update.what and state.said(doing(update))

    yield state.add()
    yield from replies(work, state.add, under_way)
