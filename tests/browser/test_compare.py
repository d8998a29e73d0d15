"""Compare and Sanity check with a method that takes as long as the test wants: places, progress, Stop in the middle, and the figure."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect
from torch import Tensor, nn

import app
from tests.support.nets import small_classifier
from trgbp_core import Preprocess, own_model
from trgbp_core.methods import METHODS, Method
from trgbp_core.serving.jobs import Cancelled

from .chromium import does_not_scroll_sideways

pytestmark = pytest.mark.browser
WAIT = 90_000  # milliseconds; a limit for a busy machine, no measurement
SLOW = "slow_for_the_test"


class Slow:
    """A method of six hundred steps that tells its progress; it ends early when it is released, or when nobody waits for it."""

    def __init__(self) -> None:
        self.released, self.stopped = threading.Event(), threading.Event()

    def __call__(self, network: nn.Module, x: Tensor, target: Any = None, *, progress: Any = None) -> Tensor:
        try:
            for step in range(600):
                progress(step / 600)
                if self.released.wait(0.05):
                    break
        except Cancelled:
            self.stopped.set()
            raise
        return x.sum(1, keepdim=True)


@pytest.fixture(scope="module")
def slow() -> Iterator[Slow]:
    method = Slow()
    about = {"what": "Waits.", "promise": "To wait.", "failure": "Waits.", "citation": "Nobody 2026"}
    METHODS[SLOW] = Method(SLOW, "Slow", "gradients", **about, attribute=method, signed=True, cost=1e6)
    yield method
    del METHODS[SLOW]


@pytest.fixture(scope="module")
def opened(slow: Slow, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    zoo = own_model(small_classifier((8, 8)), [*"abcdef"], preprocess=Preprocess(size=64, resize=None))
    twin = own_model(small_classifier((8, 8)), [*"fedcba"], preprocess=Preprocess(size=48, resize=None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("cache")))
        before = torch.get_num_threads()
        _, url, _ = app.launch(["--model", "mine"], models={"mine": zoo, "twin": twin}, prevent_thread_lock=True, quiet=True)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(WAIT)
        page.goto(url)
        page.wait_for_function("document.body.dataset.trgbpExplain")
        yield page
        page.close()
        assert torch.get_num_threads() == before


def places(page: Page) -> list[Any]:
    return page.locator("#tg-compare figure").evaluate_all(
        "all => all.map(f => [f.dataset.method, f.offsetLeft, f.offsetTop, f.offsetHeight])"
    )


def compare(page: Page, slow: Slow) -> None:
    """Compare with the slow method, until it is under way."""
    slow.stopped.clear()
    slow.released.clear()
    page.locator("#tg-compare-run").click()
    page.wait_for_function("key => { const now = TRGBP.state.data.comparing; return now?.key === key && now.share > 0; }", arg=SLOW)


def test_every_panel_has_its_place_and_says_what_it_is_before_its_map_is_there(opened: Page, slow: Slow) -> None:
    opened.get_by_role("tab", name="Compare").click()
    opened.wait_for_function("document.body.dataset.trgbpCompare === '5'")
    opened.get_by_role("button", name="Which methods").click()
    opened.get_by_label("Slow", exact=True).check()
    compare(opened, slow)
    last = opened.locator(f"#tg-compare [data-method={SLOW}]")
    expect(last.locator(".tg-wait")).to_contain_text("computing …")
    expect(opened.locator("#tg-compare-status")).to_contain_text("Slow:")
    for figure in opened.locator("#tg-compare figure").all():
        method = METHODS[str(figure.get_attribute("data-method"))]
        text = figure.inner_text()
        assert all(words in text for words in (method.title, method.what, method.promise, method.failure, method.citation)), method.key
    before = places(opened)
    assert len(before) == 6
    assert before[-1][0] == SLOW
    slow.released.set()
    opened.wait_for_function("document.body.dataset.trgbpCompare === '6'")
    expect(last.locator(".tg-time")).to_contain_text(" s")
    for (key, *here), (same, *there) in zip(places(opened), before, strict=True):
        assert key == same
        np.testing.assert_allclose(here, there, atol=1)  # a browser rounds


def test_maps_with_two_signs_have_two_colours(opened: Page) -> None:
    where = "key => TRGBP.state.data.compare.panels.find(panel => panel.key === key).signed"
    assert {key: opened.evaluate(where, key) for key in ("guided_backprop", "saliency", SLOW)} == {
        "guided_backprop": True,
        "saliency": False,
        SLOW: True,
    }
    reds = opened.locator("#tg-compare canvas.tg-ramp").nth(1).evaluate("c => [...c.getContext('2d').getImageData(0, 0, 256, 1).data]")
    assert reds[0] < reds[2], "blue speaks against the class"
    assert reds[-4] > reds[-2], "red speaks for it"


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_the_grid_is_downloaded_on_the_tab(kind: str, opened: Page) -> None:
    with opened.expect_download() as given:
        opened.locator(f"#tg-compare-{kind}").click()
    assert given.value.suggested_filename.endswith(f"-compare.{kind}")
    assert given.value.path().read_bytes().startswith({"png": b"\x89PNG", "pdf": b"%PDF"}[kind])


def test_stop_ends_a_long_method_in_its_middle(opened: Page, slow: Slow) -> None:
    slow.released.clear()  # the open tab compares by itself as soon as the class is another one
    opened.locator("#tg-class input").fill("b")  # another class: what is known already is not computed again
    opened.locator("#tg-class input").press("Enter")
    expect(opened.locator("#tg-compare-status")).to_contain_text("methods for b; Slow", timeout=WAIT)
    opened.locator("#tg-compare-stop").click()
    assert slow.stopped.wait(30)
    expect(opened.locator("#tg-compare-status")).to_have_text("Stopped.")
    expect(opened.locator(f"#tg-compare [data-method={SLOW}] .tg-wait")).to_have_text("not computed")
    expect(opened.locator("#tg-compare .tg-time").first).to_contain_text(" s")


def test_another_class_takes_the_place_of_the_running_comparison(opened: Page, slow: Slow) -> None:
    compare(opened, slow)
    for label in "cb":  # of a comparison that a button began, and of one that began by itself
        slow.stopped.clear()
        opened.locator("#tg-class input").fill(label)
        opened.locator("#tg-class input").press("Enter")
        assert slow.stopped.wait(30), "nobody waits for the comparison of the class before any more"
        expect(opened.locator("#tg-compare-status")).to_contain_text(f"methods for {label}; Slow", timeout=WAIT)
    opened.locator("#tg-compare-stop").click()
    expect(opened.locator("#tg-compare-status")).to_have_text("Stopped.")


def test_the_sanity_check_tells_a_slow_methods_progress_and_stops_in_its_middle(opened: Page, slow: Slow) -> None:
    opened.get_by_role("tab", name="Sanity check").click()
    opened.get_by_role("button", name="Options").click()
    opened.get_by_label("Method beside TR-GBP").fill("Slow")
    opened.get_by_label("Method beside TR-GBP").press("Enter")
    slow.stopped.clear()
    slow.released.clear()
    opened.locator("#tg-cascade-run").click()
    expect(opened.locator("#tg-cascade-status")).to_contain_text("; Slow:", timeout=WAIT)
    opened.locator("#tg-cascade-stop").click()
    assert slow.stopped.wait(30)
    expect(opened.locator("#tg-cascade-status")).to_contain_text("Stopped.", timeout=WAIT)
    slow.released.set()
    opened.locator("#tg-cascade-run").click()
    opened.wait_for_function("document.body.dataset.trgbpCascade === '4'")
    assert opened.evaluate("TRGBP.state.data.cascade.stages.at(-1).panels.some(panel => panel.id === 'baseline')")


def test_a_further_network_has_a_row_of_its_own_on_a_telephone_too(opened: Page, slow: Slow) -> None:
    slow.released.set()
    opened.get_by_role("tab", name="Compare").click()
    opened.wait_for_function("document.body.dataset.trgbpCompare === '6'")
    opened.locator("#tg-compare-networks input").click()
    opened.get_by_role("option", name="twin").click()
    opened.keyboard.press("Escape")
    opened.locator("#tg-compare-run").click()
    opened.wait_for_function("document.body.dataset.trgbpCompare === '12'")
    expect(opened.locator("#tg-compare-status")).to_contain_text("by 2 networks")
    expect(opened.locator(".tg-network h2")).to_have_text(["mine", "twin"])
    expect(opened.locator(".tg-network .tg-lead")).to_have_text([re.compile("^Its answer: .*%")] * 2)
    assert opened.locator('.tg-network[data-model="twin"] figure').evaluate_all("all => all.map(f => f.dataset.method)") == [
        method for method, *_ in places(opened)[:6]
    ]
    does_not_scroll_sideways(opened)
    opened.set_viewport_size({"width": 390, "height": 800})
    does_not_scroll_sideways(opened)
