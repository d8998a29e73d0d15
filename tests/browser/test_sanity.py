"""The tab Sanity check in Chromium: it starts by itself, every stage has a verdict with numbers, and it is played and stopped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from .chromium import WAIT, choose, explains_anew, open_tab, questions, until_quiet, visiting

pytestmark = pytest.mark.browser
NAMES = {"own": "TR-GBP", "conserving": "TR-GBP, conserving ψ", "raw": "R̃ of TR-GBP", "gbp": "Guided backprop", "baseline": "Grad-CAM"}
COMPLETE = "TRGBP.state.data.cascade?.stages.at(-1)?.index === 50"
NOTES = """() => {
  window.said = new Set();
  const note = () => window.said.add(document.querySelector('#tg-cascade .tg-verdict')?.textContent || '');
  new MutationObserver(note).observe(document.body, { childList: true, characterData: true, subtree: true, attributes: true });
}"""
"""Everything that the verdict says, however short a time."""


@pytest.fixture(scope="module")
def page(browser: Browser, page_url: str) -> Iterator[Page]:
    with visiting(browser, page_url) as page:
        page.evaluate(NOTES)
        yield page


def to_stage(page: Page, index: int) -> dict[str, Any]:
    """Move the slider; returns the stage that is shown then."""
    page.locator('input[data-control="stage"]').evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input', {bubbles: true})); }", index
    )
    return dict(page.evaluate("TRGBP.state.data.cascade.stages[TRGBP.state.stage]"))


def verdict(page: Page) -> str:
    return page.locator("#tg-cascade .tg-verdict").inner_text()


def test_it_starts_by_itself_on_an_axis_of_all_layers_and_the_trained_map_stays_beside(page: Page) -> None:
    open_tab(page, "Sanity check")
    page.wait_for_function("[...said].some((sentence) => sentence.includes('has started'))")
    page.wait_for_function("TRGBP.state.data.cascade?.stages.length >= 2")
    slider = page.locator('input[data-control="stage"]')
    assert slider.get_attribute("max") == "50"
    arrived = int(to_stage(page, 0)["index"])
    assert arrived == 0
    assert verdict(page).startswith("The trained network says lion")
    beside = page.locator("#tg-cascade .tg-before canvas").evaluate_all("all => all.map(canvas => canvas.panel.src)")
    assert len(beside) == 5
    page.wait_for_function(COMPLETE)
    assert to_stage(page, 50)["index"] == 50
    assert page.locator("#tg-cascade .tg-before canvas").evaluate_all("all => all.map(canvas => canvas.panel.src)") == beside
    expect(page.locator("#tg-cascade-status")).to_have_text("Randomised 50 of 50 layers.")


def test_the_verdict_names_everybody_once_with_the_number_that_the_stage_has(page: Page) -> None:
    page.wait_for_function(COMPLETE)
    first = to_stage(page, 0)
    for index in (1, 3, 10, 30, 50):
        stage = to_stage(page, index)
        said = verdict(page)
        still = "still says" if stage["top"]["index"] == first["top"]["index"] else "says"
        assert said.startswith(f"After {index} layer{'s' if index > 1 else ''} the network {still} {stage['top']['name']}.")
        for panel in stage["panels"]:
            caption = page.locator(f"#tg-cascade [data-method={panel['id']}] .tg-after figcaption span").inner_text()
            alike = stage["similarity"][panel["id"]]["spearman"]
            if panel["empty"]:
                assert alike is None
                assert caption == "Empty: it no longer explains lion."
                continue
            number = f"{int(100 * max(0, alike) + 0.5)} % alike"
            assert caption.startswith(number)
            assert re.search(rf"{re.escape(NAMES[panel['id']])} (is (still )?|\(){number}", said), (said, panel["id"], number)
            expected = "it noticed." if alike < 0.5 else "it did not notice." if alike >= 0.9 else "it noticed a little."
            assert caption.endswith(expected), (caption, alike)


def test_a_run_that_is_there_is_not_asked_for_again_and_is_played_and_paused(page: Page) -> None:
    page.wait_for_function(COMPLETE)
    run = page.evaluate("TRGBP.state.data.cascade.run")
    open_tab(page, "Explain")
    open_tab(page, "Sanity check")
    to_stage(page, 50)
    play = page.locator('button[data-control="play"]')
    play.click()
    expect(play).to_have_text("Pause")
    page.wait_for_function("TRGBP.state.stage >= 2 && TRGBP.state.stage < 50")
    play.click()
    expect(play).to_have_text("Play")
    assert page.evaluate("TRGBP.state.data.cascade.run") == run
    assert page.locator('input[data-control="stage"]').input_value() == str(page.evaluate("TRGBP.state.stage"))


def test_another_class_starts_anew_stop_ends_it_and_a_wrong_seed_is_said_beside_the_button(page: Page) -> None:
    with explains_anew(page):
        choose(page, "#tg-class", "espresso · 967", "espresso")
    page.wait_for_function("TRGBP.state.data.cascade?.stages.length >= 3 && TRGBP.state.data.cascade.class === 'espresso'")
    page.locator("#tg-cascade-stop").click()
    line = page.locator("#tg-cascade-status")
    expect(line).to_have_text("Stopped.", timeout=WAIT)
    until_quiet(page, questions(page))  # a run that began by itself would write over what the button says
    page.get_by_role("button", name="Options").locator("visible=true").click()
    page.locator("#tg-cascade-seed input").fill("1.5")
    page.locator("#tg-cascade-seed input").press("Tab")
    page.locator("#tg-cascade-run").click()
    expect(line).to_contain_text("A seed is a whole number", timeout=WAIT)
    expect(page.locator("#tg-status")).to_contain_text("espresso")
