"""Threads that compute, and why there are few of them.

Whatever thread computes in parallel gets threads of OpenMP's to help it, which live as long as it does. Once there are more such threads
than cores in a process — it is enough that another thread has computed once and still exists — the helpers no longer wait awake for the
next operation but go to sleep after each, and every computation takes about a third longer. So all of them go through one thread that
stays; what is computed beside it has a thread that ends with it.

An operation of two threads ends when the slower one does: where something else wants a core, both wait for the one that it has displaced.
So whoever computes while others wait leaves one core to what serves them, and what consists of equal parts is computed side by side, with
half of the threads each. On two cores threads without helpers do all of that.
"""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")
_Jobs = SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]


class Workers:
    """Runs calls one by one in a thread that is kept, and those that overlap in threads of their own, which end with them.

    Args:
        threads: how many of torch's threads a call computes with, from how many there are; None for all.
        kept: how many threads are kept.
    """

    def __init__(self, threads: Callable[[int], int] | None = None, kept: int = 1) -> None:
        self._threads, self._most = threads, kept
        self._lock = threading.Lock()
        self._idle: list[_Jobs] = []

    def run(self, call: Callable[[], Result]) -> Result:
        """``call()`` in another thread, with the caller's context variables; its error is raised here."""
        (found,) = self.side_by_side([call])
        return found

    def side_by_side(self, calls: Sequence[Callable[[], Result]]) -> list[Result]:
        """:meth:`run` of each, all at the same time. Of several errors the first call's is raised, once all have ended."""
        running = [self._begin(call) for call in calls]
        for found, jobs in running:
            found.exception()  # waits
            with self._lock:
                if kept := len(self._idle) < self._most:
                    self._idle.append(jobs)
            if not kept:
                jobs.put(None)
        return [found.result() for found, _ in running]

    def _begin(self, call: Callable[[], Result]) -> tuple[Future[Result], _Jobs]:
        with self._lock:
            jobs = self._idle.pop() if self._idle else None
        if jobs is None:
            jobs = SimpleQueue()
            threading.Thread(target=_work, args=(jobs, self._threads), name="worker", daemon=True).start()
        found: Future[Result] = Future()
        jobs.put((found, functools.partial(contextvars.copy_context().run, call)))
        return found, jobs


def _work(jobs: _Jobs, threads: Callable[[int], int] | None) -> None:
    if threads is not None:
        _limit(threads)
    while (job := jobs.get()) is not None:
        found, call = job
        try:
            found.set_result(call())
        except BaseException as error:
            found.set_exception(error)
        del job, found, call  # with all that was computed


_setting = threading.Lock()


def _limit(threads: Callable[[int], int]) -> None:
    """Let this thread, and no other, compute with so many of torch's threads."""
    with _setting:
        count = torch.get_num_threads()
        torch.set_num_threads(threads(count))
        # The number belongs to the thread that sets it; but threads to come begin with what was set last, by whichever thread.
        last = threading.Thread(target=torch.set_num_threads, args=(count,))
        last.start()
        last.join()


WORKERS = Workers()
"""The process's own: cores are shared by all that compute in it."""

LEAVING_ONE = Workers(lambda count: max(1, count - 1))
"""The same, but a core is left to others."""

HALVES = Workers(lambda count: (count + 1) // 2, kept=2)
"""The same with half of the threads each, for two at a time."""
