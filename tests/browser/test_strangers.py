"""Hostile input on the page itself, in Chromium: it says a sentence, keeps what it shows, and runs nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.pictures import encoded, noise
from tests.support.serving import served
from tests.support.strangers import FILES, ROOT

from .chromium import watched

pytestmark = pytest.mark.browser
WAIT = 90_000  # milliseconds; a limit for a busy machine, no measurement
MARKUP = "<img src=x onerror=window.hacked=1>"
BAD = ["bomb: png", "truncated JPEG", "svg with a script, called png", "no picture: text", "nothing", "a sliver, tall", "a TIFF of NaN"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with served(folder / "log.txt", "app.py", environment={"GRADIO_TEMP_DIR": str(folder / "cache")}) as url:
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with watched(browser, 1280, WAIT) as page:
        page.goto(f"{url}?name={MARKUP}&class=<script>window.hacked=1</script>#{MARKUP}")
        page.wait_for_function("document.body.dataset.trgbpExplain")
        yield page
        assert page.evaluate("window.hacked") is None


def put_in(page: Page, name: str, content: bytes) -> None:
    page.locator("#tg-input input[type=file]").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})


def test_bad_files_are_told_and_what_was_shown_stays(page: Page) -> None:
    first = page.evaluate("document.body.dataset.trgbpExplain")
    said = []
    for kind in BAD:
        before = page.locator("#tg-status").inner_text()
        put_in(page, f"{MARKUP}.png", FILES[kind][1])
        page.wait_for_function("before => document.querySelector('#tg-status').innerText !== before", arg=before, timeout=WAIT)
        said.append(page.locator("#tg-status").inner_text())
        print(said[-1])
        assert page.evaluate("document.body.dataset.trgbpExplain") == first
    assert all(sentence.endswith(".") for sentence in said)
    put_in(page, "good.png", encoded(noise(64, 64), "PNG"))
    page.wait_for_function("first => document.body.dataset.trgbpExplain !== first", arg=first, timeout=WAIT)


def test_markup_typed_for_a_class_is_shown_as_text(page: Page) -> None:
    picker = page.locator("#tg-class input")
    picker.fill(MARKUP)
    picker.press("Enter")
    expect(page.locator("#tg-status")).to_contain_text("No class is called", timeout=WAIT)
    expect(page.locator("#tg-status img")).to_have_count(0)


def test_a_file_that_is_too_large_is_refused(page: Page) -> None:
    first = page.evaluate("document.body.dataset.trgbpExplain")
    put_in(page, "large.png", bytes(41_000_000))
    expect(page.get_by_text("maximum")).to_be_visible(timeout=WAIT)
    assert page.evaluate("document.body.dataset.trgbpExplain") == first


def test_a_visitors_picture_is_removed_when_the_visitor_leaves(browser: Browser, url: str, folder: Path) -> None:
    page = browser.new_page()
    page.goto(url)
    page.wait_for_function("document.body.dataset.trgbpExplain", timeout=WAIT)
    first = page.evaluate("document.body.dataset.trgbpExplain")
    put_in(page, "mine-alone.png", encoded(noise(70, 70), "PNG"))
    page.wait_for_function("first => document.body.dataset.trgbpExplain !== first", arg=first, timeout=WAIT)
    assert list(folder.rglob("mine-alone.png"))
    page.close()
    for _ in range(120):
        if not list(folder.rglob("mine-alone.png")):
            break
        time.sleep(0.5)
    assert not list(folder.rglob("mine-alone.png"))
    assert list(folder.rglob("cheetah_and_lion.jpg"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a process could hear")
def test_sigterm_ends_cleanly_while_a_visitor_waits(browser: Browser, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "GRADIO_TEMP_DIR"} | {"TMPDIR": str(temporary)}
    with (tmp_path / "log.txt").open("w") as log:
        command = [sys.executable, "-u", "app.py", "--port", "7987"]
        server = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment)
    try:
        page = browser.new_page()
        page.set_default_timeout(WAIT)
        for _ in range(240):
            if "Running on" in (tmp_path / "log.txt").read_text():
                break
            time.sleep(0.5)
        page.goto("http://127.0.0.1:7987/")
        page.wait_for_function("document.body.dataset.trgbpExplain")
        page.get_by_role("tab", name="Sanity check").click()
        page.locator("#tg-cascade-run").click()
        page.wait_for_function("Number(document.body.dataset.trgbpCascade) >= 2")
        assert list(temporary.glob("trgbp-*"))
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    finally:
        server.kill()
        page.close()
    assert "Traceback" not in (tmp_path / "log.txt").read_text()
    assert not list(temporary.glob("trgbp-*"))
