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
from ..settings import Settings
from ..store import Piece

FILE = "fills.csv"
COLUMNS = ("image", "method", "class", "fill", "ranking", "morf_area_10")
RANKINGS = ("signed", "positive")
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
        for fill in settings.fills:
            instead, areas = zoo.preprocess.black if fill == "black" else cast(Fill, fill), dict[tuple[str, str], Tensor]()
            for name, ranking in product(CLASSES, RANKINGS):
                if ranking == "positive" and bool((maps[name] >= 0).all()):
                    areas[name, ranking] = areas[name, "signed"]
                    continue
                # What is the same for both classes is computed once.
                areas[name, ranking] = (
                    areas["prediction", ranking].clone() if name == "label" else torch.full((len(x),), float("nan")).double()
                )
                new = good & (labels != predicted) if name == "label" else good
                if bool(new.any()):
                    ranked = maps[name] if ranking == "signed" else maps[name].relu()
                    classes = attributions.targets[name]
                    areas[name, ranking][new.cpu()] = _area(watched, x[new], ranked[new], classes[new], instead, logits[new])
            for (name, ranking), values in areas.items():
                for one, area in zip(seen, values.tolist(), strict=True):
                    piece.rows.append(dict(zip(COLUMNS, (one.sample.name, key, name, fill, ranking, area), strict=True)))
    return piece


def _area(watched: torch.nn.Module, x: Tensor, maps: Tensor, classes: Tensor, fill: Fill, logits: Tensor) -> Tensor:
    fractions = [fraction for fraction in FRACTIONS if fraction <= HIGHEST]
    batch = devices.perturbed_together(x.device)
    curve = perturbation_curve(watched, x, maps, classes, fill=fill, fractions=fractions, unperturbed=logits, batch=batch)
    return curve.area(HIGHEST).cpu().double()
