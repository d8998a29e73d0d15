"""How far a download has come: in words for the page's status line, as a bar on the terminal."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from ..serving.jobs import Progress


class Speedometer:
    """Describes a download with its speed over the last few seconds."""

    SECONDS = 5.0

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def describe(self, done: int, total: int) -> str:
        """``12.3 of 102.5 MB, 5.1 MB/s, 18 s left``; the end is left out while nothing moves."""
        now = time.monotonic()
        if self._samples and done < self._samples[-1][1]:  # it was begun again
            self._samples.clear()
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[1][0] > self.SECONDS:
            self._samples.popleft()
        start, before = self._samples[0]
        speed = (done - before) / (now - start) if now > start else 0.0
        left = f", {(total - done) / speed:.0f} s left" if speed and total else ""
        return f"{done / 1e6:.1f} of {total / 1e6:.1f} MB, {speed / 1e6:.1f} MB/s{left}"


@contextmanager
def on_terminal(name: str) -> Iterator[Progress]:
    """A bar on standard error, from the first call on, for the ``progress`` of :func:`load_model`; into a file it writes every tenth."""
    bar: tqdm | None = None

    def progress(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            tenth = None if sys.stderr.isatty() else max(1, total // 10)
            bar = tqdm(desc=name, total=total or None, initial=done, unit="B", unit_scale=True, miniters=tenth)
        bar.total = total or None
        bar.update(done - bar.n)

    try:
        yield progress
    finally:
        if bar is not None:
            bar.close()
