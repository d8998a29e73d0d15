"""One page of paper for each lesson: a sheet for students, and one with the answers for their teacher, as plain HTML."""

from __future__ import annotations

import argparse
import html
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from ...data import assets, examples
from ...drawing.render import data_uri, overlay
from ...engine import devices
from ...zoo.loading import ModelCache
from ..explorer import Explorer, Payload
from . import equations, lessons, presenting
from .experiments import Experiment
from .lessons import Lesson
from .specs import TitledMap

STYLE = assets.folder("page") / "handout.css"
LINE = '<div class="lines"></div>'


def sheet(explorer: Explorer, lesson: Lesson, *, answers: bool = False) -> str:
    """One A4 page of HTML that needs no other file.

    Args:
        answers: with the maps, numbers and explanation that the students are to find out.

    Raises:
        ValueError: a class, layer or stage of the lesson does not exist, in a sentence.
    """
    experiment = Experiment(explorer, lesson)
    title, head = html.escape(lesson.title), "With answers" if answers else "Name: ______________________________"
    style, kind = STYLE.read_text(encoding="utf-8"), " class=answers" if answers else ""
    found = presenting.result(explorer, lesson) if answers else None
    picture = [] if any(not spec.method for spec in lesson.before) else [TitledMap(title="The picture")]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Lesson {lesson.number}: {title}</title>'
        f"<style>{style}</style></head><body{kind}>"
        f"<header><span>TR-GBP Explorer · Lesson {lesson.number}</span><span>{head}</span></header><h1>{title}</h1>"
        f"{_text(lesson.introduction)}{_maps(experiment, [*picture, *lesson.before])}"
        f"{_prediction(lesson, found)}{_look(lesson) if found is None else _result(experiment, found)}"
        f'<div class="equations">{"".join(map(equations.section, lesson.equations))}</div></body></html>\n'
    )


def _prediction(lesson: Lesson, found: Payload | None) -> str:
    right = None if found is None else found["right"]
    choices = "".join(
        f"<li{' class=right' if i == right else ''}>{lessons.html_line(choice.text)}</li>" for i, choice in enumerate(lesson.choices)
    )
    because = "<p>Because</p>" + 2 * LINE if found is None else ""
    return (
        f'<section class="box"><h2>1. Predict</h2><p>{lessons.html_line(lesson.question)}</p><ul class="choices">{choices}</ul>'
        f"{because}</section>"
    )


def _look(lesson: Lesson) -> str:
    return (
        f'<section class="box"><h2>2. Look</h2><p>Open the page with <b>?lesson={lesson.number}</b> behind its address, predict, and look. '
        f"What did you see? What explains it?</p>{3 * LINE}</section>"
        f'<section class="box"><h2>3. What to try next</h2>{_text(lesson.further)}</section>'
    )


def _result(experiment: Experiment, found: Payload) -> str:
    rows = "".join(f"<tr><td>{row['label']}</td><td>{row['value']}</td><td>{row['stated']}</td></tr>" for row in found["rows"])
    lesson = experiment.lesson
    return (
        f'<section class="box"><h2>2. The result. {found["measured"]}</h2>{_maps(experiment, lesson.reveal)}'
        f"<table><tr><th>Measured</th><th></th><th>the lesson says</th></tr>{rows}</table></section>{_text(lesson.explanation)}"
    )


def _maps(experiment: Experiment, specs: Sequence[TitledMap]) -> str:
    figures = []
    for spec in specs:
        question, _ = experiment.question(spec)
        picture = overlay(question.picture, experiment.map(spec), signed=spec.signed) if spec.method else question.picture
        alt, source = html.escape(spec.title), data_uri(picture, "JPEG", quality=90)
        figures.append(f'<figure><div><img alt="{alt}" src="{source}"></div><figcaption>{alt}</figcaption></figure>')
    return f'<div class="maps{" framed" if presenting.framed(experiment.lesson) else ""}">{"".join(figures)}</div>'


def _text(markdown: str) -> str:
    """Links into the page are words on paper."""
    return re.sub(r'<a href="\?[^"]*">(.*?)</a>', r"\1", lessons.html(markdown), flags=re.DOTALL)


def options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="folder to write to (default out)")
    command.add_argument("--answers", action="store_true", help="also write each sheet with its answers, for the teacher")


def run(arguments: argparse.Namespace) -> None:
    """Write ``lesson-N.html`` for every lesson, and ``lesson-N-answers.html`` if asked for; broken lessons are named on stderr."""
    explorer = Explorer(ModelCache(device=devices.prepare(arguments.device)))
    shelf = lessons.load(pictures=examples.pictures(), models=[entry.name for entry in explorer.entries()])
    for sentence in shelf.broken:
        print(sentence, file=sys.stderr)
    if not shelf.lessons:
        raise ValueError(f"There is no lesson to print in {lessons.FOLDER}.")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number, lesson in shelf.lessons.items():
        for answers in (False, True) if arguments.answers else (False,):
            file = arguments.out / f"lesson-{number}{'-answers' if answers else ''}.html"
            file.write_text(sheet(explorer, lesson, answers=answers), encoding="utf-8")
            print(file)
