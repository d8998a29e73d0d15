"""The page's state is its address: Back, Forward and reload, pictures of one's own, the crop, what is said about links, the invitation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.pictures import encoded, heic, smooth
from tests.support.serving import served
from trgbp_core.page.tabs.invitation import own_address

from .chromium import EXAMPLES, WAIT, choose, explained, explains_anew, open_tab, put_in, questions, until_quiet, visiting

pytestmark = pytest.mark.browser
BUTTON = '[data-control="invite"]'
OWN = {"name": "own.png", "mimeType": "image/png", "buffer": encoded(smooth(90, 160), "PNG")}


def address(page: Page) -> dict[str, str]:
    return {key: value[0] for key, value in parse_qs(urlsplit(page.url).query).items()}


def until_address(page: Page, **parts: str) -> None:
    """Wait until the address has these parts."""
    test = "parts => { const p = new URLSearchParams(location.search); return Object.entries(parts).every(([k, v]) => p.get(k) === v); }"
    page.wait_for_function(test, arg=parts)


def opened(page: Page, name: str) -> None:
    expect(page.locator(f"[role=tab][data-tab-id={name}]")).to_have_attribute("aria-selected", "true")


def reloaded(page: Page) -> None:
    page.reload()
    page.wait_for_function("document.body?.dataset.trgbpExplain")


@pytest.fixture
def page(browser: Browser, page_url: str) -> Iterator[Page]:
    with visiting(browser, page_url, reloads=True) as page:
        yield page


def test_back_steps_through_tabs_and_classes_and_reload_restores(page: Page) -> None:
    bare = page.url
    page.wait_for_function("history.state?.query")
    assert page.url == bare, "a page just opened keeps its plain address"
    open_tab(page, "Learn")
    until_address(page, tab="learn")
    first = explained(page)
    with explains_anew(page):
        choose(page, "#tg-class", "espresso · 967", "espresso")
    until_address(page, **{"class": "967", "tab": "learn"})
    open_tab(page, "Explain")
    until_address(page, tab="explain")
    page.locator('select[data-control="colours"]').select_option("jet")
    page.get_by_text("Look inside").click()
    page.locator('input[data-control="layer"]').focus()
    page.keyboard.press("Home")
    until_address(page, colours="jet", layer="0")

    second = explained(page)
    reloaded(page)
    until_address(page, **{"class": "967", "colours": "jet", "layer": "0", "tab": "explain"})
    page.wait_for_function("TRGBP.state.layer === 0 && TRGBP.state.colours === 'jet'")
    assert explained(page) == second

    page.go_back()
    opened(page, "learn")
    assert explained(page) == second
    page.go_back()
    page.wait_for_function("first => document.body.dataset.trgbpExplain === first", arg=first)
    page.go_back()
    opened(page, "explain")
    expect(page.locator('select[data-control="colours"]')).not_to_have_value("jet")
    page.go_forward()
    opened(page, "learn")
    page.go_forward()
    page.wait_for_function("second => document.body.dataset.trgbpExplain === second", arg=second)
    assert address(page)["class"] == "967"


def test_a_picture_of_ones_own_outlives_a_reload_and_is_shown_to_nobody_else(page: Page, browser: Browser) -> None:
    with explains_anew(page):
        put_in(page, OWN)
    until_address(page, image="own")
    own = explained(page)
    assert not re.search("gradio|tmp|png", page.url), "the address names no file"
    with explains_anew(page):
        put_in(page, EXAMPLES / "coffee.jpg")
    until_address(page, image="coffee.jpg")
    page.go_back()
    page.wait_for_function("own => document.body.dataset.trgbpExplain === own", arg=own)
    reloaded(page)
    page.wait_for_function("own => document.body.dataset.trgbpExplain === own", arg=own)
    page.locator('[data-control="link"]').click()
    expect(page.locator(".tg-said")).to_contain_text("a picture that you put in stays with you")
    with visiting(browser, page.url) as other:
        expect(other.locator(".tg-said")).to_contain_text("stays with who put it in")
        assert address(other)["image"] == "cheetah_and_lion.jpg"


def test_a_notice_goes_when_it_no_longer_holds(page: Page, browser: Browser, page_url: str) -> None:
    with explains_anew(page):
        put_in(page, OWN)
    page.locator('[data-control="link"]').click()
    expect(page.locator(".tg-said")).to_contain_text("No link")
    with explains_anew(page):
        put_in(page, EXAMPLES / "coffee.jpg")
    expect(page.locator(".tg-said")).to_have_text("")
    with visiting(browser, f"{page_url}?image=nothing.jpg&tab=nowhere&layer=none&class=unicorn") as other:
        for part in ("an example picture", "a tab", "layer", "No class is called"):
            expect(other.locator(".tg-said")).to_contain_text(part)
        open_tab(other, "Learn")
        expect(other.locator(".tg-said")).to_have_text("")


def test_the_crop_is_shown_chosen_moved_and_kept_and_so_is_the_class_that_was_picked(page: Page) -> None:
    with explains_anew(page):
        put_in(page, OWN)
    crop = page.locator(".tg-crop")
    expect(crop.locator("summary")).to_contain_text("all of the picture, made square")
    expect(crop.locator("img")).to_be_hidden()
    crop.locator("summary").click()
    expect(crop.locator("img")).to_be_visible()
    with explains_anew(page):
        crop.get_by_role("radio", name="a square").check()
    until_address(page, crop="0.5,0.5,1")
    expect(crop.locator("summary")).to_contain_text("a square, 56 % of the picture")  # 90² of 90 × 160
    field = page.locator("#tg-class input")
    with explains_anew(page):
        choose(page, "#tg-class", "tabby · 281", "tabby")
    square = crop.locator(".tg-crop-seen")
    square.focus()
    with explains_anew(page):
        page.keyboard.press("ArrowRight")
    with explains_anew(page):
        page.keyboard.press("-")
    box = square.bounding_box()
    assert box is not None
    with explains_anew(page):
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] - 300, box["y"] - 300, steps=4)
        page.mouse.up()
    until_address(page, **{"crop": "0,0,0.95", "class": "281"})
    key = explained(page)
    assert key.endswith(":281")
    expect(page.locator("#tg-status")).to_contain_text("Explained: tabby")
    expect(field).to_have_value("tabby · 281")
    page.get_by_role("button", name="Export").click()
    page.locator("#tg-export-code").click()
    expect(page.locator("#tg-export-python")).to_contain_text('crop="0,0,0.95"')
    expect(page.locator("#tg-export-command")).to_contain_text("--crop 0,0,0.95")
    reloaded(page)
    page.wait_for_function("key => document.body.dataset.trgbpExplain === key", arg=key)
    expect(crop.get_by_role("radio", name="a square")).to_be_checked()
    with explains_anew(page):
        put_in(page, EXAMPLES / "coffee.jpg")
    expect(crop.get_by_role("radio", name="what it takes by itself")).to_be_checked()
    until_address(page, **{"image": "coffee.jpg", "class": "967"})
    assert "crop" not in address(page)
    expect(field).to_have_value(re.compile("^espresso · .* %"))


def test_what_is_picked_as_soon_as_a_picture_is_there_stays(page: Page) -> None:
    asked = questions(page)
    with explains_anew(page):
        put_in(page, EXAMPLES / "coffee.jpg")
    choose(page, "#tg-class", "tabby · 281", "tabby")
    until_quiet(page, asked)
    expect(page.locator("#tg-class input")).to_have_value("tabby · 281")
    assert explained(page).endswith(":281")


def test_a_telephones_picture_is_shown_and_explained(page: Page) -> None:
    with explains_anew(page):
        put_in(page, {"name": "IMG_0001.heic", "mimeType": "image/heic", "buffer": heic(smooth(120, 160))})
    page.wait_for_function(
        "[...document.querySelectorAll('#tg-input img')].every(image => image.complete && image.naturalWidth > 0)", timeout=WAIT
    )
    expect(page.locator("#tg-input img").first).to_be_visible()


def test_the_button_shows_the_address_large(browser: Browser, page_url: str, tmp_path: Path) -> None:
    with visiting(browser, page_url) as page:
        expect(page.locator(BUTTON)).to_be_hidden()
    with served(tmp_path / "log.txt", "app.py", "--host", "0.0.0.0") as url, visiting(browser, url) as page:
        for _ in range(2):
            page.locator(BUTTON).click()
            dialog = page.get_by_role("dialog")
            local = own_address()
            if local:  # else the machine of this test is on no network, which the dialog says
                expect(dialog.locator("strong")).to_have_text(f"http://{local}:{urlsplit(url).port}/")
                expect(dialog.locator("svg")).to_be_visible()
                assert float(dialog.locator("strong").evaluate("node => parseFloat(getComputedStyle(node).fontSize)")) > 30
            else:
                expect(dialog).to_contain_text("on no network")
            page.keyboard.press("Escape")
            expect(dialog).to_be_hidden()
