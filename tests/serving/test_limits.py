"""The gate, the folder of uploads and the time limit, each alone."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.loops import run
from trgbp_core.serving import limits
from trgbp_core.serving.limits import RequestLimits, client
from trgbp_core.serving.streaming import TooLong, streamed, within
from trgbp_core.serving.uploads import Uploads


async def _nothing() -> None:
    pass


def ask(
    app: Any, path: str, chunks: list[bytes], *, headers: dict[bytes, bytes] | None = None, waiting: int = 0, method: str = "POST"
) -> tuple[int, dict[str, Any]]:
    """The middleware's answer around ``app``, to a body that arrives in ``chunks``."""
    arriving = iter([{"type": "http.request", "body": c, "more_body": i < len(chunks) - 1} for i, c in enumerate(chunks)])
    answered: list[Any] = []

    async def receive() -> Any:
        return next(arriving, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        answered.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list((headers or {}).items()), "client": ("9.9.9.9", 1)}
    guarded = RequestLimits(app, names={"explain"}, waiting=lambda address: waiting if address == "9.9.9.9" else 0, afterwards=_nothing)
    run(guarded(scope, receive, send))
    return answered[0]["status"], json.loads(answered[1]["body"])


async def reads_all(scope: Any, receive: Any, send: Any) -> None:
    total = 0
    while True:
        message = await receive()
        total += len(message["body"])
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps({"total": total}).encode()})


async def breaks(scope: Any, receive: Any, send: Any) -> None:
    raise KeyError("a number that is not known")


def test_a_body_is_counted_as_it_arrives_whatever_length_it_declares() -> None:
    mega = bytes(1_000_000)
    assert ask(reads_all, "/gradio_api/upload", [mega] * 41) == (200, {"total": 41_000_000})
    for headers in ({}, {b"content-length": b"7"}):
        assert ask(reads_all, "/gradio_api/upload", [mega] * 42, headers=headers)[0] == 413
    assert ask(reads_all, "/gradio_api/queue/join", [mega]) == (200, {"total": 1_000_000})
    assert ask(reads_all, "/gradio_api/queue/join", [mega, b"x"])[0] == 413
    assert ask(reads_all, "/gradio_api/queue/join", [b""], headers={b"content-length": b"9" * 40})[0] == 413
    assert ask(reads_all, "/gradio_api/queue/join", [b""], headers={b"content-length": b"-1"})[0] == 413


def test_an_exception_behind_the_gate_becomes_a_sentence() -> None:
    assert ask(breaks, "/gradio_api/queue/join", [b"{}"]) == (400, {"detail": "This request could not be understood."})


def test_many_waiting_requests_of_one_address_are_enough() -> None:
    assert ask(reads_all, "/gradio_api/queue/join", [b"{}"], waiting=limits.MAX_WAITING - 1)[0] == 200
    for path in ("/gradio_api/queue/join", "/gradio_api/call/explain", "/behind/a/proxy/gradio_api/call/explain"):
        assert ask(reads_all, path, [b"{}"], waiting=limits.MAX_WAITING)[0] == 429
    assert ask(reads_all, "/gradio_api/upload", [b"{}"], waiting=limits.MAX_WAITING)[0] == 200
    assert ask(reads_all, "/gradio_api/queue/data", [b""], waiting=limits.MAX_WAITING, method="GET")[0] == 200


def test_what_needs_no_queue_is_asked_for_by_number_alone() -> None:
    assert ask(reads_all, "/gradio_api/run/predict", [b"{}"])[0] == 200
    for path in ("/gradio_api/run/explain", "/gradio_api/api/explain", "/gradio_api/call/predict", "/gradio_api/call/v2/no"):
        assert ask(reads_all, path, [b"{}"])[0] == 404


def test_only_a_proxy_nearby_is_believed_about_whom_it_speaks_for() -> None:
    def seen(peer: str, forwarded: bytes) -> str:
        return client({"client": (peer, 1), "headers": [(b"x-forwarded-for", forwarded)]})

    assert seen("10.0.0.1", b"1.1.1.1, 8.8.8.8") == "8.8.8.8"
    assert seen("8.8.4.4", b"1.1.1.1") == "8.8.4.4"
    assert seen("not an address", b"1.1.1.1") == "not an address"
    assert seen("127.0.0.1", b"") == "127.0.0.1"


def filled(folder: Path, count: int, size: int) -> list[Path]:
    paths = [folder / str(i) / f"{i}.png" for i in range(count)]
    for age, path in enumerate(reversed(paths)):
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(size))
        os.utime(path, (time.time() - 100 * age - 100,) * 2)
    return paths


def test_the_oldest_uploads_go_when_there_are_too_many_and_the_examples_stay(tmp_path: Path) -> None:
    (tmp_path / "example").mkdir()
    example = tmp_path / "example" / "lion.jpg"
    example.write_bytes(bytes(50))
    os.utime(example, (0, 0))
    uploads = Uploads(tmp_path, max_bytes=300)
    uploads.keep_what_is_here()
    paths = filled(tmp_path, 5, 100)
    uploads.tidy()
    assert [path.exists() for path in paths] == [False, False, True, True, True]
    assert not paths[0].parent.exists()
    assert example.exists()


def test_who_leaves_takes_along_what_nobody_else_looks_at(tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.touch()
    folder = tmp_path / "folder"
    paths = filled(folder, 3, 1)
    uploads = Uploads(folder)
    for path in (*paths, outside):
        uploads.remember("one", path)
    uploads.remember("two", paths[1])
    uploads.forget("one")
    assert [path.exists() for path in paths] == [False, True, False]
    assert outside.exists()
    uploads.forget("two")
    uploads.forget("nobody")
    assert not paths[1].exists()


def test_the_folder_is_the_processes_own_and_gone_when_it_ends() -> None:
    program = (
        "import os, stat; from trgbp_core.serving.uploads import private_folder as f; a = f(); assert f() == a;"
        "assert stat.S_IMODE(a.stat().st_mode) == 0o700; (a / 'x').touch(); print(a)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "GRADIO_TEMP_DIR"}
    folder = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment).stdout.strip()
    assert "trgbp-" in folder
    assert not Path(folder).exists()


def test_work_is_stopped_when_its_time_is_over() -> None:
    stopped = []

    def work(step: Any) -> Any:
        try:
            for i in itertools.count():
                step("counting", 0.5)
                yield i
                time.sleep(0.001)
        finally:
            stopped.append(True)

    found: list[Any] = []
    with pytest.raises(TooLong, match="Stopped after 0 seconds"):
        found.extend(within(streamed(work), 0.05))
    for _ in range(500):
        if stopped:
            break
        time.sleep(0.01)
    assert stopped
    assert list(within(iter([1, 2]), 60)) == [1, 2]
