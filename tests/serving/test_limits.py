"""The limits of what a stranger may send, and of how long an answer may take."""

from __future__ import annotations

import itertools
import json
import threading
import time
from typing import Any

import pytest

from tests.support.loops import run
from trgbp_core.serving import limits
from trgbp_core.serving.jobs import TooLong, streamed
from trgbp_core.serving.limits import RequestLimits, client


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


def test_an_exception_of_the_application_becomes_a_sentence() -> None:
    assert ask(breaks, "/gradio_api/queue/join", [b"{}"]) == (400, {"detail": "This request could not be understood."})


def test_many_waiting_requests_of_one_address_are_enough() -> None:
    assert ask(reads_all, "/gradio_api/queue/join", [b"{}"], waiting=limits.MAX_WAITING - 1)[0] == 200
    for path in ("/gradio_api/queue/join", "/gradio_api/call/explain", "/behind/a/proxy/gradio_api/call/explain"):
        assert ask(reads_all, path, [b"{}"], waiting=limits.MAX_WAITING)[0] == 429
    assert ask(reads_all, "/gradio_api/upload", [b"{}"], waiting=limits.MAX_WAITING)[0] == 200
    assert ask(reads_all, "/gradio_api/queue/data", [b""], waiting=limits.MAX_WAITING, method="GET")[0] == 200


def test_what_is_run_beside_the_queue_counts_as_waiting_until_it_is_answered() -> None:
    entered, statuses = [0], list[int]()

    async def asks_once_more(scope: Any, receive: Any, send: Any) -> None:
        entered[0] += 1
        await guarded(scope, receive, send)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    guarded = RequestLimits(asks_once_more, names={"explain"}, waiting=lambda address: 4, afterwards=_nothing)
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/run/predict", "headers": [], "client": ("9.9.9.9", 1)}
    for _ in range(2):
        entered[0] = 0
        run(guarded(scope, receive, send))
        assert (entered[0], statuses[-1]) == (limits.MAX_WAITING - 4, 429)


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


def test_work_is_stopped_when_its_time_is_over() -> None:
    stopped = threading.Event()

    def work(step: Any) -> Any:
        try:
            for i in itertools.count():
                step("counting", 0.5)
                yield i
                time.sleep(0.001)
        finally:
            stopped.set()

    found: list[Any] = []
    with pytest.raises(TooLong, match="Stopped after 0 seconds"):
        found.extend(streamed(work, 0.05))
    assert stopped.wait(10)
