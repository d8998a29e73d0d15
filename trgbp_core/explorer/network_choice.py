"""Networks fetched for the page's visitors: with sentences on the way, until they arrive, fail, or are no longer wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..serving.jobs import Cancelled
from ..zoo.download_progress import Speedometer
from ..zoo.loading import Entry
from .explorer import Explorer

TELL_SECONDS = 0.4
TWICE_SECONDS = 0.3
"""Gradio tells of one choice in a list twice, some 40 ms apart: when it is made, and when the list loses the focus."""


@dataclass(frozen=True)
class Step:
    """What a visitor is told. ``running``: it can be cancelled. ``ready``: the network has arrived. ``failed``: it will not."""

    sentence: str = ""
    running: bool = False
    ready: bool = False
    failed: bool = False


class Fetching:
    """One network at a time for each visitor: whoever picks another one no longer wants the first.

    A visitor who cancels or goes away ends the download, unless others wait for the same network.
    """

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._lock = threading.Lock()
        self._wanted: dict[str, _Wish] = {}

    def cancel(self, visitor: str) -> None:
        """Give up what ``visitor`` waits for, if anything."""
        with self._lock:
            wish = self._wanted.get(visitor)
        if wish is not None:
            wish.gone.set()

    def fetch(self, visitor: str, entry: Entry) -> Iterator[Step]:
        """Steps until the network is loaded; none if the visitor picks another one meanwhile, or has just picked the same."""
        wish = _Wish(entry)
        with self._lock:
            before = self._wanted.get(visitor)
            if before is not None and before.repeated_by(wish):
                return
            self._wanted[visitor] = wish
            self._wanted = {who: w for who, w in self._wanted.items() if not w.gone.is_set() or w.fresh or w is wish}
        if before is not None:
            before.replaced = True
            before.gone.set()
        try:
            threading.Thread(target=wish.work, args=(self._explorer,), name=f"fetch {entry.name}", daemon=True).start()
            yield from wish.steps()
        finally:
            wish.gone.set()


class _Wish:
    """One visitor's wish for one network, worked on in a thread of its own."""

    def __init__(self, entry: Entry) -> None:
        self.entry, self.began = entry, time.monotonic()
        self.gone, self.done = threading.Event(), threading.Event()
        self.replaced = False
        self.progress = (0, 0)
        self.error: ValueError | None = None

    @property
    def fresh(self) -> bool:
        return time.monotonic() - self.began < TWICE_SECONDS

    def repeated_by(self, other: _Wish) -> bool:
        return self.entry.name == other.entry.name and (self.fresh or not self.gone.is_set())

    def work(self, explorer: Explorer) -> None:
        try:
            explorer.network(self.entry.name, progress=lambda *now: setattr(self, "progress", now), cancel=self.gone.is_set)
        except ValueError as error:
            self.error = error
        except Exception as error:  # told as a sentence: the page must not wait for ever
            self.error = ValueError(f"{self.entry.title} cannot be loaded ({type(error).__name__}). Pick the embedded network.")
        finally:
            self.done.set()

    def steps(self) -> Iterator[Step]:
        entry, speed = self.entry, Speedometer()
        here = entry.available
        while not self.done.wait(TELL_SECONDS):
            download = not here or self.progress != (0, 0)  # what is here may be damaged, and then comes anew
            yield Step(self._told(speed) if download else f"Loading {entry.title} …", running=download)
        if self.replaced:
            return
        if isinstance(self.error, Cancelled):
            kept = " What has come of it is kept, and the next attempt goes on from there." if self.progress[0] else ""
            yield Step(f"Cancelled: {entry.title} is not downloaded.{kept}", failed=True)
        elif self.error is not None:
            yield Step(f"**{self.error}**", failed=True)
        else:
            yield Step(f"{entry.title} is ready.", ready=True)

    def _told(self, speed: Speedometer) -> str:
        done, total = self.progress
        return f"Downloading {self.entry.title}: {speed.describe(done, total or self.entry.download_size)} …"
