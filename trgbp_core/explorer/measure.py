"""The page's Measure tab: how much of a map lies in a box that somebody drew, what taking pixels away does, how much hangs on the frame."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data import examples
from ..drawing.render import to_array
from ..methods import METHODS, NotApplicable
from ..metrics.localisation import Box, ebpg, ibd, pointing_game
from ..metrics.perturbation import ABSOLUTE_LERF, FRACTIONS, perturbation_curve
from ..serving.jobs import Step
from .explorer import Explorer, Payload, Question, panel

CELLS = 56
"""Boxes snap to a grid of this many cells a side, so that the browser can add up EBPG exactly while a box is being drawn."""


MIDDLE = (0.25, 0.25, 0.75, 0.75)
"""The box to begin with where nothing is known of a picture."""


def cell_shares(map: Tensor) -> np.ndarray:
    """The share of relu(R) in each cell of the grid, (CELLS, CELLS) float32, rows first; all 0 for a map without positive relevance.

    A pixel counts for the cell in which its centre lies, so that sums of cells equal :func:`localisation.ebpg` of boxes on the grid.

    Args:
        map: (1, 1, H, W).
    """
    energy = np.maximum(to_array(map).astype(np.float64), 0)
    rows, columns = (((np.arange(n) + 0.5) * CELLS / n).astype(int) for n in energy.shape)
    cells = np.zeros((CELLS, CELLS))
    np.add.at(cells, (rows[:, None], columns[None]), energy)
    return (cells / (cells.sum() or 1)).astype(np.float32)


def first_box(question: Question, picture: Image.Image, label: str) -> Payload:
    """The box to begin with: around the thing of class ``label`` on an example, else the middle of the picture.

    Args:
        picture: as it was given, before the network's crop.

    Returns:
        ``edges`` in fractions of what the network sees, and ``thing``, what the box is around; nothing for the middle.
    """
    found = examples.box_of(examples.name_of(picture), label)
    edges = found and question.zoo.preprocess.box(found.edges, picture.size, question.crop)
    return {"edges": list(edges), "thing": found.thing} if found and edges else {"edges": list(MIDDLE), "thing": ""}


def locate(explorer: Explorer, question: Question, k: int, methods: Sequence[str], step: Step | None = None) -> Iterator[Payload]:
    """One payload a method, fastest first: its map, the shares of the grid's cells (base64 of float32), its IBD (Eq. 12)."""

    def located(key: str, map: Tensor) -> Payload:
        shares = base64.b64encode(cell_shares(map).astype("<f4").tobytes()).decode()
        share_of_frame = explorer.queue.run(lambda between: _number(ibd(map)), step, short=True)
        drawn = panel(map, METHODS[key].title, "", question.zoo.labels[k])
        return drawn | {"key": key, "cells": CELLS, "shares": shares, "ibd": share_of_frame}

    return _each_map(explorer, question, k, methods, located, step)


def scores(map: Tensor, box: Box) -> dict[str, float]:
    """EBPG (Eq. 11) and the pointing game of one box, (left, top, right, bottom) in fractions of the picture, and IBD (Eq. 12).

    Raises:
        ValueError: the box holds no pixel, or reaches out of the picture.
    """
    edges = edges_of(box)
    named = {"ebpg": ebpg(map, edges, "fractions"), "pointing_game": pointing_game(map, edges, "fractions"), "ibd": ibd(map)}
    return {name: _number(value) for name, value in named.items()}


def edges_of(box: Any) -> list[float]:
    """``box`` as left, top, right and bottom in fractions of the picture; raises ValueError if it is none."""
    try:
        edges = [float(edge) for edge in box]
    except (TypeError, ValueError):
        edges = []
    if len(edges) != 4 or not all(0 <= edge <= 1 for edge in edges):
        raise ValueError(f"A box is left, top, right and bottom in fractions of the picture, each from 0 to 1; not {str(box)[:60]}.")
    return edges


def perturb(explorer: Explorer, question: Question, k: int, methods: Sequence[str], step: Step | None = None) -> Iterator[Payload]:
    """One payload a method: its MoRF and LeRF curves (Section 5.3.2), pixels becoming black, and their areas."""

    def curves(key: str, map: Tensor) -> Payload:
        return explorer.kept(("perturb", question.key, k, key), functools.partial(_curves, question, k, key, map), step)

    return _each_map(explorer, question, k, methods, curves, step)


def _each_map(
    explorer: Explorer, question: Question, k: int, methods: Sequence[str], measured: Callable[[str, Tensor], Payload], step: Step | None
) -> Iterator[Payload]:
    """What is ``measured`` of each method's map, fastest first, or why it cannot be."""
    for key in explorer.fastest_first(question, methods):
        try:
            yield measured(key, explorer.attribution(question, k, key, step))
        except NotApplicable as error:
            yield {"key": key, "title": METHODS[key].title, "empty": str(error)}


def _curves(question: Question, k: int, key: str, map: Tensor, step: Step) -> Payload:
    if not bool(torch.isfinite(map).all()):
        raise NotApplicable("Not a number: this map cannot be ranked.")
    title, result = METHODS[key].title, dict[str, Any]()
    for position, order in enumerate(("morf", "lerf")):
        ranked = map.abs() if order == "lerf" and key in ABSOLUTE_LERF else map

        def report(share: float, at: int = position) -> None:
            step(f"{title}: taking pixels away", (at + share) / 2)

        network, black = question.zoo.network, question.zoo.preprocess.black
        curve = perturbation_curve(network, question.x, ranked, k, fill=black, order=order, progress=report)  # type: ignore[arg-type]
        result[order] = [round(float(v), 5) for v in curve.change.nan_to_num(posinf=0.0)[0]]
        result[f"{order}_area"] = _number(curve.area())
    return {"key": key, "title": title, "fractions": list(FRACTIONS), **result}


def _number(value: Tensor) -> float:
    return round(float(value.reshape(())), 6)
