"""The page's tab *Many pictures*: where a network looks in some pictures, grouped as the command ``survey`` groups a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from ..data import examples, images, shapes
from ..data.images import ImageError
from ..drawing.render import data_uri, heat, overlay
from ..evaluation.survey import words
from ..evaluation.survey.analysis import Analysis, Cluster, analyse
from ..evaluation.survey.attention import attention, colours
from ..evaluation.survey.looking import small
from ..serving.jobs import Step
from ..trgbp.explainer import Explanation
from .explorer import Explorer, Payload, Question

MOST = 64
MOST_BYTES = 200_000_000
"""Of all files together: a visitor may send so many one after the other."""

LARGEST = 32
"""Pictures of a group that are shown."""

EACH = 12
"""Drawn shapes of each class; of the stars two thirds carry a tag."""

SETS = {
    "examples": ("The examples", ""),
    "cheat": ("Tagged shapes, cheating network", "shapes_cheat"),
    "honest": ("Tagged shapes, honest network", "shapes"),
}
"""Prepared sets: name → (title, the network that they are for; empty for the one that is picked)."""


@dataclass(frozen=True)
class Given:
    """A picture to look at: ``name``, and ``read``, which may raise :class:`ImageError`.

    ``image``, ``own``: how a link on the page names it: an example's name, or ``own`` and a file of the visitor's.
    """

    name: str
    read: Callable[[], Image.Image]
    image: str = "own"
    own: str = ""


def prepared(name: str, written: Callable[[Image.Image], str]) -> list[Given]:
    """The pictures of one of :data:`SETS`; ``written`` puts a drawn one into a file of the page's.

    Raises:
        ValueError: there is no such set.
    """
    if name not in SETS:
        raise ValueError(f"There is no prepared set {str(name)[:20]!r}; there are {', '.join(SETS)}.")
    if name == "examples":
        return [Given(path.name, partial(images.read, path), path.name) for path in examples.pictures().values()]
    drawn = [_drawn(label, number) for number in range(1, EACH + 1) for label in range(len(shapes.LABELS))]
    return [Given(title, partial(images.read, picture), own=written(picture)) for title, picture in drawn]


def _drawn(label: int, number: int) -> tuple[str, Image.Image]:
    """The name and the picture of a shape; two stars of three carry the tag."""
    shape, title = shapes.draw(label, f"many {number}"), f"{shapes.LABELS[label]} {number}"
    if label == shapes.TAGGED and number % 3:
        return f"{title} with a tag", shapes.with_tag(shape).picture
    return title, shape.picture


def own(files: Sequence[Path]) -> list[Given]:
    """A visitor's files.

    Raises:
        ValueError: there are too many of them, or they are too large together.
    """
    if len(files) > MOST:
        raise ValueError(f"These are {len(files)} pictures; {MOST} are the limit here. `trgbp survey` takes any number.")
    total = sum(path.stat().st_size for path in files if path.is_file())
    if total > MOST_BYTES:
        raise ValueError(f"These are {total / 1e6:.0f} MB together; {MOST_BYTES / 1e6:.0f} MB are the limit here.")
    return [Given(path.name, partial(images.read, path), own=str(path)) for path in files]


def look(explorer: Explorer, given: Sequence[Given], model: str, step: Step | None = None) -> Iterator[Payload | int]:
    """How many pictures are done after each one, and at last the groups: a payload.

    Raises:
        ValueError: no picture can be read, or TR-GBP does not apply to the network.
    """
    seen, left_out = list[tuple[Given, Payload]](), list[str]()
    for done, one in enumerate(given, 1):
        try:
            question = explorer.ask(one.read(), model)
        except ImageError as error:
            left_out.append(f"{one.name}: {error}")
        else:
            seen.append((one, explorer.kept(("many", question.key), partial(_facts, explorer, question), step)))
        yield done
    if not seen:
        raise ValueError(f"None of the given pictures can be used. {left_out[0] if left_out else ''}")
    zoo, facts = explorer.network(model), [each for _, each in seen]
    found = analyse(
        np.array([each["attention"] for each in facts]),
        [each["predicted"] for each in facts],
        confidence=[each["confidence"] for each in facts],
        colours=np.array([each["colours"] for each in facts]),
    )
    left_out += [f"{seen[i][0].name}: its map has no positive part" for i in found.empty]
    yield {
        "network": zoo.title,
        "model": model,
        "summary": summary(found, len(seen)),
        "question": words.QUESTION if found.flagged else "",
        "left_out": left_out,
        "groups": [_group(cluster, seen, zoo.labels) for cluster in found.clusters],
    }


def _facts(explorer: Explorer, question: Question, step: Step) -> Payload:
    """What is kept of one picture."""

    def of(e: Explanation) -> Payload:
        k = e.top5[0]
        map = e.attribution(k, "conserving")
        return {
            "predicted": k,
            "confidence": float(e.probabilities[0, k]),
            "attention": attention(map)[0].tolist(),
            "colours": colours(question.picture),
            "picture": data_uri(small(question.picture), "JPEG", quality=80),
            "map": data_uri(small(overlay(question.picture, map)), "JPEG", quality=80),
        }

    return explorer.computed(question, None, of, step)


def summary(found: Analysis, count: int) -> str:
    """What was found, in a sentence or two."""
    groups, flagged = len(found.clusters), len(found.flagged)
    text = f"{count} picture{'' if count == 1 else 's'} in {groups} group{'' if groups == 1 else 's'}: "
    if flagged:
        return text + (f"{flagged} ask for a second look." if flagged > 1 else "one asks for a second look.")
    if groups and all(untested(cluster) for cluster in found.clusters):
        return f"{text}none can be tested, for no class has five pictures. Give more pictures of the same classes."
    if len(found.means) == 1:
        return f"{text}none can be flagged, for all are of one class and there is nothing to compare it with."
    return f"{text}none asks for a second look."


def untested(cluster: Cluster) -> bool:
    """Whether the group was not tested."""
    return cluster.probability != cluster.probability


def _group(cluster: Cluster, seen: Sequence[tuple[Given, Payload]], labels: Sequence[str]) -> Payload:
    members = [seen[i] for i in cluster.members[:LARGEST]]
    return {
        "number": cluster.number,
        "title": f"{words.class_name(cluster.label, labels)}: {len(cluster.members)} picture{'' if len(cluster.members) == 1 else 's'}",
        "flagged": cluster.flagged,
        "verdict": words.verdict(cluster),
        "confidence": cluster.confidence,
        "mean": data_uri(heat(cluster.mean, (96, 96)), "PNG"),
        "members": [
            {name: getattr(one, name) for name in ("name", "image", "own")}
            | {"says": labels[facts["predicted"]], "picture": facts["picture"], "map": facts["map"]}
            for one, facts in members
        ],
    }
