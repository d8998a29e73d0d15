"""Many ask for the same thing at once, one thread does the work.

The work runs in a thread of its own: whoever asked waits, hears of the progress in his own thread, and may go away at any moment; when the
last one has gone, the work is told to stop. A thread of its own also keeps the asker's ``torch.inference_mode`` and default device out of
what is loaded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""``(done, total)``, in bytes; ``total`` is 0 while it is unknown. It may raise to cancel."""

Cancel = Callable[[], bool]
"""Asked about ten times a second; ``True`` cancels. A ``threading.Event`` gives its ``is_set``."""

POLL_SECONDS = 0.1


class Cancelled(ValueError):
    """The one who asked no longer wants it."""


class Flight(Generic[T]):
    """Work under way. The worker reports to it, those who wait read it."""

    def __init__(self) -> None:
        self.progress = (0, 0)
        self.abandoned = threading.Event()
        self._landed = threading.Event()
        self._waiting = 0
        self._result: T | None = None
        self._error: BaseException | None = None

    def report(self, done: int, total: int) -> None:
        """Called by the worker. Raises :class:`Cancelled` once nobody waits any more."""
        self.progress = (done, total)
        if self.abandoned.is_set():
            raise Cancelled("Cancelled.")

    def _run(self, work: Callable[[Flight[T]], T]) -> None:
        try:
            self._result = work(self)
        except BaseException as error:
            self._error = error

    def _wait(self, progress: Progress | None, cancel: Cancel | None) -> T:
        told = None
        while True:
            landed = self._landed.wait(POLL_SECONDS)
            if progress is not None and self.progress != told and self.progress != (0, 0):
                told = self.progress
                progress(*told)
            if landed:
                break
            if cancel is not None and cancel():
                raise Cancelled("Cancelled.")
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


class Flights(Generic[T]):
    """The flights under way, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Hashable, Flight[T]] = {}

    def join(self, key: Hashable, work: Callable[[Flight[T]], T], *, progress: Progress | None = None, cancel: Cancel | None = None) -> T:
        """The result of ``work``, run once for all who ask for ``key`` while it runs; its error is raised to each of them.

        Args:
            key: what is asked for.
            work: gets the flight, to report to. Only the first asker's is run.

        Raises:
            Cancelled: ``cancel`` said so. The others who wait go on waiting.
        """
        if cancel is not None and cancel():
            raise Cancelled("Cancelled.")
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                flight = self._flights[key] = Flight()
                threading.Thread(target=self._fly, args=(key, flight, work), name=f"flight {key}", daemon=True).start()
            flight._waiting += 1
        try:
            return flight._wait(progress, cancel)
        finally:
            self._leave(key, flight)

    def _fly(self, key: Hashable, flight: Flight[T], work: Callable[[Flight[T]], Any]) -> None:
        flight._run(work)
        with self._lock:
            self._remove(key, flight)
        flight._landed.set()

    def _leave(self, key: Hashable, flight: Flight[T]) -> None:
        with self._lock:
            flight._waiting -= 1
            if not flight._waiting:
                flight.abandoned.set()
                # Whoever asks from now on must not be given work that is being stopped.
                self._remove(key, flight)

    def _remove(self, key: Hashable, flight: Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
