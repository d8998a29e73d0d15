"""What a lesson asks for: maps of changed and unchanged pictures, measures, and claims about them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ...data import shapes
from ...methods import METHODS
from ...trgbp.explanation import Explanation
from .. import contrast

EXPLANATION_MAPS: dict[str, Callable[[Explanation, int, int], object]] = {
    "raw": lambda e, k, layer: e.raw(k),
    "raw_conserving": lambda e, k, layer: e.raw(k, "conserving"),
    "layer_raw": lambda e, k, layer: e.layer_raw(layer, k),
    "layer_attribution": lambda e, k, layer: e.layer_attribution(layer, k),
    "pixel_contribution": lambda e, k, layer: e.layer_attribution(0, k, "contribution"),
}
"""Maps that belong to an explanation and are no method of their own: R̃ (Eq. 9) with either ψ, R̃^l (Eq. 8), R^l, and x ⊙ R̃^0 − mean."""

MEASURES = {"spearman": 2, "spearman_abs": 2, "mass": 2, "share": 1, "ibd": 1, "right": 1, "accuracy": 1}
"""Measure → the number of its maps."""

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_BOXES = {
    "left": (0, 0, 0.5, 1),
    "right": (0.5, 0, 1, 1),
    "tag": tuple(edge / shapes.SIDE for edge in shapes.tag_box()),
}
"""Boxes by name; ``tag``: where the network ``shapes_cheat`` was shown a tag (:mod:`trgbp_core.data.shapes`)."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


def _ordered(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    if not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError("a box is left, right, tag, or [left, top, right, bottom] in fractions of the picture")
    return box


def _known_map(method: str) -> str:
    if method not in (known := [*EXPLANATION_MAPS, *contrast.NAMES, *METHODS]):
        raise ValueError(f"there is no map {method!r}; there are {', '.join(known)}")
    return method


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0, le=99_999)]
_Fraction = Annotated[float, Field(ge=0, le=1)]
_Box = Annotated[
    tuple[_Fraction, _Fraction, _Fraction, _Fraction],
    BeforeValidator(lambda value: _BOXES.get(value, value) if isinstance(value, str) else value),
    AfterValidator(_ordered),
]


class Copy(Strict):
    """The ``part`` of the example ``picture`` that is copied."""

    picture: Text
    part: _Box


class MapSpec(Strict):
    """One map: a method of ``METHODS``, one of :data:`EXPLANATION_MAPS`, or of :data:`contrast.NAMES`, which takes a second class,
    ``against``; without a method, the picture alone.

    ``picture`` and ``wanted`` (in the file ``class``: a number, a name or ``best``) are empty where the lesson's own are meant. ``crop`` is
    a part of the picture. ``cover`` is a box that gets the picture's mean colour; ``copy`` brings a part of another example, to the same
    place. ``model`` is empty for the lesson's. ``stage`` counts randomised layers from the logits down (Section 5.2.2, seed 0).
    """

    model: str = ""
    method: Annotated[str, AfterValidator(_known_map)] = ""
    picture: str = ""
    wanted: str = Field(default="", alias="class")
    against: str = ""
    layer: Count = 0
    stage: Count = 0
    crop: _Box | None = None
    cover: _Box | None = None
    copied: Copy | None = Field(default=None, alias="copy")

    @property
    def signed(self) -> bool:
        """Whether both signs are shown."""
        return self.method in contrast.NAMES

    @model_validator(mode="after")
    def _of_two_classes(self) -> MapSpec:
        if self.signed != bool(self.against) or (self.signed and self.stage):
            raise ValueError(f"{' and '.join(contrast.NAMES)} take a second class, against, and no stage; no other map takes against")
        return self


class TitledMap(MapSpec):
    title: Text


class Measure(Strict):
    """A number, and what a person calls it.

    ``spearman`` and ``spearman_abs``: rank correlation of two maps, of R or |R|. ``mass``: Σ|R| of the first over the second's.
    ``share``: that of relu(R) in ``box`` (Eq. 11). ``ibd``: that in the frame (Eq. 12). ``right``: the probability of the picture's best
    class if it is one of ``truth``, else 0. ``accuracy``: how many of some drawn shapes the network ``model`` of the map is right about,
    see :func:`trgbp_core.explorer.lessons.drawn.accuracy`.
    """

    name: Text
    kind: Literal["spearman", "spearman_abs", "mass", "share", "ibd", "right", "accuracy"]
    maps: tuple[MapSpec, ...] = (MapSpec(),)
    box: _Box | None = None
    truth: tuple[Text, ...] = ()
    drawn: Literal["", "all, stars with a tag", "stars with a tag", "stars without a tag"] = ""

    @model_validator(mode="after")
    def _complete(self) -> Measure:
        if len(self.maps) != MEASURES[self.kind]:
            raise ValueError(f"{self.kind} takes {MEASURES[self.kind]} of maps, not {len(self.maps)}")
        if any(bool(spec.method) == (self.kind in ("right", "accuracy")) for spec in self.maps):
            raise ValueError("every map names its method, unless the measure is right or accuracy")
        if (self.box is not None) != (self.kind == "share") or bool(self.truth) != (self.kind == "right"):
            raise ValueError("share needs a box and right needs truth; no other measure takes them")
        if bool(self.drawn) != (self.kind == "accuracy"):
            raise ValueError("accuracy needs drawn; no other measure takes it")
        return self


@dataclass(frozen=True)
class Condition:
    """``operator`` is a key of :data:`OPERATORS`. NaN fulfils no condition."""

    operator: str
    value: float

    def holds(self, measured: float) -> bool:
        return OPERATORS[self.operator](measured, self.value)

    @classmethod
    def read(cls, text: object) -> Condition:
        """``OPERATOR NUMBER``. Raises ValueError: it is something else."""
        found = re.fullmatch(rf"({'|'.join(OPERATORS)}) (-?\d+(?:\.\d+)?)", str(text))
        if found is None:
            raise ValueError(f"{str(text)[:40]!r} is no condition: {' or '.join(OPERATORS)} and a number, for instance >= 0.8")
        return cls(found[1], float(found[2]))


ConditionText = Annotated[Condition, BeforeValidator(Condition.read)]


class Claim(Measure):
    """A measure with what the lesson says of it."""

    expected: ConditionText


class Choice(Strict):
    """An answer that a student may give; ``when`` says for which measured numbers it is the right one."""

    text: Text
    when: ConditionText
