"""One explanation at a glance: the picture, its maps, and the network's answers, as a matplotlib figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from torch import Tensor

from .figures import SCALE
from .render import COLOUR_MAPS, DIVERGING, heat, lookup

if TYPE_CHECKING:
    from .notebook_figure import NotebookFigure

SIDE = 2.6
"""Inches, of a panel."""
LONGEST = 22
"""Characters of a class's name; what is longer is cut."""


@dataclass(frozen=True)
class Answer:
    """One of the network's classes: its name, its probability, and whether the maps are about it."""

    name: str
    probability: float
    chosen: bool


def overview(
    picture: Image.Image, maps: Sequence[tuple[str, Tensor]], answers: Sequence[Answer], title: str, *, signed: bool
) -> NotebookFigure:
    """A figure that notebooks show: the picture, ``maps`` with their titles, and bars of probabilities.

    Args:
        maps: (title, map of any size) each. answers: best first. signed: show both signs; otherwise the positive part.
    """
    from .notebook_figure import NotebookFigure  # matplotlib takes a while, and is needed for figures alone

    count = len(maps) + 2
    figure = NotebookFigure(figsize=(SIDE * count + 0.6, SIDE + 1.4))
    figure.set_layout_engine("constrained", h_pad=0.1)
    axes = figure.subplots(1, count)
    figure.suptitle(title, fontsize=10, fontweight="bold")
    images = [("the picture", picture), *((name, heat(map, picture.size, signed=signed)) for name, map in maps)]
    for axis, (name, image) in zip(axes, images, strict=False):
        axis.imshow(image)
        axis.set_title(name, fontsize=9)
        axis.set_axis_off()
    _bars(axes[-1], answers)
    _scale(figure, list(axes), signed)
    return figure


def _bars(axis: Any, answers: Sequence[Answer]) -> None:
    places = np.arange(len(answers))[::-1]
    axis.barh(places, [answer.probability for answer in answers], color=["#fdba74" if answer.chosen else "0.85" for answer in answers])
    for place, answer in zip(places, answers, strict=True):
        name = answer.name if len(answer.name) <= LONGEST else answer.name[: LONGEST - 1] + "…"
        weight = "bold" if answer.chosen else "normal"
        axis.text(0.02, place, f"{name}  {answer.probability:.1%}", va="center", fontsize=8, fontweight=weight)
    axis.set(xlim=(0, 1), yticks=[], box_aspect=1)
    axis.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"], fontsize=7)
    axis.set_title("what the network answers", fontsize=9)


def _scale(figure: Any, axes: Sequence[Any], signed: bool) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    colours = ListedColormap(lookup(DIVERGING if signed else COLOUR_MAPS[0]) / 255)
    shown = ScalarMappable(Normalize(-1 if signed else 0, 1), colours)
    bar = figure.colorbar(shown, ax=axes, location="bottom", aspect=40, shrink=0.4)
    at, words = ([-1, 0, 1], ["−1 against", "0", "for 1"]) if signed else ([0, 1], ["0", "1"])
    bar.set_ticks(at, labels=words, fontsize=7)
    bar.set_label(f"{'both signs' if signed else 'the positive part'}; {SCALE}", fontsize=7)
