"""Lessons as files: ``assets/lessons/NUMBER-anything.md``, read strictly; a broken one is reported by name and left out.

The head, between two lines ``---``, is YAML with the fields of :class:`Lesson`. Behind it stands the text, in Markdown: an introduction,
``## Explanation`` and ``## What to try next``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from markdown_it import MarkdownIt
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ...data import assets
from ...methods import METHODS
from ...trgbp.explainer import Explanation

FOLDER = assets.folder("lessons")
SECTIONS = ("Explanation", "What to try next")
_NAME = re.compile(r"(\d{1,3})-[\w-]+\.md", re.ASCII)
_HEAD = re.compile(r"---\n(.*?\n)---\n(.*)", re.DOTALL)
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable("image")

EXPLANATION_MAPS: dict[str, Callable[[Explanation, int, int], object]] = {
    "raw": lambda e, k, layer: e.raw(k),
    "raw_conserving": lambda e, k, layer: e.raw(k, "conserving"),
    "layer_raw": lambda e, k, layer: e.layer_raw(layer, k),
    "layer_attribution": lambda e, k, layer: e.layer_attribution(layer, k),
    "pixel_contribution": lambda e, k, layer: e.layer_attribution(0, k, "contribution"),
}
"""Maps that belong to an explanation and are no method of their own: R̃ (Eq. 9) with either ψ, R̃^l (Eq. 8), R^l, and x ⊙ R̃^0 − mean."""

MEASURES = {"spearman": 2, "spearman_abs": 2, "mass": 2, "share": 1, "ibd": 1, "right": 1}
"""Measure → the number of its maps."""

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_HALVES = {"left": (0, 0, 0.5, 1), "right": (0.5, 0, 1, 1)}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


def _ordered(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    if not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError("a box is left, right, or [left, top, right, bottom] in fractions of the picture")
    return box


def _known_map(method: str) -> str:
    if method not in METHODS and method not in EXPLANATION_MAPS:
        raise ValueError(f"there is no map {method!r}; there are {', '.join([*EXPLANATION_MAPS, *METHODS])}")
    return method


_Text = Annotated[str, Field(min_length=1)]
_Count = Annotated[int, Field(ge=0, le=99_999)]
_Fraction = Annotated[float, Field(ge=0, le=1)]
_Box = Annotated[
    tuple[_Fraction, _Fraction, _Fraction, _Fraction],
    BeforeValidator(lambda value: _HALVES.get(value, value) if isinstance(value, str) else value),
    AfterValidator(_ordered),
]


class MapSpec(_Strict):
    """One map: a method of ``METHODS`` or one of :data:`EXPLANATION_MAPS`; without a method, the picture alone.

    ``picture`` and ``wanted`` (in the file ``class``: a number, a name or ``best``) are empty where the lesson's own are meant. ``crop`` is
    a part of the picture. ``stage`` counts randomised layers from the logits down (Section 5.2.2, seed 0).
    """

    method: Annotated[str, AfterValidator(_known_map)] = ""
    picture: str = ""
    wanted: str = Field(default="", alias="class")
    layer: _Count = 0
    stage: _Count = 0
    crop: _Box | None = None


class TitledMap(MapSpec):
    title: _Text


class Measure(_Strict):
    """A number, and what a person calls it.

    ``spearman`` and ``spearman_abs``: rank correlation of two maps, of R or |R|. ``mass``: Σ|R| of the first over the second's.
    ``share``: that of relu(R) in ``box`` (Eq. 11). ``ibd``: that in the frame (Eq. 12). ``right``: the probability of the picture's best
    class if it is one of ``truth``, else 0.
    """

    name: _Text
    kind: Literal["spearman", "spearman_abs", "mass", "share", "ibd", "right"]
    maps: tuple[MapSpec, ...] = (MapSpec(),)
    box: _Box | None = None
    truth: tuple[_Text, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Measure:
        if len(self.maps) != MEASURES[self.kind]:
            raise ValueError(f"{self.kind} takes {MEASURES[self.kind]} of maps, not {len(self.maps)}")
        if any(bool(spec.method) == (self.kind == "right") for spec in self.maps):
            raise ValueError("every map names its method, unless the measure is right")
        if (self.box is not None) != (self.kind == "share") or bool(self.truth) != (self.kind == "right"):
            raise ValueError("share needs a box and right needs truth; no other measure takes them")
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


_Condition = Annotated[Condition, BeforeValidator(Condition.read)]


class Claim(Measure):
    """A measure with what the lesson says of it."""

    expected: _Condition


class Choice(_Strict):
    """An answer that a student may give; ``when`` says for which measured numbers it is the right one."""

    text: _Text
    when: _Condition


class Lesson(_Strict):
    """One lesson.

    Attributes:
        number: by which links know it. file: its name.
        picture: an example's file name. model, wanted, tab, layer, stage: the page's other controls; ``wanted``, in the file ``class``, is
            what :func:`labels.find_class` takes.
        before, reveal: the maps shown with the question, and those shown after the answer.
        measure: whose number decides between the ``choices``; ``answer`` is the index of the right one, in the file counted from 1.
        checks: what the explanation says, to be computed and shown.
        equations: the numbers of the paper's equations that it rests on.
        introduction, explanation, further: Markdown.
    """

    number: int
    file: str
    title: _Text
    picture: _Text
    model: _Text
    wanted: _Text = Field(alias="class")
    tab: _Text
    layer: _Count
    stage: _Count
    equations: tuple[str, ...] = ()
    before: tuple[TitledMap, ...] = ()
    question: _Text
    measure: Measure
    choices: tuple[Choice, ...]
    answer: Annotated[int, AfterValidator(lambda number: number - 1)]
    reveal: tuple[TitledMap, ...] = Field(min_length=1)
    checks: tuple[Claim, ...] = Field(min_length=1)
    introduction: str
    explanation: str
    further: str

    @model_validator(mode="after")
    def _answerable(self) -> Lesson:
        if len(self.choices) < 2 or not 0 <= self.answer < len(self.choices):
            raise ValueError(f"answer is {self.answer + 1}, but there are {len(self.choices)} choices; at least 2 are needed")
        return self

    def chosen_by(self, measured: float) -> int | None:
        """The choice that a measured number makes the right one; None if it fits none."""
        return next((i for i, choice in enumerate(self.choices) if choice.when.holds(measured)), None)


@dataclass(frozen=True)
class Shelf:
    """The lessons that could be read, by number, and a sentence for every file that could not."""

    lessons: dict[int, Lesson]
    broken: tuple[str, ...]


def load(folder: Path = FOLDER, *, pictures: Collection[str], models: Collection[str]) -> Shelf:
    """Read every ``*.md`` of ``folder``.

    Args:
        pictures, models: the names that a lesson may use.
    """
    lessons: dict[int, Lesson] = {}
    broken = []
    for path in sorted(folder.glob("*.md")):
        try:
            lesson = read(path.name, path.read_text(encoding="utf-8"))
            _check_names(lesson, pictures, models)
            if lesson.number in lessons:
                raise ValueError(f"the number {lesson.number} is taken by {lessons[lesson.number].file}")
        except (ValueError, OSError) as error:  # UnicodeDecodeError is a ValueError
            broken.append(f"{path.name} is left out: {error}.")
        else:
            lessons[lesson.number] = lesson
    return Shelf(dict(sorted(lessons.items())), tuple(broken))


def read(name: str, text: str) -> Lesson:
    """One lesson from its file's name and text. Raises ValueError: what is wrong, and where."""
    numbered, parts = _NAME.fullmatch(name), _HEAD.fullmatch(text)
    if numbered is None:
        raise ValueError("its name is not a number, a hyphen and words, as in 3-biases.md")
    if parts is None:
        raise ValueError("it does not begin with a head between two lines ---")
    introduction, explanation, further = _sections(parts[2])
    texts = {"introduction": introduction, "explanation": explanation, "further": further}
    try:
        return Lesson.model_validate({**_head(parts[1]), **texts, "number": int(numbered[1]), "file": name})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
        raise ValueError(": ".join(filter(None, (place, first["msg"].removeprefix("Value error, "))))) from None


def html(markdown: str) -> str:
    """Markdown as HTML; HTML within it is shown as it is written, and pictures and scripts cannot be brought in."""
    return str(_MARKDOWN.render(markdown))


def html_line(markdown: str) -> str:
    """The same for a line without a paragraph around it."""
    return str(_MARKDOWN.renderInline(markdown))


class _NothingTwice(yaml.SafeLoader):
    """YAML's own loader takes the last of two values for one key."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"its head gives {key} a second time")
        return super().construct_mapping(node, deep)


def _head(text: str) -> Mapping[str, Any]:
    try:
        head = yaml.load(text, _NothingTwice)
    except yaml.YAMLError as error:
        raise ValueError(f"its head is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(head, dict) or not all(isinstance(key, str) for key in head):
        raise ValueError("its head does not hold names with values")
    return head


def _sections(text: str) -> list[str]:
    """The introduction and the texts under :data:`SECTIONS`."""
    introduction, *rest = re.split(r"^## +(.*)\n", text, flags=re.MULTILINE)
    texts = [part.strip() for part in (introduction, *rest[1::2])]
    if [heading.strip() for heading in rest[::2]] != list(SECTIONS) or not all(texts):
        headings = " and ".join(f"## {name}" for name in SECTIONS)
        raise ValueError(f"its text needs an introduction, {headings}, in this order, none of them empty")
    return texts


def _check_names(lesson: Lesson, pictures: Collection[str], models: Collection[str]) -> None:
    specs = [*lesson.before, *lesson.reveal, *(spec for measure in (lesson.measure, *lesson.checks) for spec in measure.maps)]
    for name in (lesson.picture, *(spec.picture for spec in specs)):
        if name and name not in pictures:
            raise ValueError(f"there is no example picture {name!r}")
    if lesson.model not in models:
        raise ValueError(f"there is no network {lesson.model!r}")
