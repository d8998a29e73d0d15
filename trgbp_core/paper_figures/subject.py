"""A picture before a network, with the options of its figure; and the pictures that the command names."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

from ..data import images
from ..data.labels import find_classes
from ..drawing.figures import Cell
from ..drawing.render import overlay, why_empty
from ..zoo.loading import Zoo


@dataclass(frozen=True)
class Options:
    """What may be chosen.

    Attributes:
        classes: those to explain, as a person names them; the network's own best where there are none.
        methods: keys of METHODS, for Figure 4. layers: single layers instead of blocks, for Figures 9 and 10.
        specific: R^l instead of R̃^l, for Figures 9 and 10. seed: of the cascade.
        colours: one of :data:`trgbp_core.drawing.render.COLOUR_MAPS`. opacity: of a map over its picture, 0 to 1.
    """

    classes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    layers: tuple[int, ...] = ()
    specific: bool = False
    seed: int = 0
    colours: str = "inferno"
    opacity: float = 1.0


@dataclass(frozen=True)
class Subject:
    """One picture before one network.

    Attributes:
        picture: what the network sees. x: the same in numbers, (1, C, H, W). letter: of several, as "(a)\\n"; of one nothing.
    """

    zoo: Zoo
    picture: Image.Image
    x: Tensor
    options: Options
    letter: str = ""

    @classmethod
    def of(cls, image: Image.Image, zoo: Zoo, options: Options, letter: str = "") -> Subject:
        """Put an RGB picture to a network."""
        seen = zoo.picture(image)
        return cls(zoo, seen, zoo.normalise(seen), options, letter)

    @property
    def input(self) -> Cell:
        return Cell(self.picture, "input")

    def map(self, map: Tensor, title: str = "", *, specific: bool = False) -> Cell:
        """A map (1, 1, h, w) as a panel: relu(R) over the picture, and why it is empty if it is."""
        image = overlay(self.picture, map, opacity=self.options.opacity, colours=self.options.colours)
        return Cell(image, title, why_empty(map, specific=specific))

    def classes(self, best: Sequence[int]) -> list[int]:
        """The classes to explain: the chosen ones, else ``best``.

        Raises:
            ValueError: no class of this network is called so.
        """
        return find_classes(self.options.classes, self.zoo.labels) or list(best)

    def one_class(self, best: int) -> int:
        """The class to explain in a figure that explains a single one.

        Raises:
            ValueError: several were chosen, or none of this network is called so.
        """
        found = self.classes([best])
        if len(found) > 1:
            raise ValueError(f"This figure explains one class; {len(found)} were given.")
        return found[0]


def read_all(paths: Sequence[Path]) -> list[tuple[str, Image.Image]]:
    """Named pictures from files, and from folders in the order of their names, without what is no picture there.

    Raises:
        images.ImageError: a file that was named is no picture.
        ValueError: nothing is left.
    """
    found = []
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise images.ImageError(f"There is no such picture file ({path}).")
            try:
                found.append((path.stem, images.read(path)))
            except images.ImageError as error:
                raise images.ImageError(f"{path.name}: {error}") from error
            continue
        for file in sorted(file for file in path.iterdir() if file.is_file()):
            try:
                found.append((file.stem, images.read(file)))
            except images.ImageError as error:
                print(f"skipped {file.name}: {error}", file=sys.stderr)
    if not found:
        raise ValueError(f"There is no picture in {', '.join(map(str, paths))}; looked for {images.NAMES}.")
    return found
