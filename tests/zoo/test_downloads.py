"""Downloads from a server on this machine that stalls, truncates, lies and recovers."""

from __future__ import annotations

import hashlib
import os
import threading
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
    yield state
    state.stop()


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "home" / "hub" / "checkpoints"


def get(**options) -> Path:
    return fetch(f"https://weights.invalid/models/{FILENAME}", name="tiny", **{"timeout": 5.0, "size": len(CONTENT), **options})


def refused(**options) -> str:
    with pytest.raises(WeightsError) as caught:
        get(**options)
    print(caught.value)
    return str(caught.value)


def test_a_download_arrives_whole_in_torchs_cache_and_is_not_repeated(server, cache):
    told: list[tuple[int, int]] = []
    path = get(progress=lambda done, total: told.append((done, total)))
    assert path == cache / FILENAME
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)
    assert get() == path
    assert len(server.requests) == 1
    assert os.listdir(cache) == [FILENAME]


def test_progress_comes_in_the_callers_own_thread(server):
    threads = set()
    get(progress=lambda *_: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}


def test_a_broken_connection_is_resumed_where_it_broke(server):
    server.script = ["half", "half"]
    assert get().read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={HALF}-", f"bytes={HALF + HALF // 2}-"]


def test_a_server_that_cannot_resume_is_asked_for_all_again(server):
    server.script, server.ranges = ["half"], False
    assert get().read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={HALF}-"]


def test_a_server_that_breaks_off_every_time_is_given_up_in_the_end(server, cache):
    server.script, server.ranges = ["half"] * 50, False
    assert "broke off" in refused()
    assert len(server.requests) <= 2 + downloads.RETRIES
    assert not (cache / FILENAME).exists()


def test_what_was_left_behind_yesterday_is_gone_on_with(server, cache):
    cache.mkdir(parents=True)
    (cache / (FILENAME + ".part")).write_bytes(CONTENT[:1000])
    assert get().read_bytes() == CONTENT
    assert server.requests == ["bytes=1000-"]
    assert os.listdir(cache) == [FILENAME]


@pytest.mark.parametrize("left", [bytes(1000), bytes(len(CONTENT)), bytes(2 * len(CONTENT))], ids=["short", "as long", "longer"])
def test_a_wrong_part_left_behind_is_replaced_from_the_first_byte_on(server, cache, left):
    cache.mkdir(parents=True)
    (cache / (FILENAME + ".part")).write_bytes(left)
    assert get().read_bytes() == CONTENT
    assert server.requests == [f"bytes={len(left)}-", None]


def test_a_server_that_lies_is_not_believed_and_nothing_stays(server, cache):
    server.script = ["lie"]
    sentence = refused()
    assert "SHA-256" in sentence
    assert "efficientnet_lite0" in sentence
    assert not (cache / FILENAME).exists()
    assert get().read_bytes() == CONTENT, "a lie does not spoil the next attempt"


@pytest.mark.parametrize("step", ["mute", "stall"])
def test_a_stalled_server_is_left_after_the_timeout(server, cache, step):
    server.script = [step] * 10
    sentence = refused(timeout=0.3)
    assert len(server.requests) == (1 if step == "mute" else 1 + downloads.RETRIES)
    assert "stalled" in sentence
    assert "--fetch tiny" in sentence
    assert "TRGBP_MODEL_DIR" in sentence
    assert not (cache / FILENAME).exists()
    server.script.clear()
    assert get().read_bytes() == CONTENT, "the server has recovered"
    if step == "stall":
        assert server.requests[-1] is not None, "and what had come is kept"


def test_a_server_in_trouble_is_asked_again_and_one_that_says_no_is_not(server):
    server.script = [503]
    assert get().read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_missing_file_is_a_final_no(server):
    server.script = [404] * 5
    assert "404" in refused()
    assert len(server.requests) == 1


def test_without_network_the_sentence_names_the_remedy(server, monkeypatch):
    monkeypatch.setenv("TRGBP_WEIGHTS_URL", "http://127.0.0.1:9")  # the discard port: nobody listens
    sentence = refused()
    assert "cannot be reached" in sentence
    for remedy in ("efficientnet_lite0", "--fetch tiny", "TRGBP_MODEL_DIR"):
        assert remedy in sentence


def test_a_full_disk_is_said_before_a_byte_is_written(server, cache, monkeypatch):
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: usage)
    assert "no room" in refused()
    assert not (cache / FILENAME).exists()
    assert sum(path.stat().st_size for path in cache.iterdir()) == 0


def test_a_cache_that_cannot_be_written_is_said(server, cache):
    cache.parent.mkdir(parents=True)
    cache.touch()  # a file where the folder should be
    assert "TORCH_HOME" in refused()


@pytest.mark.parametrize("step", ["well", "endless"])
def test_a_server_that_sends_far_more_than_was_asked_for_is_left(server, cache, step, monkeypatch):
    server.script = [step]
    if step == "well":
        monkeypatch.setattr(downloads, "SLACK_BYTES", -len(CONTENT))
    assert "too large" in refused()
    assert not (cache / FILENAME).exists()


def test_cancelling_is_immediate_even_while_the_server_is_silent(server, cache):
    server.script = ["stall"]
    cancel = threading.Event()

    def progress(done, total):
        if done == HALF:
            cancel.set()

    with pytest.raises(Cancelled):
        get(progress=progress, cancel=cancel.is_set, timeout=1000.0)
    assert server.silent, "the server had not said another word"
    assert not (cache / FILENAME).exists()
    assert get().read_bytes() == CONTENT, "cancelling leaves nothing that is in the way"


def test_progress_may_raise_to_cancel(server):
    def progress(done, total):
        raise KeyError("enough")

    with pytest.raises(KeyError):
        get(progress=progress)


def together(count: int, ask) -> list[object]:
    results: list[object] = [None] * count
    barrier = threading.Barrier(count)

    def run(i: int) -> None:
        barrier.wait()
        try:
            results[i] = ask(i)
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_many_who_ask_at_once_share_one_download(server, cache):
    last = []
    results = together(8, lambda i: get(progress=lambda done, total: last.append(done)))
    assert results == [cache / FILENAME] * 8
    assert len(server.requests) == 1
    assert last.count(len(CONTENT)) >= 1


def test_one_who_cancels_does_not_take_the_download_from_the_others(server, cache):
    server.script = ["stall"]
    began, joined = threading.Event(), threading.Semaphore(0)

    def ask(i: int):
        if i:
            began.wait()
            return get(timeout=25.0, progress=lambda *_: joined.release())
        try:
            # The one who began the download leaves it as soon as the other two have heard of it.
            return get(timeout=25.0, progress=lambda *_: began.set(), cancel=lambda: joined._value >= 2)
        finally:
            server.release.set()

    results = together(3, ask)
    assert isinstance(results[0], Cancelled)
    assert results[1:] == [cache / FILENAME] * 2
    assert (cache / FILENAME).read_bytes() == CONTENT
    assert server.requests[0] is None


def test_a_failure_is_told_to_all_who_wait(server):
    server.script = ["mute"] * 20
    results = together(4, lambda i: get(timeout=0.5))
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


def test_offline_weights_come_first_and_need_no_server(server, tmp_path, monkeypatch):
    offline = tmp_path / "offline"
    offline.mkdir()
    (offline / FILENAME).write_bytes(CONTENT)
    monkeypatch.setenv("TRGBP_MODEL_DIR", str(offline))
    assert get() == offline / FILENAME
    assert not server.requests


def test_damaged_offline_weights_are_refused_and_a_damaged_cache_is_renewed(server, cache, tmp_path, monkeypatch):
    cache.mkdir(parents=True)
    (cache / FILENAME).write_bytes(CONTENT[:-1] + b"x")
    assert get().read_bytes() == CONTENT
    monkeypatch.setenv("TRGBP_MODEL_DIR", str(tmp_path))
    (tmp_path / FILENAME).write_bytes(CONTENT[:-1])
    assert "damaged" in refused()
