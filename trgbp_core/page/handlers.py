"""Long answers as the page hears them: piece by piece, with a sentence on the way to each."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..explorer import measure as measuring
from ..explorer import predict
from ..explorer.explorer import Explorer, Payload, Question
from ..methods import METHODS
from ..serving.streaming import Progress, Step, streamed, within
from .layout import ask, known_methods, waiting, whole

TOGETHER_SECONDS = 0.6
"""Stages that are finished within this time of one another are sent together."""

AT_ONCE = 2
"""As many first stages are sent by themselves: somebody has just asked for them."""

ABOUT = ("key", "title", "what", "promise", "failure", "citation")
"""What a panel says of its method."""

_runs = itertools.count(1)
Answers = Iterator[tuple[Payload | None, str]]


def compare(
    explorer: Explorer, picture: Any, model: str, wanted: Any, methods: list[str]
) -> Iterator[tuple[Payload | None, Payload | None, str]]:
    """(the places of all panels and those that are finished, what is being computed, a sentence), whatever of it is new."""
    try:
        methods = known_methods(methods)
        question = ask(explorer, picture, model)
        k = explorer.find_class(question, wanted)
        order = explorer.fastest_first(question, methods)
        places = [{name: getattr(METHODS[key], name) for name in ABOUT} for key in order]
        found, label = list[Payload](), question.zoo.labels[k]

        def seen() -> tuple[Payload, Payload, str]:
            sentence = f"Compared {len(found)} of {len(order)} methods for **{label}**."
            return {"places": places, "panels": list(found)}, now(order[len(found)] if len(found) < len(order) else ""), sentence

        yield seen()
        for event in within(streamed(lambda step: explorer.compare(question, k, order, step))):
            if isinstance(event, Progress):
                sentence = event.what and f"Compared {len(found)} of {len(order)} methods for **{label}**; {_doing(event)} …"
                yield None, now(order[len(found)], event.share), sentence
                continue
            found.append(event)
            yield seen()
    except ValueError as error:
        yield None, now(), f"**{error}**"


def now(key: str = "", share: float = 0.0) -> Payload:
    """Which method is being computed, and how much of it is done; no ``key``: none any more."""
    return {"key": key, "share": share}


def measure(explorer: Explorer, picture: Any, model: str, wanted: Any, methods: list[str]) -> Answers:
    """The methods' maps that are finished so far, with all that a box needs, after each one."""

    def panels(question: Question, k: int, step: Step) -> Iterator[Payload]:
        return measuring.locate(explorer, question, k, methods, step)

    return _gathered(explorer, (picture, model, wanted), methods, panels, "panels", "Measured")


def perturb(explorer: Explorer, picture: Any, model: str, wanted: Any, methods: list[str]) -> Answers:
    """The methods' perturbation curves that are finished so far, after each one."""

    def curves(question: Question, k: int, step: Step) -> Iterator[Payload]:
        return measuring.perturb(explorer, question, k, methods, step)

    return _gathered(explorer, (picture, model, wanted), methods, curves, "curves", "Took pixels away for")


def foretell(explorer: Explorer, picture: Any, model: str, wanted: Any) -> Answers:
    """What theory foretells, before anything of it is run."""
    try:
        question = ask(explorer, picture, model)
        k = explorer.find_class(question, wanted)
        yield None, f"Foretelling what **{question.zoo.title}** will do …"
        yield predict.foretell(explorer, question, k), f"Foretold for **{question.zoo.title}**; press “Measure” to see what happens."
    except ValueError as error:
        yield None, f"**{error}**"


def foretold(explorer: Explorer, picture: Any, model: str, wanted: Any, draws: Any) -> Answers:
    """What then happens, after each draw of weights."""
    try:
        question = ask(explorer, picture, model)
        k, count, done = explorer.find_class(question, wanted), whole(draws, "number of draws"), 0
        for event in within(streamed(lambda step: predict.measure(explorer, question, k, count, step))):
            if isinstance(event, Progress):
                yield None, waiting(event)
            else:
                done = event.get("draws", done)
                yield (
                    event,
                    f"{done} of {count} networks with random weights drawn." if done else "The frame is measured; drawing weights …",
                )
    except ValueError as error:
        yield None, f"**{error}**"


def _gathered(
    explorer: Explorer,
    asked: tuple[Any, str, Any],
    methods: list[str],
    work: Callable[[Question, int, Step], Iterator[Payload]],
    name: str,
    done: str,
) -> Answers:
    """``{name: what is finished}`` after each method, and sentences on the way to the next one."""
    picture, model, wanted = asked
    try:
        methods = known_methods(methods)
        question = ask(explorer, picture, model)
        k = explorer.find_class(question, wanted)
        label, found = question.zoo.labels[k], list[Payload]()
        for event in within(streamed(lambda step: work(question, k, step))):
            if isinstance(event, Progress):
                yield None, event.what and f"{done} {len(found)} of {len(methods)} methods for **{label}**; {_doing(event)} …"
                continue
            found.append(event)
            yield {name: list(found)}, f"{done} {len(found)} of {len(methods)} methods for **{label}**."
    except ValueError as error:
        yield None, f"**{error}**"


def cascade(
    explorer: Explorer, picture: Any, model: str, wanted: Any, baseline: str, mode: Any, seed: Any, at: int | None = None
) -> Answers:
    """The stages that are finished, a few at a time, each time with those sent before, and sentences on the way.

    Of answers that come at once the page may hear the last alone. ``at``: the stage to stay at, None for the newest.
    """
    try:
        known_methods([baseline])
        question = ask(explorer, picture, model)
        k = explorer.find_class(question, wanted)
        seed = whole(seed or 0, "seed")
        link = {"beside": baseline, "mode": mode, "seed": seed}
        about = {"run": next(_runs), "of": f"{question.key}:{k}", "at": at, "link": link}
        stages, sent = list[Payload](), _Sent()
        done = f"Explained: **{question.zoo.labels[k]}**."

        def work(step: Step) -> Iterator[Payload]:
            return explorer.cascade(question, k, baseline, mode=mode, seed=seed, step=step)

        for event in within(streamed(work)):
            if isinstance(event, Progress):
                sentence = event.what and f"{done.rstrip('.')}; stage {len(stages)}, {_doing(event)} …"
                yield {"stages": sent.next(stages)} | about if sent.count < len(stages) else None, sentence
                continue
            stages.append(event)
            done = f"Randomised {event['index']} of {event['total']} layers; explained: **{question.zoo.labels[k]}**."
            if event["index"] < AT_ONCE or event["index"] == event["total"] or sent.seconds >= TOGETHER_SECONDS:
                yield {"stages": sent.next(stages)} | about, done
    except ValueError as error:
        yield None, f"**{error}**"


class _Sent:
    """What has been sent of a growing list, and when."""

    def __init__(self) -> None:
        self.count, self._before, self._at = 0, 0, -math.inf

    @property
    def seconds(self) -> float:
        """Since the last time."""
        return time.monotonic() - self._at

    def next(self, items: list[Payload]) -> list[Payload]:
        """What is new, after what was new the last time."""
        found = items[self._before :]
        self._before, self.count, self._at = self.count, len(items), time.monotonic()
        return found


def _doing(event: Progress) -> str:
    return f"{event.what}: {event.share:.0%}" if event.share or not event.what.startswith("waiting") else event.what
