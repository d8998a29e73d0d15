"""Pixel perturbation under the choices that the paper leaves open: what a removed pixel becomes, the ranking, the class."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import cast

import torch
from torch import Tensor

from ...data.datasets import Problem
from ...engine import devices
from ...engine.plain_passes import scores
from ...metrics.perturbation import FRACTIONS, Fill, perturbation_curve
from ...zoo.loading import Zoo
from ..attributions import Attributions, usable
from ..reading import Seen, stacked, without_problems
from ..settings import FILLS, Settings
from ..store import Piece

FILE = "fills.csv"
RANKINGS = ("signed", "positive")
COLUMNS = ("image", "method", "class", *(f"{fill}_{ranking}" for fill in FILLS for ranking in RANKINGS))
"""Of the results file: the area under MoRF to 10 % with each fill and ranking, a row a picture, method and explained class."""

CLASSES = ("prediction", "label")
HIGHEST = 0.1


def measure(index: int, unit: Sequence[Seen | Problem], *, zoo: Zoo, watched: torch.nn.Module, settings: Settings) -> Piece:
    """The area under the MoRF curve to 10 % of every picture of a unit, for every method, class, fill and ranking."""
    piece = Piece()
    seen = without_problems(unit, Piece())  # the main phase has named the others
    if not seen:
        return piece
    x = stacked(seen, zoo.device, devices.layout(zoo.device))
    logits = scores(watched, lambda start, stop: x[start:stop].clone(), len(x), batch=devices.explained_together(zoo.device))
    labels, predicted = torch.tensor([one.sample.label for one in seen], device=x.device), logits.argmax(1)
    attributions = Attributions(zoo.network, x, dict(zip(CLASSES, (predicted, labels), strict=True)), piece)
    for key in settings.methods:
        maps = attributions.maps(key)
        if maps is None:
            continue
        good = torch.stack([usable(of) for of in maps.values()]).all(0)
        found = {name: dict[str, Tensor]() for name in CLASSES}
        for fill, name, ranking in product(settings.fills, CLASSES, RANKINGS):
            column, signed = f"{fill}_{ranking}", f"{fill}_signed"
            if ranking == "positive" and bool((maps[name] >= 0).all()):
                found[name][column] = found[name][signed]
                continue
            # Where the label is the prediction, its areas are there already.
            new = good & (labels != predicted) if name == "label" else good
            areas = found["prediction"][column].clone() if name == "label" else torch.full((len(x),), float("nan"), dtype=torch.float64)
            if bool(new.any()):
                ranked = maps[name] if ranking == "signed" else maps[name].relu()
                instead = zoo.preprocess.black if fill == "black" else cast(Fill, fill)
                areas[new.cpu()] = _area(watched, x[new], ranked[new], attributions.targets[name][new], instead, logits[new])
            found[name][column] = areas
        for name, (i, one) in product(CLASSES, enumerate(seen)):
            facts = {"image": one.sample.name, "method": key, "class": name}
            piece.rows.append(facts | {column: float(areas[i]) for column, areas in found[name].items()})
    return piece


def _area(watched: torch.nn.Module, x: Tensor, maps: Tensor, classes: Tensor, fill: Fill, logits: Tensor) -> Tensor:
    fractions = [fraction for fraction in FRACTIONS if fraction <= HIGHEST]
    batch = devices.perturbed_together(x.device)
    curve = perturbation_curve(watched, x, maps, classes, fill=fill, fractions=fractions, unperturbed=logits, batch=batch)
    return curve.area(HIGHEST).cpu().double()
