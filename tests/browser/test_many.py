"""The tab Many pictures in Chromium: a prepared set, a click into Explain and back, and a visitor's own pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from ..support.colours import square
from .chromium import explains_anew, open_tab, visiting

pytestmark = pytest.mark.browser


def test_a_shortcut_is_found_its_pictures_open_in_explain_and_own_pictures_are_grouped(
    browser: Browser, page_url: str, tmp_path: Path
) -> None:
    with visiting(browser, f"{page_url}?model=shapes&image=star.png") as page:
        open_tab(page, "Many pictures")
        page.locator("#tg-many-run").click()
        expect(page.locator("#tg-many-status")).to_contain_text("There are no pictures yet")
        page.locator("#tg-many-cheat").click()
        flagged = page.locator(".tg-group[data-flagged=yes]")
        expect(flagged).to_have_count(1)
        expect(flagged).to_contain_text("in the lower right corner")
        expect(page.get_by_role("heading", name="one asks for a second look")).to_be_visible()
        with explains_anew(page):
            flagged.locator(".tg-pair").first.click()
        expect(page.get_by_role("tab", name="Explain")).to_have_attribute("aria-selected", "true")
        expect(page.locator("#tg-status")).to_contain_text("Shapes (cheat)")
        expect(page.locator("#tg-status")).to_contain_text("Explained: star")
        with explains_anew(page):
            page.go_back()
        expect(page.get_by_role("tab", name="Many pictures")).to_have_attribute("aria-selected", "true")
        expect(page.locator("#tg-status")).not_to_contain_text("(cheat)")
        expect(flagged).to_have_count(1)
        for i in range(6):
            square(i, i % 3).save(tmp_path / f"{i}.png")
        (tmp_path / "words.png").write_text("no picture")
        page.locator("#tg-many-files input[type=file]").set_input_files([*tmp_path.glob("*.png")])
        expect(page.locator("#tg-many-files tr")).to_have_count(7)
        page.locator("#tg-many-run").click()
        expect(page.locator("#tg-many-status")).to_contain_text("looked at 7 pictures")
        expect(page.locator(".tg-pair")).to_have_count(6)
        expect(page.locator("#tg-many")).to_contain_text("Left out: 1")
        with explains_anew(page):
            page.locator(".tg-pair").first.click()
        expect(page.get_by_role("tab", name="Explain")).to_have_attribute("aria-selected", "true")
