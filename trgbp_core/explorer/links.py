"""The page's state as the query of its address: ``?model=…&image=…&class=…&layer=…&stage=…&tab=…``, or ``?lesson=2``.

The browser writes such queries (``assets/page/links.js``); here they are read, by strict rules, since anybody can write one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

from ..data.crop import CENTRE, Crop
from ..drawing.render import COLOUR_MAPS
from ..methods import METHODS
from ..sanity.cascade import MODES
from .lessons.lessons import Lesson

LONGEST = 2000
KEYS = "lesson model image crop class against layer stage tab beside mode seed colours opacity psi box".split()
"""Other keys are somebody else's (``__theme``, ``utm_source``) and are passed over."""

OWN = "own"
"""Stands for a picture that the visitor put in: which one only the visitor's browser knows."""

NUMBERS = ("layer", "stage", "seed")
MOST_SEED = 2**31 - 1
BOX_CELLS = 56
"""The box on the map of Explain is drawn in cells, so many a side, to which a link's edges are rounded (``assets/page/shares.js``)."""

VIEW = ("colours", "opacity", "psi", "box")
"""How maps are shown, and the box on the map of Explain: the browser follows these itself, here they are only checked."""

_PLAIN = re.compile(r"[\w .,:'’&()+-]{1,80}")
"""What names of networks, pictures, classes and tabs are made of; whatever else comes is not even repeated in a sentence."""

_SHARE = r"(?:0(?:\.\d{1,6})?|1(?:\.0{1,6})?)"
_SHAPES = {
    **dict.fromkeys(("layer", "stage"), (re.compile(r"[0-9]{1,5}"), "which is no whole number from 0 to 99,999")),
    "seed": (re.compile(r"[0-9]{1,10}"), f"which is no whole number from 0 to {MOST_SEED:,}"),
    "opacity": (re.compile(r"100|[1-9]?[05]"), "which is no multiple of 5 from 0 to 100"),
    "psi": (re.compile("paper|conserving"), "which is neither paper nor conserving"),
    "box": (re.compile(rf"{_SHARE}(?:,{_SHARE}){{3}}"), "which is not four numbers from 0 to 1"),
}


@dataclass(frozen=True)
class Link:
    """What a link asks for.

    Attributes:
        model, image, tab: names; ``image`` may be :data:`OWN`. wanted: a class as :func:`labels.find_class` takes it; empty for the best.
        layer: of the layer slider, None for the page's own choice. stage: how many layers are randomised.
        beside, mode, seed: the options of the sanity check. lesson: the number of the lesson that is open; None for none.
        crop: which part of the picture the network sees. against: what ``wanted`` is compared with, a class too, or empty.
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
    crop: str = CENTRE
    against: str = ""


@dataclass(frozen=True)
class Known:
    """What links may name. ``first`` is what a page without a link opens."""

    first: Link
    models: Collection[str]
    images: Collection[str]
    tabs: Collection[str]
    lessons: Mapping[int, Lesson]


def read(query: object, known: Known) -> tuple[Link, str]:
    """What ``query`` (with or without its question mark) asks for, and a sentence that names all of it that cannot be followed.

    What the query does not mention, or what cannot be followed, is as on a page just opened. A lesson sets all controls; what stands beside
    it in the link is set instead. The sentence is empty where all is followed, and holds nothing of the query that could be markup.

    Raises:
        ValueError: a sentence about a query of which nothing can be followed.
    """
    given, wrong = _given(query)
    link = known.first
    if "lesson" in given:
        lesson = _lesson(given.pop("lesson"), known)
        if lesson is None:
            wrong.append(f"a lesson that is not here (there are {', '.join(map(str, known.lessons)) or 'none'})")
        else:
            link = of_lesson(lesson)
    if {"image", "model"} & given.keys():  # another picture or network has its own best class
        link = replace(link, wanted="")
    changes: dict[str, Any] = {}
    for key, text in given.items():
        if found := _wrong_with(key, text, known):
            wrong.append(found)
        elif key not in VIEW:
            changes["wanted" if key == "class" else key] = int(text) if key in NUMBERS else text
    return replace(link, **changes), f"Not followed in this link: {'; '.join(wrong)}." if wrong else ""


def _wrong_with(key: str, text: str, known: Known) -> str:
    """Why this part of a link cannot be followed; empty if it can."""
    allowed: dict[str, tuple[Collection[str], str]] = {
        "model": (known.models, "a network"),
        "image": ((*known.images, OWN), "an example picture"),
        "tab": (known.tabs, "a tab"),
        "beside": (METHODS, "a method"),
        "mode": (MODES, "a way to randomise"),
        "colours": (COLOUR_MAPS, "colours"),
    }
    if key in allowed:
        names, what = allowed[key]
        repeated = f" ({text})" if _PLAIN.fullmatch(text) else ""
        return "" if text in names else f"{what} that {'are' if key == 'colours' else 'is'} not here{repeated}"
    if key in ("class", "against"):
        return "" if _PLAIN.fullmatch(text) else f"a {'second ' * (key == 'against')}class that no network has"
    if key == "crop":
        try:
            Crop.read(text)
        except ValueError:
            return "a crop, which is not centre, whole, or x,y,size"
        return ""
    shape, why = _SHAPES[key]
    if not shape.fullmatch(text) or (key == "seed" and int(text) > MOST_SEED):
        return f"{key}, {why}"
    if key == "box":
        left, top, right, bottom = (int(BOX_CELLS * float(edge) + 0.5) for edge in text.split(","))
        return "" if left < right and top < bottom else f"box, which holds no cell of {BOX_CELLS} × {BOX_CELLS}"
    return ""


def of_lesson(lesson: Lesson) -> Link:
    """The page as a lesson opens it: on its own tab, and not yet randomised, since that would be the answer."""
    return Link(lesson.model, lesson.picture, lesson.wanted, lesson.layer, tab="learn", lesson=lesson.number)


def query_of(lesson: Lesson) -> str:
    """The link to what a lesson is about, outside the tab Learn."""
    parts = {"model": lesson.model, "image": lesson.picture, "class": lesson.wanted}
    parts |= {"layer": str(lesson.layer), "stage": str(lesson.stage), "tab": lesson.tab}
    return f"?{urlencode(parts, quote_via=quote)}"


def _given(query: object) -> tuple[dict[str, str], list[str]]:
    """The parts of a query by key, and what is wrong with those that are set more than once."""
    text = query if isinstance(query, str) else ""
    if len(text) > LONGEST:
        raise ValueError(f"This link is longer than {LONGEST} letters, and was not followed.")
    try:
        found = parse_qs(text.removeprefix("?"), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise ValueError("This link has too many parts, and was not followed.") from None
    wrong = [f"{key}, which is set more than once" for key in KEYS if len(found.get(key, ())) > 1]
    wrong += [f"{key}, which is empty" for key in KEYS if found.get(key) == [""]]
    return {key: found[key][0] for key in KEYS if len(found.get(key, ())) == 1 and found[key][0]}, wrong


def _lesson(text: str, known: Known) -> Lesson | None:
    return known.lessons.get(int(text)) if re.fullmatch(r"[0-9]{1,3}", text) else None
