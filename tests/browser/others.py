"""Firefox by WebDriver BiDi and WebKit by WebDriver: the browsers of a distribution. (Playwright drives builds of its own.)"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.serving import free_port, until

WAIT = 120.0  # seconds; a limit for a busy machine, no measurement
SIZE = (1280, 800)
END = "\ue010"  # the key, in both protocols
PLACE = """(() => { const e = document.querySelector(%s); e.scrollIntoView({block: 'center', inline: 'center'});
    const r = e.getBoundingClientRect(), [x, y] = [Math.round(r.left + r.width / 2), Math.round(r.top + r.height / 2)];
    const hit = document.elementFromPoint(x, y); return [x, y, e.contains(hit) || !!hit?.contains(e), hit?.outerHTML.slice(0, 100)]; })()"""

LISTEN = """(() => { const told = window.toldTheTest = [], tell = console.error;
    console.error = (...words) => { told.push(words.join(' ')); tell(...words); };
    addEventListener('error', ({ message }) => { if (!message.startsWith('ResizeObserver loop')) told.push(message); }); // that is no error
    addEventListener('unhandledrejection', (event) => told.push(String(event.reason))); })()"""


class Driven(ABC):
    """A browser with one window."""

    @abstractmethod
    def open(self, url: str) -> None: ...

    @abstractmethod
    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""

    @abstractmethod
    def act(self, sources: list[dict[str, Any]]) -> None:
        """Do what pointer and keys do; both protocols describe it in the same way."""

    @abstractmethod
    def errors(self) -> list[str]:
        """What the console has told as errors until now."""

    def until(self, expression: str) -> None:
        until(lambda: self.evaluate(f"!!({expression})"), WAIT)

    def click(self, selector: str) -> None:
        """Press the pointer in the middle of the first element, which nothing may cover."""
        self.until(f"!!document.querySelector({json.dumps(selector)})?.checkVisibility()")
        x, y, free, hit = self.evaluate(PLACE % json.dumps(selector))
        assert free, f"{hit} covers {selector}"
        pressed = [{"type": "pointerMove", "x": x, "y": y}, {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self.act([{"type": "pointer", "id": "mouse", "actions": pressed}])

    def press(self, key: str) -> None:
        """Press a key on what has the focus."""
        self.act([{"type": "key", "id": "keys", "actions": [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}])


class Firefox(Driven):
    """Firefox by WebDriver BiDi: commands and events over one web socket."""

    def __init__(self, port: int) -> None:
        import websocket  # websocket-client, which these tests alone need

        self.socket = websocket.create_connection(f"ws://127.0.0.1:{port}/session", timeout=WAIT, suppress_origin=True)
        self.count, self.told = 0, list[str]()
        self.send("session.new", capabilities={})
        self.send("session.subscribe", events=["log.entryAdded"])
        self.tab = self.send("browsingContext.getTree")["contexts"][0]["context"]
        self.send("browsingContext.setViewport", context=self.tab, viewport=dict(zip(("width", "height"), SIZE, strict=True)))

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": params}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("method") == "log.entryAdded" and answer["params"]["level"] == "error":
                self.told.append(answer["params"]["text"])
            if answer.get("id") == self.count:
                assert answer["type"] == "success", answer
                return dict(answer["result"])

    def open(self, url: str) -> None:
        self.send("browsingContext.navigate", context=self.tab, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        done = self.send("script.evaluate", expression=_as_text(expression), target={"context": self.tab}, awaitPromise=True)
        assert done["type"] == "success", done
        return json.loads(done["result"]["value"])

    def act(self, sources: list[dict[str, Any]]) -> None:
        self.send("input.performActions", context=self.tab, actions=sources)

    def errors(self) -> list[str]:
        self.evaluate("0")  # what was told before comes before the answer
        return self.told


class WebKit(Driven):
    """WebKitGTK by WebDriver: one HTTP request a command. It has no console: errors are heard once the page has loaded."""

    def __init__(self, port: int, binary: Path) -> None:
        self.address = f"http://127.0.0.1:{port}/session"
        options = {"binary": str(binary), "args": ["--automation"]}
        session = self.send("", capabilities={"alwaysMatch": {"webkitgtk:browserOptions": options}})
        self.address += f"/{session['sessionId']}"
        chrome = self.evaluate("[window.outerWidth - window.innerWidth, window.outerHeight - window.innerHeight]")
        self.send("/window/rect", width=SIZE[0] + chrome[0], height=SIZE[1] + chrome[1])

    def send(self, command: str, **params: Any) -> Any:
        request = urllib.request.Request(self.address + command, json.dumps(params).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=WAIT) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        self.send("/url", url=url)
        self.evaluate(LISTEN)

    def evaluate(self, expression: str) -> Any:
        return json.loads(self.send("/execute/sync", script=f"return {_as_text(expression)}", args=[]))

    def act(self, sources: list[dict[str, Any]]) -> None:
        self.send("/actions", actions=sources)

    def errors(self) -> list[str]:
        return list(self.evaluate("window.toldTheTest"))


def _as_text(expression: str) -> str:
    return f"JSON.stringify(({expression}) ?? null)"


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    assert path, f"these tests need {name}: apt-get install {package}"
    return path


@contextmanager
def _process(command: list[str], log: Path, **variables: str) -> Iterator[None]:
    """A process whose output goes to ``log``, and its complaints to a file beside that."""
    with log.open("ab") as out, log.with_suffix(".errors").open("ab") as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors, env={**os.environ, **variables})
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def firefox(folder: Path) -> Iterator[Driven]:
    port, log, profile = free_port(), folder / "firefox.txt", folder / "profile"
    profile.mkdir()
    command = [_program("firefox-esr", "firefox-esr"), "--headless", "--no-remote", "--profile", str(profile)]
    with _process([*command, f"--remote-debugging-port={port}"], log):
        until(lambda: "WebDriver BiDi listening" in log.with_suffix(".errors").read_text(), WAIT)
        yield Firefox(port)


@contextmanager
def webkit(folder: Path) -> Iterator[Driven]:
    port, screen = free_port(), folder / "screen.txt"
    driver = _program("WebKitWebDriver", "webkit2gtk-driver")
    browser = next(Path("/usr").glob("l*/**/webkit2gtk-*/MiniBrowser"))
    size = "x".join(str(side + 200) for side in SIZE)
    with _process([_program("Xvfb", "xvfb"), "-displayfd", "1", "-screen", "0", f"{size}x24", "-nolisten", "tcp"], screen):
        until(lambda: screen.read_text().endswith("\n"))
        display = {"DISPLAY": f":{screen.read_text().strip()}", "GDK_BACKEND": "x11"}
        with _process([driver, f"--port={port}"], folder / "driver.txt", **display):
            until(lambda: _answers(port))
            driven = WebKit(port, browser)
            yield driven
            urllib.request.urlopen(urllib.request.Request(driven.address, method="DELETE")).close()


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=2).close()
    except OSError:
        return False
    return True
