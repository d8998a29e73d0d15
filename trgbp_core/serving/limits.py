"""What a stranger may send to the server: to which routes, how much, and how many requests at once. An ASGI middleware."""

from __future__ import annotations

import ipaddress
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from starlette.responses import JSONResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_FILE_BYTES = 40_000_000
MAX_UPLOAD_BYTES = MAX_FILE_BYTES + 1_000_000
"""One file of the permitted size, and what the form around it takes."""

MAX_BODY_BYTES = 1_000_000
DRAINED_BYTES = 200_000_000
MAX_WAITING = 64
"""Requests of one address that may wait at once: enough for a class of thirty behind one address, and half of the queue."""

CLOSED = tuple(
    "/proxy= /file=http /process_recording /component_server /deep_link /stream/ /run-history /runs /vibe /undo-vibe /profiling /dev/ "
    "/monitoring /custom_component".split()
)
"""Routes of Gradio's that the page never asks for, and that fetch, write or convert something for whoever asks."""

NAMED = ("/call/v2/", "/call/", "/run/", "/api/")
ASKING = ("/queue/join", "/mcp", *NAMED)
FILES = ("/upload", "/mcp")
"""Routes whose bodies may hold a picture."""

log = logging.getLogger(__name__)


class RequestLimits:
    """Refuses with a sentence, ``{"detail": "…"}``, what no visitor of the page would send.

    Args:
        app: the application that is protected.
        names: the endpoints that may be called by name.
        waiting: how many requests of an address are waiting in the queue or being worked on from there.
        afterwards: called after each upload and question, for instance to tidy up.
    """

    def __init__(
        self, app: Any, *, names: Collection[str], waiting: Callable[[str], int], afterwards: Callable[[], Awaitable[None]]
    ) -> None:
        self._app = app
        self._names = names
        self._waiting = waiting
        self._afterwards = afterwards
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        route = route_of(scope)
        limit = MAX_UPLOAD_BYTES if route.startswith(FILES) else MAX_BODY_BYTES
        if refusal := self._refusal(scope, route, limit):
            await _drain(receive)
            return await _refuse(scope, receive, send, *refusal)
        begun = False

        async def reply(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            with self._beside_the_queue(scope, route):
                await self._app(scope, _counted(receive, limit), reply)
        except _TooLarge:
            await _drain(receive)
            refusal = 413, _too_large(limit)
        except Exception as error:
            # Gradio's routes raise on numbers, names and events that it does not know; a page that is up has no other errors here.
            log.error("%s refused: %r", route[:80], error)
            refusal = 400, "This request could not be understood."
        if refusal and not begun:
            await _refuse(scope, receive, send, *refusal)
        if scope["method"] == "POST" and route.startswith(("/upload", *ASKING)):
            await self._afterwards()

    @contextmanager
    def _beside_the_queue(self, scope: Scope, route: str) -> Iterator[None]:
        """Counts what is run at once, of which Gradio's queue knows nothing."""
        if not route.startswith("/run/"):
            yield
            return
        address = client(scope)
        self._running[address] += 1
        try:
            yield
        finally:
            self._running[address] -= 1
            if not self._running[address]:
                del self._running[address]

    def _refusal(self, scope: Scope, route: str, limit: int) -> tuple[int, str] | None:
        if route.startswith(CLOSED):
            return 404, "There is nothing here."
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared[:20]) > limit:
            return 413, _too_large(limit)
        if scope["method"] != "POST":
            return None
        for prefix in NAMED:
            if route.startswith(prefix):
                # What is run at once, beside the queue, the page asks for by number.
                names = self._names if prefix.startswith("/call") else {"predict"}
                if route.removeprefix(prefix).strip("/") not in names:
                    return 404, f"There is no endpoint of that name; there are {', '.join(sorted(self._names))}."
                break
        if route.startswith(ASKING) and self._waiting(client(scope)) + self._running[client(scope)] >= MAX_WAITING:
            return 429, f"{MAX_WAITING} requests from this address are waiting already: let some of them finish."
        return None


def route_of(scope: Scope) -> str:
    """The path behind Gradio's prefix, wherever a proxy has mounted it."""
    return str(scope["path"]).rpartition("/gradio_api")[2].removeprefix(str(scope.get("root_path") or "").rstrip("/"))


def client(scope: Scope) -> str:
    """The address of whoever asks. A proxy on a private network is believed about whom it speaks for: the last entry is its own."""
    peer = str((scope.get("client") or ("",))[0])
    forwarded = dict(scope["headers"]).get(b"x-forwarded-for", b"").decode("latin-1").rpartition(",")[2].strip()
    try:
        return forwarded if forwarded and ipaddress.ip_address(peer).is_private else peer
    except ValueError:
        return peer


class _TooLarge(Exception):
    pass


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counted() -> MutableMapping[str, Any]:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _TooLarge
        return message

    return counted


async def _drain(receive: Receive) -> None:
    """Take in some of what is not wanted: a sender that is cut off while it sends never reads the answer."""
    taken = 0
    while taken < DRAINED_BYTES:
        message = await receive()
        taken += len(message.get("body", b""))
        if not message.get("more_body"):
            break


def _too_large(limit: int) -> str:
    return f"This is too large: {limit / 1e6:.0f} MB are the limit."


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, sentence: str) -> None:
    await JSONResponse({"detail": sentence}, status, {"connection": "close"})(scope, receive, send)
