"""The grid pointing game of ``evaluate``: 2×2 mosaics of pictures that the network gets right, each class to be found in its own cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..data.datasets import Problem
from ..metrics.localisation import grid_pointing_game, mosaic
from ..zoo.loading import Zoo
from .attributions import SHARED, Attributions, usable
from .reading import Seen, stacked, without_problems
from .store import Piece

COLUMNS = ("mosaic", "cell", "image", "class_index", "method", "grid_pointing_game")
CELLS = 4


@dataclass(frozen=True)
class Measured:
    """A measured picture, and the class to explain."""

    name: str
    label: int


def choose(pictures: Iterable[Measured], count: int, seed: int) -> list[tuple[str, ...]]:
    """At most ``count`` mosaics of four pictures of four classes, no picture twice, drawn at random with ``seed``."""
    known = list(pictures)
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(seed)).tolist()
    waiting, mosaics = [known[i] for i in order], list[tuple[str, ...]]()
    while len(mosaics) < count:
        chosen: list[Measured] = []
        for picture in waiting:
            if picture.label not in [c.label for c in chosen]:
                chosen.append(picture)
            if len(chosen) == CELLS:
                break
        if len(chosen) < CELLS:
            break
        mosaics.append(tuple(c.name for c in chosen))
        waiting = [c for c in waiting if c not in chosen]
    return mosaics


def measure(index: int, unit: Sequence[Seen | Problem], *, zoo: Zoo, methods: Sequence[str]) -> Piece:
    """One mosaic, halved so that it has the size that the network is made for; the share in each class's own cell."""
    piece = Piece()
    seen = without_problems(unit, piece)
    if piece.problems:
        return piece
    samples, pictures = [s.sample for s in seen], stacked(seen, zoo.device)
    halved = F.interpolate(mosaic(pictures), size=pictures.shape[2:], mode="bilinear", antialias=True, align_corners=False)
    labels = torch.tensor([sample.label for sample in samples], device=zoo.device)
    # One recording serves four classes; other methods take a class a picture.
    together = Attributions(zoo.network, halved, {str(cell): labels[cell : cell + 1] for cell in range(CELLS)}, piece)
    apart = Attributions(zoo.network, halved.expand(CELLS, -1, -1, -1), {"own": labels}, piece)
    for key in methods:
        found = (together if key in SHARED else apart).maps(key)
        if found is None:
            continue
        maps = torch.cat([found[str(cell)] for cell in range(CELLS)]) if key in SHARED else found["own"]
        good = usable(maps)
        for cell, sample in enumerate(samples):
            share = float(grid_pointing_game(maps[cell : cell + 1], cell)) if good[cell] else float("nan")
            piece.rows.append(dict(zip(COLUMNS, (index, cell, sample.name, sample.label, key, share), strict=True)))
    return piece
