"""Hostile input on the page itself, in Chromium: it says a sentence, keeps what it shows, and runs nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.pictures import encoded, noise
from tests.support.serving import running, served, until
from tests.support.strangers import FILES

from .chromium import explained, explains_anew, open_tab, painted, visiting
from .chromium import put_in as choose_file

pytestmark = pytest.mark.browser
MAP = "#tg-explain .tg-hero canvas"
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
    with visiting(browser, f"{url}?name={MARKUP}&class=<script>window.hacked=1</script>#{MARKUP}") as page:
        yield page
        assert page.evaluate("window.hacked") is None


def put_in(page: Page, name: str, content: bytes) -> None:
    choose_file(page, {"name": name, "mimeType": "image/png", "buffer": content})


def test_bad_files_are_refused_with_a_sentence_and_what_was_shown_stays(page: Page) -> None:
    first, map = explained(page), painted(page, MAP)
    said = []
    for kind in BAD:
        before = page.locator("#tg-status").inner_text()
        put_in(page, f"{MARKUP}.png", FILES[kind][1])
        page.wait_for_function("before => document.querySelector('#tg-status').innerText !== before", arg=before)
        said.append(page.locator("#tg-status").inner_text())
        print(said[-1])
        assert explained(page) == first
    assert painted(page, MAP) == map
    assert all(sentence.endswith(".") for sentence in said)
    with explains_anew(page):
        put_in(page, "good.png", encoded(noise(64, 64), "PNG"))


def test_markup_typed_for_a_class_is_shown_as_text(page: Page) -> None:
    picker = page.locator("#tg-class input")
    picker.fill(MARKUP)
    picker.press("Enter")
    expect(page.locator("#tg-status")).to_contain_text("No class is called")
    expect(page.locator("#tg-status img")).to_have_count(0)


def test_a_file_that_is_too_large_is_refused(page: Page) -> None:
    first = explained(page)
    put_in(page, "large.png", bytes(41_000_000))
    expect(page.get_by_text("maximum")).to_be_visible()
    assert explained(page) == first


def test_a_visitors_picture_is_removed_when_the_visitor_leaves(browser: Browser, url: str, folder: Path) -> None:
    with visiting(browser, url) as page:
        with explains_anew(page):
            put_in(page, "mine-alone.png", encoded(noise(70, 70), "PNG"))
        assert list(folder.rglob("mine-alone.png"))
    until(lambda: not list(folder.rglob("mine-alone.png")))
    assert list(folder.rglob("cheetah_and_lion.jpg"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a process could hear")
def test_sigterm_ends_cleanly_while_a_visitor_waits(browser: Browser, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with running(tmp_path / "log.txt", "app.py", environment={"GRADIO_TEMP_DIR": None, "TMPDIR": str(temporary)}) as (url, server):
        page = browser.new_page()
        page.goto(url)
        page.wait_for_function("document.body.dataset.trgbpExplain")
        open_tab(page, "Sanity check")
        page.locator("#tg-cascade-run").click()
        page.wait_for_function("Number(document.body.dataset.trgbpCascade) >= 2")
        assert list(temporary.glob("trgbp-*"))
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        page.close()
    assert not list(temporary.glob("trgbp-*"))
