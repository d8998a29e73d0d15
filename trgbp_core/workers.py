"""Threads that compute, and why there should be one of them.

Whatever thread computes in parallel gets threads of OpenMP's to help it, which live as long as it does. Once there are more such threads
than cores in a process — it is enough that another thread has computed once and still exists — the helpers no longer wait awake for the
next operation but go to sleep after each, and every computation takes about a third longer. So all of them go through one thread that
stays; what is computed beside it has a thread that ends with it.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")
_Job = Callable[[], None]


class Workers:
    """Runs calls one by one in a thread that is kept, and those that overlap in threads of their own, which end with them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: SimpleQueue[_Job | None] | None = None

    def run(self, call: Callable[[], Result]) -> Result:
        """``call()`` in another thread, with the caller's context variables; its error is raised here."""
        found: Future[Result] = Future()
        context = contextvars.copy_context()
        with self._lock:
            jobs, self._idle = self._idle, None
        if jobs is None:
            jobs = SimpleQueue()
            threading.Thread(target=_work, args=(jobs,), name="worker", daemon=True).start()
        jobs.put(lambda: context.run(_settle, found, call))
        try:
            return found.result()
        finally:
            with self._lock:
                kept = self._idle is None
                if kept:
                    self._idle = jobs
            if not kept:
                jobs.put(None)


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job()
        del job  # with all that it computed


def _settle(found: Future[Any], call: Callable[[], Any]) -> None:
    try:
        found.set_result(call())
    except BaseException as error:
        found.set_exception(error)


WORKERS = Workers()
"""The process's own: cores are shared by all that compute in it."""
