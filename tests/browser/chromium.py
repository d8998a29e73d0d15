"""The Chromium of this machine, and what every test does with the page in it."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
WAIT = 120_000  # milliseconds; a limit for a busy machine, no measurement
LEFT = re.compile("AbortError|Connection errored out|net::ERR_INTERNET_DISCONNECTED")
QUIET_MILLISECONDS = 1500
"""What the tabs ask about a new picture follows within this time, also on a busy machine."""


HERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", HERE]


@contextmanager
def launched() -> Iterator[Browser]:
    """``CHROMIUM``, or the one that is installed, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        yield browser
        browser.close()


def chromium() -> str:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "the browser tests need Chromium: apt-get install chromium, or CHROMIUM=/path/to/it"
    return path


@contextmanager
def with_camera(browser: Browser, film: Path, names: Sequence[str] = ("coffee", "lion"), each: int = 60) -> Iterator[Browser]:
    """A second Chromium beside ``browser``, whose camera shows these examples, ``each`` frames of one, from a file that is made here."""
    frames = b""
    for name in names:
        with Image.open(EXAMPLES / f"{name}.jpg") as picture:
            frame = io.BytesIO()
            ImageOps.fit(picture.convert("RGB"), (640, 480)).save(frame, "JPEG", quality=90)
        frames += frame.getvalue() * each
    film.write_bytes(frames)
    fake = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
    second = browser.browser_type.launch(executable_path=chromium(), args=[*OPTIONS, *fake])
    yield second
    second.close()


@cache
def one_context(browser: Browser) -> BrowserContext:
    """Its pages share what they load: a fresh context loads and compiles Gradio anew. The page keeps nothing but what its own tab has."""
    return browser.new_context()


@contextmanager
def visiting(browser: Browser, url: str, width: int = 1280, *, reloads: bool = False, **options: Any) -> Iterator[Page]:
    """A page with its first picture explained. An error in its console, a dialog, or sideways scrolling at the end is a failure.

    ``reloads``: the page is left and comes again, of which Gradio complains in the console of the page that is left.
    """
    alone = not options and not one_context(browser).pages  # one context has six connections for all its pages
    page = one_context(browser).new_page() if alone else browser.new_page(**options)
    page.set_viewport_size({"width": width, "height": 800})
    page.set_default_timeout(WAIT)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.goto(url)
    page.wait_for_function("document.body.dataset.trgbpExplain")
    yield page
    does_not_scroll_sideways(page)
    page.close()
    told = [error for error in errors if not (reloads and LEFT.search(error))]
    assert not told, told


def does_not_scroll_sideways(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"


def explained(page: Page) -> str:
    """The key of the picture and class whose maps are shown."""
    return str(page.evaluate("document.body.dataset.trgbpExplain"))


@contextmanager
def explains_anew(page: Page) -> Iterator[None]:
    """What is done inside leads to the maps of another picture or class."""
    first = explained(page)
    yield
    page.wait_for_function("first => document.body.dataset.trgbpExplain !== first", arg=first)


def put_in(page: Page, picture: Any) -> None:
    """Choose a file for the picture: a path, or Playwright's ``{"name", "mimeType", "buffer"}``."""
    page.locator("#tg-input input[type=file]").set_input_files(picture)


def open_tab(page: Page, name: str, arrived: str = "true") -> None:
    """Open the tab of that name, and wait until the expression ``arrived`` is true of ``data``, the marks of what is shown."""
    page.get_by_role("tab", name=name).click()
    page.wait_for_function(f"(({{...data}}) => {arrived})(document.body.dataset)")


def unfold(page: Page, name: str) -> None:
    """Open a folded part of the tab Explain: its layers (``inside``) or the five best ``classes``."""
    page.locator(f"[data-fold={name}] > summary").click()


def choose(page: Page, where: str, label: str, typed: str = "") -> None:
    """Pick ``label`` from a list."""
    field = page.locator(f"{where} input")
    field.click()
    field.fill("")
    field.press_sequentially(typed)
    page.locator("[role=option]", has_text=re.compile(label)).last.click()
    expect(field).to_have_value(re.compile(label))


def painted(page: Page, selector: str) -> str:
    """What a canvas shows."""
    return str(page.locator(selector).first.evaluate("canvas => canvas.toDataURL()"))


@contextmanager
def repaints(page: Page, selector: str) -> Iterator[None]:
    """What is done inside changes what the canvas shows."""
    before = painted(page, selector)
    yield
    page.wait_for_function("([selector, before]) => document.querySelector(selector).toDataURL() !== before", arg=[selector, before])


def questions(page: Page) -> list[Request]:
    """The requests with which the page asks the server from now on; grows."""
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "/queue/join" in request.url or "/run/" in request.url else None)
    return asked


def until_quiet(page: Page, asked: list[Request]) -> None:
    """Wait until the page has asked nothing for a while."""
    count = -1
    while count != len(asked):
        count = len(asked)
        page.wait_for_timeout(QUIET_MILLISECONDS)
