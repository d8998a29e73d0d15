"""What an answer leaves as it is, is left as it is; everything else arrives as from Gradio's own page."""

from __future__ import annotations

import asyncio
import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from trgbp_core.serving.server import Page

VALUES: dict[str, Any] = {"text": "new", "data": {"a": [1, None]}, "state": 5, "list": gr.update(choices=["x", "y"], value="x")}


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
