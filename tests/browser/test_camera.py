"""The tab Camera in Chromium, with a camera that shows a file: a cup, then a lion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.serving import served

from .chromium import does_not_scroll_sideways, explained, painted, visiting, with_camera

pytestmark = pytest.mark.browser
SAID = "#tg-camera .tg-line"
MAP = "#tg-camera .tg-camera figure:nth-child(2) canvas"
LEAVES = "window.dispatchEvent(new Event('pagehide')), sessionStorage.getItem('trgbpCamera')"
"""The page is loaded anew, as far as the camera knows; whether it then goes on."""
SHOWN = "Number(document.body.dataset.trgbpCamera || 0)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("camera")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with served(folder / "log.txt", "app.py", environment={"GRADIO_TEMP_DIR": str(folder / "cache")}) as url:
        yield url


@pytest.fixture(scope="module")
def camera(browser: Browser, folder: Path) -> Iterator[Browser]:
    with with_camera(browser, folder / "film.mjpeg") as camera:
        yield camera


def start(page: Page) -> None:
    page.locator("[data-control=camera-start]").click()


def files(folder: Path) -> set[Path]:
    return {path for path in (folder / "cache").rglob("*") if path.is_file()}


@pytest.mark.parametrize("width", [1280, pytest.param(390, marks=pytest.mark.further)])
def test_the_camera_is_explained_and_nothing_is_kept_until_a_frame_is_frozen(camera: Browser, url: str, folder: Path, width: int) -> None:
    with visiting(camera, f"{url}?tab=camera", width, permissions=["camera"]) as page:
        before, first = files(folder), explained(page)
        under_way, most = [0], [0]

        def asks(by: int) -> None:
            under_way[0] += by
            most[0] = max(most[0], under_way[0])

        page.on("request", lambda request: asks(1) if "/run/predict" in request.url else None)
        page.on("response", lambda answer: asks(-1) if "/run/predict" in answer.url else None)
        expect(page.locator(".tg-camera")).to_be_hidden()
        expect(page.locator(SAID)).to_contain_text("appears here")
        start(page)
        expect(page.locator(".tg-camera")).to_be_visible()
        for name in ("espresso", "lion"):
            expect(page.locator(".tg-answer").first).to_contain_text(name)
            expect(page.locator(SAID)).to_contain_text(f"EfficientNet-Lite0 sees: {name}")
        page.wait_for_function(f"{SHOWN} > 3")
        assert page.locator("#tg-input").is_visible() == (width > 640), "on a narrow page the camera has the room"
        assert most[0] == 1, "one frame at a time"
        assert page.evaluate(f"(async () => (await TRGBP.pixels(document.querySelector('{MAP}').panel)).some((grey) => grey > 200))()")
        page.locator(".tg-answer").nth(1).click()
        expect(page.locator(SAID)).to_contain_text("Explained: ")
        assert files(folder) == before
        assert explained(page) == first, "the page's own picture stays"
        does_not_scroll_sideways(page)
        page.locator("[data-control=camera-freeze]").click()
        page.wait_for_function("first => document.body.dataset.trgbpExplain !== first", arg=first)
        page.wait_for_url("**image=own**tab=explain**")
        expect(page.locator(".tg-answer").first).to_contain_text(
            "espresso" if "espresso" in page.locator("#tg-class input").input_value() else "lion"
        )
        frozen = Path(page.evaluate("TRGBP.state.asked.file.path"))
        assert frozen.is_file()
        assert files(folder) - before <= {frozen}


def test_it_says_that_the_server_does_not_answer_and_goes_on_when_it_does(camera: Browser, url: str) -> None:
    with visiting(camera, f"{url}?tab=camera", permissions=["camera"], reloads=True) as page:
        start(page)
        expect(page.locator(SAID)).to_contain_text("frames a second")
        page.context.set_offline(True)
        expect(page.locator(SAID)).to_contain_text("No answer from the server")
        assert page.evaluate(LEAVES) == "yes", "also when the next frame has only just been asked about"
        page.context.set_offline(False)
        expect(page.locator(SAID)).to_contain_text("frames a second")
        page.locator("[data-control=camera-stop]").click()


def test_it_stops_when_the_tab_is_left_or_the_page_is_hidden(camera: Browser, url: str) -> None:
    with visiting(camera, f"{url}?tab=camera", permissions=["camera"]) as page:
        answer = page.locator("#tg-best").inner_text()
        tracks = "document.querySelector('#tg-camera video').srcObject"
        for leave in ("tab", "hidden"):
            start(page)
            page.wait_for_function("document.body.classList.contains('tg-live')")
            page.evaluate(f"window.track = {tracks}.getTracks()[0]")
            if leave == "tab":
                page.get_by_role("tab", name="Measure").click()
            else:
                page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
                page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            page.wait_for_function("window.track.readyState === 'ended'")
            page.get_by_role("tab", name="Camera").click()
            expect(page.locator(SAID)).to_have_text("Stopped, since this tab was left.")
            assert page.locator("#tg-best").inner_text() == answer


def test_without_permission_a_camera_or_a_secure_address_it_says_so(camera: Browser, browser: Browser, url: str) -> None:
    insecure = "Object.defineProperty(navigator, 'mediaDevices', { value: undefined })"
    for which, permissions, said in ((camera, [], "may not use the camera"), (browser, ["camera"], "no camera on this device")):
        with visiting(which, f"{url}?tab=camera", permissions=permissions) as page:
            start(page)
            expect(page.locator(SAID)).to_contain_text(said)
            before = painted(page, MAP)
            page.evaluate(insecure)
            start(page)
            expect(page.locator(SAID)).to_contain_text("over https")
            assert painted(page, MAP) == before
