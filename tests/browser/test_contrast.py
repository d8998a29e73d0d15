"""Why lion rather than cheetah: the second class on the tab Explain, in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from .chromium import does_not_scroll_sideways, explains_anew, questions, until_quiet, visiting

pytestmark = pytest.mark.browser
MAP = "#tg-explain .tg-hero canvas"
AGAINST = 'select[data-control="against"]'
CHEETAH = "293"


@pytest.fixture(params=[1280, pytest.param(390, marks=pytest.mark.further)])
def page(request: pytest.FixtureRequest, browser: Browser, page_url: str) -> Iterator[Page]:
    with visiting(browser, f"{page_url}?image=cheetah_and_lion.jpg&class=lion", request.param) as page:
        yield page


def shows(page: Page, title: str) -> None:
    expect(page.locator("#tg-explain .tg-main strong")).to_have_text(title)


def halves(page: Page) -> tuple[float, float]:
    """Of the map that is shown: how much of its red lies in the right half, where the lion is, and of its blue in the left one."""
    grey = page.evaluate(f"[...TRGBP.pixels(document.querySelector('{MAP}').panel)]")
    values = np.array(grey, float).reshape(224, 224) - 128
    red, blue = np.maximum(values - 1, 0), np.maximum(-values - 1, 0)
    return red[:, 112:].sum() / red.sum(), blue[:, :112].sum() / blue.sum()


def test_a_second_class_makes_the_map_one_of_both_signs_and_there_is_a_way_back(page: Page) -> None:
    shows(page, "lion, 70 %")
    page.locator(AGAINST).select_option(CHEETAH)
    shows(page, "Why lion rather than cheetah?")
    for psi in ("sharp", "smooth"):
        page.get_by_label(psi, exact=True).check()
        page.wait_for_function(f"document.querySelector('{MAP}').panel.alt.startsWith('lion rather than cheetah, for lion: peak ')")
        assert min(halves(page)) > 0.9, "red lies on the lion, blue on the cheetah"
    caption = page.locator("#tg-explain .tg-main figcaption span")
    expect(caption).to_contain_text("Red places speak for lion, blue ones for cheetah")
    expect(page.locator("#tg-explain .tg-scale:visible")).to_contain_text("for cheetah")
    speaks = page.locator(".tg-answer").evaluate_all("all => all.map(b => [b.dataset.class, b.dataset.speaks]).filter(([, s]) => s)")
    assert sorted(speaks) == [["291", "red"], ["293", "blue"]]
    does_not_scroll_sideways(page)
    page.locator('[data-control="alone"]').click()
    shows(page, "lion, 70 %")
    expect(page.locator(AGAINST)).to_have_value("")
    assert not page.evaluate(f"document.querySelector('{MAP}').panel.signed")
    expect(page.locator("#tg-explain .tg-scale:visible")).to_contain_text("most for the class")


def test_a_choice_made_at_once_outlives_the_end_of_following_the_address(browser: Browser, page_url: str) -> None:
    """The page still follows its address when its first map is shown."""
    at_once = f"""new MutationObserver((_, observer) => {{
        const select = document.querySelector('{AGAINST}');
        if (!document.body?.dataset.trgbpExplain || !select?.options.length) return;
        observer.disconnect();
        setTimeout(() => {{ select.value = '{CHEETAH}'; select.dispatchEvent(new Event('change', {{ bubbles: true }})); }});
    }}).observe(document, {{ subtree: true, attributes: true, childList: true }});"""
    with visiting(browser, f"{page_url}?image=cheetah_and_lion.jpg&class=lion", reloads=True) as page:
        page.add_init_script(at_once)
        page.reload()
        shows(page, "Why lion rather than cheetah?")
        page.wait_for_url("**against=293**")
        until_quiet(page, questions(page))
        shows(page, "Why lion rather than cheetah?")


def test_the_address_holds_the_second_class_and_a_step_back_takes_it_away(page: Page) -> None:
    page.locator(AGAINST).select_option(CHEETAH)
    page.wait_for_url("**against=293**")
    shows(page, "Why lion rather than cheetah?")
    page.go_back()
    shows(page, "lion, 70 %")
    page.go_forward()
    shows(page, "Why lion rather than cheetah?")


@pytest.mark.parametrize("first", ["crop", "class"])
def test_a_second_class_and_another_crop_within_one_moment_are_both_applied(browser: Browser, page_url: str, first: str) -> None:
    with visiting(browser, f"{page_url}?image=cheetah_and_lion.jpg&class=lion") as page:
        crop = "document.querySelector('input[name=tg-crop][value=square]').click(); enter('[data-control=crop-size]', 95);"
        other = f"enter('#tg-against', {CHEETAH});"
        enter = "const enter = (where, value) => { const node = document.querySelector(where); node.value = value;"
        enter += "['input', 'change'].forEach((name) => node.dispatchEvent(new Event(name, { bubbles: true }))); };"
        with explains_anew(page):
            page.evaluate(f"() => {{ {enter} {crop + other if first == 'crop' else other + crop} }}")
        shows(page, "Why lion rather than cheetah?")
        page.wait_for_function("TRGBP.state.data.contrast?.of === TRGBP.state.data.explain.key")
        page.wait_for_url("**crop=0.5**")
        assert "against=293" in page.url


def test_another_class_ends_the_comparison_and_the_same_pair_can_be_asked_for_again(page: Page) -> None:
    asked = questions(page)
    for _ in range(2):
        page.locator(AGAINST).select_option(CHEETAH)
        shows(page, "Why lion rather than cheetah?")
        with explains_anew(page):
            page.locator(".tg-answer").nth(1).click()
        shows(page, "cheetah, 3.3 %")
        expect(page.locator(f"{AGAINST} option")).to_have_count(5)
        with explains_anew(page):
            page.locator(".tg-answer").nth(0).click()
        shows(page, "lion, 70 %")
    until_quiet(page, asked)


@pytest.mark.parametrize(
    ("query", "title"), [("against=cheetah&box=0.5,0,1,1", "Why lion rather than cheetah?"), ("against=zebra", "lion, 70 %")]
)
def test_a_link_opens_with_the_pair_that_it_names_and_both_and_a_box_are_exported(
    browser: Browser, page_url: str, query: str, title: str
) -> None:
    with visiting(browser, f"{page_url}?image=cheetah_and_lion.jpg&class=lion&{query}&psi=conserving") as page:
        shows(page, title)
        said = page.locator("output.tg-said")
        expect(said).to_contain_text("not among the best classes" if "zebra" in query else "")
        if "box" in query:
            page.get_by_role("button", name="Export").click()
            page.locator("#tg-export-code").click()
            expect(page.locator("#tg-export-command")).to_contain_text("--against 293 --box 0.5,0.0,1.0,1.0")
