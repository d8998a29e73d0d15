"""Turns at the processor: one computation at a time, client after client, and long ones let the others in between.

Whose turn is next: of every client the first that waits, and of these the one whose time has come first. A short computation's time comes
when it asks, a long one's :data:`PATIENCE_SECONDS` later: short ones overtake long ones, but none that has waited that much longer. A
request that comes again at once, having used little so far, keeps its time and waits for one other: else work in pieces would queue up for
each.

One computation already uses every core; two at once would take twice the memory. While others wait it leaves one core to what serves them
(:mod:`trgbp_core.serving.workers`, where all of them are computed).
"""

from __future__ import annotations

import contextvars
import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TypeVar

from .streaming import Step
from .workers import LEAVING_ONE, WORKERS

Result = TypeVar("Result")

POLL_SECONDS = 0.2
KEPT_SECONDS = 0.3
PATIENCE_SECONDS = 3.0
AT_ONCE_SECONDS, LITTLE_SECONDS = 3.0, 2.0
TIDIED = 16
MOST_WAITING = 96
"""More than the gate lets one address have."""

asker: contextvars.ContextVar[str] = contextvars.ContextVar("asker", default="")
"""On whose behalf this thread computes. Clients take turns, however much each of them asks for at once."""

request: contextvars.ContextVar[object] = contextvars.ContextVar("request", default=None)
"""For which of the client's requests."""


class Busy(ValueError):
    """So many wait already that it is kinder to say so than to let another one wait."""


class _Ticket:
    """``due``: when its time comes, known from when it is the first of its client's line. ``used``: seconds computed since it got that."""

    def __init__(self, short: bool) -> None:
        self.client, self.request, self.short = asker.get(), request.get(), short
        self.due, self.used, self.began = 0.0, 0.0, 0.0


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
        self._lines: dict[str, deque[_Ticket]] = {}
        self._last: OrderedDict[str, tuple[_Ticket, float]] = OrderedDict()
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

    def run(self, compute: Callable[[Step], Result], step: Step | None = None, *, short: bool = False) -> Result:
        """Wait for a turn and return ``compute(between)``. Within a computation that has its turn, another one is part of it.

        Args:
            compute: should report its steps to ``between``, which tells ``step``, and passes the turn on when it has lasted long enough.
                It must not wait for anything that itself waits for a turn.
            step: told how many are before; raises :class:`flights.Cancelled` where the result is no longer wanted.
            short: it takes about as long as one explanation, and somebody looks at the page until it is there.

        Raises:
            Busy: the queue is full. flights.Cancelled: ``step`` said so, while waiting or between two steps.
        """
        step = step or _nobody
        if getattr(self._here, "computing", False):
            return compute(step)
        ticket = _Ticket(short)
        self._enter(ticket)
        try:
            self._wait(ticket, step)
            workers = LEAVING_ONE if self.waiting else WORKERS
            return workers.run(lambda: self._compute(ticket, compute, step))
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
                before = self._order().index(ticket) + 1
            step(f"waiting, {before} before it", 0.0)

    def _enter(self, ticket: _Ticket) -> None:
        with self._changed:
            if self._count() >= self._most:
                raise Busy(f"{self._count()} others wait for this server already, as many as it lets wait. Try again in a minute.")
            self._queue(ticket)

    def _pass_on(self, ticket: _Ticket) -> bool:
        """Let one other in, and wait anew; False if nobody else waits."""
        with self._changed:
            if not self._lines:
                return False
            self._end(ticket)
            self._advance()
            self._queue(ticket)
            return True

    def _leave(self, ticket: _Ticket) -> None:
        with self._changed:
            if self._turn is ticket:
                self._end(ticket)
                self._advance()
            elif ticket in (line := self._lines.get(ticket.client, deque())):
                first = line[0] is ticket
                line.remove(ticket)
                if not line:
                    del self._lines[ticket.client]
                elif first:
                    self._appoint(line[0])

    def _queue(self, ticket: _Ticket) -> None:
        line = self._lines.setdefault(ticket.client, deque())
        line.append(ticket)
        if line[0] is ticket:
            self._appoint(ticket, again=True)
        if self._turn is None:
            self._advance()

    def _appoint(self, ticket: _Ticket, *, again: bool = False) -> None:
        """Say when the time of the first of a line comes. ``again``: its client had none that waits; the last request may go on."""
        now = time.monotonic()
        before, ended = self._last.get(ticket.client, (None, 0.0))
        goes_on = again and before is not None and before.request is ticket.request
        if goes_on and before is not None and now - ended < AT_ONCE_SECONDS and before.used < LITTLE_SECONDS:
            ticket.due, ticket.used = before.due, before.used
        else:
            ticket.due, ticket.used = now + (0.0 if ticket.short else PATIENCE_SECONDS), 0.0

    def _end(self, ticket: _Ticket) -> None:
        """The turn is over; what it took is remembered for a moment."""
        now = time.monotonic()
        self._turn = None
        ticket.used += now - ticket.began
        self._last[ticket.client] = ticket, now
        self._last.move_to_end(ticket.client)
        while len(self._last) > self._most:
            self._last.popitem(last=False)

    def _advance(self) -> None:
        """The next client's turn."""
        if self._turn is None and self._lines:
            client = min(self._lines, key=lambda client: self._lines[client][0].due)
            line = self._lines.pop(client)
            self._turn = line.popleft()
            self._turn.began = time.monotonic()
            if line:
                self._lines[client] = line
                self._appoint(line[0])
            self._changed.notify_all()

    def _order(self) -> list[_Ticket]:
        """Those who wait, in the order in which their turns would come if nobody else came."""
        lines = sorted(self._lines.values(), key=lambda line: line[0].due)
        return [ticket for once in itertools.zip_longest(*lines) for ticket in once if ticket is not None]

    def _count(self) -> int:
        return sum(map(len, self._lines.values()))


def _nobody(what: str, share: float) -> None:
    pass
