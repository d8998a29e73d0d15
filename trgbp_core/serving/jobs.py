"""Jobs: work in threads of their own, done once for all who wait for it, and stopped when nobody waits any more; and what is kept of it.

Whoever asks waits in his own thread, is told there how far the work is, and may leave at any moment. A thread of its own also keeps the
asker's ``torch.inference_mode`` and default device out of what is loaded.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

Result = TypeVar("Result")

Step = Callable[[str, float], None]
"""``(what is being done, share done)``; raises :class:`Cancelled` when nobody waits for the result any more.

With nothing for ``what`` it only asks."""

Progress = Callable[[Any, Any], None]
"""Told what a job reports: ``(done, total)`` in bytes, ``total`` 0 while unknown; or as :data:`Step`. It may raise to cancel."""

Cancel = Callable[[], "bool | None"]
"""Asked about ten times a second; ``True``, or an error that it raises, cancels. A ``threading.Event`` gives its ``is_set``."""

POLL_SECONDS, TELL_SECONDS, BEAT_SECONDS = 0.1, 0.3, 1.0
MAX_SECONDS = 300.0
"""What one request may take on a server that others wait for."""


class Cancelled(ValueError):
    """Nobody wants the result any more."""


class TooLong(ValueError):
    """The work has taken more than its time."""


class Update(NamedTuple):
    """How far a job is: ``what`` is being done and the ``share`` of it that is, 0 to 1; of a download, the bytes done and in all."""

    what: Any
    share: float


NOTHING = Update("", 0.0)


class Job(Generic[Result]):
    """Work, which yields results, in a thread of its own and in the context of whoever starts it, its first follower.

    Attributes:
        progress: what was reported last.
        abandoned: set when the last follower has left; the work then ends with its next report or result.
    """

    def __init__(self, work: Callable[[Job[Result]], Iterator[Result]]) -> None:
        self.progress = NOTHING
        self.abandoned = threading.Event()
        self._changed = threading.Condition()
        self._followers = 1
        self._results: list[Result] = []
        self._ended = False
        self._error: BaseException | None = None
        threading.Thread(target=contextvars.copy_context().run, args=(self._run, work), name="job", daemon=True).start()

    def report(self, what: Any, share: float) -> None:
        """Called by the work. Raises :class:`Cancelled` once nobody follows any more; with nothing for ``what`` it only asks."""
        if self.abandoned.is_set():
            raise Cancelled("Cancelled.")
        if what != "":
            self.progress = Update(what, share)

    def follow(self, pause: float) -> Iterator[Result | Update]:
        """Every result once it is there; before it, and after each ``pause``, :attr:`progress`. The work's error is raised here."""
        seen, ended = 0, False
        while not ended:
            new, ended = self._news(seen, pause)
            seen += len(new)
            yield self.progress
            yield from new
        if self._error is not None:
            raise self._error

    def enter(self) -> bool:
        """Become a further follower; False if it is too late for that."""
        with self._changed:
            self._followers += not self.over
            return not self.over

    def leave(self) -> None:
        """Follow no more."""
        with self._changed:
            self._followers -= 1
            if not self._followers:
                self.abandoned.set()

    @property
    def over(self) -> bool:
        """Whether it has ended, or will, since nobody waits for it."""
        return self._ended or self.abandoned.is_set()

    def _news(self, seen: int, pause: float) -> tuple[list[Result], bool]:
        """Results behind the first ``seen``, waited for at most ``pause`` seconds, and whether these are all."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self._results) > seen, pause)
            return self._results[seen:], self._ended

    def _run(self, work: Callable[[Job[Result]], Iterator[Result]]) -> None:
        error = None
        try:
            for result in work(self):
                with self._changed:
                    self._results.append(result)
                    self._changed.notify_all()
                if self.abandoned.is_set():
                    break
        except BaseException as raised:
            error = raised
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()


class Jobs(Generic[Result]):
    """Jobs of one result, by key: who asks for what is under way already waits for that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[Hashable, Job[Result]] = {}

    def join(
        self, key: Hashable, work: Callable[[Job[Result]], Result], *, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Result:
        """The result of ``work``, run once for all who ask for ``key`` while it runs; its error is raised to each of them.

        Args:
            work: is given the job, to report to. Only the first asker's is run.
            progress: is told, in the asker's thread, what the work reports. cancel: see :data:`Cancel`.

        Raises:
            Cancelled: ``cancel`` said so. The others who wait go on waiting.
        """
        if cancel is not None and cancel():
            raise Cancelled("Cancelled.")
        with self._lock:
            job = self._jobs.get(key)
            if job is None or not job.enter():
                job = self._jobs[key] = Job(lambda job: iter([work(job)]))
        try:
            return _awaited(job, progress, cancel)
        finally:
            job.leave()
            with self._lock:
                if job.over and self._jobs.get(key) is job:
                    del self._jobs[key]


class Streams(Generic[Result]):
    """Jobs of many results, by key: who asks for what is under way already is given its results from the first on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[Hashable, Job[Result]] = {}

    def follow(self, key: Hashable, work: Callable[[Step], Iterator[Result]], step: Step | None = None) -> Iterator[Result]:
        """What ``work(step)`` yields, run once for all who ask for ``key`` while it runs; its error is raised to each of them.

        ``step``, the asker's, is told what the work reports, and may raise to leave it; the work ends when all have left.
        """
        with self._lock:
            job = self._jobs.get(key)
            if job is None or not job.enter():
                job = self._jobs[key] = Job(lambda job: work(job.report))
        told = NOTHING
        try:
            for event in job.follow(POLL_SECONDS):
                if not isinstance(event, Update):
                    yield event
                elif step is not None:
                    step(*(NOTHING if event is told else event))
                    told = event
        finally:
            job.leave()
            with self._lock:
                if job.over and self._jobs.get(key) is job:
                    del self._jobs[key]


def _awaited(job: Job[Result], progress: Progress | None, cancel: Cancel | None) -> Result:
    """The job's only result."""
    told = NOTHING
    for event in job.follow(POLL_SECONDS):
        if not isinstance(event, Update):
            return event
        if progress is not None and event is not told:
            progress(*event)
        told = event
        if cancel is not None and cancel():
            raise Cancelled("Cancelled.")
    raise AssertionError("A job of one result ended without it.")


def streamed(work: Callable[[Step], Iterator[Result]], seconds: float = MAX_SECONDS) -> Iterator[Result | Update]:
    """What ``work(step)`` yields from a thread of its own, and, at most three times a second, what it reported through ``step``.

    While there is nothing new the last update comes again every second: only then can Gradio notice that nobody listens any more.
    Closing the generator ends the work with its next step. An error of the work is raised here.

    Raises:
        TooLong: with the first event after ``seconds``.
    """
    job = Job(lambda job: work(job.report))
    start = last = time.monotonic()
    told = NOTHING
    try:
        for event in job.follow(TELL_SECONDS):
            silence = time.monotonic() - last
            if not isinstance(event, Update) or silence >= (BEAT_SECONDS if event is told else TELL_SECONDS):
                yield event
                last = time.monotonic()
                told = event if isinstance(event, Update) else told
            if time.monotonic() - start > seconds:
                raise TooLong(f"Stopped after {seconds:.0f} seconds: ask for fewer or faster methods, or use the command line.")
    finally:
        job.leave()


class Cache(Generic[Result]):
    """Results of jobs, kept by key within a limit of bytes: the least recently used goes first.

    Args:
        max_bytes: the sum of the kept results' sizes; one that is larger alone is returned, but not kept.
        size: bytes of a result.
        newest: keep the newest even if it alone is larger.
    """

    def __init__(self, max_bytes: int, size: Callable[[Result], int], *, newest: bool = False) -> None:
        self._max_bytes, self._size, self._newest = max_bytes, size, newest
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Result, int]] = OrderedDict()
        self._jobs: Jobs[Result] = Jobs()
        self.bytes = 0

    @property
    def keys(self) -> tuple[Hashable, ...]:
        """Of what is kept, the least recently used first."""
        with self._lock:
            return tuple(self._kept)

    def get(
        self, key: Hashable, work: Callable[[Job[Result]], Result], *, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Result:
        """The result of ``key``, by a job where it is not kept, as :meth:`Jobs.join`; errors are not kept."""
        if (found := self._find(key)) is not None:
            return found[0]

        def fill(job: Job[Result]) -> Result:
            if (landed := self._find(key)) is not None:  # since it was looked for
                return landed[0]
            result = work(job)
            self.put(key, result)
            return result

        return self._jobs.join(key, fill, progress=progress, cancel=cancel)

    def peek(self, key: Hashable) -> Result | None:
        """The result of ``key`` if it is kept; nothing is computed, and nobody waited for."""
        found = self._find(key)
        return None if found is None else found[0]

    def put(self, key: Hashable, result: Result) -> None:
        """Keep ``result``, in the place of what was kept before; one that has grown is counted anew."""
        size = self._size(result)
        with self._lock:
            self.bytes -= self._kept.pop(key, (None, 0))[1]
            if size <= self._max_bytes or self._newest:
                self._kept[key] = result, size
                self.bytes += size
            while self.bytes > self._max_bytes and len(self._kept) > 1:
                self.bytes -= self._kept.popitem(last=False)[1][1]

    def change(self, key: Hashable, change: Callable[[Result], object]) -> None:
        """Change the result of ``key`` in place, if it is kept, and count it anew; it is used no more recently for that."""
        with self._lock:
            if key in self._kept:
                result, before = self._kept[key]
                change(result)
                self._kept[key] = result, (size := self._size(result))
                self.bytes += size - before

    def _find(self, key: Hashable) -> tuple[Result, int] | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)
