"""For every person: no accessibility violation on any tab (axe-core), keyboard alone, zoom, reduced motion, one language."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from trgbp_core.drawing.render import COLOUR_MAPS, lookup

from .chromium import does_not_scroll_sideways, explains_anew, open_tab, visiting

pytestmark = pytest.mark.browser
WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
ARRIVED = {"compare": "trgbpCompare", "measure": "trgbpMeasure"}
STILL = "document.getAnimations().every(a => a.playState !== 'running' || a.effect.getTiming().iterations === Infinity)"


def tabs(page: Page, *, unfold: bool = True) -> Iterator[str]:
    """Opens every tab in turn, waits for its pictures, and unfolds what is folded."""
    for tab in page.get_by_role("tab").all():
        name = tab.get_attribute("data-tab-id") or ""
        tab.click()
        if name in ARRIVED:
            page.wait_for_function("name => Number(document.body.dataset[name]) >= 5", arg=ARRIVED[name])
        if name == "cascade":
            page.wait_for_function("Number(document.body.dataset.trgbpCascade) >= 2")
            page.locator("#tg-cascade-stop").click()
        if name == "predict":
            page.wait_for_function("document.body.dataset.trgbpPredict")
            page.locator("#tg-predict-more button.label-wrap").click()
            page.locator("#tg-predict-run").click()
            page.wait_for_function("window.TRGBP.state.data.predict_measured?.random")
            page.locator("#tg-predict-stop").click()
        while unfold and (closed := page.locator("details.tg-fold:not([open]) > summary:visible")).count():
            closed.first.click()
        while unfold and (folded := page.locator("button.label-wrap:visible:not(.open)")).count():
            folded.first.click()
        page.wait_for_function(STILL)
        yield name


@pytest.fixture
def page(browser: Browser, page_url: str) -> Iterator[Page]:
    with visiting(browser, page_url) as page:
        yield page


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_tab(scheme: str, width: int, browser: Browser, page_url: str) -> None:
    address = page_url + ("?__theme=dark" if scheme == "dark" else "?__theme=light")
    seen = 0
    with visiting(browser, address, width, color_scheme=scheme, has_touch=width < 400) as page:
        for name in tabs(page):
            seen += 1
            found = Axe().run(page, options=WCAG).response["violations"]
            said = [f"{v['id']} ({v['impact']}): {n['html'][:120]} {n['failureSummary'][:200]}" for v in found for n in v["nodes"]]
            assert not said, (name, said)
            does_not_scroll_sideways(page)
    assert seen >= 5


def test_the_whole_page_works_by_keyboard_alone(page: Page) -> None:
    reached, hidden = set[str](), list[str]()
    for _ in range(160):
        page.keyboard.press("Tab")
        about = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            const ring = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== 'none';
            return [e.dataset.control || e.dataset.tabId || e.closest('[id^=tg-]')?.id || e.tagName, ring, e.outerHTML.slice(0, 100)]; }"""
        )
        if about[0] == "BODY":  # the page's end, or a picker that has just closed: the next Tab goes on
            continue
        reached.add(about[0])
        hidden += [] if about[1] else [about[2]]
    assert {"tg-input", "tg-class", "tg-model", "tg-best", "opacity", "colours", "psi", "explain", "tg-export"} <= reached, reached
    assert not hidden, f"focus cannot be seen on {hidden[:5]}"
    with explains_anew(page):
        page.locator("#tg-class input").focus()
        page.keyboard.press("Control+a")
        page.keyboard.type("cheetah")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
    page.locator("[data-fold=classes] > summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#tg-classes .tg-class").last).to_be_visible()
    with explains_anew(page):
        page.locator(".tg-answer").nth(0).focus()
        page.keyboard.press("Enter")


def test_a_screen_reader_reads_what_happened(page: Page) -> None:
    status = page.locator("#tg-status")
    assert (status.get_attribute("role"), status.get_attribute("aria-live")) == ("status", "polite")


def test_nothing_is_lost_at_two_hundred_per_cent(browser: Browser, page_url: str) -> None:
    with visiting(browser, page_url, viewport={"width": 640, "height": 400}, device_scale_factor=2) as page:
        for _ in tabs(page):
            does_not_scroll_sideways(page)


def test_the_first_screen_of_every_tab_shows_its_pictures_without_scrolling(page: Page) -> None:
    whole = {"explain": 2, "compare": 5, "cascade": 5, "measure": 4}  # Measure's second row follows below
    visible = "figures => figures.filter(f => f.checkVisibility()).map(f => f.getBoundingClientRect()).map(r => [r.width, r.top, r.bottom])"
    for name in tabs(page, unfold=False):
        assert page.evaluate("scrollY") == 0
        figures = page.locator("[role=tabpanel] .tg-figure .tg-frame").evaluate_all(visible)
        if name in whole:
            assert all(width >= 150 for width, _, _ in figures), (name, figures)
            assert sum(0 <= top < bottom <= 800 for _, top, bottom in figures) == whole[name], (name, figures)


def test_who_wants_no_motion_gets_none(browser: Browser, page_url: str) -> None:
    moving = "[...document.querySelectorAll('.gradio-container *')].filter(e => getComputedStyle(e).transitionDuration !== '0s').length"
    with visiting(browser, page_url, reduced_motion="reduce") as page:
        assert page.evaluate(moving) == 0


def test_the_first_colour_map_is_read_without_colours() -> None:
    """Its lightness rises all the way, also for eyes without red or green cones (Viénot et al. 1999, on linear light)."""
    linear = (lookup(COLOUR_MAPS[0]).astype(float) / 255) ** 2.2
    protan = np.array([[0.1124, 0.8876, 0], [0.1124, 0.8876, 0], [0.004, -0.004, 1]])
    deutan = np.array([[0.2927, 0.7073, 0], [0.2927, 0.7073, 0], [-0.0223, 0.0223, 1]])
    for eyes in (np.eye(3), protan, deutan):
        lightness = (linear @ eyes.T) @ np.array([0.2126, 0.7152, 0.0722])
        assert (np.diff(lightness) > -1e-3).all()  # colours are stored in steps of 1/255
        assert lightness[-1] - lightness[0] > 0.8


def test_a_visitor_with_another_language_reads_one_language(browser: Browser, page_url: str) -> None:
    """Gradio would write its own words in German, between English ones."""
    with visiting(browser, page_url, locale="de-DE") as page:
        assert page.evaluate("[document.documentElement.lang, navigator.language]") == ["en", "en"]
        page.locator("#tg-input").get_by_role("button").first.wait_for()
        names = page.evaluate(
            "[...document.querySelectorAll('button[aria-label]')].map(button => button.getAttribute('aria-label')).join()"
        )
        assert "Upload" in names or "Clear" in names
        assert not {"Hochladen", "Löschen", "Entfernen", "Schließen"} & set(names.split(","))


def test_figure_data_and_code_of_the_open_tab_are_exported(page: Page) -> None:
    open_tab(page, "Compare", "data.trgbpCompare === '5'")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as figure:
        page.locator("#tg-export-figure").click()
    assert figure.value.suggested_filename.endswith("-compare.png")
    assert figure.value.path().read_bytes().startswith(b"\x89PNG")
    with page.expect_download() as data:
        page.locator("#tg-export-data").click()
    with zipfile.ZipFile(io.BytesIO(data.value.path().read_bytes())) as archive:
        assert {"README.txt", "tr_gbp.npy", "grad_cam.npy", "picture.npy"} <= set(archive.namelist())
    page.locator("#tg-export-code").click()
    expect(page.locator("#tg-export-python")).to_contain_text("METHODS[key].attribute(zoo.network, x, target=291)")
    expect(page.locator("#tg-export-command")).to_contain_text("python -m trgbp_core compare")
