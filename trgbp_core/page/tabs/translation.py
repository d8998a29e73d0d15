"""The page's control labels in other languages: English is the source, and what stands where a word has no translation."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from .. import layout

ATTRIBUTES = ("label", "info", "value")
"""What a component says. ``value`` is a button's."""


def translations() -> dict[str, dict[str, str]]:
    """language → English → its word."""
    return json.loads(layout.asset("translations.json"))


def i18n() -> gr.I18n:
    """What Gradio's page takes, with English for every key."""
    found = translations()
    return gr.I18n(en={key: key for words in found.values() for key in words}, **found)


def labels(demo: gr.Blocks) -> dict[tuple[int, str], str]:
    """(component, attribute) → the English words of every control that a visitor sees."""
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
    """Neither it nor what it lies in is hidden for good; what is hidden and has a name of its own is shown at times."""
    while block is not None:
        if block.__class__.__name__ == "Row" and getattr(block, "visible", True) is False:
            return False
        block = getattr(block, "parent", None)
    return True
