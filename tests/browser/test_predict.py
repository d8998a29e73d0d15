"""The tab Predict in Chromium: the verdict is there at once; random weights are drawn when asked, and can be stopped."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .chromium import open_tab, painted, visiting

pytestmark = pytest.mark.browser
SHOWN = "#tg-predict_details .tg-layer canvas"


@pytest.fixture
def page(browser: Browser, page_url: str) -> Iterator[Page]:
    with visiting(browser, f"{page_url}?image=lion.jpg&layer=35") as page:
        open_tab(page, "Predict", "data.trgbpPredict")
        yield page


def unfold(page: Page) -> None:
    page.locator("#tg-predict-more button.label-wrap").click()
    expect(page.locator("#tg-predict-run")).to_be_visible()


def test_the_verdict_comes_first_and_reads_the_curve_and_what_is_drawn_is_laid_over_the_prediction_until_it_is_stopped(page: Page) -> None:
    card, details = page.locator("#tg-predict .tg-answer-card"), page.locator("#tg-predict_details")
    expect(card).to_contain_text("theory expects 21 % of a map without error")
    expect(card).to_contain_text("stronger sign of errors")
    shown = re.search(r"Of the (\d+) with at least this much .* wrong on (\d+) %", card.inner_text())
    assert shown is not None
    unfold(page)
    share = float(str(details.locator("circle.tg-mark").get_attribute("data-share")))
    assert f"{100 * share:.0f}" == shown[2], "the curve's dot is the verdict's number"
    expect(details.get_by_text("Not drawn yet")).to_be_visible()
    expect(details.locator("polyline").first).to_be_attached()
    expect(details.locator("circle.tg-seen")).to_have_count(0)
    assert page.evaluate("window.TRGBP.state.data.predict_measured") is None
    before = painted(page, SHOWN)
    draws = page.locator("#tg-predict-draws input")
    draws.fill("1")
    page.locator("#tg-predict-run").click()
    expect(page.locator("#tg-predict_draws-status")).to_contain_text("Draws are 2 to 50")
    draws.fill("50")
    draws.press("Tab")
    page.locator("#tg-predict-run").click()
    page.wait_for_function("window.TRGBP.state.data.predict_measured?.draws >= 2")
    page.locator("#tg-predict-stop").click()
    expect(page.locator("#tg-predict_draws-status")).to_have_text("Stopped.")
    expect(details.get_by_text("Not drawn yet")).to_have_count(0)
    expect(details.locator("circle.tg-seen").first).to_be_attached()
    expect(details.locator(".tg-table tbody tr")).to_have_count(3)
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
    expect(page.locator("#tg-explain output").get_by_text("36 of 50")).to_be_attached()


def test_captions_read_their_own_numbers_nothing_asks_for_a_press_after_all_draws_and_another_picture_takes_it_away(page: Page) -> None:
    unfold(page)
    caption = page.locator("#tg-predict_details .tg-layer figcaption span").first
    for layer, lowest in ((49, "in the centre"), (40, None)):
        page.locator('input[data-control="predict-layer"]').fill(str(layer))
        rings = page.evaluate("layer => TRGBP.state.data.predict.layers[layer - 1].profile", layer)
        where = "at the border" if rings[0] == min(rings) else "in the centre" if rings[-1] == min(rings) else "between border and centre"
        said = "The same everywhere" if min(rings) >= 0.95 * max(rings) else f"Weakest {where}"
        expect(caption).to_contain_text(said)
        assert lowest in (None, where), "stronger at the border, this one"
    page.locator("#tg-predict-draws input").fill("2")
    page.locator("#tg-predict-run").click()
    page.wait_for_function("window.TRGBP.state.data.predict_measured?.draws === 2")
    expect(page.locator("#tg-predict_draws-status")).to_contain_text("2 of 2 networks")
    shown = page.locator("[role=tabpanel]:visible").inner_text()
    assert not re.search("press|Not drawn", shown), shown
    first = page.evaluate("document.body.dataset.trgbpPredict")
    page.locator("#tg-side button[aria-label='Examples: chelsea']").click()
    page.wait_for_function("first => document.body.dataset.trgbpPredict && document.body.dataset.trgbpPredict !== first", arg=first)
    expect(page.locator("#tg-predict_details").get_by_text("Not drawn yet")).to_be_visible()
