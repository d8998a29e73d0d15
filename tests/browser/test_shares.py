"""Who says so, here? A place on the shown map and every layer's part of it, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import pytest
from playwright.sync_api import Browser, Page, expect

from trgbp_core import TRGBP
from trgbp_core.data import images
from trgbp_core.trgbp.explainer import Explanation
from trgbp_core.zoo.loading import load_model

from ..support.comparison import JUMP
from .chromium import EXAMPLES, does_not_scroll_sideways, explains_anew, visiting

pytestmark = pytest.mark.browser
CELLS = 56
PLACE = '[data-control="place"]'
BARS = ".tg-shares"
LION, CHEETAH = 291, 293


@pytest.fixture(scope="module")
def mosaic() -> Explanation:
    zoo = load_model("efficientnet_lite0")
    return TRGBP(zoo.network).explain(zoo.preprocess(images.read(EXAMPLES / "cheetah_and_lion.jpg")), [LION, CHEETAH])


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, page_url: str) -> Iterator[Page]:
    """Of the width that the test names; where it goes to an address itself, the page is left."""
    width, query = getattr(request, "param", 1280), "?image=cheetah_and_lion.jpg&class=lion&psi=conserving"
    with visiting(browser, page_url + query, width, reloads=True) as page:
        yield page


def drag(page: Page, left: float, top: float, right: float, bottom: float) -> None:
    """In fractions of the map."""
    page.locator(PLACE).scroll_into_view_if_needed()
    around = page.locator(PLACE).bounding_box()
    assert around is not None
    x, y, side = around["x"], around["y"], around["width"]
    page.mouse.move(x + left * side, y + top * side)
    page.mouse.down()
    page.mouse.move(x + right * side, y + bottom * side, steps=3)
    page.mouse.up()


def parts(page: Page) -> list[float]:
    """The parts that are asked for now, once they are shown."""
    expect(page.locator(f"{BARS}:not(.tg-waits) button")).not_to_have_count(0)
    shown = "TRGBP.state.data.shares.parts[TRGBP.state.psi]"
    heights = page.locator(f"{BARS} i").evaluate_all(
        "all => all.map(i => parseFloat(i.style.height) * (i.parentNode.dataset.sign === 'plus' ? 1 : -1))"
    )
    found = cast(list[float], page.evaluate(shown))
    span = max(0, *found) - min(0, *found)
    assert heights == pytest.approx([100 * part / span for part in found], abs=0.01)
    return found


def box_of(page: Page) -> list[float]:
    return cast(list[float], page.evaluate("TRGBP.state.box"))


def mass(e: Explanation, box: list[float], psi: str, against: int | None = None) -> float:
    left, top, right, bottom = (round(4 * CELLS * edge) for edge in box)
    map = e.attribution(LION, psi) if against is None else e.contrast(LION, against=against, psi=psi)  # type: ignore[arg-type]
    return float(map[..., top:bottom, left:right].double().sum())


@pytest.mark.parametrize("page", [1280, pytest.param(390, marks=pytest.mark.further)], indirect=True)
def test_the_bars_add_up_to_the_map_and_the_largest_is_marked_and_opens_its_layer(page: Page, mosaic: Explanation) -> None:
    drag(page, 0.55, 0.2, 0.9, 0.6)
    found, box = parts(page), box_of(page)
    assert len(found) == len(mosaic.layers) + 1
    assert sum(found) == pytest.approx(mass(mosaic, box, "conserving"), rel=JUMP)
    most = max(range(len(found)), key=lambda layer: abs(found[layer]))
    expect(page.locator(".tg-who p strong").last).to_have_text(f"layer {most}")
    does_not_scroll_sideways(page)
    page.get_by_label("smooth", exact=True).check()
    smooth = parts(page)
    assert sum(smooth) == pytest.approx(mass(mosaic, box, "paper"), rel=JUMP)
    page.locator('select[data-control="against"]').select_option(str(CHEETAH))
    expect(page.locator(".tg-who p")).to_contain_text("blue for cheetah")
    contrasted = parts(page)
    assert sum(contrasted) == pytest.approx(mass(mosaic, box, "paper", CHEETAH), rel=JUMP)
    most = max(range(len(contrasted)), key=lambda layer: abs(contrasted[layer]))
    page.locator(f"{BARS} .tg-most").click()
    expect(page.locator('input[data-control="layer"]')).to_have_value(str(most))
    expect(page.locator(".tg-strip .tg-most")).to_have_attribute("aria-label", re.compile(f"^Layer {most}:"))
    at = page.locator(".tg-tick").evaluate("tick => Number(tick.style.getPropertyValue('--tg-at'))")
    assert at == pytest.approx(most / len(mosaic.layers))


def test_a_click_asks_about_a_small_place_and_another_class_is_asked_about_the_same(page: Page, mosaic: Explanation) -> None:
    drag(page, 0.25, 0.5, 0.25, 0.5)
    left, top, right, bottom = box_of(page)
    assert [right - left, bottom - top] == pytest.approx([4 / CELLS, 4 / CELLS])
    before = parts(page)
    assert not page.locator("dialog[open]").count()
    with explains_anew(page):
        page.locator(".tg-answer").nth(1).click()
    expect(page.locator(".tg-who p")).to_contain_text("Red speaks for cheetah")
    assert parts(page) != before
    assert box_of(page) == [left, top, right, bottom]
    page.locator(PLACE).dblclick()
    expect(page.locator("dialog[open]")).to_be_visible()
    page.keyboard.press("Escape")


def test_keys_do_the_same_and_the_address_holds_the_box(page: Page, mosaic: Explanation) -> None:
    page.locator(PLACE).focus()
    for key in ("ArrowDown", "ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    box = [26 / CELLS + 1 / CELLS, 26 / CELLS, 31 / CELLS, 31 / CELLS]
    assert box_of(page) == pytest.approx(box)
    assert sum(parts(page)) == pytest.approx(mass(mosaic, box, "conserving"), rel=JUMP)
    page.wait_for_url("**box=0.482143%2C0.464286%2C0.553571%2C0.553571**")
    link = page.url
    page.locator(f'{BARS} [tabindex="0"]').focus()
    page.keyboard.press("End")
    expect(page.locator(f'{BARS} [data-layer="{len(mosaic.layers)}"]')).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator('input[data-control="layer"]')).to_be_focused()
    page.locator(PLACE).focus()
    page.keyboard.press("Escape")
    expect(page.locator(BARS)).to_be_hidden()
    page.wait_for_url(lambda url: "box=" not in url)
    page.goto(link)
    page.wait_for_function("document.body?.dataset.trgbpBox")
    assert box_of(page) == pytest.approx(box)
    assert sum(parts(page)) == pytest.approx(mass(mosaic, box, "conserving"), rel=JUMP)
    with explains_anew(page):
        page.get_by_label("Examples: coffee").click()
    expect(page.locator(BARS)).to_be_hidden()
