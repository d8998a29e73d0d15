"""How the page is served to strangers: everything that relies on Gradio's inside is in this file."""

from __future__ import annotations

import copy
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import torch
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from gradio.utils import cancel_tasks
from starlette.middleware import Middleware

from ..engine import devices
from .limits import MAX_FILE_BYTES, RequestLimits, client
from .queue import MOST_WAITING, asker, request
from .uploads import Uploads, private_folder, remove_private_folders

log = logging.getLogger(__name__)
QUEUE = 128
THREADS = 2 * MOST_WAITING
"""Most of them wait: what is computed is computed one at a time, see :mod:`trgbp_core.serving.queue`."""

SESSIONS = 500
"""Visitors whose place on the page is remembered: about 1.5 MB each at most. Who has been away longest begins anew."""

FILE_SECONDS = 3600
OPTIONAL = "tg-optional"
"""The class of an endpoint's last inputs that programs written before they existed leave out."""


class Page(gr.Blocks):
    """Gradio's page, whose temporary files are its own, and whose errors are sentences.

    Each method below replaces one of Gradio's inside, because no public setting does the same; ``tests/serving/test_server.py`` fails when
    Gradio changes what they rely on.

    Attributes:
        uploads: the folder of temporary files; a visitor's pictures stay until the visitor leaves.
        fetches: whether a picture may be named by its address, which assistants do.
    """

    def __init__(self, **options: Any) -> None:
        folder = private_folder()
        super().__init__(delete_cache=(FILE_SECONDS // 4, FILE_SECONDS), **options)
        self.uploads = Uploads(folder)
        self.fetches = False

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Gradio fetches any address that is given for a file, knows no optional inputs, and writes a traceback for a wrong one."""
        missing = block_fn.inputs[len(inputs) :]
        if all(OPTIONAL in (getattr(block, "elem_classes", None) or ()) for block in missing):
            inputs = [*inputs, *(block.value for block in missing)]
        if not self.fetches and any("://" in path for path in _paths(inputs)):
            raise gr.Error("Addresses are not fetched here: upload the picture itself.", print_exception=False)
        try:
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except gr.Error as error:
            raise gr.Error(f"{error.message.partition(': [')[0].rstrip('.')}.", print_exception=False) from None
        except Exception:
            raise gr.Error("An input is missing, or is not of the kind that belongs there.", print_exception=False) from None

    async def postprocess_data(self, block_fn: Any, predictions: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """Gradio builds anew even the components that an answer skips: 1 to 8 ms each time, which is sent every second to all who wait."""
        outputs = block_fn.outputs
        if not isinstance(predictions, (list, tuple)) or not len(predictions) == len(outputs) > 1:
            return await super().postprocess_data(block_fn, predictions, *args, **kwargs)
        changed = [i for i, (block, value) in enumerate(zip(outputs, predictions, strict=True)) if block.stateful or not _is_skip(value)]
        answer: list[Any] = [gr.skip() for _ in outputs]
        if changed:
            part = copy.copy(block_fn)
            part.outputs = [outputs[i] for i in changed]
            values = [predictions[i] for i in changed]
            found = await super().postprocess_data(part, values[0] if len(changed) == 1 else values, *args, **kwargs)
            for i, value in zip(changed, found, strict=True):
                answer[i] = value
        return answer

    async def call_function(
        self, block_fn: Any, processed_input: list[Any], iterator: Any = None, requests: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Tells the queue who asks, keeps the visitor's files, and makes a sentence of a fault: Gradio has no hook around every handler."""
        visitor = str(getattr(requests, "session_hash", None) or "")
        asker.set(visitor)
        request.set(object())  # what an answer computes in pieces, it computes in the context of its first
        if visitor and iterator is None:
            for path in _paths(processed_input):
                self.uploads.remember(visitor, path)
        try:
            return await super().call_function(block_fn, processed_input, iterator, requests, *args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            log.exception("A fault inside")
            short = isinstance(error, MemoryError) or "not enough memory" in str(error)
            what = "There is not enough memory for this: pick a smaller network." if short else "Something went wrong inside."
            raise gr.Error(f"{what} What is shown stays; everything else goes on working.", print_exception=False) from None


def _is_skip(value: Any) -> bool:
    return isinstance(value, dict) and value == gr.skip()


def serve(demo: Page, **options: Any) -> Any:
    """``demo.launch`` behind :class:`RequestLimits`, ended cleanly by SIGTERM."""
    demo.fetches = bool(options.get("mcp_server"))
    demo.uploads.keep_what_is_here()
    for fn in demo.fns.values():  # after they were added, for a public decorator would stand at every handler of the page
        if fn.concurrency_id == "compute" and fn.fn is not None:
            fn.fn = on_gpu(fn.fn)
    names = {name.strip("/") for name in demo.get_api_info()["named_endpoints"]}
    limits = Middleware(
        RequestLimits, names=names, waiting=lambda address: _waiting(demo, address), afterwards=demo.uploads.tidy_now_and_then
    )
    demo.queue(default_concurrency_limit=2, max_size=QUEUE)
    if threading.current_thread() is threading.main_thread() and not options.get("prevent_thread_lock"):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    return demo.launch(
        max_file_size=MAX_FILE_BYTES,
        state_session_capacity=SESSIONS,
        max_threads=THREADS,
        enable_monitoring=False,
        app_kwargs={"middleware": [limits], "exception_handlers": {RequestValidationError: _not_the_protocol}},
        **options,
    )


def _paths(value: Any) -> Iterator[str]:
    """The paths of all files in what an event brings along."""
    if isinstance(value, dict):
        if isinstance(path := value.get("path"), str):
            yield path
        for part in value.values():
            yield from _paths(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _paths(part)


def page_device(name: str | None) -> torch.device:
    """The device of that name for the page; ``"auto"`` on a ZeroGPU Space is the processor.

    There a card is lent for single calls, and networks that stay between calls cannot lie on it.

    Raises:
        devices.DeviceError: there is no such device here.
    """
    lent = "spaces" in sys.modules and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
    return devices.prepare("cpu" if lent and name in (None, "auto") else name)


def on_gpu(work: Callable[..., Any]) -> Callable[..., Any]:
    """``work`` as a ZeroGPU Space wants it, where Hugging Face's package ``spaces`` is there; elsewhere ``work`` itself."""
    spaces = sys.modules.get("spaces")
    return work if spaces is None else spaces.GPU(work)


def leave() -> None:
    """End the process at once, tidily: threads that are still deep inside torch would make the interpreter's own way out abort."""
    remove_private_folders()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


async def _not_the_protocol(request: Any, error: Exception) -> JSONResponse:
    """An answer to a body that Gradio's routes cannot read.

    Gradio's own page sends such a one: it cancels an event before it knows the event's number. Visitor and function are known, so that
    Gradio's ``cancel_tasks`` can end it; its route would refuse.
    """
    body = getattr(error, "body", None)
    if isinstance(body, dict) and body.get("event_id", "") is None and request.url.path.endswith(("/cancel", "/reset")):
        await cancel_tasks({f"{body.get('session_hash')}_{body.get('fn_index')}"})
        return JSONResponse({"success": True})
    return JSONResponse({"detail": "This request is not of the form that Gradio's clients send."}, 422)


def _waiting(demo: Page, address: str) -> int:
    """How many of that address's requests wait in Gradio's queue or are being worked on; it limits their number in all only."""
    queue = demo._queue
    running = [event for job in queue.active_jobs if job for event in job]
    waiting = [event for line in queue.event_queue_per_concurrency_id.values() for event in line.queue]
    return sum(client(event.request.scope) == address for event in {event._id: event for event in running + waiting}.values())
