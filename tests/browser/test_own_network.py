"""A network of the page's owner, put there as the README and the guide say: their own blocks are run, and the page is driven."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.documents import python_blocks
from tests.support.serving import served

WAIT = 60_000  # milliseconds; a limit for a busy machine, no measurement
LION = Path(__file__).parents[2] / "assets" / "examples" / "lion.jpg"
LAUNCHES = [(name, block) for name, block in python_blocks() if re.search(r"^launch\(models=", block, re.MULTILINE)]
LABELS = ("circle", "square", "star")
pytestmark = pytest.mark.browser


def explained_by_mine(page: Page) -> None:
    page.wait_for_function("document.body.dataset.trgbpExplain", timeout=WAIT)
    page.locator("#tg-model input").click()
    assert page.get_by_role("option").first.inner_text().strip().endswith("mine"), "the owner's network is the first of the list"
    page.get_by_role("option", name="mine", exact=True).click()
    expect(page.locator("#tg-status")).to_contain_text("mine says", timeout=WAIT)
    expect(page.locator("#tg-status")).to_contain_text("Explained", timeout=WAIT)
    assert any(label in page.locator("#tg-status").inner_text() for label in LABELS)


def opened_list(page: Page, where: str, label: str) -> None:
    """Open a list until it stays open: it closes when new choices arrive, which may be a moment after the first map."""
    for _ in range(5):
        page.locator(f"{where} input").click()
        page.wait_for_timeout(500)
        if page.get_by_role("option", name=label).count():
            return
        page.keyboard.press("Escape")
        page.locator("#tg-title").click()
    page.locator(f"{where} input").click()
    page.wait_for_timeout(500)
    options, value = page.get_by_role("option").all_inner_texts(), page.locator(f"{where} input").input_value()
    raise AssertionError(f"no {label} in {options[:6]}; the list shows {value!r}; {page.locator('#tg-status').inner_text()}")


def another_class(page: Page) -> None:
    """The picker holds the owner's labels and no other, and each can be explained."""
    opened_list(page, "#tg-class", LABELS[0])
    for label, count in (*((label, 1) for label in LABELS), ("tench", 0)):
        expect(page.get_by_role("option", name=label)).to_have_count(count)
    before = page.evaluate("document.body.dataset.trgbpExplain")
    page.get_by_role("option", name=re.compile("|".join(LABELS))).last.click()
    page.wait_for_function("before => document.body.dataset.trgbpExplain !== before", arg=before, timeout=WAIT)


def randomised(page: Page) -> None:
    """Every layer of the network, with the picture's own similarity curves."""
    page.get_by_role("tab", name="Sanity check").click()
    page.locator("#tg-cascade-run").click()
    expect(page.locator("#tg-status")).to_contain_text(re.compile(r"Randomised (\d+) of \1 layers"), timeout=WAIT)


@pytest.mark.parametrize("block", [block for _, block in LAUNCHES], ids=[name for name, _ in LAUNCHES])
def test_a_network_of_the_owners_is_first_in_the_picker_and_explains_with_its_labels(block: str, browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path / "log.txt", "-c", block) as url:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(WAIT)
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        explained_by_mine(page)
        size = re.search(r"size=(\d+)", block)
        seen = f"{size[1]}×{size[1]}" if size else "224×224"
        expect(page.locator("#tg-explain")).to_contain_text(seen)
        another_class(page)
        if size:  # small enough to be randomised at once
            randomised(page)
        page.close()
    assert not errors, errors
