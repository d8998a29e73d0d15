"""The page's structured clones are the browser's own, but for what is its own clone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from trgbp_core.page.layout import asset

pytestmark = pytest.mark.browser

ALIKE = """() => {
  const circle = {name: 'circle'};
  circle.self = circle;
  const plain = [1, -0, NaN, 2n ** 80n, 'text', '', true, null, undefined];
  const objects = [[1, ['two']], {three: {}}, new Date(3), new Map([[{}, 4]]), circle];
  const kind = (value) => `${value.constructor.name} ${Object.keys(value)}`;
  const error = (call) => { try { call(); return null; } catch (e) { return e.name; } };
  const bad = [() => 5, Symbol('six'), {call: () => 7}];
  const buffer = new ArrayBuffer(8);
  structuredClone(buffer, {transfer: [buffer]});
  const cloned = structuredClone(circle);
  return {
    plain: plain.every((value) => Object.is(structuredClone(value), native(value))),
    objects: objects.every((value) => structuredClone(value) !== value && kind(structuredClone(value)) === kind(native(value))),
    circle: cloned.self === cloned,
    refused: bad.map((value) => error(() => structuredClone(value))),
    transferred: buffer.byteLength === 0,
    replaced: native !== structuredClone,
  };
}"""


def test_clones_are_those_of_the_browser(browser: Browser) -> None:
    page = browser.new_page()
    page.evaluate("window.native = window.structuredClone")
    page.add_script_tag(content=asset("clones.js"))
    found = page.evaluate(ALIKE)
    assert found.pop("refused") == ["DataCloneError"] * 3
    assert found == dict.fromkeys(("plain", "objects", "circle", "transferred", "replaced"), True)
    page.close()
