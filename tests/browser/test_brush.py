"""The brush of the tab Explain in Chromium: cover, copy, undo; and the painted picture is the page's picture everywhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .chromium import does_not_scroll_sideways, explains_anew, open_tab, unfold, visiting

pytestmark = pytest.mark.browser
AREA = "[data-control=brush]"
BOX = f"{AREA} rect.tg-box"


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, page_url: str) -> Iterator[Page]:
    width = getattr(request, "param", 1280)
    with visiting(browser, f"{page_url}?image=star_with_tag.png&model=shapes_cheat&class=star", width) as page:
        unfold(page, "brush")
        yield page


def draw_box(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag over the picture, in fractions of it."""
    area = page.locator(AREA)
    area.scroll_into_view_if_needed()
    around = area.bounding_box()
    assert around is not None
    corners = [(around["x"] + around["width"] * x, around["y"] + around["height"] * y) for x, y in (start, end)]
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.mouse.move(*corners[1], steps=3)
    page.mouse.up()


def edges(page: Page) -> list[float]:
    """(left, top, width, height) of the box, of 64."""
    return [round(64 * float(page.locator(BOX).get_attribute(name) or 0)) for name in ("x", "y", "width", "height")]


def press(page: Page, control: str) -> None:
    with explains_anew(page):
        page.locator(f"[data-control={control}]").click()


def says(page: Page, name: str) -> None:
    expect(page.locator(".tg-answer").first).to_contain_text(name)


@pytest.mark.parametrize("page", [1280, pytest.param(390, marks=pytest.mark.further)], indirect=True)
def test_a_tag_is_covered_given_back_and_put_into_another_picture_and_every_tab_has_the_painted_one(page: Page) -> None:
    says(page, "star")
    expect(page.locator("[data-control=undo]")).to_be_disabled()
    expect(page.locator("[data-control=put-down]")).to_be_disabled()
    draw_box(page, (50 / 64, 50 / 64), (62 / 64, 62 / 64))
    assert edges(page) == [50, 50, 12, 12]
    page.locator("[data-control=pick-up]").click()
    press(page, "cover")
    says(page, "triangle")
    page.wait_for_url("**image=own**")
    covered = page.evaluate("TRGBP.state.data.explain.key.split(':')[1]")
    open_tab(page, "Measure", "data.trgbpMeasure")
    assert page.evaluate("TRGBP.state.data.measure.of.split(':')[1]") == covered
    page.get_by_role("tab", name="Explain").click()
    press(page, "undo")
    says(page, "star")
    page.wait_for_url("**image=star_with_tag.png**")
    expect(page.locator("[data-control=undo]")).to_be_disabled()
    with explains_anew(page):
        page.locator("#tg-side button[aria-label='Examples: square']").click()
    says(page, "square")
    page.wait_for_url("**image=square.png**")
    press(page, "put-down")
    says(page, "star")
    page.wait_for_url("**image=own**")
    page.go_back()
    says(page, "square")
    does_not_scroll_sideways(page)


def test_the_box_is_moved_by_keys_and_by_dragging_and_a_blur_covers_too(page: Page) -> None:
    draw_box(page, (10 / 64, 10 / 64), (20 / 64, 20 / 64))
    draw_box(page, (15 / 64, 15 / 64), (25 / 64, 18 / 64))
    assert edges(page) == [20, 13, 10, 10]
    page.locator(AREA).focus()
    for key in ("ArrowDown", "ArrowLeft", "Shift+ArrowRight"):
        page.keyboard.press(key)
    assert edges(page) == [19, 14, 11, 10]
    page.locator("[data-control=cover-with]").select_option("blur")
    page.locator("[data-control=cover]").focus()
    with explains_anew(page):
        page.keyboard.press("Enter")
    page.wait_for_url("**image=own**")
    page.evaluate("TRGBP.stroke({ how: 'ink', box: [0, 0, 1, 1], number: 1 })")
    expect(page.locator("#tg-brush-status")).to_contain_text("mean colour, or blurred")
