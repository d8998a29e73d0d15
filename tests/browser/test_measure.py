"""The tab Measure in Chromium: questions, a first box, a box by mouse, by keys and by touch, curves that arrive and can be stopped."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import Browser, Page, expect

from trgbp_core.methods import METHODS

from .chromium import EXAMPLES, WAIT, choose, explains_anew, open_tab, put_in, visiting
from .test_page import page  # noqa: F401 - a fixture

CELLS = 56


def opened(page: Page) -> None:  # noqa: F811
    open_tab(page, "Measure", "Number(data.trgbpMeasure) >= 5")


def score(page: Page, method: str) -> float:  # noqa: F811
    return float((page.locator(f'[data-method="{method}"] .tg-number').first.text_content() or "").split()[0]) / 100


def share(page: Page, method: str, box: tuple[int, int, int, int]) -> float:  # noqa: F811
    sent = page.evaluate("key => window.TRGBP.state.data.measure.panels.find(panel => panel.key === key).shares", method)
    left, top, right, bottom = box
    return float(np.frombuffer(base64.b64decode(sent), "<f4").reshape(CELLS, CELLS)[top:bottom, left:right].sum())


def shown_box(page: Page) -> list[float]:  # noqa: F811
    return [
        float(edge)
        for edge in page.locator('[data-control="box"] .tg-box').evaluate(
            "r => ['x', 'y', 'width', 'height'].map(name => Number(r.getAttribute(name)))"
        )
    ]


def test_it_asks_questions_of_maps_in_one_order_in_full_rows_and_begins_with_a_box_around_what_is_explained(page: Page) -> None:  # noqa: F811
    open_tab(page, "Measure", "data.trgbpMeasure")
    expect(page.locator("#tg-measure .tg-card")).to_have_count(5)  # each with its place, whether it is computed or not
    panel = page.locator("[role=tabpanel]:visible")
    for question in ("How much of the map lies in your box?", "How much lies at the edge?", "Which pixels does the score need?"):
        expect(panel.get_by_role("heading", name=question)).to_be_visible()
    titles = {short: panel.locator("abbr", has_text=short).first.get_attribute("title") for short in ("EBPG", "IBD", "MoRF", "LeRF")}
    assert all(titles.values()), titles
    opened(page)
    methods = page.locator("#tg-measure .tg-card").evaluate_all("all => all.map(card => card.dataset.method)")
    assert methods == [key for key in METHODS if key in methods]
    assert methods[0] == "tr_gbp"
    tops = page.locator("#tg-measure .tg-cards > figure").evaluate_all("all => all.map(card => card.offsetTop)")
    rows = [tops.count(top) for top in sorted(set(tops))]
    assert len(tops) == 6
    assert 1 not in rows or rows == [6], rows
    expect(panel.get_by_text("Around the lion:")).to_be_visible()
    assert score(page, "tr_gbp") > 0.7, "the lion is what the network says"
    x, _, width, _ = shown_box(page)
    assert (x, x + width) == (0.5, pytest.approx(0.88, abs=0.03))
    with explains_anew(page):
        choose(page, "#tg-class", "cheetah", "cheetah")
    expect(panel.get_by_text("Around the cheetah:")).to_be_visible()
    page.locator('[data-control="box"]').focus()
    page.keyboard.press("ArrowRight")
    mine = shown_box(page)
    with explains_anew(page):
        choose(page, "#tg-class", "lion ·", "lion")
    opened(page)
    assert shown_box(page) == mine, "a box of one's own stays for as long as the picture does"
    with explains_anew(page):
        put_in(page, EXAMPLES.parent / "readme" / "page.png")
    expect(panel.get_by_text("The middle:")).to_be_visible()
    assert shown_box(page) == [0.25, 0.25, 0.5, 0.5]


def test_a_box_is_drawn_and_every_method_is_measured_in_it(page: Page) -> None:  # noqa: F811
    opened(page)
    area = page.locator('[data-control="box"]')
    area.scroll_into_view_if_needed()
    for box in ((28, 0, 56, 56), (0, 0, 28, 56)):
        around = area.bounding_box()
        assert around is not None
        x, y, side = around["x"] + 1, around["y"] + 1, around["width"] - 2  # a pixel inside: the edge itself belongs to no element
        page.mouse.move(x + side * box[0] / CELLS, y + side * box[1] / CELLS)
        page.mouse.down()
        page.mouse.move(x + side * box[2] / CELLS, y + side * box[3] / CELLS, steps=4)
        page.mouse.up()
        for method in ("tr_gbp", "guided_backprop"):
            assert abs(score(page, method) - share(page, method, box)) < 6e-4, box  # shown to a tenth of a per cent
        if box[0] == 28:  # the lion sits in the right half, and is what the network says
            assert score(page, "tr_gbp") > 0.9
    area.focus()
    before = score(page, "tr_gbp")
    for _ in range(8):
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert score(page, "tr_gbp") != before
    assert abs(score(page, "tr_gbp") - share(page, "tr_gbp", (0, 0, 20, 56))) < 6e-4  # a box of full height has nowhere to go


def test_a_finger_draws_a_box_and_every_method_reads_what_the_endpoint_says(browser: Browser, page_url: str) -> None:
    with visiting(browser, page_url, 390, has_touch=True, is_mobile=True) as phone:
        opened(phone)
        box = drawn_by_finger(phone)
        keys = phone.evaluate("window.TRGBP.state.data.measure.panels.map(panel => panel.key)")
        assert len(keys) == 5
        picture = handle_file(str(EXAMPLES / "cheetah_and_lion.jpg"))
        with ThreadPoolExecutor(1) as beside:  # the client would find this thread's event loop running
            asked = beside.submit(
                lambda: Client(page_url, verbose=False).predict(picture, "efficientnet_lite0", "lion", keys, box, api_name="/measure")
            )
            data = asked.result(WAIT / 1000)[0]
        for key in keys:
            assert abs(score(phone, key) - data[key]["ebpg"]) < 6e-4, key  # shown to a tenth of a per cent
        assert score(phone, "tr_gbp") > 0.5, "most of the lion is in it"


def drawn_by_finger(phone: Page) -> list[float]:
    """The box that a finger draws, in fractions of the picture."""
    area = phone.locator('[data-control="box"]')
    area.scroll_into_view_if_needed()
    around, scrolled = area.bounding_box(), phone.evaluate("scrollY")
    assert around is not None
    device = phone.context.new_cdp_session(phone)

    def touch(kind: str, *at: float) -> None:
        points = [{"x": around["x"] + around["width"] * at[0], "y": around["y"] + around["height"] * at[1]}] if at else []
        device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.55, 0.1)
    for step in range(1, 6):
        touch("touchMove", 0.55 + 0.08 * step, 0.1 + 0.13 * step)
    touch("touchEnd")
    assert phone.evaluate("scrollY") == scrolled, "the page scrolled under the finger"
    left, top, width, height = area.locator(".tg-box").evaluate(
        "r => ['x', 'y', 'width', 'height'].map(name => Number(r.getAttribute(name)))"
    )
    box = [left, top, left + width, top + height]
    np.testing.assert_allclose(box, [0.55, 0.1, 0.95, 0.75], atol=0.5 / CELLS + 0.003)  # the nearest edge of a cell; a pixel
    return box


def test_curves_arrive_one_by_one_and_stop_ends_them_in_the_middle(page: Page) -> None:  # noqa: F811
    opened(page)
    page.get_by_role("button", name="Which methods").locator("visible=true").click()
    page.get_by_label("Guided IG").locator("visible=true").check()  # long enough to be stopped, however slow the browser is
    page.locator("#tg-perturb-run").click()
    page.wait_for_function("Number(document.body.dataset.trgbpPerturb) >= 1")
    expect(page.locator("#tg-perturb polyline").first).to_be_attached()
    for title in ("share of the pixels made black", "change of the score"):
        expect(page.locator("#tg-perturb svg").first).to_contain_text(title)
    expect(page.locator("#tg-perturb svg").first).to_contain_text("100 %")
    expect(page.locator("#tg-perturb")).to_contain_text("A method that does well here")
    page.locator("#tg-measure-stop").click()
    line = page.locator("#tg-perturb-status")
    expect(line).to_have_text("Stopped.", timeout=WAIT)
    there = int(page.evaluate("document.body.dataset.trgbpPerturb"))
    assert there < 6, "it was over before it was stopped"
    open_tab(page, "Compare", "data.trgbpCompare === '5'")  # work that goes on would report its progress three times a second meanwhile
    expect(line).to_have_text("Stopped.")
    assert int(page.evaluate("document.body.dataset.trgbpPerturb")) == there
