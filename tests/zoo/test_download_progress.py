"""How far a download has come, in words."""

from __future__ import annotations

import io

import pytest

from trgbp_core.zoo import download_progress
from trgbp_core.zoo.download_progress import Speedometer, on_terminal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_speed_is_that_of_the_last_seconds(monkeypatch):
    now = 0.0
    monkeypatch.setattr(download_progress.time, "monotonic", lambda: now)
    meter = Speedometer(seconds=5)
    assert meter(0, 1000) == 0
    for second in range(1, 11):
        now = float(second)
        meter(10 * second, 1000)
    assert meter.speed == pytest.approx(10)
    assert meter.remaining == pytest.approx(90)
    for second in range(11, 21):
        now = float(second)
        meter(100 + 50 * (second - 10), 1000)
    assert meter.speed == pytest.approx(50)
    now = 21.0
    assert meter(0, 1000) == 0, "begun anew"


def test_size_speed_and_time_left_are_told(monkeypatch):
    now = 0.0
    monkeypatch.setattr(download_progress.time, "monotonic", lambda: now)
    meter = Speedometer()
    assert meter.told(0, 102_500_000) == "0.0 of 102.5 MB, 0.0 MB/s"
    now = 2.0
    assert meter.told(10_250_000, 102_500_000) == "10.2 of 102.5 MB, 5.1 MB/s, 18 s left"


def test_a_terminal_shows_one_line_that_is_written_over_and_ended_even_after_an_error():
    out = Terminal()

    def download() -> None:
        with on_terminal("net", out) as progress:
            progress(0, 2_000_000)
            progress(1_000_000, 2_000_000)
            raise KeyError

    with pytest.raises(KeyError):
        download()
    first, second = out.getvalue().split("\r")[1:]
    assert first.startswith("net: 0.0 of 2.0 MB")
    assert second.startswith("net: 1.0 of 2.0 MB")
    assert "\n" not in first
    assert second.endswith("\n")


def test_a_file_gets_a_line_every_tenth():
    out = io.StringIO()
    with on_terminal("net", out) as progress:
        for done in range(0, 1001):
            progress(done * 1000, 1_000_000)
    lines = out.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[-1].startswith("net: 1.0 of 1.0 MB")


def test_nothing_is_written_where_nothing_is_downloaded():
    out = Terminal()
    with on_terminal("net", out):
        pass
    assert not out.getvalue()
