"""One page of paper for each lesson: a sheet for students, and one with what comes out for their teacher. Plain HTML, one file each."""

from __future__ import annotations

import argparse
import html
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...data import examples
from ...drawing.render import data_uri, overlay
from ...engine import devices
from ...zoo.loading import ModelCache
from ..explorer import Explorer
from . import equations, lessons, presenting
from .claims import MapSpec
from .experiments import Laboratory
from .lessons import Lesson

STYLE = Path(__file__).parents[3] / "assets" / "page" / "handout.css"


def sheet(explorer: Explorer, lesson: Lesson, pictures: Mapping[str, Path], *, answers: bool = False) -> str:
    """One A4 page of HTML that needs no other file.

    Args:
        answers: with the maps, numbers and explanation that the students are to find out.

    Raises:
        ValueError: a class, layer or stage of the lesson does not exist, in a sentence.
    """
    room = presenting.laboratory(explorer, lesson, pictures)
    title = html.escape(lesson.title)
    body = [
        f"<header><span>TR-GBP Explorer · Lesson {lesson.number}</span><span>{'With answers' if answers else _NAME}</span></header>",
        f"<h1>{title}</h1>",
        _text(lesson.introduction),
        _maps(room, [("The picture", MapSpec("")), *lesson.before], lesson),
        _prediction(room, lesson, answers),
        _result(explorer, room, lesson, pictures) if answers else _open_result(lesson),
        f'<div class="equations">{"".join(map(equations.section, lesson.equations))}</div>',
    ]
    opening = "<body class=answers>" if answers else "<body>"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Lesson {lesson.number}: {title}</title>'
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head>{opening}{''.join(body)}</body></html>\n"
    )


_NAME = "Name: ______________________________"


def _prediction(room: Laboratory, lesson: Lesson, answers: bool) -> str:
    right = presenting.answer(room, lesson)[1] if answers else None
    choices = "".join(
        f"<li{' class=right' if i == right else ''}>{lessons.html_line(choice.text)}</li>" for i, choice in enumerate(lesson.choices)
    )
    because = "" if answers else '<p>Because</p><div class="lines"></div><div class="lines"></div>'
    return (
        f'<section class="box"><h2>1. Predict</h2><p>{lessons.html_line(lesson.question)}</p><ul class="choices">{choices}</ul>'
        f"{because}</section>"
    )


def _open_result(lesson: Lesson) -> str:
    lines = '<div class="lines"></div>' * 3
    return (
        f'<section class="box"><h2>2. Look</h2><p>Open the page with <b>?lesson={lesson.number}</b> behind its address, predict, and look. '
        f"What did you see? What explains it?</p>{lines}</section>"
        f'<section class="box"><h2>3. What to try next</h2>{_text(lesson.further)}</section>'
    )


def _result(explorer: Explorer, room: Laboratory, lesson: Lesson, pictures: Mapping[str, Path]) -> str:
    found = presenting.revealed(explorer, lesson, pictures)
    rows = "".join(f"<tr><td>{row['label']}</td><td>{row['value']}</td><td>{row['stated']}</td></tr>" for row in found["rows"])
    return (
        f'<section class="box"><h2>2. What comes out. {found["measured"]}</h2>{_maps(room, lesson.reveal, lesson)}'
        f"<table><tr><th>Measured</th><th></th><th>the lesson says</th></tr>{rows}</table></section>{_text(lesson.explanation)}"
    )


def _maps(room: Laboratory, titled: Sequence[tuple[str, MapSpec]], lesson: Lesson) -> str:
    figures = []
    for title, spec in titled:
        question, _ = room.question(spec)
        picture = overlay(question.picture, room.map(spec)) if spec.method else question.picture
        alt, source = html.escape(title), data_uri(picture, "JPEG", quality=90)
        figures.append(f'<figure><div><img alt="{alt}" src="{source}"></div><figcaption>{alt}</figcaption></figure>')
    return f'<div class="maps{" framed" if presenting.framed(lesson) else ""}">{"".join(figures)}</div>'


def _text(markdown: str) -> str:
    """Links into the page are words on paper."""
    return re.sub(r'<a href="\?[^"]*">(.*?)</a>', r"\1", lessons.html(markdown), flags=re.DOTALL)


def options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, default=Path("out"), help="folder to write to (default out)")
    command.add_argument("--answers", action="store_true", help="also write each sheet with its answers, for the teacher")


def run(arguments: argparse.Namespace) -> None:
    """Write ``lesson-N.html`` for every lesson, and ``lesson-N-answers.html`` if asked for; broken lessons are told on stderr."""
    explorer, pictures = Explorer(ModelCache(device=devices.prepare(arguments.device))), examples.pictures()
    shelf = lessons.load(pictures=pictures, models=[entry.name for entry in explorer.entries()])
    for sentence in shelf.broken:
        print(sentence, file=sys.stderr)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number, lesson in shelf.lessons.items():
        for answers in (False, True) if arguments.answers else (False,):
            file = arguments.out / f"lesson-{number}{'-answers' if answers else ''}.html"
            file.write_text(sheet(explorer, lesson, pictures, answers=answers), encoding="utf-8")
            print(file)
