"""The page's state as the query of its address: ``?model=…&image=…&class=…&layer=…&stage=…&tab=…``, or ``?lesson=2``.

The browser writes such queries (``assets/page/links.js``); here they are read, by strict rules, since anybody can write one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

from ..methods import METHODS
from ..sanity.cascade import MODES
from .lessons.lessons import Lesson

LONGEST = 2000
KEYS = ("lesson", "model", "image", "class", "layer", "stage", "tab", "beside", "mode", "seed")
"""Other keys are somebody else's (``__theme``, ``utm_source``) and are passed over."""

NUMBERS = ("layer", "stage", "seed")
_PLAIN = re.compile(r"[\w .,:'’&()+-]{1,80}")
"""What names of networks, pictures, classes and tabs are made of; whatever else comes is not even repeated in a sentence."""


@dataclass(frozen=True)
class Link:
    """What a link asks for.

    Attributes:
        model, image, tab: names. wanted: a class as :func:`labels.find_class` takes it; empty for the best.
        layer: of the layer slider, None for the page's own choice. stage: how many layers are randomised.
        beside, mode, seed: the options of the sanity check. lesson: the number of the lesson that is open; None for none.
    """

    model: str
    image: str
    wanted: str = ""
    layer: int | None = None
    stage: int = 0
    tab: str = ""
    beside: str = "grad_cam"
    mode: str = MODES[0]
    seed: int = 0
    lesson: int | None = None


@dataclass(frozen=True)
class Known:
    """What links may name. ``first`` is what a page without a link opens."""

    first: Link
    models: Collection[str]
    images: Collection[str]
    tabs: Collection[str]
    lessons: Mapping[int, Lesson]


def read(query: object, known: Known) -> Link:
    """What ``query`` (with or without its question mark) asks for; what it does not mention is as on a page just opened.

    A lesson sets all controls; what stands beside it in the link is set instead.

    Raises:
        ValueError: a sentence without anything of the query that could be markup.
    """
    given = _given(query)
    link = of_lesson(_lesson(given.pop("lesson"), known)) if "lesson" in given else known.first
    if {"image", "model"} & given.keys():  # another picture or network has its own best class
        link = replace(link, wanted="")
    allowed: dict[str, tuple[Collection[str], str]] = {
        "model": (known.models, "a network"),
        "image": (known.images, "an example picture"),
        "tab": (known.tabs, "a tab"),
        "beside": (METHODS, "a method"),
        "mode": (MODES, "a way to randomise"),
    }
    changes: dict[str, Any] = {}
    for key, text in given.items():
        plain = _PLAIN.fullmatch(text)
        if key in allowed and text not in allowed[key][0]:
            raise ValueError(f"This link asks for {allowed[key][1]} that is not here{f' ({text})' if plain else ''}; it was not followed.")
        if key in NUMBERS and not re.fullmatch(r"[0-9]{1,5}", text):
            raise ValueError(f"In this link {key} is no whole number from 0 to 99,999; it was not followed.")
        if key == "class" and not plain:
            raise ValueError("This link asks for a class that no network has; it was not followed.")
        changes["wanted" if key == "class" else key] = int(text) if key in NUMBERS else text
    return replace(link, **changes)


def of_lesson(lesson: Lesson) -> Link:
    """The page as a lesson opens it: on its own tab, and not yet randomised, since that would be the answer."""
    return Link(lesson.model, lesson.picture, lesson.wanted, lesson.layer, tab="learn", lesson=lesson.number)


def query_of(lesson: Lesson) -> str:
    """The link to what a lesson is about, outside the tab Learn."""
    parts = {"model": lesson.model, "image": lesson.picture, "class": lesson.wanted}
    parts |= {"layer": str(lesson.layer), "stage": str(lesson.stage), "tab": lesson.tab}
    return f"?{urlencode(parts, quote_via=quote)}"


def _given(query: object) -> dict[str, str]:
    text = query if isinstance(query, str) else ""
    if len(text) > LONGEST:
        raise ValueError(f"This link is longer than {LONGEST} letters, and was not followed.")
    try:
        found = parse_qs(text.removeprefix("?"), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise ValueError("This link has too many parts, and was not followed.") from None
    for key in KEYS:
        if len(found.get(key, ())) > 1:
            raise ValueError(f"This link sets {key} more than once, and was not followed.")
    return {key: found[key][0] for key in KEYS if found.get(key, [""])[0]}


def _lesson(text: str, known: Known) -> Lesson:
    lesson = known.lessons.get(int(text)) if re.fullmatch(r"[0-9]{1,3}", text) else None
    if lesson is None:
        there = ", ".join(map(str, known.lessons)) or "none"
        raise ValueError(f"This link asks for a lesson that is not here; there are {there}. It was not followed.")
    return lesson
