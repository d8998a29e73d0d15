"""Networks fetched for the page's visitors: with sentences on the way, until they arrive, fail, or are no longer wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..serving.jobs import Cancelled, Step, Update, streamed
from ..zoo.checkpoints import UnreachableError
from ..zoo.download_progress import Speedometer
from ..zoo.loading import Entry
from .explorer import Explorer

FETCH_SECONDS = 86_400.0
"""A download takes as long as it takes."""

TWICE_SECONDS = 0.3
"""Gradio tells of one choice in a list twice, some 40 ms apart: when it is made, and when the list loses the focus."""


@dataclass(frozen=True)
class Message:
    """What a visitor is told. ``running``: it can be cancelled. ``ready``: the network has arrived. ``failed``: it will not,
    ``offline``: since no server was reached."""

    sentence: str = ""
    running: bool = False
    ready: bool = False
    failed: bool = False
    offline: bool = False


@dataclass
class _Choice:
    """One visitor's choice of a network. ``gone``: it is no longer wanted. ``replaced``: another one is wanted instead."""

    name: str
    began: float = field(default_factory=time.monotonic)
    gone: threading.Event = field(default_factory=threading.Event)
    replaced: bool = False

    @property
    def current(self) -> bool:
        return not self.gone.is_set() or time.monotonic() - self.began < TWICE_SECONDS


class Fetching:
    """One network at a time for each visitor: whoever picks another one no longer wants the first.

    A visitor who cancels or goes away ends the download, unless others wait for the same network.
    """

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._lock = threading.Lock()
        self._choices: dict[str, _Choice] = {}

    def cancel(self, visitor: str) -> None:
        """Give up what ``visitor`` waits for, if anything."""
        with self._lock:
            choice = self._choices.get(visitor)
        if choice is not None:
            choice.gone.set()

    def fetch(self, visitor: str, entry: Entry) -> Iterator[Message]:
        """Messages until the network is loaded; none if the visitor picks another one meanwhile, or has just picked the same."""
        choice = _Choice(entry.name)
        with self._lock:
            before = self._choices.get(visitor)
            if before is not None and before.name == entry.name and before.current:
                return
            self._choices = {who: one for who, one in self._choices.items() if one.current} | {visitor: choice}
        if before is not None:
            before.replaced = True
            before.gone.set()
        try:
            for message in self._messages(entry, choice):
                if not choice.replaced:
                    yield message
        finally:
            choice.gone.set()

    def _messages(self, entry: Entry, choice: _Choice) -> Iterator[Message]:
        speed, downloading, received = Speedometer(), not entry.available, 0

        def load(step: Step) -> Iterator[Message]:
            def progress(done: int, total: int) -> None:  # of what is here, too: where it is damaged it is downloaded anew
                nonlocal downloading, received
                downloading, received = True, done
                step(f"Downloading {entry.title}: {speed.describe(done, total or entry.download_size)} …", 0.0)

            if downloading:
                progress(0, 0)
            else:
                step(f"Loading {entry.title} …", 0.0)
            self._explorer.network(entry.name, progress=progress, cancel=choice.gone.is_set)
            yield Message(f"{entry.title} is ready.", ready=True)

        try:
            for event in streamed(load, FETCH_SECONDS):
                yield Message(event.what, running=downloading) if isinstance(event, Update) else event
        except Cancelled:
            kept = " What has come of it is kept, and the next attempt goes on from there." if received else ""
            yield Message(f"Cancelled: {entry.title} is not downloaded.{kept}", failed=True)
        except ValueError as error:
            yield Message(f"**{error}**", failed=True, offline=isinstance(error, UnreachableError))
        except Exception as error:  # as a sentence: the page must not wait for ever
            why = f"{entry.title} cannot be loaded ({type(error).__name__}). Pick the embedded network."
            yield Message(f"**{why}**", failed=True)
