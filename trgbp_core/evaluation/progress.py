"""A line that says how far a run is, how fast it goes and how long it will take."""

from __future__ import annotations

import sys
import time
from typing import TextIO

WIDTH = 24
EVERY = 30.0
"""Seconds between two lines where the output is a file, which keeps every line."""


class Bar:
    """Progress of one phase on stderr; silent where ``shown`` is false.

    Args:
        title: of the phase. total: units in all. done: finished by an earlier run, which do not count for the rate.
    """

    def __init__(
        self, title: str, total: int, done: int = 0, *, unit: str = "pictures", shown: bool = True, stream: TextIO | None = None
    ) -> None:
        self.title, self.total, self.done, self.unit, self.shown = title, total, done, unit, shown
        self.stream = stream or sys.stderr
        self.before, self.start, self.last = done, time.monotonic(), -EVERY
        self.live = self.stream.isatty()

    def advance(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if self.shown and (self.live or now - self.last >= EVERY or self.done >= self.total):
            self.last = now
            end = "\n" if not self.live or self.done >= self.total else ""
            self.stream.write(("\r\033[K" if self.live else "") + self.line(now - self.start) + end)
            self.stream.flush()

    def line(self, seconds: float) -> str:
        """What is shown after ``seconds`` of this run."""
        share = self.done / self.total if self.total else 1.0
        filled = int(share * WIDTH)
        here = self.done - self.before
        each = seconds / here if here else 0.0
        left = f", {duration(each * (self.total - self.done))} left" if here and self.done < self.total else ""
        rate = f", {each:.2f} s each{left}" if here else ""
        return f"{self.title} [{'█' * filled}{'·' * (WIDTH - filled)}] {self.done}/{self.total} {self.unit}{rate}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 40 s, 12 min, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
