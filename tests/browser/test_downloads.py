"""Downloads as a visitor meets them: every failure is read on the page in Chromium, and the page goes on working."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.hostile_machine import environment, make_weights
from tests.support.hostile_server import Server
from tests.support.serving import served

from .chromium import EXAMPLES, explains_anew, put_in, visiting

PICTURES = itertools.cycle(EXAMPLES.glob("c*e*.jpg"))
EMBEDDED = "EfficientNet-Lite0"
NETWORKS = {
    "squeezenet1_1": "SqueezeNet 1.1",
    "squeezenet1_0": "SqueezeNet 1.0",
    "shufflenet_v2_x0_5": "ShuffleNetV2 ×0.5",
}
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    make_weights(folder, NETWORKS)
    return folder


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Server]:
    server = Server({file.name: file.read_bytes() for file in folder.glob("*.pth")})
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def hostile_url(running: Server, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    with served(home / "log.txt", "-m", "tests.browser.hostile_app", environment=environment(running.address, folder, home)) as url:
        yield url


@pytest.fixture
def server(running: Server) -> Server:
    running.script.clear()
    running.requests.clear()
    running.release.clear()
    running.ranges = True
    return running


@pytest.fixture(scope="module")
def visit(browser: Browser, hostile_url: str) -> Iterator[Callable[[], Page]]:
    """Opens the page for one more visitor, and waits for the first example."""
    with contextlib.ExitStack() as pages:

        def open_page() -> Page:
            page = pages.enter_context(visiting(browser, hostile_url))
            says(page, "Explained")
            return page

        yield open_page


@pytest.fixture(scope="module")
def visitor(visit: Callable[[], Page]) -> Page:
    """One visitor who meets one failure after the other."""
    return visit()


def pick(page: Page, title: str) -> None:
    page.locator("#tg-model input").click()
    page.get_by_role("option", name=title).first.click()


def says(page: Page, *words: str) -> str:
    """Waits until the status line holds all these words."""
    for word in words:
        expect(page.locator("#tg-status")).to_contain_text(word)
    return page.locator("#tg-status").inner_text()


def picker_shows(page: Page, title: str) -> None:
    expect(page.locator("#tg-model input")).to_have_value(title)


def marked(page: Page, title: str, is_so: bool) -> None:
    """Whether the list says that the network cannot be downloaded now."""
    page.locator("#tg-model input").click()
    mark = re.compile(f"{re.escape(title)} · cannot be downloaded now")
    expect(page.get_by_role("option", name=mark)).to_have_count(int(is_so))
    page.keyboard.press("Escape")
    page.locator("#tg-model input").blur()  # a click opens the list only of a field that is entered


def still_works(page: Page) -> None:
    """The embedded network explains another picture."""
    with explains_anew(page):
        put_in(page, next(PICTURES))
    says(page, f"classes of {EMBEDDED} ", "Explained")


FAILURES = {  # the others are at tests/zoo/test_downloads.py
    "a silent server": (["mute"] * 9, "the server has stalled"),
    "a wrong hash": (["lie"], "wrong SHA-256"),
    "no network": (None, "the server cannot be reached"),
    "a full disk": ([], "no room on the disk"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_a_sentence_with_its_remedy_and_the_page_works_on(failure: str, visitor: Page, server: Server, folder: Path) -> None:
    (script, words), page = FAILURES[failure], visitor
    server.script = list(script or [])
    server.ranges = False
    if script is None:
        server.stop()
    if failure == "a full disk":
        (folder / "full").touch()
    try:
        pick(page, NETWORKS["squeezenet1_1"])
        sentence = says(page, words)
    finally:
        if script is None:
            server.start()
        (folder / "full").unlink(missing_ok=True)
        server.release.set()
    print(sentence)
    marked(page, NETWORKS["squeezenet1_1"], script is None)
    assert "efficientnet_lite0, which needs no download" in sentence or "efficientnet_lite0 needs no download" in sentence
    assert any(remedy in sentence for remedy in ("models --fetch squeezenet1_1", "TORCH_HOME"))
    picker_shows(page, EMBEDDED)
    expect(page.locator("#tg-cancel")).to_be_hidden()
    still_works(page)


def test_a_server_that_recovers_delivers_after_all_and_the_network_explains(visitor: Page, server: Server) -> None:
    page = visitor
    server.script = ["lie"]
    pick(page, NETWORKS["squeezenet1_0"])
    says(page, "wrong SHA-256")
    picker_shows(page, EMBEDDED)
    server.script = [503, "half", "half"]
    pick(page, NETWORKS["squeezenet1_0"])
    says(page, "classes of SqueezeNet 1.0 ", "Explained")
    assert [request is None for request in server.requests] == [True, True, True, False, False], "resumed where it broke off"
    picker_shows(page, NETWORKS["squeezenet1_0"])
    marked(page, NETWORKS["squeezenet1_1"], False)
    expect(page.locator("#tg-cancel")).to_be_hidden()


def wait_for_it(page: Page, title: str) -> None:
    """One more visitor picks the network, and is told how far it has come."""
    expect(page.locator("#tg-cancel")).to_be_hidden()
    pick(page, title)
    says(page, f"Downloading {title}", " MB/s")
    expect(page.locator("#tg-cancel")).to_be_visible()


def test_many_who_wait_share_one_download_and_one_who_cancels_leaves_it_to_the_others(visit: Callable[[], Page], server: Server) -> None:
    first, *others = visit(), visit(), visit()
    server.script = ["slow"]
    title = NETWORKS["shufflenet_v2_x0_5"]
    for page in (first, *others):
        wait_for_it(page, title)
    first.locator("#tg-cancel").click()
    print(says(first, f"Cancelled: {title} is not downloaded"))
    picker_shows(first, EMBEDDED)
    expect(first.locator("#tg-cancel")).to_be_hidden()
    still_works(first)
    for page in others:
        says(page, f"Downloading {title}")
    server.release.set()
    for page in others:
        says(page, f"classes of {title} ", "Explained")
        expect(page.locator("#tg-cancel")).to_be_hidden()
    assert server.requests == [None], "one download for all"


def test_cancelling_alone_stops_the_download_and_what_came_is_kept(visitor: Page, server: Server) -> None:
    page = visitor
    server.script = ["slow"]
    title = NETWORKS["squeezenet1_1"]
    pick(page, title)
    says(page, f"Downloading {title}", " MB/s")
    page.locator("#tg-cancel").click()
    says(page, "Cancelled", "goes on from there")
    page.wait_for_timeout(1000)  # who picks it again at once joins the download that is just being given up
    server.release.set()
    pick(page, title)
    says(page, f"classes of {title} ", "Explained")
    assert server.requests[0] is None
    assert (server.requests[-1] or "").startswith("bytes=")
