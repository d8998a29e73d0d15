"""The endpoints as tools of an assistant (MCP): described, callable, and wrong calls told in a sentence."""

from __future__ import annotations

import base64
import importlib.util
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

import app
from tests.support.loops import run

from ..support.serving import served
from ..support.strangers import LION, MODEL

TOOLS = {"explain", "layers", "compare", "measure", "predict", "cascade"}
PICTURE = "data:image/jpeg;base64," + base64.b64encode(LION).decode()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("mcp") / "log.txt", "app.py", "--mcp", faults=True) as url:
        yield f"{url}gradio_api/mcp/"


def connected(url: str, call: Callable[[ClientSession], Awaitable[Any]]) -> Any:
    async def within() -> Any:
        async with streamablehttp_client(url) as (reading, writing, _), ClientSession(reading, writing) as session:
            await session.initialize()
            return await call(session)

    return run(within())


def ask(url: str, tool: str, arguments: dict[str, Any]) -> tuple[bool, list[Any]]:
    answer = connected(url, lambda session: session.call_tool(tool, arguments))
    return answer.isError, answer.content


def test_every_endpoint_is_a_tool_with_every_input_described(url: str) -> None:
    tools = {tool.name: tool for tool in connected(url, ClientSession.list_tools).tools}
    assert set(tools) >= TOOLS
    for name in TOOLS:
        assert len(tools[name].description) > 100
        for asked, about in tools[name].inputSchema["properties"].items():
            assert len(about.get("description", "")) > 10, (name, asked)


def test_an_assistant_explains_a_picture_and_gets_words_and_pictures(url: str) -> None:
    failed, content = ask(url, "explain", {"picture": PICTURE, "model": MODEL, "wanted": "lion"})
    assert not failed, content
    text = " ".join(part.text for part in content if part.type == "text")
    assert all(word in text for word in ("'name': 'lion'", "peak ", "upper left", "in the frame"))
    assert "tr_gbp_conserving" in text


def test_an_assistant_gives_lists_too(url: str) -> None:
    asked = {"picture": PICTURE, "model": MODEL, "wanted": "lion"}
    failed, content = ask(url, "measure", asked | {"methods": ["saliency"], "box": [0.5, 0, 1, 1]})
    assert not failed, content
    assert "'ebpg': " in " ".join(part.text for part in content if part.type == "text")
    failed, content = ask(url, "explain", asked | {"box": [0.5, 0, 1, 1]})
    assert not failed, content
    assert "'shares': " in " ".join(part.text for part in content if part.type == "text")


def test_a_wrong_call_is_told_in_a_sentence(url: str) -> None:
    for arguments, sentence in (({"wanted": "unicorn"}, "No class is called 'unicorn'"), ({"model": "vit_b_16"}, "There is no network")):
        failed, content = ask(url, "explain", {"picture": PICTURE, "model": MODEL, "wanted": ""} | arguments)
        assert failed
        assert sentence in content[0].text
        assert "Traceback" not in content[0].text


def test_without_its_package_the_flag_names_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With an empty finder for ``mcp`` in front, as on a machine without it."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "mcp" else find(name, *more))
    with pytest.raises(SystemExit) as ended:
        app.launch(["--mcp"])
    assert ended.value.code == 2
    assert "pip install 'gradio[mcp]'" in capsys.readouterr().err


def test_an_option_is_never_taken_for_another_that_begins_alike(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app.launch(["--mc"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --mc" in capsys.readouterr().err


def test_the_tools_of_the_page_itself_are_not_offered(url: str) -> None:
    failed, content = ask(url, "new_class", {})
    assert failed, json.dumps([part.model_dump() for part in content], default=str)
