"""What a lesson says of maps, as data: a small language of maps, measures and claims, read strictly and computed by the engine.

A *map* is a method of ``METHODS`` or ``raw`` (R̃, Eq. 9), ``raw_conserving``, ``layer_raw`` (R̃^l, Eq. 8), ``layer_attribution`` (R^l),
``pixel_contribution`` (x ⊙ R̃^0 minus the class mean: the pixels' part of the conserving map), with options::

    guided_backprop class=cheetah stage=10
    layer_attribution layer=0 class="Egyptian cat"
    tr_gbp picture=coffee.jpg crop=0,0.5,1,1

``class`` is a number, a name or ``best``; ``stage`` counts randomised layers from the logits down (Section 5.2.2, seed 0); ``crop`` and
``box`` are left, top, right, bottom in fractions, or ``left`` or ``right`` for a half.

A *measure* is a number::

    spearman MAP vs MAP        rank correlation of R          spearman_abs MAP vs MAP   of |R|
    mass MAP vs MAP            Σ|R| of the first over the second's
    share MAP box=left         share of relu(R) in a box (Eq. 11)
    ibd MAP                    share of relu(R) in the frame (Eq. 12)
    right picture=rocket.jpg truth="missile, projectile"      probability of the best class if it is one of these, else 0

A *claim* is ``MEASURE >= NUMBER`` (or ``<=``, ``>``, ``<``, ``=``).
"""

from __future__ import annotations

import operator
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...methods import METHODS
from ...trgbp.explainer import Explanation

Fractions = tuple[float, float, float, float]

ENGINE: dict[str, Callable[[Explanation, int, int], object]] = {
    "raw": lambda e, k, layer: e.raw(k),
    "raw_conserving": lambda e, k, layer: e.raw(k, "conserving"),
    "layer_raw": lambda e, k, layer: e.layer_raw(layer, k),
    "layer_attribution": lambda e, k, layer: e.layer_attribution(layer, k),
    "pixel_contribution": lambda e, k, layer: e.layer_attribution(0, k, "contribution"),
}
"""Maps that belong to an explanation and are no method of their own."""

MEASURES = {"spearman": 2, "spearman_abs": 2, "mass": 2, "share": 1, "ibd": 1, "right": 0}
"""Measure → the number of maps that it takes."""

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_HALVES: dict[str, Fractions] = {"left": (0, 0, 0.5, 1), "right": (0.5, 0, 1, 1)}
_OPTIONS = ("class", "layer", "stage", "picture", "crop")
_EXTRA = {"share": ("box",), "right": ("truth",)}


@dataclass(frozen=True)
class MapSpec:
    """One map. ``picture`` and ``wanted`` (the class) are empty where the lesson's own are meant, ``method`` where there is no map."""

    method: str
    picture: str = ""
    wanted: str = ""
    layer: int = 0
    stage: int = 0
    crop: Fractions | None = None


@dataclass(frozen=True)
class Measure:
    kind: str
    maps: tuple[MapSpec, ...]
    box: Fractions | None = None
    truth: tuple[str, ...] = ()


@dataclass(frozen=True)
class Condition:
    """``operator`` is a key of :data:`OPERATORS`. NaN fulfils no condition."""

    operator: str
    value: float

    def holds(self, measured: float) -> bool:
        return OPERATORS[self.operator](measured, self.value)


@dataclass(frozen=True)
class Claim:
    label: str
    measure: Measure
    condition: Condition


def read_map(text: str) -> MapSpec:
    """Raises ValueError with a sentence, as do all functions here that read."""
    words = _words(text)
    return _map(_method(words, text), _options(words[1:], _OPTIONS, text))


def read_measure(text: str) -> Measure:
    words = _words(text)
    kind, rest = words[0] if words else "", words[1:]
    if kind not in MEASURES:
        raise ValueError(f"there is no measure {kind!r} in {text!r}; there are {', '.join(MEASURES)}")
    parts = _split(rest)
    count = max(1, MEASURES[kind])
    if len(parts) != count:
        raise ValueError(f"{kind} takes {count} map{'s, with the word vs between them' if count > 1 else ''}, not {text!r}")
    named = 1 if MEASURES[kind] else 0
    found, extra = [], dict[str, str]()
    for part in parts:
        options = _options(part[named:], (*_OPTIONS, *_EXTRA.get(kind, ())), text)
        extra |= {key: options.pop(key) for key in _EXTRA.get(kind, ()) if key in options}
        found.append(_map(_method(part, text) if named else "", options))
    missing = [key for key in _EXTRA.get(kind, ()) if key not in extra]
    if missing:
        raise ValueError(f"{kind} needs {missing[0]}=… in {text!r}")
    box = _fractions(extra["box"]) if "box" in extra else None
    return Measure(kind, tuple(found), box, tuple(name.strip() for name in extra.get("truth", "").split(",") if name.strip()))


def read_condition(text: str) -> Condition:
    words = text.split()
    if len(words) != 2 or words[0] not in OPERATORS:
        raise ValueError(f"{text!r} is no condition; one is written {' or '.join(OPERATORS)} and a number, for instance >= 0.8")
    return Condition(words[0], _number(words[1]))


def read_claim(label: str, text: str) -> Claim:
    """``MEASURE OPERATOR NUMBER``, and what a person calls it."""
    words = text.rsplit(maxsplit=2)
    if len(words) != 3:
        raise ValueError(f"{text!r} is no claim; one is written MEASURE >= NUMBER")
    return Claim(label, read_measure(words[0]), read_condition(" ".join(words[1:])))


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        raise ValueError(f"a quotation mark is left open in {text!r}") from None


def _split(words: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word == "vs":
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _options(words: list[str], allowed: tuple[str, ...], text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value or key not in allowed or key in options:
            raise ValueError(f"{word!r} is not understood in {text!r}; what can be set, once, is {', '.join(allowed)}")
        options[key] = value
    return options


def _method(words: list[str], text: str) -> str:
    method = words[0] if words else ""
    if method not in METHODS and method not in ENGINE:
        raise ValueError(f"there is no map {method!r} in {text!r}; there are {', '.join([*ENGINE, *METHODS])}")
    return method


def _map(method: str, options: Mapping[str, str]) -> MapSpec:
    return MapSpec(
        method,
        options.get("picture", ""),
        options.get("class", ""),
        read_whole(options.get("layer", "0"), "layer"),
        read_whole(options.get("stage", "0"), "stage"),
        _fractions(options["crop"]) if "crop" in options else None,
    )


def _fractions(text: str) -> Fractions:
    if text in _HALVES:
        return _HALVES[text]
    edges = [_number(word) for word in text.split(",")]
    if len(edges) != 4 or not (0 <= edges[0] < edges[2] <= 1 and 0 <= edges[1] < edges[3] <= 1):
        raise ValueError(f"{text!r} is no box; one is left, right, or left,top,right,bottom in fractions of the picture")
    return edges[0], edges[1], edges[2], edges[3]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None


def read_whole(text: str, name: str) -> int:
    """A whole number from 0 to 99,999."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise ValueError(f"{name} is a whole number from 0 on, not {text[:20]!r}")
    return int(text)
