"""Gradio's inside is as the server relies on; an answer's skipped outputs cost nothing, all others arrive as from Gradio's own page."""

from __future__ import annotations

import asyncio
import copy
import inspect
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio as gr
import pytest
from gradio.queueing import Event
from gradio.state_holder import SessionState
from gradio.utils import cancel_tasks

from trgbp_core.serving.server import Page

VALUES: dict[str, Any] = {"text": "new", "data": {"a": [1, None]}, "state": 5, "list": gr.update(choices=["x", "y"], value="x")}


@pytest.mark.parametrize(
    ("inside", "parameters"),
    [
        (gr.Blocks.preprocess_data, ["block_fn", "inputs"]),
        (gr.Blocks.postprocess_data, ["block_fn", "predictions"]),
        (gr.Blocks.call_function, ["block_fn", "processed_input", "iterator", "requests"]),
    ],
)
def test_gradio_calls_what_the_page_replaces_as_before(inside: Any, parameters: list[str]) -> None:
    assert list(inspect.signature(inside).parameters)[1 : len(parameters) + 1] == parameters
    assert inspect.iscoroutinefunction(inside)
    assert f"self.{inside.__name__}(" in inspect.getsource(gr.Blocks.process_api)


def test_gradio_keeps_its_events_where_the_server_looks_for_them() -> None:
    with Page() as demo:
        gr.Button().click(lambda: None, None, gr.Textbox(), concurrency_id="compute", api_name="named", preprocess=False)
    fn = next(iter(demo.fns.values()))
    assert (fn.concurrency_id, callable(fn.fn), len(fn.outputs), fn.preprocess) == ("compute", True, 1, False)
    assert list(demo.get_api_info()["named_endpoints"]) == ["/named"]
    assert list(inspect.signature(cancel_tasks).parameters) == ["task_ids"]
    queue = demo.queue()._queue
    queue.create_event_queue_for_fn(fn)
    assert queue.active_jobs == [] or set(queue.active_jobs) == {None}
    assert queue.event_queue_per_concurrency_id["compute"].queue == []
    assert {"_id", "request"} <= set(re.findall(r"self\.(\w+) = ", inspect.getsource(Event.__init__)))


def said(demo: gr.Blocks, answer: Any, state: SessionState) -> list[Any]:
    """What the page of the only event is sent; in a thread, for the test's own may have a loop of events already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(demo.postprocess_data(next(iter(demo.fns.values())), answer, state))).result()


def answered(kind: type[gr.Blocks], answer: dict[str, Any]) -> tuple[list[Any], SessionState, list[bool]]:
    """What is sent for an answer with these values, the visitor's state afterwards, and which components are still the same objects."""
    with kind() as demo:
        outputs = {"text": gr.Textbox(), "data": gr.JSON(), "state": gr.State(1), "list": gr.Dropdown(["a"], value="a")}
        gr.Button().click(lambda: None, None, list(outputs.values()))
    state = SessionState(demo)
    before = [None if block.stateful else state[block._id] for block in outputs.values()]
    values = [copy.deepcopy(answer.get(name, gr.skip())) for name in outputs]  # Gradio writes to them
    found = said(demo, values, state)
    after = [None if block.stateful else state[block._id] for block in outputs.values()]
    state.kept = state[outputs["state"]._id]  # type: ignore[attr-defined]
    return found, state, [a is b for a, b in zip(before, after, strict=True)]


@pytest.mark.parametrize("told", [(), ("text",), ("data",), ("state",), ("list",), ("text", "list"), ("state", "data"), tuple(VALUES)])
def test_an_answer_says_what_gradio_would_say(told: tuple[str, ...]) -> None:
    answer = {name: VALUES[name] for name in told}
    found, state, same = answered(Page, answer)
    expected, theirs, _ = answered(gr.Blocks, answer)
    assert found == expected
    assert state.kept == theirs.kept == (5 if "state" in told else 1)  # type: ignore[attr-defined]
    assert same == [True, True, True, "list" not in told]


def test_one_output_alone_may_be_left_as_it_is() -> None:
    with Page() as demo:
        gr.Button().click(lambda: None, None, gr.Textbox())
    assert said(demo, gr.skip(), SessionState(demo)) == [gr.skip()]
