"""The tab Predict in Chromium: the predictions are there before anything is measured; measuring can be stopped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .chromium import open_tab, painted, visiting

pytestmark = pytest.mark.browser
SHOWN = "#tg-predict .tg-layer canvas"


@pytest.fixture
def page(browser: Browser, page_url: str) -> Iterator[Page]:
    with visiting(browser, f"{page_url}?image=lion.jpg&layer=35") as page:
        open_tab(page, "Predict", "data.trgbpPredict")
        yield page


def test_the_prediction_comes_first_and_the_measured_is_laid_over_it_until_it_is_stopped(page: Page) -> None:
    tab = page.locator("#tg-predict")
    expect(tab.get_by_text("Not measured yet")).to_be_visible()
    expect(tab.get_by_text("Predicted: 21 % of the map in the frame")).to_be_visible()
    expect(tab.locator("polyline").first).to_be_attached()
    expect(tab.locator("circle")).to_have_count(0)
    assert page.evaluate("window.TRGBP.state.data.predict_measured") is None
    before = painted(page, SHOWN)
    draws = page.get_by_label("Draws of random weights")
    page.locator("#tg-predict").locator("xpath=following::button[contains(., 'Options')][1]").click()
    draws.fill("50")
    draws.press("Tab")
    page.locator("#tg-predict-run").click()
    page.wait_for_function("window.TRGBP.state.data.predict_measured?.draws >= 2")
    page.locator("#tg-predict-stop").click()
    expect(page.locator("#tg-predict-status")).to_have_text("Stopped.")
    expect(tab.get_by_text("Not measured yet")).to_have_count(0)
    expect(tab.locator("circle").first).to_be_attached()
    expect(tab.locator(".tg-verdict")).to_contain_text("real pictures")
    expect(tab.get_by_text("stronger detector of errors")).to_be_visible()
    expect(tab.locator(".tg-table tbody tr")).to_have_count(3)
    assert painted(page, SHOWN) == before
    stopped = page.evaluate("window.TRGBP.state.data.predict_measured.draws")
    open_tab(page, "Compare", "data.trgbpCompare === '5'")  # draws that go on would arrive meanwhile
    open_tab(page, "Predict")
    assert page.evaluate("window.TRGBP.state.data.predict_measured.draws") == stopped < 50
    slider = page.locator('input[data-control="predict-layer"]')
    assert slider.input_value() == "35"
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("([where, before]) => document.querySelector(where).toDataURL() !== before", arg=[SHOWN, before])
    page.get_by_role("tab", name="Explain").click()
    expect(page.locator("#tg-explain output").first).to_contain_text("36 of 50")


def test_another_picture_takes_what_was_measured_away(page: Page) -> None:
    page.locator("#tg-predict-run").click()
    page.wait_for_function("window.TRGBP.state.data.predict_measured?.random")
    first = page.evaluate("document.body.dataset.trgbpPredict")
    page.locator("#tg-side button[aria-label='Examples: chelsea']").click()
    page.wait_for_function("first => document.body.dataset.trgbpPredict && document.body.dataset.trgbpPredict !== first", arg=first)
    expect(page.locator("#tg-predict").get_by_text("Not measured yet")).to_be_visible()
