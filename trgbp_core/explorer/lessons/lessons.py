"""Lessons as files: ``assets/lessons/NUMBER-anything.md``, read strictly; a broken one is reported by name and left out.

The head, between two lines ``---``, is YAML with the fields of :class:`Lesson`; :mod:`specs` describes maps, measures and claims. Behind
it stands the text, in Markdown: an introduction, ``## Explanation`` and ``## What to try next``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from markdown_it import MarkdownIt
from pydantic import AfterValidator, Field, ValidationError, model_validator

from ...data import assets
from .specs import Choice, Claim, Count, Measure, Strict, Text, TitledMap

FOLDER = assets.folder("lessons")
SECTIONS = ("Explanation", "What to try next")
_NAME = re.compile(r"(\d{1,3})-[\w-]+\.md", re.ASCII)
_HEAD = re.compile(r"---\n(.*?\n)---\n(.*)", re.DOTALL)
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable("image")


class Lesson(Strict):
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
    title: Text
    picture: Text
    model: Text
    wanted: Text = Field(alias="class")
    tab: Text
    layer: Count
    stage: Count
    equations: tuple[str, ...] = ()
    before: tuple[TitledMap, ...] = ()
    question: Text
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
    copied = (spec.copied.picture for spec in specs if spec.copied is not None)
    for name in (lesson.picture, *(spec.picture for spec in specs), *copied):
        if name and name not in pictures:
            raise ValueError(f"there is no example picture {name!r}")
    for model in (lesson.model, *(spec.model for spec in specs)):
        if model and model not in models:
            raise ValueError(f"there is no network {model!r}")
