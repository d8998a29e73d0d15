"""The queue for the processor: one computation at a time, since one uses every core; client after client; long ones let others in.

Next is always the one whose time has come first: a short one's when it asks, a long one's :data:`PATIENCE_SECONDS` later. When one of a
client's begins, the time of all others of that client begins anew. A request that comes again at once, having used little so far, keeps its
time: work in pieces would else queue up for each. What waits for all others (a camera's frame) comes when nobody else does.
"""

from __future__ import annotations

import contextvars
import itertools
import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from .jobs import Step
from .workers import LEAVING_ONE, WORKERS

Result = TypeVar("Result")

POLL_SECONDS, KEPT_SECONDS, PATIENCE_SECONDS = 0.2, 0.3, 15.0
AT_ONCE_SECONDS, LITTLE_SECONDS = 3.0, 2.0
TIDIED = 16
MOST_WAITING = 96
"""More than the gate lets one address have."""

asker: contextvars.ContextVar[str] = contextvars.ContextVar("asker", default="")
"""On behalf of which client this thread computes."""

request: contextvars.ContextVar[object] = contextvars.ContextVar("request", default=None)
"""For which of the client's requests."""


class Busy(ValueError):
    """So many wait already that it is kinder to say so than to let another one wait."""


class _Ticket:
    """``due``: when its time comes. ``used``: seconds computed since it got that. ``began``, ``ended``: its turn. ``last``: never due."""

    def __init__(self, short: bool, last: bool) -> None:
        self.client, self.request, self.last = asker.get(), request.get(), last
        self.patience = math.inf if last else 0.0 if short else PATIENCE_SECONDS
        self.due, self.used, self.began, self.ended = 0.0, 0.0, 0.0, -math.inf


class Queue:
    """Computes for many clients, one at a time.

    Args:
        most: how many may wait. seconds: how long a computation that reports its steps keeps its turn while others wait.
        tidy: called after every :data:`TIDIED` computations, beside them.
    """

    def __init__(self, most: int = MOST_WAITING, seconds: float = KEPT_SECONDS, tidy: Callable[[], None] | None = None) -> None:
        self._most, self._seconds, self._tidy = most, seconds, tidy
        self._done = itertools.count(1)
        self._changed = threading.Condition()
        self._waiting: list[_Ticket] = []
        self._turn: _Ticket | None = None
        self._last: dict[str, _Ticket] = {}
        self._here = threading.local()

    @property
    def waiting(self) -> int:
        """How many wait behind the one that is computed."""
        return len(self._waiting)

    @property
    def waited(self) -> float:
        """Seconds for which the computation of this thread has let others in."""
        return getattr(self._here, "waited", 0.0)

    def run(self, compute: Callable[[Step], Result], step: Step | None = None, *, short: bool = False, last: bool = False) -> Result:
        """``compute(between)``, when its turn has come. Within a computation another one is part of it.

        Args:
            compute: should report its steps to ``between``, which tells ``step``, and lets others in where it has lasted long enough.
                It must not wait for anything that itself waits for a turn.
            step: told how many are before; raises :class:`jobs.Cancelled` where the result is no longer wanted.
            short: it takes about as long as one explanation, and somebody looks at the page until it is there.
            last: everybody else comes first, also between two of its steps; such ones fill at most half of the queue.

        Raises:
            Busy: the queue is full. jobs.Cancelled: ``step`` said so, while waiting or between two steps.
        """
        step = step or (lambda what, share: None)
        if getattr(self._here, "computing", False):
            return compute(step)
        ticket = _Ticket(short, last)
        with self._changed:
            if self.waiting >= (self._most // 2 if last else self._most):
                raise Busy(f"{self.waiting} others wait for this server already, as many as it lets wait. Try again in a minute.")
            self._enter(ticket)
        try:
            self._wait(ticket, step)
            return (LEAVING_ONE if self.waiting else WORKERS).run(lambda: self._compute(ticket, compute, step))
        finally:
            self._leave(ticket)
            if self._tidy is not None and next(self._done) % TIDIED == 0:
                threading.Thread(target=self._tidy, name="tidy", daemon=True).start()

    def _compute(self, ticket: _Ticket, compute: Callable[[Step], Result], step: Step) -> Result:
        self._here.computing, self._here.waited = True, 0.0

        def between(what: str, share: float) -> None:
            step(what, share)
            now = time.monotonic()
            if self.waiting and now - ticket.began >= (0.0 if ticket.last else self._seconds):
                with self._changed:
                    self._leave(ticket)
                    self._enter(ticket)
                self._wait(ticket, step)
                self._here.waited += time.monotonic() - now

        try:
            return compute(between)
        finally:
            self._here.computing = False

    def _wait(self, ticket: _Ticket, step: Step) -> None:
        step("", 0.0)
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._turn is ticket, POLL_SECONDS):
                    return
                before = 1 + sum(other.due < ticket.due for other in self._waiting)
            step(f"waiting, {before} other {'task comes' if before == 1 else 'tasks come'} first", 0.0)

    def _enter(self, ticket: _Ticket) -> None:
        now, before = time.monotonic(), self._last.get(ticket.client, ticket)
        again = before.request is ticket.request and now - before.ended < AT_ONCE_SECONDS and before.used < LITTLE_SECONDS
        ticket.due, ticket.used = (before.due, before.used) if again and not ticket.last else (now + ticket.patience, 0.0)
        self._waiting.append(ticket)
        self._begin_next()

    def _leave(self, ticket: _Ticket) -> None:
        with self._changed:
            if self._turn is ticket:
                self._turn, ticket.ended = None, time.monotonic()
                ticket.used += ticket.ended - ticket.began
                self._last = {client: t for client, t in self._last.items() if ticket.ended - t.ended < AT_ONCE_SECONDS}
                if not ticket.last:
                    self._last[ticket.client] = ticket
                self._begin_next()
            elif ticket in self._waiting:
                self._waiting.remove(ticket)

    def _begin_next(self) -> None:
        if self._turn is None and self._waiting:
            self._turn = ticket = min(self._waiting, key=lambda ticket: ticket.due)
            self._waiting.remove(ticket)
            ticket.began = time.monotonic()
            for other in self._waiting:
                if other.client == ticket.client:
                    other.due = ticket.began + other.patience
            self._changed.notify_all()
