"""The tab Learn and links in Chromium: every lesson is gone through, links restore the page exactly, and nothing leaves the machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from tests.support.pictures import encoded, noise
from trgbp_core.data import examples
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.explorer.lessons import handouts, lessons
from trgbp_core.zoo.loading import ModelCache

from .chromium import EXAMPLES, WAIT, does_not_scroll_sideways, explains_anew, put_in, visiting

SHELF = lessons.load(pictures=examples.pictures(), models=["efficientnet_lite0", "shapes", "shapes_cheat"])
pytestmark = pytest.mark.browser
STATE = """() => { const { data, layer, stage } = window.TRGBP.state; return { ...data.explain.link, layer, stage,
    tab: window.TRGBP_OPEN_TAB(), lesson: data.learn?.open?.number ?? null,
    picker: document.querySelector('#tg-class input').value, network: document.querySelector('#tg-model input').value }; }"""

AT_ONCE = """() => { const first = document.body.dataset.trgbpExplain;
    new MutationObserver((_, observer) => { if (document.body.dataset.trgbpExplain === first) return;
        observer.disconnect();
        setTimeout(() => { const link = document.querySelector('[data-control="link"]');
            link.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }));
            link.click(); });
    }).observe(document.body, { attributes: true }); }"""


@pytest.fixture(scope="module")
def context(browser: Browser) -> BrowserContext:
    return browser.new_context(permissions=["clipboard-read", "clipboard-write"])


@pytest.fixture
def visit(request: pytest.FixtureRequest, context: BrowserContext, page_url: str) -> Iterator[Callable[[str], Page]]:
    """Opens the page with a query; a request that would leave this machine (which Chromium is started without) fails the test."""
    errors: list[str] = []
    outside: list[str] = []
    pages: list[Page] = []

    def asked(request: Request) -> None:
        address = urlparse(request.url)
        if address.scheme not in ("data", "blob") and address.hostname != "127.0.0.1":
            outside.append(request.url)

    def open_page(query: str) -> Page:
        page = context.new_page()
        pages.append(page)
        page.on("request", asked)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_viewport_size({"width": getattr(request, "param", 1280), "height": 800})
        page.set_default_timeout(WAIT)
        page.goto(f"{page_url}{query}")
        page.wait_for_function("document.body.dataset.trgbpExplain && document.body.dataset.trgbpLearn")
        return page

    yield open_page
    for page in pages:
        if not page.is_closed():
            does_not_scroll_sideways(page)
            page.close()
    assert not outside, outside
    assert not errors, errors


def predict(page: Page, choice: int) -> None:
    reveal = page.locator('[data-control="reveal"]')
    expect(reveal).to_be_disabled()
    expect(page.locator(".tg-result")).to_have_count(0)
    page.locator(".tg-choice input").nth(choice).focus()
    page.keyboard.press("Space")
    reveal.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".tg-result")).to_be_visible(timeout=WAIT)


@pytest.mark.parametrize("visit", [1280, pytest.param(390, marks=pytest.mark.further)], indirect=True)
def test_all_lessons_are_gone_through_with_the_keyboard(visit: Callable[[str], Page]) -> None:
    page = visit("?lesson=1")
    for number, lesson in SHELF.lessons.items():
        expect(page.locator(".tg-lesson h2")).to_have_text(f"{number}. {lesson.title}")
        expect(page.locator("#tg-learn .tg-lesson-maps canvas")).to_have_count(len(lesson.before))
        wrong = (lesson.answer + 1) % len(lesson.choices)
        predict(page, lesson.answer if number % 2 else wrong)
        expect(page.locator(".tg-verdict")).to_contain_text("Yes." if number % 2 else "Not this time")
        expect(page.locator(".tg-choice").nth(lesson.answer)).to_have_class(
            "tg-choice tg-right tg-chosen" if number % 2 else "tg-choice tg-right"
        )
        expect(page.locator('.tg-claims tr[data-holds="true"]')).to_have_count(len(lesson.checks))
        state = page.evaluate(STATE)
        assert (state["image"], state["model"], state["layer"]) == (lesson.picture, lesson.model, lesson.layer)
        if number < len(SHELF.lessons):
            page.get_by_role("link", name="Next:").focus()
            page.keyboard.press("Enter")


def test_equations_open_within_the_page(visit: Callable[[str], Page]) -> None:
    page = visit("?lesson=1")
    expect(page.locator("#tg-eq-4")).to_be_hidden()
    page.locator(".tg-text").get_by_role("link", name="Eq. 4").click()
    expect(page.locator("#tg-eq-4 math")).to_be_visible()
    assert "lesson=1" in page.url


def test_a_lesson_leads_to_the_tab_that_it_is_about(visit: Callable[[str], Page]) -> None:
    page = visit("?lesson=4")
    predict(page, 0)
    page.get_by_role("link", name="Set the page to this lesson").click()
    expect(page.get_by_role("tab", name="Explain")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#tg-classes .tg-class")).to_have_count(5)
    expect(page.locator("#tg-classes .tg-class").last).to_be_visible()


def test_a_handout_is_printed_from_a_frame_of_its_own(visit: Callable[[str], Page]) -> None:
    page = visit("?lesson=3")
    page.locator('[data-control="handout"]').click()
    frame = page.frame_locator("iframe.tg-handout")
    expect(frame.locator("h1")).to_have_text(SHELF.lessons[3].title)


def copied(page: Page) -> str:
    button = page.locator('[data-control="link"]')
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_text("Link copied")
    return str(page.evaluate("navigator.clipboard.readText()"))


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?lesson=5",
        "?image=coffee.jpg&class=cup&layer=7&tab=classes",
        "?image=lion.jpg&class=0&layer=50&tab=measure",
        "?image=chelsea.jpg&stage=2&seed=3&beside=saliency&layer=0&tab=cascade",
        "?image=chelsea.jpg&stage=2&layer=0&tab=explain",
    ],
)
def test_a_copied_link_opens_the_same_state(visit: Callable[[str], Page], query: str) -> None:
    stage = int(parse_qs(query.removeprefix("?")).get("stage", ["0"])[0])
    states, address = [], query
    for _ in range(2):
        page = visit(address)
        page.wait_for_function("stage => window.TRGBP.state.stage === stage", arg=stage)
        expect(page.locator(".tg-said")).to_have_text("")
        states.append(page.evaluate(STATE))
        address = copied(page).partition("?")[1] + copied(page).partition("?")[2]
        if stage:
            assert page.evaluate("window.TRGBP.state.data.cascade.link.seed") == (3 if "seed" in query else 0)
        page.close()
    assert states[0] == states[1]
    given = {key: value[0] for key, value in parse_qs(query.removeprefix("?")).items()}
    assert states[0]["image"] == given.get("image", "cheetah.jpg" if "lesson" in query else examples.FIRST)
    for key in ("layer", "stage"):
        assert key not in given or states[0][key] == int(given[key])
    assert "tab" not in given or states[0]["tab"] == given["tab"]


def test_the_state_that_somebody_made_by_hand_is_what_the_link_opens(visit: Callable[[str], Page]) -> None:
    page = visit("")
    with explains_anew(page):
        put_in(page, EXAMPLES / "coffee.jpg")
    expect(page.locator("#tg-class input")).to_have_value(re.compile("espresso"))
    page.get_by_text("Look inside").click()
    page.locator('input[data-control="layer"]').focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    page.get_by_text("The best classes side by side").click()
    made = page.evaluate(STATE)
    assert made["layer"] == 31
    assert page.evaluate("window.TRGBP.state.data.explain.link.image") == "coffee.jpg"
    assert page.evaluate(STATE) == visit("?" + copied(page).partition("?")[2]).evaluate(STATE)


def test_a_picture_of_ones_own_is_not_put_into_a_link(visit: Callable[[str], Page]) -> None:
    page = visit("")
    with explains_anew(page):
        page.evaluate(AT_ONCE)  # before the address is written anew
        put_in(page, {"name": "own.png", "mimeType": "image/png", "buffer": encoded(noise(64, 64), "PNG")})
    expect(page.locator(".tg-said")).to_contain_text("a picture that you put in stays with you")
    page.wait_for_timeout(1000)
    expect(page.locator(".tg-said")).to_contain_text("a picture that you put in stays with you")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?image=%3Cimg%20src=x%20onerror=%22window.hit=1%22%3E", "an example picture that is not here"),
        ("?class=%3Cscript%3Ewindow.hit=1%3C/script%3E", "a class that no network has"),
        ("?class=unicorn&layer=99", "No class is called"),
        ("?lesson=%22%3E%3Csvg%20onload=window.hit=1%3E", "a lesson that is not here"),
        ("?tab=javascript:window.hit=1", "a tab that is not here"),
        ("?colours=x&opacity=300&seed=x&stage=1&psi=", "colours that are not here"),
    ],
)
def test_markup_and_nonsense_in_an_address_are_a_sentence_and_nothing_runs(visit: Callable[[str], Page], query: str, sentence: str) -> None:
    page = visit(query)
    expect(page.locator(".tg-said")).to_contain_text(sentence)
    assert page.evaluate("window.hit") is None
    assert page.evaluate("window.TRGBP.state.data.explain.link.image") == examples.FIRST
    expect(page.locator('select[data-control="colours"]')).to_have_value("inferno")
    expect(page.locator('input[data-control="opacity"]')).to_have_value("65")
    page.wait_for_function("!/seed=x|colours=(&|$)|opacity=1/.test(location.search)")


def test_on_a_wide_screen_the_maps_stand_beside_lines_that_stay_readable_and_links_can_be_read_in_the_dark(
    browser: Browser, page_url: str
) -> None:
    with visiting(browser, f"{page_url}?lesson=6&__theme=dark", width=1920) as page:
        page.locator(".tg-choice input").first.check()
        page.locator("[data-control=reveal]").click()
        text, maps = page.locator(".tg-result .tg-text").first, page.locator(".tg-result .tg-lesson-maps")
        expect(maps).to_be_visible()
        left, right = text.bounding_box(), maps.bounding_box()
        assert left is not None
        assert right is not None
        assert left["x"] + left["width"] <= right["x"]
        assert text.evaluate("node => node.clientWidth <= 70.5 * parseFloat(getComputedStyle(node).fontSize)")
        assert right["x"] + right["width"] > 1200
        link = page.locator(".tg-result .tg-lead a").first
        assert link.evaluate("node => getComputedStyle(node).color") == "rgb(147, 197, 253)"


@pytest.mark.parametrize(("number", "answers"), [(3, False), (6, False), (6, True)])
def test_a_handout_is_one_page_of_paper(browser: Browser, number: int, answers: bool) -> None:
    page = browser.new_page()
    page.set_content(handouts.sheet(Explorer(ModelCache()), SHELF.lessons[number], answers=answers))
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True))) == 1
    page.close()
