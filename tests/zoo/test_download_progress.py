"""How far a download has come, in words and as a bar."""

from __future__ import annotations

import pytest

from trgbp_core.zoo import download_progress
from trgbp_core.zoo.download_progress import Speedometer, on_terminal


def test_size_speed_of_the_last_seconds_and_time_left_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(download_progress.time, "monotonic", lambda: now)
    meter = Speedometer()
    assert meter.describe(0, 102_500_000) == "0.0 of 102.5 MB, 0.0 MB/s"
    for second in range(1, 11):
        now = float(second)
        slow = meter.describe(1_000_000 * second, 102_500_000)
    assert slow == "10.0 of 102.5 MB, 1.0 MB/s, 92 s left"
    for second in range(11, 21):
        now = float(second)
        fast = meter.describe(10_000_000 + 5_000_000 * (second - 10), 102_500_000)
    assert fast == "60.0 of 102.5 MB, 5.0 MB/s, 8 s left"
    now = 21.0
    assert meter.describe(0, 102_500_000).endswith("0.0 MB/s"), "begun again"


def test_a_bar_is_ended_even_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), on_terminal("net") as progress:  # noqa: PT012
        progress(0, 2_000_000)
        progress(1_000_000, 2_000_000)
        raise KeyError
    written = capsys.readouterr().err
    assert "net:   0%" in written
    assert "net:  50%" in written
    assert written.endswith("\n")


def test_a_file_gets_the_bar_at_every_tenth(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_progress.tqdm, "monitor_interval", 0)
    with on_terminal("net") as progress:
        for done in range(0, 1_000_001, 1000):
            progress(done, 1_000_000)
    written = capsys.readouterr().err
    assert written.count("\r") <= 13
    assert "1.00M/1.00M" in written


def test_nothing_is_written_where_nothing_is_downloaded(capsys: pytest.CaptureFixture[str]) -> None:
    with on_terminal("net"):
        pass
    assert not capsys.readouterr().err
