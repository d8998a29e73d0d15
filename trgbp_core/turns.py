"""Turns at the processor: one computation at a time, client after client, and long ones let the others in between.

One computation already uses every core. Two at once would be no faster together, would take twice the memory, and OpenMP's threads,
once there are more of them than cores, sleep between two operations instead of waiting awake: everything then takes half as long again.
Every thread that has once computed keeps such threads for as long as it lives. So each computation gets a thread of its own, that ends
with it: there is one team of threads at a time, as large as torch's own setting says, which nothing here changes.
"""

from __future__ import annotations

import contextvars
import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

from .streaming import Step

Result = TypeVar("Result")

POLL_SECONDS = 0.2
KEPT_SECONDS = 0.3
TIDIED = 64
MOST_WAITING = 96
"""More than the gate lets one address have."""

asker: contextvars.ContextVar[str] = contextvars.ContextVar("asker", default="")
"""On whose behalf this thread computes. Clients take turns, however much each of them asks for at once."""


class Busy(ValueError):
    """So many wait already that it is kinder to say so than to let another one wait."""


class _Ticket:
    def __init__(self) -> None:
        self.client = asker.get()


class Turns:
    """A queue for the processor in which every client has a line of its own; the lines are served in rotation.

    Args:
        most: how many may wait; whoever comes then is told :class:`Busy`.
        seconds: how long a computation that reports its steps keeps its turn while others wait.
        tidy: called after every :data:`TIDIED` computations, beside them.
    """

    def __init__(self, most: int = MOST_WAITING, seconds: float = KEPT_SECONDS, tidy: Callable[[], None] | None = None) -> None:
        self._most, self._seconds, self._tidy = most, seconds, tidy
        self._done = itertools.count(1)
        self._changed = threading.Condition()
        self._lines: OrderedDict[str, deque[_Ticket]] = OrderedDict()
        self._turn: _Ticket | None = None
        self._here = threading.local()

    @property
    def waiting(self) -> int:
        """How many wait behind the one whose turn it is."""
        with self._changed:
            return self._count()

    @property
    def waited(self) -> float:
        """Seconds that the computation of this thread has lent its turn to others."""
        return getattr(self._here, "waited", 0.0)

    def run(self, compute: Callable[[Step], Result], step: Step | None = None) -> Result:
        """Wait for a turn and return ``compute(between)``. Within a computation that has its turn, another one is part of it.

        Args:
            compute: should report its steps to ``between``, which tells ``step``, and passes the turn on when it has lasted long enough.
                It must not wait for anything that itself waits for a turn.
            step: told how many are before; raises :class:`flights.Cancelled` where the result is no longer wanted.

        Raises:
            Busy: the queue is full. flights.Cancelled: ``step`` said so, while waiting or between two steps.
        """
        step = step or _nobody
        if getattr(self._here, "computing", False):
            return compute(step)
        ticket = _Ticket()
        self._enter(ticket)
        try:
            self._wait(ticket, step)
            return _Job(lambda: self._compute(ticket, compute, step)).result()
        finally:
            self._leave(ticket)
            if self._tidy is not None and next(self._done) % TIDIED == 0:
                threading.Thread(target=self._tidy, name="tidy", daemon=True).start()

    def _compute(self, ticket: _Ticket, compute: Callable[[Step], Result], step: Step) -> Result:
        self._here.computing, self._here.waited = True, 0.0
        since = time.monotonic()

        def between(what: str, share: float) -> None:
            nonlocal since
            step(what, share)
            now = time.monotonic()
            if now - since >= self._seconds and self._pass_on(ticket):
                self._wait(ticket, step)
                since = time.monotonic()
                self._here.waited += since - now

        return compute(between)

    def _wait(self, ticket: _Ticket, step: Step) -> None:
        step("", 0.0)
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._turn is ticket, POLL_SECONDS):
                    return
                before = self._order().index(ticket) + 1
            step(f"waiting, {before} before it", 0.0)

    def _enter(self, ticket: _Ticket) -> None:
        with self._changed:
            if self._count() >= self._most:
                raise Busy(f"{self._count()} others wait for this server already, as many as it lets wait. Try again in a minute.")
            self._queue(ticket)

    def _pass_on(self, ticket: _Ticket) -> bool:
        """Wait anew, behind all who wait now; False if nobody does."""
        with self._changed:
            if not self._lines:
                return False
            self._turn = None
            self._advance()
            self._queue(ticket)
            return True

    def _leave(self, ticket: _Ticket) -> None:
        with self._changed:
            if self._turn is ticket:
                self._turn = None
                self._advance()
            elif ticket in self._lines.get(ticket.client, ()):
                self._lines[ticket.client].remove(ticket)
                if not self._lines[ticket.client]:
                    del self._lines[ticket.client]

    def _queue(self, ticket: _Ticket) -> None:
        self._lines.setdefault(ticket.client, deque()).append(ticket)
        if self._turn is None:
            self._advance()

    def _advance(self) -> None:
        """The next client's turn."""
        if self._lines:
            client, line = self._lines.popitem(last=False)
            self._turn = line.popleft()
            if line:
                self._lines[client] = line
            self._changed.notify_all()

    def _order(self) -> list[_Ticket]:
        """Those who wait, in the order in which their turns would come."""
        return [ticket for once in itertools.zip_longest(*self._lines.values()) for ticket in once if ticket is not None]

    def _count(self) -> int:
        return sum(map(len, self._lines.values()))


class _Job(Generic[Result]):
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._outcome: list[Result] = []
        self._error: BaseException | None = None

    def result(self) -> Result:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(self._run,), name="turn", daemon=True)
        thread.start()
        thread.join()
        if self._error is not None:
            raise self._error
        return self._outcome[0]

    def _run(self) -> None:
        try:
            self._outcome.append(self._call())
        except BaseException as error:
            self._error = error


def _nobody(what: str, share: float) -> None:
    pass
