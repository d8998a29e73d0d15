"""The paper's figures of any picture and any network."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from ..data import examples
from ..drawing.figures import Rows, save, sheet
from ..engine.devices import CPU
from ..zoo.custom import loaded
from ..zoo.loading import Zoo
from . import class_maps, randomisation
from . import method_comparison as comparison
from .subject import Options, Subject

__all__ = ["FIGURES", "Options", "PaperFigure", "draw"]


@dataclass(frozen=True)
class PaperFigure:
    """One of the paper's figures.

    Attributes:
        caption: what it shows; ``{network}`` is filled in. note: how its maps are drawn.
        examples: the pictures that it shows where none are given. page: the most pictures on one sheet.
        network: what the paper drew it with. rows: what it shows of one picture before one network.
    """

    caption: str
    note: str
    examples: tuple[str, ...]
    page: int
    network: str
    rows: Callable[[Subject], Rows]

    @property
    def example_files(self) -> list[Path]:
        return [examples.FOLDER / name for name in self.examples]

    def beneath(self, networks: str) -> str:
        """The line under the heading: how the maps are drawn, and which network the paper drew if ``networks`` are others."""
        return self.note if networks == self.network else f"{self.note} The paper drew {self.network}."


FOUR = ("cheetah_and_lion.jpg", "chelsea.jpg", "coffee.jpg", "rocket.jpg")
VGG, RESNET = "VGG-16", "ResNet-50"
_FIVE = "Class discriminative visualisation, {network}: top 1 to top 5"
_CASCADE = "{network} randomised from the logits to the first layer"
_LAYERS = "Sanity checks for different layers, {network}"

FIGURES = {
    3: PaperFigure("Class discriminative results, {network}", class_maps.NOTE, FOUR[:1], 6, RESNET, class_maps.two_classes),
    4: PaperFigure("Attribution methods side by side, {network}", comparison.NOTE, FOUR, 10, f"{VGG} and {RESNET}", comparison.compared),
    5: PaperFigure(_CASCADE, randomisation.NOTE, FOUR[1:2], 3, RESNET, randomisation.cascade_row),
    7: PaperFigure(_FIVE, class_maps.NOTE, FOUR, 5, VGG, class_maps.top_five),
    8: PaperFigure(_FIVE, class_maps.NOTE, FOUR, 5, RESNET, class_maps.top_five),
    9: PaperFigure(_LAYERS, randomisation.NOTE, FOUR[1:2], 1, VGG, randomisation.cascade_of_layers),
    10: PaperFigure(_LAYERS, randomisation.NOTE, FOUR[1:2], 1, RESNET, randomisation.cascade_of_layers),
}
"""By their numbers. 7 and 8, 9 and 10 differ in the paper by their network only. 1 and 2 are drawings, 6 is measured over many pictures."""


def draw(
    number: int,
    pictures: Sequence[tuple[str, Image.Image]],
    models: Sequence[Zoo | str],
    options: Options,
    folder: Path,
    *,
    device: torch.device = CPU,
    dpi: int = 150,
    report: Callable[[str], None] = lambda sentence: None,
) -> Iterator[Path]:
    """Draw one of :data:`FIGURES` of ``pictures`` (name, RGB), each before every network of ``models``: your own
    (:func:`trgbp_core.own_model`), or one of the zoo by its name, loaded when its turn comes.

    Yields:
        the files, PNG and PDF, as they are written into ``folder``; several sheets where the pictures do not fit on one.

    Raises:
        ModelError, WeightsError: see :func:`trgbp_core.zoo.loading.load_model`. ValueError: a class or layer that there is not.
    """
    figure = FIGURES[number]
    subjects = [(model, name, image) for model in models for name, image in pictures]
    sheets = [subjects[start : start + figure.page] for start in range(0, len(subjects), figure.page)]
    for count, part in enumerate(sheets, start=1):
        made, titles = [], dict[str, None]()
        for letter, (model, name, image) in zip(string.ascii_lowercase, part, strict=False):
            zoo = loaded(model, device)
            report(f"{zoo.title}: {name}")
            titles[zoo.title] = None
            made.append(figure.rows(Subject.of(image, zoo, options, f"({letter})\n" if len(part) > 1 else "")))
        networks = " and ".join(titles)
        heading = f"Figure {number}. {figure.caption.format(network=networks)}"
        file = f"figure{number}" if len(sheets) == 1 else f"figure{number}_{count}"
        yield from save(sheet(heading, figure.beneath(networks), made), folder, file, dpi=dpi)
