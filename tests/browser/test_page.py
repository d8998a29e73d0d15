"""The page in a real Chromium: upload, pick a class, move each slider, see the picture change; no error in the console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from trgbp_core.page.layout import asset

from .chromium import (
    EXAMPLES,
    choose,
    explained,
    explains_anew,
    open_tab,
    put_in,
    questions,
    repaints,
    unfold,
    until_quiet,
    visiting,
)

pytestmark = pytest.mark.browser
MAP = "#tg-explain .tg-hero canvas"
LAYER = "#tg-explain .tg-layers canvas"
STAGE = "#tg-cascade .tg-after canvas"


BOTH = pytest.mark.parametrize("page", [1280, pytest.param(390, marks=pytest.mark.further)], indirect=True)


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, page_url: str) -> Iterator[Page]:
    with visiting(browser, page_url, getattr(request, "param", 1280)) as page:
        yield page


def move(page: Page, control: str, value: int) -> None:
    page.locator(f'input[data-control="{control}"]').evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input', {bubbles: true})); }", value
    )


@BOTH
def test_it_opens_with_an_example_explained_and_every_control_is_labelled(page: Page) -> None:
    expect(page.locator("#tg-status")).to_contain_text("lion")
    unfold(page, "inside")
    maps = page.locator("#tg-explain .tg-hero canvas, #tg-explain [data-fold=inside] canvas[role=img]")
    labels = [canvas.get_attribute("aria-label") or "" for canvas in maps.all()]
    assert len(labels) == 4
    parts = ("peak ", "upper left", "upper right", "lower left", "lower right", "in the frame")
    assert all(part in label for part in parts for label in labels), "a screen reader hears where a map is strong"
    for image in page.locator("img:visible").all():
        assert image.get_attribute("alt") is not None
    for control in page.locator("input[type=range]:visible, select:visible").all():
        assert page.locator(f"label[for='{control.get_attribute('id')}']").count() == 1


def test_an_upload_and_another_class_redraw_everything(page: Page) -> None:
    asked = questions(page)
    with explains_anew(page), repaints(page, MAP):
        put_in(page, EXAMPLES / "chelsea.jpg")
    expect(page.locator("#tg-status")).to_contain_text("Egyptian cat")
    unfold(page, "inside")
    with explains_anew(page), repaints(page, MAP), repaints(page, LAYER):
        choose(page, "#tg-class", "espresso · 967", "espresso")
    assert explained(page).endswith(":967")
    until_quiet(page, asked)  # what follows in other tabs must leave the sentence alone
    expect(page.locator("#tg-status")).to_contain_text("Explained: espresso")


def test_a_new_picture_is_asked_for_once(page: Page) -> None:
    asked = questions(page)
    for name in ("coffee.jpg", "rocket.jpg"):
        until_quiet(page, asked)
        asked.clear()
        with explains_anew(page):
            put_in(page, EXAMPLES / name)
        until_quiet(page, asked)
        bodies = [request.post_data_json for request in asked]
        about = [body["fn_index"] for body in bodies if any(isinstance(value, dict) and "file" in value for value in body["data"])]
        assert about
        assert len(about) == len(set(about)), f"asked more than once: {about}"


def test_the_same_picture_put_in_again_later_is_a_new_question(page: Page) -> None:
    page.evaluate("() => { window.asked = 0; TRGBP.put = () => { window.asked += 1; }; }")
    report = "TRGBP.pictured({ path: 'one' })"
    page.evaluate(f"{report}; {report}")
    assert page.evaluate("window.asked") == 1
    page.evaluate("() => { const now = performance.now(); performance.now = () => now + 3100; }")
    page.evaluate(report)
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
    with explains_anew(page):
        put_in(page, EXAMPLES / "chelsea.jpg")
        # The rest of the picture with which the page opens may come last of all.
        same = "() => { const [a, b] = ['rest', 'explain'].map(n => JSON.parse(held[n] ?? '{}').key); return a && a === b; }"
        page.wait_for_function(same)
        page.evaluate("window.deliver('rest')")
        assert explained(page) == before
        page.evaluate("window.deliver('explain')")
    names = page.evaluate("TRGBP.state.data.explain.classes.map(item => item.name)")
    assert len(names) == 5
    assert names[0] == "Egyptian cat"
    assert page.evaluate("JSON.parse(window.held.explain).classes.length") == 1
    unfold(page, "classes")
    expect(page.locator("#tg-classes .tg-class strong")).to_have_text([f"{rank}. {name}" for rank, name in enumerate(names, 1)])


@BOTH
def test_sliders_and_colours_repaint_in_the_browser_without_asking_the_server(page: Page) -> None:
    asked = questions(page)
    until_quiet(page, asked)
    asked.clear()
    unfold(page, "inside")
    for control, value, where in (("layer", 3, LAYER), ("layer", 49, LAYER), ("opacity", 100, MAP)):
        with repaints(page, where):
            move(page, control, value)
    with repaints(page, MAP):
        page.locator('select[data-control="colours"]').select_option("jet")
    expect(page.locator("#tg-explain .tg-facts")).to_contain_text("_conv_head")
    page.locator('input[data-control="layer"]').focus()
    with repaints(page, LAYER):
        page.keyboard.press("ArrowLeft")
    assert not asked, [request.post_data for request in asked]


@BOTH
def test_the_sanity_check_arrives_stage_by_stage_and_its_slider_works_meanwhile(page: Page) -> None:
    open_tab(page, "Sanity check")
    page.wait_for_function("Number(document.body.dataset.trgbpCascade) >= 4")
    move(page, "stage", 0)
    page.wait_for_function(f"document.querySelector('{STAGE}').panel === TRGBP.state.data.cascade.stages[0].panels[0]")
    page.evaluate("new Promise(requestAnimationFrame)")
    with repaints(page, STAGE):
        move(page, "stage", 3)
    page.locator("#tg-cascade-stop").click()
    expect(page.locator("#tg-cascade svg")).to_have_count(1)


CLONES = """() => {
  const circle = {name: 'circle'};
  circle.self = circle;
  const plain = [1, -0, NaN, 2n ** 80n, 'text', '', true, null, undefined];
  const objects = [[1, ['two']], {three: {}}, new Date(3), new Map([[{}, 4]]), circle];
  const kind = (value) => `${value.constructor.name} ${Object.keys(value)}`;
  const error = (call) => { try { call(); return null; } catch (e) { return e.name; } };
  const buffer = new ArrayBuffer(8);
  structuredClone(buffer, {transfer: [buffer]});
  const cloned = structuredClone(circle);
  return {
    plain: plain.every((value) => Object.is(structuredClone(value), native(value))),
    objects: objects.every((value) => structuredClone(value) !== value && kind(structuredClone(value)) === kind(native(value))),
    circle: cloned.self === cloned,
    refused: [() => 5, Symbol('six'), {call: () => 7}].every((value) => error(() => structuredClone(value)) === 'DataCloneError'),
    transferred: buffer.byteLength === 0,
    replaced: native !== structuredClone,
  };
}"""


def test_the_pages_structured_clones_are_those_of_the_browser(browser: Browser) -> None:
    page = browser.new_page()
    page.evaluate("window.native = window.structuredClone")
    page.add_script_tag(content=asset("gradio.js"))
    assert page.evaluate(CLONES) == dict.fromkeys(("plain", "objects", "circle", "refused", "transferred", "replaced"), True)
    page.close()


def test_gradios_page_still_makes_many_clones(browser: Browser, page_url: str) -> None:
    """The reason for the replacement, which has no worth any more when this fails."""
    page = browser.new_page()
    page.add_init_script("""window.clones = 0;
        let clone = window.structuredClone;
        Object.defineProperty(window, 'structuredClone', { get: () => { clones += 1; return clone; }, set: (other) => { clone = other; } });
    """)
    page.goto(page_url)
    page.wait_for_function("document.body?.dataset.trgbpExplain")
    assert page.evaluate("window.clones") > 10_000
    page.close()
