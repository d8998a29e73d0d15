"""Networks fetched for visitors: who is told what, and whose download goes on."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from trgbp_core.explorer.explorer import Explorer
from trgbp_core.explorer.network_choice import Fetching, Message
from trgbp_core.serving.jobs import Cancelled
from trgbp_core.zoo.checkpoints import WeightsError
from trgbp_core.zoo.loading import Entry, ModelCache, Preprocess, Zoo


def entry(name: str) -> Entry:
    return Entry(name, name.title(), "made here", "none", 1, None, 10**6, Preprocess(), url=f"https://weights.invalid/{name}.pth")


class Loader:
    """Loads ``slow`` until it is released or told to stop, ``broken`` never, ``odd`` with an error that nobody foresaw."""

    def __init__(self) -> None:
        self.release, self.stopped, self.loads = threading.Event(), threading.Event(), 0

    def __call__(self, name, *, progress, cancel) -> Zoo:
        self.loads += 1
        if name == "broken":
            raise WeightsError("No luck.")
        if name == "odd":
            raise KeyError("who knows")
        while name == "slow" and not self.release.wait(0.01):
            if cancel():
                self.stopped.set()
                raise Cancelled("Cancelled.")
            progress(500_000, 10**6)
        return Zoo(entry(name), nn.Linear(2, 1), ["only"])


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Loader]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("TRGBP_MODEL_DIR", raising=False)
    monkeypatch.setattr("trgbp_core.serving.jobs.TELL_SECONDS", 0.01)
    loader = Loader()
    yield loader
    loader.release.set()


@pytest.fixture
def fetching(loader: Loader) -> Fetching:
    return Fetching(Explorer(ModelCache(load=loader)))


def until_progress(messages: Iterator[Message]) -> Message:
    return next(message for message in messages if "0.5 of 1.0 MB" in message.sentence)


def test_a_visitor_is_told_the_progress_and_then_that_the_network_is_ready(loader: Loader, fetching: Fetching) -> None:
    messages = fetching.fetch("me", entry("slow"))
    progress = until_progress(messages)
    assert progress.running
    assert re.match(r"Downloading Slow: .*MB/s", progress.sentence)
    loader.release.set()
    *_, last = messages
    assert last == Message("Slow is ready.", ready=True)


@pytest.mark.parametrize(("name", "words"), [("broken", "**No luck.**"), ("odd", "embedded network")])
def test_a_failure_is_the_last_message_and_a_sentence(name: str, words: str, fetching: Fetching) -> None:
    *_, last = fetching.fetch("me", entry(name))
    assert last.failed
    assert words in last.sentence


def test_who_cancels_is_told_at_once_and_the_loading_stops(loader: Loader, fetching: Fetching) -> None:
    messages = fetching.fetch("me", entry("slow"))
    until_progress(messages)
    fetching.cancel("me")
    *_, last = messages
    assert last.failed
    assert "goes on from there" in last.sentence
    assert loader.stopped.wait(10)
    fetching.cancel("nobody")


def test_another_visitor_keeps_what_the_first_gives_up(loader: Loader, fetching: Fetching) -> None:
    first, second = fetching.fetch("a", entry("slow")), fetching.fetch("b", entry("slow"))
    until_progress(first)
    until_progress(second)
    fetching.cancel("a")
    assert list(first)[-1].failed
    loader.release.set()
    assert list(second)[-1].ready
    assert loader.loads == 1


def test_whoever_picks_another_network_hears_no_more_of_the_first(loader: Loader, fetching: Fetching) -> None:
    first = fetching.fetch("me", entry("slow"))
    until_progress(first)
    assert list(fetching.fetch("me", entry("quick")))[-1].ready
    assert not any(message.ready or message.failed for message in first)
    assert loader.stopped.wait(10)


def test_a_choice_that_is_told_twice_counts_once(loader: Loader, fetching: Fetching) -> None:
    first = fetching.fetch("me", entry("slow"))
    until_progress(first)
    assert list(fetching.fetch("me", entry("slow"))) == []
    loader.release.set()
    assert list(first)[-1].ready


def test_a_visitor_who_goes_away_ends_the_download(loader: Loader, fetching: Fetching) -> None:
    messages = fetching.fetch("me", entry("slow"))
    until_progress(messages)
    messages.close()  # type: ignore[attr-defined]
    assert loader.stopped.wait(10)
