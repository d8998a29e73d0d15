"""The page around the tabs, in Chromium: the answer, the large map, what is stale, what is enlarged, and the look of what is downloaded."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from trgbp_core.drawing.render import COLOUR_MAPS, lookup
from trgbp_core.methods import METHODS

from .chromium import EXAMPLES, explains_anew, open_tab, put_in, questions, repaints, unfold, until_quiet, visiting

pytestmark = pytest.mark.browser
MAP = "#tg-explain .tg-hero canvas"
NOT_A_PICTURE = {"name": "broken.png", "mimeType": "image/png", "buffer": b"\x89PNG and no more"}


@pytest.fixture(scope="module")
def opened(browser: Browser, page_url: str) -> Iterator[Page]:
    with visiting(browser, page_url, reloads=True) as page:
        expect(page.locator("#tg-status")).to_contain_text("Explained")
        yield page


@pytest.fixture
def page(opened: Page, page_url: str) -> Page:
    """One visitor for all tests; each begins on the tab Explain, with the lion explained."""
    opened.get_by_role("tab", name="Explain").click()
    if "Explained: lion" not in opened.locator("#tg-status").inner_text():
        opened.goto(page_url)
        expect(opened.locator("#tg-status")).to_contain_text("Explained: lion")
    return opened


def pressed(page: Page) -> list[str | None]:
    return [button.get_attribute("aria-pressed") for button in page.locator(".tg-answer").all()]


def is_stale(page: Page, is_so: bool = True) -> None:
    expect(page.locator("body.tg-stale")).to_have_count(int(is_so))


def test_a_click_on_one_of_the_five_best_classes_explains_it_on_every_tab(page: Page) -> None:
    names = page.locator(".tg-answer .tg-name").all_inner_texts()
    assert names == page.evaluate("TRGBP.state.data.explain.answers.map(answer => answer.name)")
    assert len(names) == 5
    assert pressed(page) == ["true", *["false"] * 4]
    with explains_anew(page), repaints(page, MAP):
        page.locator(".tg-answer").nth(1).click()
    expect(page.locator("#tg-status")).to_contain_text(f"Explained: {names[1]}")
    expect(page.locator("#tg-class input")).to_have_value(re.compile(f"^{names[1]} · "))
    assert pressed(page)[1] == "true"
    open_tab(page, "Compare", "data.trgbpCompare === '5'")
    expect(page.locator("#tg-compare-status")).to_contain_text(f"methods for {names[1]}.")
    page.locator(".tg-answer").nth(0).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#tg-compare-status")).to_contain_text(f"Compared 5 of 5 methods for {names[0]}.")
    expect(page.locator("#tg-status")).to_contain_text(f"Explained: {names[0]}")
    for tab in page.get_by_role("tab").all():
        tab.click()
        expect(page.locator(".tg-answer").first).to_be_visible()


def test_what_a_tab_does_it_says_in_its_own_line(page: Page) -> None:
    above = page.locator("#tg-status").inner_text()
    open_tab(page, "Compare", "data.trgbpCompare === '5'")
    expect(page.locator("#tg-compare-status")).to_contain_text("Compared 5 of 5")
    open_tab(page, "Sanity check")
    expect(page.locator("#tg-compare-status")).to_be_hidden()
    expect(page.locator("#tg-cascade-status")).to_contain_text("of 50 layers")
    expect(page.locator("#tg-cascade-status")).not_to_contain_text("Compared")
    assert page.locator("#tg-cascade-status [role=status]").count() == 1
    assert page.locator("#tg-status").inner_text() == above


def test_typing_into_the_class_field_searches(page: Page) -> None:
    field = page.locator("#tg-class input")
    for enter, leave in ((field.click, "Escape"), (field.focus, "Enter")):
        enter()
        page.keyboard.type("tabby")
        expect(field).to_have_value("tabby")
        expect(page.get_by_role("option", name=re.compile("tabby"))).to_have_count(1)
        page.keyboard.press(leave)
        page.locator("#tg-title").click()
        expect(page.locator("#tg-status")).to_contain_text("Explained: tabby")
        expect(field).to_have_value("tabby · 281")
    expect(page.locator("[data-chosen=other]")).to_have_count(1)
    assert pressed(page) == ["false"] * 5


def test_leaving_the_list_of_networks_as_it_was_changes_nothing(page: Page) -> None:
    page.locator("#tg-class input").fill("unicorn")
    page.locator("#tg-class input").press("Enter")
    expect(page.locator("#tg-status")).to_contain_text("No class is called")
    asked = questions(page)
    page.locator("#tg-model input").focus()
    page.keyboard.press("Tab")
    until_quiet(page, asked)
    expect(page.locator("#tg-status")).to_contain_text("No class is called")


def test_what_is_stale_is_grey_until_an_answer_comes(page: Page) -> None:
    is_stale(page, False)
    field = page.locator("#tg-class input")
    field.fill("unicorn")
    field.press("Enter")
    is_stale(page)
    assert "grayscale" in page.locator("#tg-explain .tg-frame").first.evaluate("frame => getComputedStyle(frame).filter")
    page.locator(".tg-answer").nth(0).click()  # the class that is still shown
    is_stale(page, False)
    put_in(page, NOT_A_PICTURE)
    expect(page.locator("#tg-status")).to_contain_text("picture")
    is_stale(page)
    slivers = "[...document.images].filter(i => i.complete && !i.naturalWidth && i.checkVisibility({visibilityProperty: true}))"
    page.wait_for_function(f"{slivers}.length === 0")
    with page.expect_event("requestfinished", lambda request: "/queue/join" in request.url):
        page.locator("#tg-input button[aria-label='Remove Image'], #tg-input button[aria-label='Clear']").first.click()
    expect(page.locator("#tg-status")).to_contain_text("There is no picture yet")
    is_stale(page)
    put_in(page, EXAMPLES / "cheetah_and_lion.jpg")
    is_stale(page, False)


def test_the_layers_lie_under_look_inside_and_their_strip_follows_the_slider(page: Page) -> None:
    assert not page.locator("[data-fold=inside]").evaluate("fold => fold.open")
    unfold(page, "inside")
    slider = page.locator('input[data-control="layer"]')
    slider.focus()
    for key, index in (("End", 50), ("Home", 0)):
        page.keyboard.press(key)
        chosen = page.locator('.tg-strip [aria-pressed="true"]')
        expect(chosen).to_contain_text(str(index))
        inside = chosen.evaluate(
            "b => { const [r, s] = [b, b.parentNode].map(e => e.getBoundingClientRect()); return r.left >= s.left && r.right <= s.right; }"
        )
        assert inside, "the marked layer can be seen"
    facts = page.locator("#tg-explain .tg-facts")
    expect(facts).to_contain_text("R⁰")
    expect(facts.locator("dd").last).to_have_text("–")  # no rectifier stands before the picture
    expect(page.locator(".tg-formulas math").first).to_be_visible()


def test_smooth_and_sharp_are_two_maps_and_say_what_they_are(page: Page) -> None:
    for name, index in (("sharp", 2), ("smooth", 1)):
        with repaints(page, MAP):
            page.get_by_label(name, exact=True).check()
        assert page.evaluate(f"document.querySelector('{MAP}').panel.alt === TRGBP.state.data.explain.panels[{index}].alt")
        assert page.evaluate("TRGBP.state.psi") == index - 1
        meant = "until November 2026 it was the gradient alone" if name == "sharp" else "As in the paper"
        expect(page.locator(".tg-switch").first).to_contain_text(meant)


def test_zero_is_transparent_in_every_colour_map_and_the_words_follow_it(page: Page) -> None:
    page.locator('input[data-control="opacity"]').fill("100")
    output = page.locator(".tg-toolbar output").first
    expect(output).to_have_text("100 %")
    assert output.evaluate("node => node.scrollWidth <= node.clientWidth"), "the number is cut"
    read = """where => { const canvas = document.querySelector(where);
        const [grey, seen] = [TRGBP.pixels(canvas.panel), canvas.getContext('2d').getImageData(0, 0, 224, 224).data];
        const scratch = new OffscreenCanvas(224, 224).getContext('2d'); scratch.drawImage(TRGBP.state.image, 0, 0, 224, 224);
        const picture = scratch.getImageData(0, 0, 224, 224).data; const at = (data, i) => [...data.slice(4 * i, 4 * i + 3)];
        const zero = grey.indexOf(0), top = Math.max(...grey);
        return [at(seen, zero), at(picture, zero), at(seen, grey.indexOf(top)), top]; }"""
    words = set()
    for colours in COLOUR_MAPS[1:] + COLOUR_MAPS[:1]:
        with repaints(page, MAP):
            page.locator('select[data-control="colours"]').select_option(colours)
        zero, picture, most, top = page.evaluate(read, MAP)
        np.testing.assert_allclose(zero, picture, atol=1)
        np.testing.assert_allclose(most, lookup(colours)[top], atol=1)
        words.add(page.locator(".tg-select small").inner_text())
    assert {word.partition(":")[0] for word in words} == {"Yellow", "White", "Red"}
    page.locator('input[data-control="opacity"]').fill("65")


def test_a_map_is_enlarged_with_its_sliders_and_escape_closes_it(page: Page) -> None:
    if not page.locator("[data-fold=inside]").evaluate("fold => fold.open"):
        unfold(page, "inside")
    dialog, own = page.locator("dialog.tg-dialog"), page.locator("#tg-explain .tg-layers canvas").nth(1)
    page.locator(MAP).dblclick()
    expect(dialog.locator("input[type=range]")).to_have_count(1)  # no layer's map: the opacity alone
    assert dialog.locator("canvas").bounding_box()["width"] > 500  # type: ignore[index]
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    own.click()
    before, layer = dialog.locator("canvas").evaluate("c => c.toDataURL()"), page.evaluate("TRGBP.state.layer")
    page.keyboard.press("ArrowLeft" if layer else "ArrowRight")
    page.wait_for_function("before => document.querySelector('dialog canvas').toDataURL() !== before", arg=before)
    assert abs(page.evaluate("TRGBP.state.layer") - layer) == 1
    expect(dialog.locator("input[type=range]")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.locator("#tg-explain .tg-hero .tg-larger").focus()
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)


def test_presenting_leaves_the_maps_and_arrow_keys_move_the_layers(page: Page) -> None:
    if not page.locator("[data-fold=inside]").evaluate("fold => fold.open"):
        unfold(page, "inside")
    page.get_by_role("button", name="Present").click()
    for hidden in ("#tg-side", "#tg-title", ".tg-toolbar .tg-select", "#tg-export", "#tg-glossary"):
        expect(page.locator(hidden)).to_be_hidden()
    expect(page.locator(".tg-answer").first).to_be_visible()
    layer = page.evaluate("TRGBP.state.layer")
    page.keyboard.press("ArrowRight" if layer < 50 else "ArrowLeft")
    assert abs(page.evaluate("TRGBP.state.layer") - layer) == 1
    page.keyboard.press("Escape")
    expect(page.locator("#tg-side")).to_be_visible()


def test_methods_keep_their_order_and_no_row_holds_a_single_one(page: Page) -> None:
    open_tab(page, "Compare", "data.trgbpCompare === '5'")
    shown = page.locator("#tg-compare .tg-method")
    for width in (1280, 1000, 800, 500):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function("document.querySelector('#tg-compare .tg-grid').style.getPropertyValue('--tg-columns')")
        tops = shown.evaluate_all("all => all.map(figure => Math.round(figure.getBoundingClientRect().top))")
        rows = [tops.count(top) for top in sorted(set(tops))]
        assert rows == [5] or min(rows[1:]) > 1, (width, rows)
    page.set_viewport_size({"width": 1280, "height": 800})
    keys = shown.evaluate_all("all => all.map(figure => figure.dataset.method)")
    assert keys == [key for key in METHODS if key in keys]
    assert keys[:2] == ["tr_gbp", "tr_gbp_conserving"]


def test_a_downloaded_figure_has_the_colours_and_the_opacity_of_the_screen(page: Page) -> None:
    page.get_by_role("button", name="Export").click()
    red = {}
    for colours, opacity in (("jet", "100"), ("jet", "0"), ("inferno", "100")):
        page.locator('select[data-control="colours"]').select_option(colours)
        page.locator('input[data-control="opacity"]').fill(opacity)
        with page.expect_download() as given:
            page.locator("#tg-export-figure").click()
        pixels = np.asarray(Image.open(io.BytesIO(given.value.path().read_bytes())).convert("RGB")).astype(int)
        maps = pixels[: -pixels.shape[0] // 4]  # without the bar of colours
        red[colours, opacity] = int((np.abs(maps - lookup("jet")[255]).max(-1) <= 2).sum())
    assert red["jet", "100"] > 100
    assert red["jet", "0"] < red["jet", "100"] / 10
    assert red["inferno", "100"] < red["jet", "100"] / 10
    expect(page.locator("#tg-export-status")).to_contain_text("Ready")


def test_a_newcomer_is_led_to_the_first_lesson(page: Page) -> None:
    page.get_by_role("button", name="New here?").click()
    expect(page.locator(".tg-lesson h2")).to_contain_text("1.")
    expect(page.get_by_role("tab", name="Learn")).to_have_attribute("aria-selected", "true")


def test_on_a_telephone_picture_answer_and_map_come_first(browser: Browser, page_url: str) -> None:
    with visiting(browser, page_url, 390) as page:
        tops = [page.locator(where).first.bounding_box()["y"] for where in ("#tg-input", ".tg-answer", MAP, "#tg-model")]  # type: ignore[index]
        assert tops == sorted(tops)
        tabs = page.get_by_role("tab").evaluate_all("all => all.map(tab => Math.round(tab.getBoundingClientRect().top))")
        assert len(set(tabs)) == 1, "the tabs stand in one row"
        for example in page.locator("button.gallery-item").all():
            example.scroll_into_view_if_needed()
            expect(example).to_be_in_viewport()
