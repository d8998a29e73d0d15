"""The Measure tab in Chromium: a box by mouse and by keys, curves that arrive and can be stopped."""

from __future__ import annotations

import base64

import numpy as np
from playwright.sync_api import Page, expect

from .test_page import page  # noqa: F401 - a fixture

CELLS = 56


def opened(page: Page) -> None:  # noqa: F811
    page.get_by_role("tab", name="Measure").click()
    page.wait_for_function("Number(document.body.dataset.trgbpMeasure) >= 5")


def score(page: Page, method: str) -> float:  # noqa: F811
    return float((page.locator(f'[data-method="{method}"] .tg-number').first.text_content() or "").split()[0]) / 100


def share(page: Page, method: str, box: tuple[int, int, int, int]) -> float:  # noqa: F811
    sent = page.evaluate("key => window.TRGBP.state.data.measure.panels.find(panel => panel.key === key).shares", method)
    left, top, right, bottom = box
    return float(np.frombuffer(base64.b64decode(sent), "<f4").reshape(CELLS, CELLS)[top:bottom, left:right].sum())


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


def test_curves_arrive_one_by_one_and_stop_ends_them(page: Page) -> None:  # noqa: F811
    opened(page)
    page.locator("#tg-perturb-run").click()
    page.wait_for_function("Number(document.body.dataset.trgbpPerturb) >= 1")
    expect(page.locator("#tg-perturb polyline").first).to_be_attached()
    page.locator("#tg-measure-stop").click()
    page.get_by_role("tab", name="Explain").click()
    expect(page.locator("#tg-explain")).to_be_visible()
