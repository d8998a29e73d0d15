"""The main work of ``evaluate``: a batch of pictures through every method and measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..data.datasets import Problem
from ..data.imagenet import Box
from ..engine import devices
from ..engine.plain_passes import scores
from ..metrics.localisation import ebpg, ibd, pointing_game
from ..metrics.perturbation import ABSOLUTE_LERF, FRACTIONS, Order, perturbation_curve
from ..zoo.loading import Zoo
from .attributions import Attributions, usable
from .reading import Seen, stacked, without_problems
from .settings import Settings
from .store import Piece, Row

HALF = 0.5
"""Appendix C leaves out objects that occupy more than half of the picture."""

AREAS = (0.1, 0.9)
"""Perturbation areas go from the first fraction to 10 %, FullGrad's range, and to 90 %."""

NO_BOX = (0.0, 0.0, 1.0, 1.0)  # in the place of one, never measured
ORDERS: tuple[Order, ...] = ("morf", "lerf")
FACTS = ("image", "class_index", "predicted", "confidence", "boxes", "box_share", "label_rank", "method")
AT_BOX = ("ebpg", "pointing_game", "ebpg_empty")
"""Measured of the pictures of the EBPG protocol only."""

CURVES = (
    *(f"{order}_area_{round(100 * highest)}" for order in ORDERS for highest in AREAS),
    *(f"{order}_{fraction:g}" for order in ORDERS for fraction in FRACTIONS),
)
NUMBERS = (*AT_BOX, "ibd", "ibd_empty", *CURVES)
COLUMNS = (*FACTS, *NUMBERS)
"""Of the results file: a row a picture and method. Empty where a measure does not apply to the picture."""


def box_share(box: Box) -> float:
    """The share of the picture that a box covers."""
    return (box[2] - box[0]) * (box[3] - box[1])


def measure(
    index: int,
    unit: Sequence[Seen | Problem],
    *,
    zoo: Zoo,
    watched: torch.nn.Module,
    settings: Settings,
    perturbed: frozenset[str] | None = None,
) -> Piece:
    """One unit of work, on the network's device.

    Args:
        unit: its pictures, as :func:`~trgbp_core.evaluation.reading.ahead` brings them.
        watched: the network once more, for plain forward passes: see :func:`~plain_passes.for_scores`.
        perturbed: the pictures whose perturbation curves are measured; None for all.
    """
    piece = Piece()
    seen = without_problems(unit, piece)
    for one in seen:
        if len(one.sample.boxes) == 1 and one.box is None:
            piece.problems.append(Problem(one.sample.name, "bad box", "nothing of its box is in what the network sees"))
    if seen:
        _Batch(seen, zoo, watched, settings, piece, perturbed).rows()
    return piece


class _Batch:
    """Pictures that go through everything together."""

    def __init__(
        self, seen: list[Seen], zoo: Zoo, watched: torch.nn.Module, settings: Settings, piece: Piece, perturbed: frozenset[str] | None
    ) -> None:
        self.seen, self.zoo, self.watched, self.settings, self.piece = seen, zoo, watched, settings, piece
        self.x = stacked(seen, zoo.device, devices.layout(zoo.device))
        batch = devices.explained_together(zoo.device)
        self.logits = scores(watched, lambda start, stop: self.x[start:stop].clone(), len(seen), batch=batch)
        self.predicted = self.logits.argmax(1)
        self.labels = torch.tensor([s.sample.label for s in seen], device=self.x.device)
        self.boxed = torch.tensor([s.box is not None and box_share(s.box) < HALF for s in seen])
        self.perturbed = torch.tensor([perturbed is None or s.sample.name in perturbed for s in seen])
        self.targets = self._targets()
        self.attributions = Attributions(zoo.network, self.x, self.targets, piece)

    def _targets(self) -> dict[str, Tensor]:
        labels = self.labels
        if self.settings.target == "label":
            return {"prediction": labels, "box": labels}
        if self.settings.target == "prediction":
            return {"prediction": self.predicted, "box": self.predicted}
        return {"prediction": self.predicted, "box": torch.where(self.boxed.to(self.x.device), labels, self.predicted)}

    def rows(self) -> None:
        confidence, predicted = self.logits.double().softmax(1).amax(1).tolist(), self.predicted.tolist()
        ranks = (1 + (self.logits > self.logits.gather(1, self.labels[:, None])).sum(1)).tolist()
        measured = {key: self._numbers(key) for key in self.settings.methods}
        for i, seen in enumerate(self.seen):
            facts: Row = {
                "image": seen.sample.name,
                "class_index": seen.sample.label,
                "predicted": predicted[i],
                "confidence": confidence[i],
                "boxes": len(seen.sample.boxes),
                "box_share": "" if seen.box is None else box_share(seen.box),
                "label_rank": ranks[i],
            }
            nothing = dict.fromkeys([*(() if self.boxed[i] else AT_BOX), *(() if self.perturbed[i] else CURVES)], "")
            for key, numbers in measured.items():
                if numbers is not None:
                    self.piece.rows.append(facts | {"method": key} | {name: values[i] for name, values in numbers.items()} | nothing)

    def _numbers(self, key: str) -> dict[str, list[float]] | None:
        """Every measure of one method, a value a picture; NaN where the map holds something else than finite numbers."""
        maps = self.attributions.maps(key)
        if maps is None:
            return None
        at_box, at_prediction = maps["box"], maps["prediction"]
        in_box, good = usable(at_box).cpu() & self.boxed, usable(at_prediction)
        boxes = torch.tensor([seen.box or NO_BOX for seen in self.seen], dtype=torch.float64)[in_box]
        numbers = {name: _nothing(len(good)) for name in NUMBERS}
        if len(boxes):
            numbers["ebpg"][in_box] = ebpg(at_box[in_box], boxes, "fractions").cpu().double()
            numbers["pointing_game"][in_box] = pointing_game(at_box[in_box], boxes, "fractions").cpu().double()
            numbers["ebpg_empty"][in_box] = _empty(at_box[in_box])
        numbers["ibd"][good.cpu()] = ibd(at_prediction[good]).cpu().double()
        numbers["ibd_empty"][good.cpu()] = _empty(at_prediction[good])
        chosen = good.cpu() & self.perturbed
        if bool(chosen.any()):
            with self.attributions.timed(f"perturbation of {key}"):
                for order in ORDERS:
                    for name, values in self._perturbed(order, at_prediction, chosen.to(good.device), key).items():
                        numbers[name][chosen] = values.cpu()
        return {name: values.tolist() for name, values in numbers.items()}

    def _perturbed(self, order: Order, maps: Tensor, chosen: Tensor, key: str) -> dict[str, Tensor]:
        """The curve of one order of the ``chosen`` maps, and the areas under it."""
        maps = maps[chosen]
        curve = perturbation_curve(
            self.watched,
            self.x[chosen],
            maps.abs() if order == "lerf" and key in ABSOLUTE_LERF else maps,
            self.targets["prediction"][chosen],
            fill=self.zoo.preprocess.black,
            order=order,
            unperturbed=self.logits[chosen],
            batch=devices.perturbed_together(self.x.device),
        )
        curve = replace(curve, change=curve.change.double())
        areas = {f"{order}_area_{round(100 * highest)}": curve.area(highest) for highest in AREAS}
        return areas | {f"{order}_{fraction:g}": values for fraction, values in zip(FRACTIONS, curve.change.unbind(1), strict=True)}


def _empty(maps: Tensor) -> Tensor:
    """1 for a map without positive relevance, else 0, (N,)."""
    return (maps <= 0).flatten(1).all(1).cpu().double()


def _nothing(count: int) -> Tensor:
    return torch.full((count,), float("nan"), dtype=torch.float64)
