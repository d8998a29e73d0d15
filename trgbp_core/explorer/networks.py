"""Do several networks look at the same thing? One picture put to each of them, and the class that is explained found by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from ..data.crop import CENTRE
from ..data.labels import in_words
from ..serving.jobs import Step
from .explorer import Explorer, Question


@dataclass(frozen=True)
class Row:
    """One network's part of the comparison.

    Attributes:
        question: the picture before this network. k: its class of the name that is compared; None where it has none: ``note`` says so.
        prediction: its own best classes, in words.
    """

    question: Question
    k: int | None
    note: str
    prediction: str

    @property
    def said(self) -> str:
        """What a figure says of this row: why it has no maps, or the prediction, a class a line."""
        return self.note or self.prediction.replace(", ", "\n")


def title(rows: Sequence[Row]) -> str:
    """What a figure of these rows is called, the first of which has the class."""
    return f"{rows[0].question.zoo.labels[rows[0].k or 0]}: {len(rows)} networks"


def rows(
    explorer: Explorer, picture: Image.Image, models: Sequence[str], wanted: object, crop: str = CENTRE, step: Step | None = None
) -> list[Row]:
    """A row for each network, in the order of ``models``; ``wanted`` is a class of the first one, by default its best.

    Raises:
        ValueError: a network or the class of the first one does not exist, or a network is named twice.
    """
    if len(set(models)) < len(models):
        raise ValueError("A network is compared with others: one is named twice.")
    question = explorer.ask(picture, models[0], crop)
    k = explorer.find_class(question, wanted, step)
    return [row(explorer, explorer.ask(picture, model, crop), question.zoo.labels[k], k, step) for model in models]


def class_of_name(name: str, labels: Sequence[str], like: int) -> int | None:
    """The class called ``name``, in any case: ``like`` itself where that is called so, for two classes may have one name; None for none."""
    if like < len(labels) and labels[like].lower() == name.lower():
        return like
    return next((i for i, label in enumerate(labels) if label.lower() == name.lower()), None)


def row(explorer: Explorer, question: Question, name: str, like: int, step: Step | None = None) -> Row:
    """One network's part; ``name`` and ``like`` as in :func:`class_of_name`."""
    k = class_of_name(name, question.zoo.labels, like)
    note = "" if k is not None else f"{question.zoo.title} has no class {name!r}."
    explorer.explanation(question, k, step)
    return Row(question, k, note, in_words(explorer.top(question)))
