"""For every person: no accessibility violation on any tab (axe-core), keyboard alone, zoom, reduced motion, four more languages."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import app
from trgbp_core.drawing.render import COLOUR_MAPS, lookup
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.page.tabs import translation

pytestmark = pytest.mark.browser
WAIT = 120_000  # milliseconds; a limit for a busy machine, no measurement
WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
ARRIVED = {"compare": "trgbpCompare", "measure": "trgbpMeasure"}
LANGUAGES = {
    "de": ("Zu erklärende Klasse", "Deckkraft der Karte", "Erklären"),
    "fr": ("Classe à expliquer", "Opacité de la carte", "Expliquer"),
    "es": ("Clase que explicar", "Opacidad del mapa", "Explicar"),
    "zh": ("要解释的类别", "图的不透明度", "解释"),
}


def opened(browser: Browser, url: str, **options: object) -> Page:
    page = browser.new_page(**({"viewport": {"width": 1280, "height": 800}} | options))  # type: ignore[arg-type]
    page.set_default_timeout(WAIT)
    page.goto(url)
    page.wait_for_function("document.body.dataset.trgbpExplain")
    return page


def tabs(page: Page, *, unfold: bool = True) -> Iterator[str]:
    """Opens every tab in turn, waits for its pictures, and unfolds what is folded."""
    for tab in page.get_by_role("tab").all():
        name = tab.get_attribute("data-tab-id") or ""
        tab.click()
        if name in ARRIVED:
            page.wait_for_function("name => Number(document.body.dataset[name]) >= 5", arg=ARRIVED[name])
        if name == "cascade":
            page.locator("#tg-cascade-run").click()
            page.wait_for_function("Number(document.body.dataset.trgbpCascade) >= 2")
            page.locator("#tg-cascade-stop").click()
        if name == "predict":
            page.locator("#tg-predict-run").click()
            page.wait_for_function("window.TRGBP.state.data.predict_measured?.random")
            page.locator("#tg-predict-stop").click()
        while unfold and (folded := page.locator("button.label-wrap:visible:not(.open)")).count():
            folded.first.click()
        page.wait_for_timeout(500)
        yield name


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_tab(scheme: str, width: int, browser: Browser, page_url: str) -> None:
    address = page_url + ("?__theme=dark" if scheme == "dark" else "?__theme=light")
    page = opened(browser, address, viewport={"width": width, "height": 800}, color_scheme=scheme, has_touch=width < 400)
    seen = 0
    for name in tabs(page):
        seen += 1
        found = Axe().run(page, options=WCAG).response["violations"]
        said = [f"{v['id']} ({v['impact']}): {n['html'][:120]} {n['failureSummary'][:200]}" for v in found for n in v["nodes"]]
        assert not said, (name, said)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} scrolls sideways"
    assert seen >= 5
    page.close()


def test_the_whole_page_works_by_keyboard_alone(browser: Browser, page_url: str) -> None:
    page = opened(browser, page_url)
    reached, hidden = set[str](), list[str]()
    for _ in range(160):
        page.keyboard.press("Tab")
        about = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            const ring = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== 'none';
            return [e.dataset.control || e.closest('[id^=tg-]')?.id || e.dataset.tabId || e.tagName, ring, e.outerHTML.slice(0, 100)]; }"""
        )
        if about[0] == "BODY":  # the page's end, or a picker that has just closed: the next Tab goes on
            continue
        reached.add(about[0])
        hidden += [] if about[1] else [about[2]]
    assert {"tg-input", "tg-class", "tg-model", "opacity", "colours", "layer", "explain", "tg-export"} <= reached, reached
    assert not hidden, f"focus cannot be seen on {hidden[:5]}"
    picker = page.locator("#tg-class input")
    first = page.evaluate("document.body.dataset.trgbpExplain")
    picker.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("cheetah")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_function("first => document.body.dataset.trgbpExplain !== first", arg=first)
    page.get_by_role("tab", name="Explain").focus()
    page.keyboard.press("Tab")  # Gradio's tabs are reached one by one
    page.keyboard.press("Enter")
    expect(page.locator("#tg-classes .tg-class")).to_have_count(5, timeout=WAIT)
    page.close()


def test_a_screen_reader_hears_where_a_map_is_strong_and_what_happened(browser: Browser, page_url: str) -> None:
    page = opened(browser, page_url)
    for canvas in page.locator("#tg-explain canvas[role=img]").all():
        label = canvas.get_attribute("aria-label") or ""
        assert all(part in label for part in ("peak ", "upper left", "upper right", "lower left", "lower right", "in the frame")), label
    status = page.locator("#tg-status")
    assert (status.get_attribute("role"), status.get_attribute("aria-live")) == ("status", "polite")
    page.close()


def test_nothing_is_lost_at_two_hundred_per_cent(browser: Browser, page_url: str) -> None:
    page = opened(browser, page_url, viewport={"width": 640, "height": 400}, device_scale_factor=2)
    for name in tabs(page):
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} scrolls sideways"
    page.close()


def test_the_first_screen_of_every_tab_shows_its_pictures_without_scrolling(browser: Browser, page_url: str) -> None:
    page, seen = opened(browser, page_url), dict[str, list[list[float]]]()
    script = (
        """figures => figures.filter(f => f.checkVisibility()).map(f => f.getBoundingClientRect()).map(r => [r.width, r.top, r.bottom])"""
    )
    for name in tabs(page, unfold=False):
        assert page.evaluate("scrollY") == 0
        seen[name] = page.locator("[role=tabpanel] .tg-figure .tg-frame").evaluate_all(script)
    page.close()
    whole = {"explain": 6, "classes": 5, "compare": 4, "cascade": 5, "measure": 6}  # Compare's further rows follow below
    for name, count in whole.items():
        assert all(width >= 220 for width, _, _ in seen[name]), (name, seen[name])
        assert sum(0 <= top < bottom <= 800 for _, top, bottom in seen[name]) == count, (name, seen[name])


def test_who_wants_no_motion_gets_none(browser: Browser, page_url: str) -> None:
    page = opened(browser, page_url, reduced_motion="reduce")
    moving = "[...document.querySelectorAll('.gradio-container *')].filter(e => getComputedStyle(e).transitionDuration !== '0s').length"
    assert page.evaluate(moving) == 0
    page.close()


def test_the_first_colour_map_is_told_apart_without_colours() -> None:
    """Its lightness rises all the way, also for eyes without red or green cones (Viénot et al. 1999, on linear light)."""
    linear = (lookup(COLOUR_MAPS[0]).astype(float) / 255) ** 2.2
    protan = np.array([[0.1124, 0.8876, 0], [0.1124, 0.8876, 0], [0.004, -0.004, 1]])
    deutan = np.array([[0.2927, 0.7073, 0], [0.2927, 0.7073, 0], [-0.0223, 0.0223, 1]])
    for eyes in (np.eye(3), protan, deutan):
        lightness = (linear @ eyes.T) @ np.array([0.2126, 0.7152, 0.0722])
        assert (np.diff(lightness) > -1e-3).all()  # colours are stored in steps of 1/255
        assert lightness[-1] - lightness[0] > 0.8


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_controls_speak(language: str, browser: Browser, page_url: str) -> None:
    page = opened(browser, page_url, locale={"zh": "zh-CN"}.get(language, language))
    for text in LANGUAGES[language]:
        expect(page.get_by_text(text, exact=True).first).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == language
    page.close()


def test_every_label_has_its_words_in_every_language() -> None:
    found = translation.translations()
    left = set(translation.labels(app.build(Explorer())).values())
    assert set(found) == set(LANGUAGES)
    for language, known in found.items():
        assert set(known) == set(found["de"]), language
        assert all(known.values())
    assert not left, f"assets/page/translations.json lacks {sorted(left)}"


def test_figure_data_and_text_of_the_open_tab_are_exported(browser: Browser, page_url: str) -> None:
    page = opened(browser, page_url)
    page.get_by_role("tab", name="Compare").click()
    page.wait_for_function("Number(document.body.dataset.trgbpCompare) >= 5")
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
    page.close()
