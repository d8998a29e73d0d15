"""The paper's figures of any picture and any network."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..models import load_model
from ..speed import on_terminal
from . import classes, methods, sanity
from .grid import Rows, save, sheet
from .subject import EXAMPLES, Options, Subject

__all__ = ["FIGURES", "Options", "PaperFigure", "draw"]


@dataclass(frozen=True)
class PaperFigure:
    """One of the paper's figures.

    Attributes:
        caption: what it shows; ``{network}`` is filled in. note: how its maps are drawn.
        examples: the pictures that it shows where none are given. page: the most pictures on one sheet.
        rows: what it shows of one picture before one network.
    """

    caption: str
    note: str
    examples: tuple[str, ...]
    page: int
    rows: Callable[[Subject], Rows]

    @property
    def example_files(self) -> list[Path]:
        return [EXAMPLES / name for name in self.examples]


FOUR = ("cheetah_and_lion.jpg", "chelsea.jpg", "coffee.jpg", "rocket.jpg")
_FIVE = PaperFigure("Class discriminative visualisation, {network}: top 1 to top 5", classes.NOTE, FOUR, 5, classes.top_five)
_LAYERS = PaperFigure("Sanity checks for different layers, {network}", sanity.NOTE, FOUR[1:2], 1, sanity.cascade_of_layers)

FIGURES = {
    3: PaperFigure("Class discriminative results, {network}", classes.NOTE, FOUR[:1], 6, classes.two_classes),
    4: PaperFigure("Attribution methods side by side, {network}", methods.NOTE, FOUR, 10, methods.compared),
    5: PaperFigure("{network} randomised from the logits to the first layer", sanity.NOTE, FOUR[1:2], 3, sanity.cascade_row),
    7: _FIVE,
    8: _FIVE,
    9: _LAYERS,
    10: _LAYERS,
}
"""By their numbers. 7 and 8, 9 and 10 differ in the paper by their network only. 1 and 2 are drawings, 6 is measured over many pictures."""


def draw(
    number: int,
    pictures: Sequence[tuple[str, Image.Image]],
    models: Sequence[str],
    options: Options,
    folder: Path,
    *,
    dpi: int = 150,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Iterator[Path]:
    """Draw one of :data:`FIGURES` of ``pictures`` (name, RGB), each before every network of ``models``.

    Yields:
        the files, PNG and PDF, as they are written into ``folder``; several sheets where the pictures do not fit on one.

    Raises:
        ModelError, WeightsError: see :func:`trgbp_core.models.load_model`. ValueError: a class or layer that there is not.
    """
    figure = FIGURES[number]
    asked = [(model, name, image) for model in models for name, image in pictures]
    sheets = [asked[start : start + figure.page] for start in range(0, len(asked), figure.page)]
    for count, part in enumerate(sheets, start=1):
        made, titles = [], dict[str, None]()
        for letter, (model, name, image) in zip(string.ascii_lowercase, part, strict=False):
            with on_terminal(model) as progress:
                zoo = load_model(model, progress=progress)
            tell(f"{zoo.title}: {name}")
            titles[zoo.title] = None
            made.append(figure.rows(Subject.of(image, zoo, options, f"({letter})\n" if len(part) > 1 else "")))
        heading = f"Figure {number}. {figure.caption.format(network=' and '.join(titles))}"
        file = f"figure{number}" if len(sheets) == 1 else f"figure{number}_{count}"
        yield from save(sheet(heading, figure.note, made), folder, file, dpi=dpi)
