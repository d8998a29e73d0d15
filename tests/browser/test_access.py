"""For every person: no accessibility violation on any tab (axe-core), keyboard alone, zoom, reduced motion, one language."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from trgbp_core.drawing.render import COLOUR_MAPS, lookup

from .chromium import EXAMPLES, explains_anew, open_tab, put_in, visiting

pytestmark = pytest.mark.browser
WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
LAPTOP, TELEPHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 800}
ARRIVED = {"compare": "trgbpCompare", "measure": "trgbpMeasure"}
LINES = {"cascade": "#tg-cascade-status", "measure": "#tg-perturb-status", "predict": "#tg-predict_draws-status"}
"""The tabs that can be stopped, and where they say what they do."""
STILL = "document.getAnimations().every(a => a.playState !== 'running' || a.effect.getTiming().iterations === Infinity)"


def violations(page: Page, state: str) -> list[str]:
    page.wait_for_function(STILL)
    found = Axe().run(page, options=WCAG).response["violations"]
    return [f"{state}: {v['id']} ({v['impact']}): {n['html'][:120]} {n['failureSummary'][:200]}" for v in found for n in v["nodes"]]


def sideways(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def tabs(page: Page) -> Iterator[str]:
    for tab in page.get_by_role("tab").all():
        tab.click()
        yield tab.get_attribute("data-tab-id") or ""


def begin(page: Page, name: str) -> None:
    """Wait for what the tab shows by itself, or, where it does more when asked, until some of that is there and more is to come."""
    if name in ARRIVED:
        page.wait_for_function("name => Number(document.body.dataset[name]) >= 5", arg=ARRIVED[name])
    if name == "cascade":
        page.wait_for_function("Number(document.body.dataset.trgbpCascade) >= 2")
    if name == "measure":
        page.locator("#tg-perturb-run").click()
        page.wait_for_function("document.body.dataset.trgbpPerturb")
    if name == "many":
        page.locator("#tg-many-cheat").click()
        expect(page.locator(".tg-group[data-flagged=yes]")).to_have_count(1)
    if name == "predict":
        page.wait_for_function("document.body.dataset.trgbpPredict")
        page.locator("#tg-predict-more button.label-wrap").click()
        page.locator("#tg-predict-run").click()
        page.wait_for_function("window.TRGBP.state.data.predict_measured?.random")


def unfold(page: Page) -> None:
    while (closed := page.locator("details.tg-fold:not([open]) > summary:visible")).count():
        closed.first.click()
    while (folded := page.locator("button.label-wrap:visible:not(.open)")).count():
        folded.first.click()


def mistake(page: Page, name: str) -> None:
    """Ask the tab for what it refuses, if it can be asked."""
    if name == "cascade":
        page.locator("#tg-cascade-seed input").fill("1.5")
    if name == "predict":
        page.locator("#tg-predict-draws input").fill("1")
    if name in ("cascade", "predict"):
        page.locator(f"#tg-{name}-run").click()
        expect(page.locator(LINES[name])).not_to_have_text(re.compile(r"^$|Stopped|Randomised|networks"))


@dataclass
class Walk:
    """What one visitor found who saw every tab empty, at work, done, and refusing; on narrow windows, too."""

    against: list[str] = field(default_factory=list)  # violations of WCAG
    sideways: list[str] = field(default_factory=list)
    figures: dict[str, list[list[float]]] = field(default_factory=dict)  # width, top and bottom in the first window


VISIBLE = "figures => figures.filter(f => f.checkVisibility()).map(f => f.getBoundingClientRect()).map(r => [r.width, r.top, r.bottom])"


def walked(page: Page) -> Walk:
    walk = Walk()
    page.locator("#tg-input button[aria-label='Remove Image'], #tg-input button[aria-label='Clear']").first.click()
    expect(page.locator("#tg-status")).to_contain_text("There is no picture yet")
    for name in tabs(page):
        walk.against += violations(page, f"{name}, empty")
    page.get_by_role("tab").first.click()
    put_in(page, EXAMPLES / "cheetah_and_lion.jpg")
    walk.against += violations(page, "explain, at work")
    expect(page.locator("#tg-status")).to_contain_text("Explained")
    for name in tabs(page):
        assert page.evaluate("scrollY") == 0, name
        if name == "compare":
            walk.against += violations(page, f"{name}, at work")
        begin(page, name)
        if name in LINES:
            walk.against += violations(page, f"{name}, at work")
            page.locator(f"#tg-{name}-stop").click()
        page.evaluate("scrollTo(0, 0)")
        walk.figures[name] = page.locator("[role=tabpanel] .tg-figure .tg-frame").evaluate_all(VISIBLE)
        unfold(page)
        walk.against += violations(page, f"{name}, done")
        page.set_viewport_size({"width": 640, "height": 400})
        page.wait_for_function(STILL)
        walk.sideways += [f"{name} at 200 %"] if sideways(page) else []
        page.set_viewport_size(LAPTOP)
        page.evaluate("scrollTo(0, 0)")  # what was unfolded may be a little longer than the window
    page.set_viewport_size(TELEPHONE)
    page.locator("#tg-class input").fill("unicorn")
    page.locator("#tg-class input").press("Enter")
    expect(page.locator("#tg-status")).to_contain_text("No class is called")
    for name in tabs(page):  # all that they showed is there yet, and what was refused
        mistake(page, name)
        walk.against += violations(page, f"{name}, refusing, on a telephone")
        walk.sideways += [f"{name} on a telephone"] if sideways(page) else []
    return walk


@pytest.fixture(scope="module", params=["light", pytest.param("dark", marks=pytest.mark.further)])
def walk(request: pytest.FixtureRequest, browser: Browser, page_url: str) -> Iterator[Walk]:
    with visiting(browser, f"{page_url}?__theme={request.param}", color_scheme=request.param) as page:
        yield walked(page)


@pytest.fixture
def page(browser: Browser, page_url: str) -> Iterator[Page]:
    with visiting(browser, page_url) as page:
        yield page


def test_axe_finds_nothing_on_any_tab_in_any_state(walk: Walk) -> None:
    assert not walk.against


def test_nothing_is_lost_on_a_telephone_or_at_two_hundred_per_cent(walk: Walk) -> None:
    """1280 pixels enlarged twice are 640 pixels to the page."""
    assert not walk.sideways


def test_the_first_screen_of_every_tab_shows_its_pictures_without_scrolling(walk: Walk) -> None:
    whole = {"explain": 2, "compare": 5, "cascade": 5, "measure": 3}  # Measure's second row follows below
    assert len(walk.figures) >= 6
    for name, count in whole.items():
        figures = walk.figures[name]
        assert all(width >= 150 for width, _, _ in figures), (name, figures)
        assert sum(0 <= top < bottom <= 800 for _, top, bottom in figures) == count, (name, figures)


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
