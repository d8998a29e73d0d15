"""The page in a real Chromium: upload, pick a class, move each slider, see the picture change; no error in the console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from .chromium import watched

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
pytestmark = pytest.mark.browser
WAIT = 90_000  # milliseconds; a limit for a busy machine, no measurement


@pytest.fixture(params=[1280, 390])
def page(request: pytest.FixtureRequest, browser: Browser, page_url: str) -> Iterator[Page]:
    with watched(browser, request.param, WAIT) as page:
        page.goto(page_url)
        page.wait_for_function("document.body.dataset.trgbpExplain")
        yield page
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"


def pixels(page: Page, selector: str) -> str:
    """What a canvas shows, once it has been painted."""
    return str(page.locator(selector).first.evaluate("canvas => canvas.toDataURL()"))


def changes(page: Page, selector: str, before: str) -> None:
    page.wait_for_function(
        "([selector, before]) => document.querySelector(selector).toDataURL() !== before", arg=[selector, before], timeout=WAIT
    )


def move(page: Page, control: str, value: int) -> None:
    page.locator(f'input[data-control="{control}"]').evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input', {bubbles: true})); }", value
    )


def explained(page: Page) -> str:
    return str(page.evaluate("document.body.dataset.trgbpExplain"))


MAP = "#tg-explain .tg-four canvas"
LAYER = "#tg-explain .tg-layer canvas"


def test_it_opens_with_an_example_explained_and_every_control_is_labelled(page: Page) -> None:
    expect(page.locator("#tg-status")).to_contain_text("lion")
    assert len(page.locator("#tg-explain canvas[role=img]").all()) == 5
    for canvas in page.locator("#tg-explain canvas[role=img]").all():
        assert "peak" in (canvas.get_attribute("aria-label") or "") or "empty" in (canvas.get_attribute("aria-label") or "")
    for image in page.locator("img:visible").all():
        assert image.get_attribute("alt") is not None
    for control in page.locator("input[type=range]:visible, select:visible").all():
        assert page.locator(f"label[for='{control.get_attribute('id')}']").count() == 1


def test_an_upload_and_another_class_redraw_everything(page: Page) -> None:
    first, before = explained(page), pixels(page, MAP)
    page.locator("#tg-input input[type=file]").set_input_files(str(EXAMPLES / "chelsea.jpg"))
    page.wait_for_function("first => document.body.dataset.trgbpExplain !== first", arg=first)
    expect(page.locator("#tg-status")).to_contain_text("Egyptian cat")
    changes(page, MAP, before)
    page.wait_for_function("TRGBP.state.data.explain.classes.length === 5")
    page.wait_for_timeout(600)  # the picker is told its classes a second time, which closes the list of whoever is faster than a person
    second, before, layer = explained(page), pixels(page, MAP), pixels(page, LAYER)
    picker = page.locator("#tg-class input")
    picker.click()
    picker.fill("")
    picker.press_sequentially("espresso")
    page.get_by_role("option", name="espresso · 967").click()
    page.wait_for_function("second => document.body.dataset.trgbpExplain !== second", arg=second)
    assert explained(page).endswith(":967")
    changes(page, MAP, before)
    changes(page, LAYER, layer)
    page.wait_for_timeout(1000)  # what follows in other tabs must leave the sentence alone
    expect(page.locator("#tg-status")).to_contain_text("Explained: espresso")


def test_a_new_picture_is_asked_for_once(page: Page) -> None:
    asked: list[int] = []

    def note(request: Request) -> None:
        question = request.post_data_json if "/queue/join" in request.url else None
        if question and any(isinstance(value, dict) and "path" in value for value in question["data"]):
            asked.append(question["fn_index"])

    page.on("request", note)
    for name in ("coffee.jpg", "rocket.jpg"):
        page.wait_for_timeout(1500)
        asked.clear()
        before = explained(page)
        page.locator("#tg-input input[type=file]").set_input_files(str(EXAMPLES / name))
        page.wait_for_function("before => document.body.dataset.trgbpExplain !== before", arg=before)
        page.wait_for_timeout(1500)
        assert asked
        assert len(asked) == len(set(asked)), f"asked more than once: {asked}"


def test_the_same_picture_put_in_anew_is_a_question_anew(page: Page) -> None:
    page.evaluate("() => { window.asked = 0; TRGBP.another = () => { window.asked += 1; }; }")
    tell = "TRGBP.pictured({ path: 'one' })"
    page.evaluate(f"{tell}; {tell}")
    assert page.evaluate("window.asked") == 1
    page.wait_for_timeout(3100)
    page.evaluate(tell)
    assert page.evaluate("window.asked") == 2


def test_the_rest_of_the_top_5_may_come_before_its_picture(page: Page) -> None:
    page.evaluate("""() => {
        const { receive } = TRGBP;
        window.held = {};
        TRGBP.receive = (name, sent) => {
            if (['explain', 'rest'].includes(name) && sent) window.held[name] = sent;
            else receive(name, sent);
        };
        window.deliver = (name) => receive(name, window.held[name]);
    }""")
    before = explained(page)
    page.locator("#tg-input input[type=file]").set_input_files(str(EXAMPLES / "chelsea.jpg"))
    # The rest of the picture with which the page opens may come last of all.
    page.wait_for_function("() => { const [a, b] = ['rest', 'explain'].map(n => JSON.parse(held[n] ?? '{}').key); return a && a === b; }")
    page.evaluate("window.deliver('rest')")
    assert explained(page) == before
    page.evaluate("window.deliver('explain')")
    page.wait_for_function("before => document.body.dataset.trgbpExplain !== before", arg=before)
    names = page.evaluate("TRGBP.state.data.explain.classes.map(item => item.name)")
    assert len(names) == 5
    assert names[0] == "Egyptian cat"
    assert page.evaluate("JSON.parse(window.held.explain).classes.length") == 1
    page.get_by_role("tab", name="Classes").click()
    expect(page.locator("#tg-classes .tg-class strong")).to_have_text([f"{rank}. {name}" for rank, name in enumerate(names, 1)])


def test_sliders_and_colours_repaint_in_the_browser_without_asking_the_server(page: Page) -> None:
    requests: list[str] = []
    page.on("request", lambda r: requests.append(f"{r.url} {r.post_data}") if "/queue/" in r.url or "/run/" in r.url else None)
    asked = -1
    while asked != len(requests):  # what the closed tabs ask about a new picture, and are told that they need not
        asked = len(requests)
        page.wait_for_timeout(2500)
    requests.clear()
    for control, value, where in (("layer", 3, LAYER), ("layer", 49, LAYER), ("opacity", 100, MAP)):
        before = pixels(page, where)
        move(page, control, value)
        changes(page, where, before)
    before = pixels(page, MAP)
    page.locator('select[data-control="colours"]').select_option("jet")
    changes(page, MAP, before)
    expect(page.locator("#tg-explain .tg-facts")).to_contain_text("_conv_head")
    page.locator('input[data-control="layer"]').focus()
    before = pixels(page, LAYER)
    page.keyboard.press("ArrowLeft")
    changes(page, LAYER, before)
    assert not requests


def test_the_classes_tab_shows_five_and_compare_shows_its_methods(page: Page) -> None:
    page.get_by_role("tab", name="Classes").click()
    expect(page.locator("#tg-classes .tg-class")).to_have_count(5)
    page.get_by_role("tab", name="Compare").click()
    page.wait_for_function("document.body.dataset.trgbpCompare === '5'", timeout=WAIT)
    expect(page.locator("#tg-compare figure")).to_have_count(5)
    assert all(" s" in text for text in page.locator("#tg-compare .tg-time").all_text_contents())


def test_the_cascade_streams_in_and_its_slider_works_meanwhile(page: Page) -> None:
    page.get_by_role("tab", name="Sanity check").click()
    page.locator("#tg-cascade-run").click()
    page.wait_for_function("Number(document.body.dataset.trgbpCascade) >= 4", timeout=WAIT)
    move(page, "stage", 0)
    where = "#tg-cascade canvas"
    page.wait_for_timeout(300)
    trained = pixels(page, where)
    move(page, "stage", 3)
    changes(page, where, trained)
    page.locator("#tg-cascade-stop").click()
    expect(page.locator("#tg-cascade svg")).to_have_count(2)


def test_a_file_that_is_no_picture_is_told_and_nothing_is_lost(page: Page, tmp_path: Path) -> None:
    first, before = explained(page), pixels(page, MAP)
    broken = tmp_path / "broken.png"
    broken.write_bytes((EXAMPLES / "lion.jpg").read_bytes()[:2000])
    page.locator("#tg-input input[type=file]").set_input_files(str(broken))
    expect(page.locator("#tg-status")).to_contain_text("damaged or incomplete", timeout=WAIT)
    assert explained(page) == first
    assert pixels(page, MAP) == before
