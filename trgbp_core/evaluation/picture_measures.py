"""The main work of ``evaluate``: a batch of pictures through every method and measure."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.datasets import Problem
from ..data.imagenet import Box
from ..engine import devices
from ..engine.plain_passes import scores
from ..metrics.localisation import FRACTIONS, PerturbationCurve, ebpg, ibd, perturbation_curve, pointing_game
from ..metrics.perturbation import ABSOLUTE_LERF, Order
from ..zoo.loading import Zoo
from .attributions import Attributions, usable
from .reading import Seen, stacked, without_problems
from .settings import Settings
from .store import Piece, Row

HALF = 0.5
"""Appendix C leaves out objects that occupy more than half of the picture."""

AREAS = (0.1, 0.9)
"""Perturbation areas go from the first fraction to 10 %, FullGrad's range, and to 90 %."""

FACTS = ("image", "class_index", "predicted", "confidence", "boxes", "box_share", "method")
NUMBERS = (
    "ebpg",
    "pointing_game",
    "ibd",
    *(f"{order}_area_{round(100 * highest)}" for order in ("morf", "lerf") for highest in AREAS),
    *(f"{order}_{fraction:g}" for order in ("morf", "lerf") for fraction in FRACTIONS),
)
COLUMNS = (*FACTS, *NUMBERS)
"""Of the results file: a row a picture and method. Empty where a measure does not apply to the picture."""


def box_share(box: Box) -> float:
    """The share of the picture that a box covers."""
    return (box[2] - box[0]) * (box[3] - box[1])


def measure(unit: Sequence[Seen | Problem], zoo: Zoo, watched: torch.nn.Module, settings: Settings) -> Piece:
    """One unit of work, on the network's device.

    Args:
        unit: its pictures, as :func:`~trgbp_core.evaluation.reading.ahead` brings them.
        watched: the network once more, for plain forward passes: see :func:`~trgbp_core.engine.fused_copy.folded`.
    """
    piece = Piece()
    seen = without_problems(unit, piece)
    for one in seen:
        if len(one.sample.boxes) == 1 and one.box is None:
            piece.problems.append(Problem(one.sample.name, "bad box", "nothing of its box is in what the network sees"))
    if seen:
        _Batch(seen, zoo, watched, settings, piece).rows()
    return piece


class _Batch:
    """Pictures that go through everything together."""

    def __init__(self, seen: list[Seen], zoo: Zoo, watched: torch.nn.Module, settings: Settings, piece: Piece) -> None:
        self.seen, self.zoo, self.watched, self.settings, self.piece = seen, zoo, watched, settings, piece
        self.x = stacked(seen, zoo.device, devices.layout(zoo.device))
        batch = devices.explained_together(zoo.device)
        self.logits = scores(watched, lambda start, stop: self.x[start:stop].clone(), len(seen), batch=batch)
        self.predicted = self.logits.argmax(1)
        self.boxed = [i for i, s in enumerate(seen) if s.box is not None and box_share(s.box) < HALF]
        self.targets = self._targets()
        self.attributions = Attributions(zoo.network, self.x, self.targets, piece)

    def _targets(self) -> dict[str, Tensor]:
        labels = torch.tensor([s.sample.label for s in self.seen], device=self.x.device)
        if self.settings.target == "label":
            return {"prediction": labels, "box": labels}
        if self.settings.target == "prediction":
            return {"prediction": self.predicted, "box": self.predicted}
        at_box = self.predicted.clone()
        at_box[self.boxed] = labels[self.boxed]
        return {"prediction": self.predicted, "box": at_box}

    def rows(self) -> None:
        confidence, predicted = self.logits.double().softmax(1).amax(1).tolist(), self.predicted.tolist()
        measured = {key: self._numbers(key) for key in self.settings.methods}
        for i, seen in enumerate(self.seen):
            facts: Row = {
                "image": seen.sample.name,
                "class_index": seen.sample.label,
                "predicted": predicted[i],
                "confidence": confidence[i],
                "boxes": len(seen.sample.boxes),
                "box_share": "" if seen.box is None else box_share(seen.box),
            }
            for key, numbers in measured.items():
                if numbers is not None:
                    self.piece.rows.append(facts | {"method": key} | {name: values[i] for name, values in numbers.items()})

    def _numbers(self, key: str) -> dict[str, list[float | str]] | None:
        """Every measure of one method, a value a picture; NaN where the map holds something else than finite numbers."""
        maps = self.attributions.maps(key)
        if maps is None:
            return None
        numbers: dict[str, list[float | str]] = {name: [""] * len(self.seen) for name in NUMBERS}
        self._localise(maps["box"], numbers)
        good = usable(maps["prediction"])
        boundary = torch.full((len(good),), float("nan"), dtype=torch.float64)
        boundary[good.cpu()] = ibd(maps["prediction"][good]).cpu()
        numbers["ibd"] = boundary.tolist()
        self._perturb(key, torch.where(good.view(-1, 1, 1, 1), maps["prediction"], 0), good, numbers)
        return numbers

    def _localise(self, maps: Tensor, numbers: dict[str, list[float | str]]) -> None:
        good = usable(maps).tolist()
        for i in self.boxed:
            numbers["ebpg"][i] = numbers["pointing_game"][i] = float("nan")
        measured = [i for i in self.boxed if good[i]]
        if measured:
            boxes = torch.tensor([self.seen[i].box for i in measured], dtype=torch.float64)
            for name, of in (("ebpg", ebpg), ("pointing_game", pointing_game)):
                for i, value in zip(measured, of(maps[measured], boxes, "fractions").tolist(), strict=True):
                    numbers[name][i] = value

    def _perturb(self, key: str, maps: Tensor, good: Tensor, numbers: dict[str, list[float | str]]) -> None:
        with self.attributions.timed(f"perturbation of {key}"):
            orders: tuple[Order, ...] = ("morf", "lerf")
            for order in orders:
                curve = perturbation_curve(
                    self.watched,
                    self.x,
                    maps.abs() if order == "lerf" and key in ABSOLUTE_LERF else maps,
                    self.targets["prediction"],
                    fill=self.zoo.preprocess.black,
                    order=order,
                    unperturbed=self.logits,
                    batch=devices.perturbed_together(self.x.device),
                )
                self._write_curve(order, curve, good, numbers)

    def _write_curve(self, order: str, curve: PerturbationCurve, good: Tensor, numbers: dict[str, list[float | str]]) -> None:
        change = torch.where(good[:, None], curve.change, float("nan")).double()
        for fraction, values in zip(FRACTIONS, change.unbind(1), strict=True):
            numbers[f"{order}_{fraction:g}"] = values.tolist()
        exact = PerturbationCurve(curve.fractions, change, curve.scores, curve.unperturbed)
        for highest in AREAS:
            numbers[f"{order}_area_{round(100 * highest)}"] = exact.area(highest).tolist()
