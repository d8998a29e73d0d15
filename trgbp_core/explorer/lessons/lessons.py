"""Lessons as files: ``assets/lessons/NUMBER-anything.md``, read strictly; a broken one is reported by name and left out.

Front matter between two lines ``---``, one ``key: value`` a line. A value goes on in the next line if that begins with two spaces; a list
is ``key:`` and lines ``  - item``. (Not YAML: a teacher's sentence may hold colons and quotation marks.) Behind it the text, in Markdown:
an introduction, ``## Explanation`` and ``## What to try next``. Maps, measures and claims are written as in :mod:`lessons.claims`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from markdown_it import MarkdownIt

from .claims import Claim, Condition, MapSpec, Measure, read_claim, read_condition, read_map, read_measure, read_whole

Part = TypeVar("Part")
FOLDER = Path(__file__).parents[3] / "assets" / "lessons"
SINGLE = ("title", "picture", "model", "class", "tab", "layer", "stage", "question", "measure", "answer")
LISTS = ("choices", "before", "reveal", "checks", "equations")
OPTIONAL = ("before", "equations")
SECTIONS = ("Explanation", "What to try next")
_HEADINGS = " and ".join(f"## {name}" for name in SECTIONS)
_NAME = re.compile(r"(\d{1,3})-[\w-]+\.md", re.ASCII)
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable("image")


@dataclass(frozen=True)
class Choice:
    """An answer that a student may give; ``condition`` says for which measured numbers it is the right one."""

    text: str
    condition: Condition


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    Attributes:
        number: by which links know it. file: its name.
        picture: an example's file name. model, wanted, tab, layer, stage: the page's other controls; ``wanted`` is the class.
        before, reveal: maps with their titles, shown with the question and after the answer.
        measure: whose number decides between the ``choices``, and ``measured``, its name; ``answer`` is the index of the right one.
        checks: what the explanation says, to be computed and shown.
        equations: the numbers of the paper's equations that it rests on.
        introduction, explanation, further: Markdown.
    """

    number: int
    file: str
    title: str
    picture: str
    model: str
    wanted: str
    tab: str
    layer: int
    stage: int
    question: str
    choices: tuple[Choice, ...]
    answer: int
    measured: str
    measure: Measure
    before: tuple[tuple[str, MapSpec], ...]
    reveal: tuple[tuple[str, MapSpec], ...]
    checks: tuple[Claim, ...]
    equations: tuple[str, ...]
    introduction: str
    explanation: str
    further: str

    def chosen_by(self, measured: float) -> int | None:
        """The choice that a measured number makes the right one; None if it fits none."""
        return next((i for i, choice in enumerate(self.choices) if choice.condition.holds(measured)), None)


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
            _check(lesson, pictures, models)
            if lesson.number in lessons:
                raise ValueError(f"the number {lesson.number} is taken by {lessons[lesson.number].file}")
        except (ValueError, OSError) as error:  # UnicodeDecodeError is a ValueError
            broken.append(f"{path.name} is left out: {error}.")
        else:
            lessons[lesson.number] = lesson
    return Shelf(dict(sorted(lessons.items())), tuple(broken))


def read(name: str, text: str) -> Lesson:
    """One lesson from its file's name and text. Raises ValueError: what is wrong, and where."""
    numbered = _NAME.fullmatch(name)
    if numbered is None:
        raise ValueError("its name is not a number, a hyphen and words, as in 3-biases.md")
    single, lists, body = _front_matter(text.splitlines())
    introduction, explanation, further = _sections(body)
    choices = tuple(map(_choice, lists["choices"]))
    answer = read_whole(single["answer"], "answer")
    if len(choices) < 2 or not 1 <= answer <= len(choices):
        raise ValueError(f"answer is {answer}, but there are {len(choices)} choices; at least 2 are needed, and the first is 1")
    return Lesson(
        int(numbered[1]),
        name,
        single["title"],
        single["picture"],
        single["model"],
        single["class"],
        single["tab"],
        read_whole(single["layer"], "layer"),
        read_whole(single["stage"], "stage"),
        single["question"],
        choices,
        answer - 1,
        *_labelled(single["measure"], read_measure),
        tuple(_labelled(item, read_map) for item in lists.get("before", ())),
        tuple(_labelled(item, read_map) for item in lists["reveal"]),
        tuple(read_claim(*_labelled(item, str)) for item in lists["checks"]),
        tuple(lists.get("equations", ())),
        introduction,
        explanation,
        further,
    )


def html(markdown: str) -> str:
    """Markdown as HTML; HTML within it is shown as it is written, and pictures and scripts cannot be brought in."""
    return str(_MARKDOWN.render(markdown))


def html_line(markdown: str) -> str:
    """The same for a line without a paragraph around it."""
    return str(_MARKDOWN.renderInline(markdown))


def _front_matter(lines: list[str]) -> tuple[dict[str, str], dict[str, list[str]], list[str]]:
    if not lines or lines[0].strip() != "---" or "---" not in (line.strip() for line in lines[1:]):
        raise ValueError("it does not begin with front matter between two lines ---")
    end = next(i for i, line in enumerate(lines[1:], start=1) if line.strip() == "---")
    single, lists = dict[str, str](), dict[str, list[str]]()
    key = ""
    for number, line in enumerate(lines[1:end], start=2):
        if not line.strip():
            continue
        if line.lstrip().startswith("- ") and key in lists:
            lists[key].append(line.strip()[2:].strip())
        elif line.startswith("  ") and key in single:
            single[key] = f"{single[key]} {line.strip()}".strip()
        elif line.startswith("  ") and lists.get(key):
            lists[key][-1] += f" {line.strip()}"
        else:
            key, value = _key(line, number, {*single, *lists})
            if key in LISTS:
                lists[key] = [value] if value else []
            else:
                single[key] = value
    missing = [k for k in (*SINGLE, *LISTS) if k not in OPTIONAL and not (single.get(k) or lists.get(k))]
    if missing:
        raise ValueError(f"there is no {missing[0]} in its front matter")
    return single, lists, lines[end + 1 :]


def _key(line: str, number: int, taken: set[str]) -> tuple[str, str]:
    key, colon, value = line.partition(":")
    if not colon or key not in (*SINGLE, *LISTS):
        raise ValueError(f"line {number} ({line.strip()[:40]!r}) is none of {', '.join((*SINGLE, *LISTS))}, with a colon")
    if key in taken:
        raise ValueError(f"line {number} gives {key} a second time")
    return key, value.strip()


def _sections(lines: list[str]) -> tuple[str, str, str]:
    sections: list[list[str]] = [[]]
    for line in lines:
        if not line.startswith("## "):
            sections[-1].append(line)
            continue
        if len(sections) > len(SECTIONS) or line[3:].strip() != SECTIONS[len(sections) - 1]:
            raise ValueError(f"its headings are {_HEADINGS}, in this order, not {line.strip()[:40]!r}")
        sections.append([])
    texts = ["\n".join(section).strip() for section in sections]
    if len(texts) != 1 + len(SECTIONS) or not all(texts):
        raise ValueError(f"its text needs an introduction, {_HEADINGS}, none of them empty")
    return texts[0], texts[1], texts[2]


def _choice(text: str) -> Choice:
    condition, colon, words = text.partition(":")
    if not colon or not words.strip():
        raise ValueError(f"{text[:40]!r} is no choice; one is written CONDITION: TEXT, for instance >= 0.8: nearly the same")
    return Choice(words.strip(), read_condition(condition))


def _labelled(text: str, read_it: Callable[[str], Part]) -> tuple[str, Part]:
    label, colon, rest = text.rpartition(": ")
    if not colon:
        raise ValueError(f"{text[:40]!r} has no label; maps, measures and checks are written LABEL: …")
    return label.strip(), read_it(rest)


def _check(lesson: Lesson, pictures: Collection[str], models: Collection[str]) -> None:
    specs = [spec for _, spec in (*lesson.before, *lesson.reveal)]
    specs += [spec for measure in (lesson.measure, *(claim.measure for claim in lesson.checks)) for spec in measure.maps]
    for name in (lesson.picture, *(spec.picture for spec in specs)):
        if name and name not in pictures:
            raise ValueError(f"there is no example picture {name!r}")
    if lesson.model not in models:
        raise ValueError(f"there is no network {lesson.model!r}")
