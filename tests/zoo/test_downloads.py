"""Downloads from a server on this machine that stalls, truncates, lies and recovers."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trgbp_core.serving.jobs import Cancelled
from trgbp_core.zoo import downloads
from trgbp_core.zoo.checkpoints import WeightsError
from trgbp_core.zoo.downloads import fetch

from ..support.hostile_server import Server

CONTENT = bytes(range(256)) * 4096  # 1 MiB
FILENAME = f"tiny-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"
HALF = len(CONTENT) // 2


@pytest.fixture
def server(tmp_path, monkeypatch):
    state = Server({FILENAME: CONTENT})
    state.start()
    monkeypatch.setenv("TRGBP_WEIGHTS_URL", state.address + "/")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("TRGBP_MODEL_DIR", raising=False)
    monkeypatch.setattr(downloads, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(downloads, "SLACK_BYTES", 0)
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 5.0)
    yield state
    state.stop()


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "home" / "hub" / "checkpoints"


def get(**options) -> Path:
    return fetch(f"https://weights.invalid/models/{FILENAME}", name="tiny", **{"size": len(CONTENT), **options})


def refused(**options) -> str:
    with pytest.raises(WeightsError) as caught:
        get(**options)
    return str(caught.value)


def test_a_download_arrives_whole_in_torchs_cache_and_is_not_repeated(server, cache):
    reports: list[tuple[int, int]] = []
    threads = set()

    def progress(done, total):
        reports.append((done, total))
        threads.add(threading.get_ident())

    path = get(progress=progress)
    assert path == cache / FILENAME
    assert path.read_bytes() == CONTENT
    assert reports[-1] == (len(CONTENT), len(CONTENT))
    assert reports == sorted(reports)
    assert threads == {threading.get_ident()}, "progress comes in the caller's own thread"
    assert get() == path
    assert len(server.requests) == 1
    assert os.listdir(cache) == [FILENAME]


@pytest.mark.parametrize(
    ("script", "ranges", "requests"),
    [
        (["half", "half"], True, [None, f"bytes={HALF}-", f"bytes={HALF + HALF // 2}-"]),
        (["half"], False, [None, f"bytes={HALF}-"]),
        ([503], True, [None, None]),
    ],
    ids=["resumed where it broke", "all again from a server that cannot resume", "again from a server in trouble"],
)
def test_a_failed_transfer_is_tried_again(server, script, ranges, requests):
    server.script, server.ranges = script, ranges
    assert get().read_bytes() == CONTENT
    assert server.requests == requests


@pytest.mark.parametrize(
    "left", [CONTENT[:1000], bytes(1000), bytes(len(CONTENT)), bytes(2 * len(CONTENT))], ids=["right", "short", "as long", "longer"]
)
def test_a_part_left_behind_is_resumed_and_a_wrong_one_replaced_from_the_first_byte_on(server, cache, left):
    cache.mkdir(parents=True)
    (cache / (FILENAME + ".part")).write_bytes(left)
    assert get().read_bytes() == CONTENT
    assert server.requests == [f"bytes={len(left)}-", *([None] if left != CONTENT[:1000] else [])]
    assert os.listdir(cache) == [FILENAME]


@pytest.mark.parametrize(
    ("script", "ranges", "size", "words", "requests"),
    [
        (["half"] * 50, False, len(CONTENT), "broke off", 2 + downloads.RETRIES),
        (["lie"], True, len(CONTENT), "SHA-256", 1),
        ([404] * 5, True, len(CONTENT), "404", 1),
        (["endless"], True, len(CONTENT), "too large", 1),
        (["well"], True, HALF, "too large", 1),
    ],
    ids=["breaks off every time", "lies", "has no such file", "sends without end", "announces too much"],
)
def test_what_no_attempt_mends_is_a_sentence_and_no_file_stays(server, cache, script, ranges, size, words, requests):
    server.script, server.ranges = script, ranges
    sentence = refused(size=size)
    assert words in sentence
    assert "efficientnet_lite0" in sentence
    assert len(server.requests) <= requests
    assert not (cache / FILENAME).exists()
    server.script.clear()
    assert get().read_bytes() == CONTENT, "the next attempt is not spoilt"


@pytest.mark.parametrize("step", ["mute", "stall"])
def test_a_stalled_server_is_left_after_the_timeout(server, cache, step, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.3)
    server.script = [step] * 10
    sentence = refused()
    assert len(server.requests) == (1 if step == "mute" else 1 + downloads.RETRIES)
    assert "stalled" in sentence
    assert "--fetch tiny" in sentence
    assert "TRGBP_MODEL_DIR" in sentence
    assert not (cache / FILENAME).exists()
    server.script.clear()
    assert get().read_bytes() == CONTENT, "the server has recovered"
    if step == "stall":
        assert server.requests[-1] is not None, "and what had come is kept"


def test_a_full_disk_is_reported_before_a_byte_is_written(server, cache, monkeypatch):
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: usage)
    assert "no room" in refused()
    assert not (cache / FILENAME).exists()
    assert sum(path.stat().st_size for path in cache.iterdir()) == 0


def test_a_cache_that_cannot_be_written_is_reported(server, cache):
    cache.parent.mkdir(parents=True)
    cache.touch()  # a file where the folder should be
    assert "TORCH_HOME" in refused()


@pytest.mark.parametrize("how", ["cancel", "raise"])
def test_cancelling_is_immediate_even_while_the_server_is_silent(server, cache, how, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 1000.0)
    server.script = ["stall"]
    cancel = threading.Event()

    def progress(done, total):
        if done == HALF and how == "raise":
            raise Cancelled
        if done == HALF:
            cancel.set()

    with pytest.raises(Cancelled):
        get(progress=progress, cancel=cancel.is_set)
    assert server.silent, "the server had not said another word"
    assert not (cache / FILENAME).exists()
    assert get().read_bytes() == CONTENT, "cancelling leaves nothing that is in the way"


def together(count: int, ask: Callable[[int], object]) -> list[object]:
    """What ``ask`` returns or raises for each of ``count`` threads that begin at once."""
    barrier = threading.Barrier(count)

    def result(i: int) -> object:
        barrier.wait()
        try:
            return ask(i)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(result, range(count)))


def test_many_who_ask_at_once_share_one_download(server, cache):
    assert together(8, lambda i: get()) == [cache / FILENAME] * 8
    assert len(server.requests) == 1


def test_one_who_cancels_does_not_take_the_download_from_the_others(server, cache):
    server.script = ["stall"]
    began, joined = threading.Event(), threading.Semaphore(0)

    def ask(i: int):
        if i:
            began.wait()
            return get(progress=lambda *_: joined.release())
        try:
            # The one who began the download leaves it as soon as the other two have heard of it.
            return get(progress=lambda *_: began.set(), cancel=lambda: joined._value >= 2)
        finally:
            server.release.set()

    results = together(3, ask)
    assert isinstance(results[0], Cancelled)
    assert results[1:] == [cache / FILENAME] * 2
    assert (cache / FILENAME).read_bytes() == CONTENT
    assert server.requests[0] is None


def test_a_failure_reaches_all_who_wait(server, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.5)
    server.script = ["mute"] * 20
    results = together(4, lambda i: get())
    assert all(isinstance(result, WeightsError) and "stalled" in str(result) for result in results)
    assert len(server.requests) <= 2, "nobody started his own attempt behind the first"


@pytest.mark.skipif(downloads.fcntl is None, reason="parts are not shared where files cannot be locked")
def test_a_part_that_another_process_is_filling_is_left_alone(server, cache):
    cache.mkdir(parents=True)
    part = cache / (FILENAME + ".part")
    with part.open("ab") as file:
        downloads.fcntl.flock(file, downloads.fcntl.LOCK_EX)
        file.write(b"theirs")
        file.flush()
        assert get().read_bytes() == CONTENT
        assert part.read_bytes() == b"theirs"
    assert sorted(os.listdir(cache)) == [FILENAME, FILENAME + ".part"]


def test_offline_weights_come_first_and_are_refused_if_damaged(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TRGBP_MODEL_DIR", str(tmp_path))
    (tmp_path / FILENAME).write_bytes(CONTENT)
    assert get() == tmp_path / FILENAME
    (tmp_path / FILENAME).write_bytes(CONTENT[:-1])
    assert "damaged" in refused()
    assert not server.requests


def test_a_damaged_file_in_the_cache_is_renewed(server, cache):
    cache.mkdir(parents=True)
    (cache / FILENAME).write_bytes(CONTENT[:-1] + b"x")
    assert get().read_bytes() == CONTENT
