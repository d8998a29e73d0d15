"""A network of the page's owner, put there as the README and the guide say: their own blocks are run, and the page is driven."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.documents import python_blocks
from tests.support.serving import served

from .chromium import choose, explains_anew, visiting

LAUNCHES = [(name, block) for name, block in python_blocks() if re.search(r"^launch\(models=", block, re.MULTILINE)]
LABELS = ("circle", "square", "star")
pytestmark = pytest.mark.browser


def explained_by_mine(page: Page) -> None:
    page.locator("#tg-model input").click()
    assert page.get_by_role("option").first.inner_text().strip().endswith("mine"), "the owner's network is the first of the list"
    page.get_by_role("option", name="mine", exact=True).click()
    expect(page.locator("#tg-status")).to_contain_text("classes of mine")
    expect(page.locator("#tg-status")).to_contain_text("Explained")
    assert any(label in page.locator("#tg-status").inner_text() for label in LABELS)


def another_class(page: Page) -> None:
    """The picker holds the owner's labels and no other, and each can be explained."""
    with explains_anew(page):
        choose(page, "#tg-class", "square" if "circle" in explained_class(page) else "circle")
    page.locator("#tg-class input").click()
    options = page.locator("[role=option]")
    expect(options).to_have_count(len(LABELS))
    assert all(any(label in text for text in options.all_inner_texts()) for label in LABELS)
    page.keyboard.press("Escape")


def explained_class(page: Page) -> str:
    return str(page.evaluate("TRGBP.state.data.explain.class.name"))


def randomised(page: Page) -> None:
    """Every layer of the network, with the picture's own similarity curves."""
    page.get_by_role("tab", name="Sanity check").click()
    page.locator("#tg-cascade-run").click()
    expect(page.locator("#tg-cascade-status")).to_contain_text(re.compile(r"Randomised (\d+) of \1 layers"))


@pytest.mark.parametrize("block", [block for _, block in LAUNCHES], ids=[name for name, _ in LAUNCHES])
def test_a_network_of_the_owners_is_first_in_the_picker_and_explains_with_its_labels(block: str, browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path / "log.txt", "-c", block) as url, visiting(browser, url) as page:
        explained_by_mine(page)
        size = re.search(r"size=(\d+)", block)
        seen = f"{size[1]}×{size[1]}" if size else "224×224"
        expect(page.locator("#tg-explain")).to_contain_text(seen)
        another_class(page)
        if size:  # small enough to be randomised at once
            randomised(page)
