"""Work that its visitor can stop, or replace by newer work, from elsewhere on the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

Result = TypeVar("Result")


class _Run:
    begun = stopped = replaced = False


class Stops:
    """What the visitors of a page have running, so that each can stop his own from elsewhere on the page; one run a visitor, the newest."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def begin(self, visitor: str) -> None:
        """``visitor`` has asked for work, which may not have begun yet: from now on it can be stopped."""
        if (run := self._runs.get(visitor)) is None or run.stopped:
            self._runs[visitor] = _Run()

    def stop(self, visitor: str) -> None:
        """Let the work of ``visitor``, if there is any, end with its next result."""
        if (run := self._runs.get(visitor)) is not None:
            run.stopped = True

    def until(self, visitor: str, results: Iterator[Result], last: Result) -> Iterator[Result]:
        """What the generator ``results`` yields; when ``visitor`` stops it, it is closed, and ``last`` follows.

        A later run of the same visitor takes its place: then it is closed, and nothing follows.
        """
        run = self._runs.get(visitor)
        if run is None or run.begun:
            if run is not None:
                run.replaced = True
            run = self._runs[visitor] = _Run()
        run.begun = True
        try:
            while not (run.stopped or run.replaced) and (result := next(results, None)) is not None:
                if not run.replaced:
                    yield result
            if run.stopped and not run.replaced:
                yield last
        finally:
            results.close()  # type: ignore[attr-defined]
            if self._runs.get(visitor) is run:
                del self._runs[visitor]
