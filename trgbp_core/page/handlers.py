"""Long answers for the page: piece by piece, with a sentence on the way to each."""

from __future__ import annotations

import functools
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image

from ..explorer import contrast as contrasting
from ..explorer import many as looking
from ..explorer import measure as measuring
from ..explorer import predict as predicting
from ..explorer import shares as sharing
from ..explorer.explorer import Explorer, Payload, Question
from ..methods import METHODS
from ..serving.jobs import Step, Update, streamed
from .layout import ask, known_methods, offered, paths_of, picture_of, said, waiting, whole

TOGETHER_SECONDS = 0.6
"""Stages that are finished within this time of one another are sent together."""

AT_ONCE = 2
"""As many first stages are sent by themselves: somebody has just asked for them."""

INSTANT_SECONDS = 0.05
"""But not those of a run that is kept: they are finished within this time of one another, and all are sent together."""

_runs = itertools.count(1)
Handler = Callable[..., Iterator[Any]]
Answers = Iterator[tuple[Payload | None, str]]
"""Payloads, each with a sentence for the status line; empty where there is nothing new."""


def replies(work: Callable[[Step], Iterator[Any]], result: Callable[[Any], Any | None], update: Callable[[Update], Any]) -> Iterator[Any]:
    """``work`` in a thread of its own: a reply to each ``result`` of it, unless that is None, and to each ``update`` on the way."""
    for event in streamed(work):
        reply = update(event) if isinstance(event, Update) else result(event)
        if reply is not None:
            yield reply


def or_sentence(reply: Callable[[str], Any] = lambda sentence: (None, sentence)) -> Callable[[Handler], Handler]:
    """What is wrong with what a handler is asked (a ValueError) becomes the sentence in its last ``reply``."""

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        def handled(*arguments: Any, **options: Any) -> Iterator[Any]:
            try:
                yield from handler(*arguments, **options)
            except ValueError as error:
                yield reply(f"**{error}**")

        return handled

    return decorate


@or_sentence()
def contrast(explorer: Explorer, picture: Any, model: str, pair: Any) -> Answers:
    """Why one class rather than another; ``pair``: the numbers of both, with a comma between."""
    question = ask(explorer, picture, model)
    one, _, other = str(pair).partition(",")
    k, j = explorer.find_class(question, one), explorer.find_class(question, other)

    def work(step: Step) -> Iterator[Payload]:
        yield contrasting.pair(explorer, question, k, j, step) | {"number": next(_runs)}  # the page notices only what differs

    sentence = said(question, k)
    return replies(work, lambda payload: (payload, sentence), lambda update: (None, waiting(update)))


@or_sentence()
def shares(explorer: Explorer, picture: Any, model: str, asked: Any) -> Answers:
    """What every layer gives to a place; ``asked``: the class, the second class or null, and the box, as JSON."""
    try:
        one, other, box = json.loads(asked)
    except (TypeError, ValueError):
        raise ValueError("A place is asked about with a class, a second one or null, and a box.") from None
    question = ask(explorer, picture, model)
    k = explorer.find_class(question, one)
    j = None if other is None else contrasting.other_class(explorer.find_class(question, other), k)

    def work(step: Step) -> Iterator[Payload]:
        yield sharing.of_place(explorer, question, k, box, j, step) | {"number": next(_runs)}

    sentence = said(question, k)
    return replies(work, lambda payload: (payload, sentence), lambda update: (None, waiting(update)))


def measure(explorer: Explorer, picture: Any, model: str, wanted: Any, methods: list[str]) -> Answers:
    """The methods' maps that are finished so far, with all that a box needs, after each one."""
    return _each_method(explorer, (picture, model, wanted), methods, measuring.locate, "panels", "Measured", boxed=True)


def perturb(explorer: Explorer, picture: Any, model: str, wanted: Any, methods: list[str]) -> Answers:
    """The methods' perturbation curves that are finished so far, after each one."""
    return _each_method(explorer, (picture, model, wanted), methods, measuring.perturb, "curves", "Blackened pixels for")


@or_sentence()
def _each_method(
    explorer: Explorer,
    asked: tuple[Any, str, Any],
    methods: list[str],
    work: Callable[..., Iterator[Payload]],
    name: str,
    done: str,
    *,
    boxed: bool = False,
) -> Answers:
    """``{name: what is finished}`` after each method, ``places`` for all in a fixed order, and sentences on the way to the next one."""
    methods = known_methods(methods)
    question, k = asked_of(explorer, *asked)
    label, found = question.zoo.labels[k], list[Payload]()
    places = [{"key": key, "title": METHODS[key].title} for key in METHODS if key in methods]
    about: Payload = {"of": f"{question.key}:{k}", "places": places}
    if boxed:
        about["box"] = measuring.first_box(question, picture_of(asked[0])[0], label)

    def answer() -> Payload:
        return about | {name: [payload for place in places for payload in found if payload["key"] == place["key"]]}

    def finished(payload: Payload) -> tuple[Payload, str]:
        found.append(payload)
        return answer(), f"{done} {len(found)} of {len(methods)} methods for **{label}**."

    def under_way(update: Update) -> tuple[None, str]:
        return None, update.what and f"{done} {len(found)} of {len(methods)} methods for **{label}**; {doing(update)} …"

    yield answer(), ""
    yield from replies(lambda step: work(explorer, question, k, methods, step), finished, under_way)


@or_sentence()
def many(explorer: Explorer, files: Any, name: str, model: str, written: Callable[[Image.Image], str]) -> Answers:
    """The groups of a visitor's files, or of the prepared set ``name``; ``written`` puts a drawn picture into a file of the page's."""
    given = looking.prepared(name, written) if name else looking.own(paths_of(files))
    model = looking.SETS[name][1] or model if name else model
    title = offered(explorer, model).title

    def result(found: Payload | int) -> tuple[Payload | None, str]:
        if isinstance(found, int):
            return None, f"{title}: looked at {found} of {len(given)} pictures …"
        return found | {"key": str(next(_runs))}, f"{title}: looked at {len(given)} picture{'' if len(given) == 1 else 's'}."

    return replies(lambda step: looking.look(explorer, given, model, step), result, lambda update: (None, waiting(update)))


@or_sentence()
def predict(explorer: Explorer, picture: Any, model: str, wanted: Any) -> Answers:
    """What theory predicts, before anything of it is run, and the edge of this picture's map."""
    question, k = asked_of(explorer, picture, model, wanted)
    yield None, f"Predicting the maps of **{question.zoo.title}** …"

    def work(step: Step) -> Iterator[Payload]:
        predicted = predicting.prediction(explorer, question, k, step)
        yield predicted | {"of": predicted["key"], "edge": predicting.edge(explorer, question, k, step)}

    done = f"Predicted for **{question.zoo.title}**."
    yield from replies(work, lambda payload: (payload, done), lambda update: (None, waiting(update)))


@or_sentence()
def check_prediction(explorer: Explorer, picture: Any, model: str, wanted: Any, draws: Any) -> Answers:
    """What then happens, after each draw of weights."""
    question, k = asked_of(explorer, picture, model, wanted)
    count = whole(draws, "number of draws")

    def drawn(payload: Payload) -> tuple[Payload, str]:
        done = payload.get("draws", 0)
        return payload, f"{done} of {count} networks with random weights drawn." if done else "Drawing random weights …"

    return replies(lambda step: predicting.measure(explorer, question, k, count, step), drawn, lambda update: (None, waiting(update)))


@or_sentence()
def cascade(
    explorer: Explorer,
    picture: Any,
    model: str,
    wanted: Any,
    baseline: str,
    mode: Any,
    seed: Any,
    *,
    at: int | None = None,
    there: Any = "",
) -> Answers:
    """The stages that are finished, a few at a time, each time with those sent before, and sentences on the way.

    Of answers that come at once the page may receive the last alone.

    Args:
        at: the stage to stay at, None for the newest. there: the ``id`` of the run that the page has whole; it is not sent again.
    """
    known_methods([baseline])
    question, k = asked_of(explorer, picture, model, wanted)
    seed = whole(seed or 0, "seed")
    link = {"beside": baseline, "mode": mode, "seed": seed}
    about = {"of": f"{question.key}:{k}", "id": f"{question.key}:{k}:{baseline}:{mode}:{seed}", "class": question.zoo.labels[k]}
    if there == about["id"]:
        return iter([(None, "")])
    stages = _Stages(about | {"run": next(_runs), "at": at, "link": link})

    def done() -> str:
        if not stages.all:
            return "Computing the maps of the trained network"
        return f"Randomised {stages.all[-1]['index']} of {stages.all[-1]['total']} layers"

    def finished(stage: Payload) -> tuple[Payload, str] | None:
        stages.all.append(stage)
        soon = INSTANT_SECONDS if stage["index"] < AT_ONCE else TOGETHER_SECONDS
        waits = stage["index"] < stage["total"] and stages.seconds < soon
        return None if waits else (stages.send(), f"{done()}.")

    def under_way(update: Update) -> tuple[Payload | None, str]:
        sentence = update.what and f"{done()}; {doing(update)} …"
        return stages.send() if stages.sent < len(stages.all) else None, sentence

    def work(step: Step) -> Iterator[Payload]:
        return explorer.cascade(question, k, baseline, mode=mode, seed=seed, step=step)

    return replies(work, finished, under_way)


class _Stages:
    """The finished stages of a cascade, and what of them has been sent, and when."""

    def __init__(self, about: Payload) -> None:
        self.all = list[Payload]()
        self.sent = 0
        self._about, self._before, self._at = about, 0, -math.inf

    @property
    def seconds(self) -> float:
        """Since the last time that something was sent."""
        return time.monotonic() - self._at

    def send(self) -> Payload:
        """What is new, after what was new the last time."""
        found = self.all[self._before :]
        self._before, self.sent, self._at = self.sent, len(self.all), time.monotonic()
        return {"stages": found} | self._about


def asked_of(explorer: Explorer, picture: Any, model: str, wanted: Any) -> tuple[Question, int]:
    question = ask(explorer, picture, model)
    return question, explorer.find_class(question, wanted)


def doing(update: Update) -> str:
    return f"{update.what}: {update.share:.0%}" if update.share or not update.what.startswith("waiting") else update.what
