"""The whole page once in Firefox and once in WebKit. Not among all tests, for time: ``python -m pytest -m further``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from .others import END, Driven, firefox, webkit

pytestmark = pytest.mark.further
SHOWN = "document.body.dataset.trgbpExplain"
MAP = "document.querySelector('#tg-explain .tg-hero canvas').toDataURL()"
DONE = {
    "explain": SHOWN,
    "compare": "document.body.dataset.trgbpCompare === '5'",
    "cascade": "TRGBP.state.data.cascade?.stages.length >= 3",  # all of them are test_sanity's
    "measure": "Number(document.body.dataset.trgbpMeasure) >= 5",
    "predict": "document.body.dataset.trgbpPredict && document.querySelector('#tg-predict .tg-answer-card')",
    "learn": "document.body.dataset.trgbpLearn && document.querySelector('#tg-learn button')",
}
"""What is true of each tab once all that it shows by itself is there."""
SLIDERS = {
    "explain": ("layer", "TRGBP.state.layer === 50"),
    "cascade": ("stage", "TRGBP.state.stage >= 2"),
    "predict": ("predict-layer", "document.querySelector('[data-control=predict-layer]').value === '50'"),
}
"""A slider of the tab, and what is true when it has been moved to its end."""


@pytest.fixture(params=[firefox, webkit], ids=["firefox", "webkit"])
def browser(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driven]:
    launched: Callable[[Path], AbstractContextManager[Driven]] = request.param
    with launched(tmp_path) as driven:
        yield driven


def test_every_tab_works(browser: Driven, page_url: str) -> None:
    browser.open(page_url)
    browser.until(SHOWN)
    first, painted = browser.evaluate(SHOWN), browser.evaluate(MAP)
    browser.click(".tg-answer:nth-of-type(2)")
    browser.until(f"{SHOWN} !== {first!r}")
    browser.until(f"{MAP} !== {painted!r}")
    browser.until("document.querySelectorAll('.tg-answer')[1].getAttribute('aria-pressed') === 'true'")
    browser.click("[data-fold=inside] > summary")
    assert browser.evaluate("[...document.querySelectorAll('[role=tab]')].map(tab => tab.dataset.tabId)") == list(DONE)
    for name, done in DONE.items():
        browser.click(f"[role=tab][data-tab-id={name}]")
        browser.until(done)
        if name == "predict":
            browser.click("#tg-predict-more button.label-wrap")
        if name in SLIDERS:
            control, moved = SLIDERS[name]
            browser.until(f"document.querySelector('[data-control={control}]')?.checkVisibility()")
            browser.evaluate(f"document.querySelector('[data-control={control}]').focus()")
            browser.press(END)
            browser.until(moved)
        if name == "cascade":
            browser.click("#tg-cascade-stop")
        assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} scrolls sideways"
    assert not browser.errors()
