"""Long work told step by step: it runs in a thread of its own, and stops where it stands when nobody listens any more."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .jobs import Cancelled

Result = TypeVar("Result")
Step = Callable[[str, float], None]
"""``(what is being done, share done)``; raises :class:`flights.Cancelled` when nobody waits for the result any more.

With nothing for ``what`` it only asks."""

TELL_SECONDS = 0.3
BEAT_SECONDS = 1.0
MAX_SECONDS = 300.0
"""What one request may take on a server that others wait for."""


class TooLong(ValueError):
    """The work has taken more than its time."""


@dataclass(frozen=True)
class Progress:
    """Between two results: ``what`` is being done, and the ``share`` of it that is, 0 to 1."""

    what: str
    share: float


@dataclass(frozen=True)
class _Ended:
    error: BaseException | None


class _Work(Generic[Result]):
    def __init__(self, work: Callable[[Step], Iterator[Result]]) -> None:
        self._work = work
        self._told = 0.0
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.gone = threading.Event()

    def step(self, what: str, share: float) -> None:
        if self.gone.is_set():
            raise Cancelled("Stopped.")
        now = time.monotonic()
        if what and now - self._told >= TELL_SECONDS:
            self._told = now
            self.events.put(Progress(what, share))

    def next(self, otherwise: Progress) -> Any:
        try:
            return self.events.get(timeout=BEAT_SECONDS)
        except queue.Empty:
            return otherwise

    def run(self) -> None:
        error = None
        try:
            for result in self._work(self.step):
                self.events.put(result)
                if self.gone.is_set():
                    break
        except BaseException as raised:
            error = raised
        self.events.put(_Ended(error))


def streamed(work: Callable[[Step], Iterator[Result]]) -> Iterator[Result | Progress]:
    """What ``work(step)`` yields, and what it told through ``step`` meanwhile, at most three times a second.

    While there is nothing new the last progress comes again every second, for whoever passes it on can notice only then that nobody
    listens any more. Closing the generator makes the next ``step`` raise, so that the work ends within one step of its own. An error of
    the work is raised here.
    """
    running = _Work(work)
    threading.Thread(target=contextvars.copy_context().run, args=(running.run,), daemon=True).start()
    last = Progress("", 0.0)
    try:
        while not isinstance(event := running.next(last), _Ended):
            if isinstance(event, Progress):
                last = event
            yield event
        if event.error is not None:
            raise event.error
    finally:
        running.gone.set()


def within(work: Iterator[Result], seconds: float = MAX_SECONDS) -> Iterator[Result]:
    """What ``work`` yields, until it has taken ``seconds``; it is then closed, as it is when nobody listens any more.

    Raises:
        TooLong: after ``seconds``.
    """
    end = time.monotonic() + seconds
    try:
        for result in work:
            yield result
            if time.monotonic() > end:
                raise TooLong(f"Stopped after {seconds:.0f} seconds: ask for fewer or faster methods, or use the command line.")
    finally:
        close = getattr(work, "close", None)
        if close is not None:
            close()
