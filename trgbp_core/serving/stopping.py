"""Work that its visitor can stop from elsewhere on the page, so that it ends by itself, and says so last."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TypeVar

Answer = TypeVar("Answer")


class Stops:
    """What the visitors of a page have running, each by its visitor; one piece of work a visitor."""

    def __init__(self) -> None:
        self._asked: dict[str, threading.Event] = {}

    def begin(self, visitor: str) -> None:
        """``visitor`` has asked for work, which may still wait for its turn: from now on it can be stopped."""
        if (asked := self._asked.get(visitor)) is None or asked.is_set():
            self._asked[visitor] = threading.Event()

    def stop(self, visitor: str) -> None:
        """Let the work of ``visitor``, if there is any, end with its next answer."""
        if (asked := self._asked.get(visitor)) is not None:
            asked.set()

    def until(self, visitor: str, answers: Iterator[Answer], last: Answer) -> Iterator[Answer]:
        """What ``answers`` yields; when ``visitor`` stops it, it is closed, and ``last`` follows."""
        asked = self._asked.setdefault(visitor, threading.Event())
        try:
            while not asked.is_set() and (answer := next(answers, None)) is not None:
                yield answer
            if asked.is_set():
                yield last
        finally:
            close = getattr(answers, "close", None)
            if close is not None:
                close()
            if self._asked.get(visitor) is asked:
                del self._asked[visitor]
