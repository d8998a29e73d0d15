"""How far a download has come, in words: for the page's status line and for the terminal."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from ..serving.jobs import Progress


class Speedometer:
    """Bytes a second over the last few seconds, from calls of ``progress``: ``meter(done, total)`` returns the speed so far."""

    def __init__(self, seconds: float = 5.0) -> None:
        self._seconds = seconds
        self._samples: deque[tuple[float, int]] = deque()
        self.speed = 0.0
        self.remaining = math.inf

    def __call__(self, done: int, total: int) -> float:
        now = time.monotonic()
        if self._samples and done < self._samples[-1][1]:
            self._samples.clear()  # begun anew
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[1][0] > self._seconds:
            self._samples.popleft()
        start, before = self._samples[0]
        elapsed = now - start
        self.speed = (done - before) / elapsed if elapsed > 0 else 0.0
        self.remaining = (total - done) / self.speed if self.speed and total else math.inf
        return self.speed

    def told(self, done: int, total: int) -> str:
        """``12.3 of 102.5 MB, 5.1 MB/s, 18 s left``; the end is left out while nothing moves."""
        speed = self(done, total)
        left = f", {self.remaining:.0f} s left" if math.isfinite(self.remaining) else ""
        return f"{done / 1e6:.1f} of {total / 1e6:.1f} MB, {speed / 1e6:.1f} MB/s{left}"


@contextmanager
def on_terminal(name: str, out: TextIO | None = None) -> Iterator[Progress]:
    """What to hand to :func:`models.load_model` as ``progress``: one line that is written over, or, into a file, a line every tenth."""
    stream = sys.stderr if out is None else out
    meter, tenths, open_line = Speedometer(), -1, False

    def progress(done: int, total: int) -> None:
        nonlocal tenths, open_line
        line = f"{name}: {meter.told(done, total)}"
        if stream.isatty():
            stream.write(f"\r{line}\033[K")
            open_line = True
        elif total and done * 10 // total != tenths:
            tenths = done * 10 // total
            stream.write(line + "\n")
        stream.flush()

    try:
        yield progress
    finally:
        if open_line:
            stream.write("\n")
