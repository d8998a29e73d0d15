"""The labels of the page's controls in other languages; a label without a translation stays English."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from .. import layout

ATTRIBUTES = ("label", "info", "value")
"""The texts of a component; ``value`` of a button only."""


def translations() -> dict[str, dict[str, str]]:
    """language → English text → its translation."""
    return json.loads(layout.asset("translations.json"))


def i18n() -> gr.I18n:
    """The translations as ``launch`` takes them, with English for every key."""
    found = translations()
    return gr.I18n(en={key: key for words in found.values() for key in words}, **found)


def labels(demo: gr.Blocks) -> dict[tuple[int, str], str]:
    """(component, attribute) → the English text of every control that a visitor sees."""
    seen = {}
    for key, block in demo.blocks.items():
        for attribute in ATTRIBUTES if isinstance(block, gr.Button) else ATTRIBUTES[:2]:
            words = getattr(block, attribute, None)
            if isinstance(words, str) and words.strip() and _is_seen(block):
                seen[key, attribute] = words
    return seen


def translate(demo: gr.Blocks) -> None:
    """Make every label that has a translation one that the browser translates."""
    known = set().union(*translations().values())
    for (key, attribute), words in labels(demo).items():
        if words in known:
            setattr(demo.blocks[key], attribute, gr.I18n()(words))


def _is_seen(block: Any) -> bool:
    """Not in a row that is always hidden, as the endpoints' inputs are; other hidden components are shown at times."""
    while block is not None:
        if block.__class__.__name__ == "Row" and getattr(block, "visible", True) is False:
            return False
        block = getattr(block, "parent", None)
    return True
