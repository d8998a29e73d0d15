"""The main work: a batch of pictures through every method and measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import images
from ..datasets import Problem, Sample
from ..imagenet import Box
from ..measures import FRACTIONS, PerturbationCurve, ebpg, ibd, perturbation_curve, pointing_game
from ..models import Zoo
from ..perturbation import ABSOLUTE_LERF, Order
from ..scoring import scores
from .attributions import Attributions, usable
from .settings import Settings
from .store import Piece, Row

HALF = 0.5
"""Appendix C leaves out objects that occupy more than half of the picture."""

AREAS = (0.1, 0.9)
"""Perturbation areas go from the first fraction to 10 %, FullGrad's range, and to 90 %."""

AT_A_TIME = {"cpu": 10, "cuda": 256}
"""Perturbed pictures that go through the network together: on a processor, few enough for their maps to stay in its cache."""

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


@dataclass(frozen=True)
class Seen:
    """A picture as the network sees it: ``x`` (1, C, H, W), and its one box in fractions of that, if the EBPG protocol takes it."""

    sample: Sample
    x: Tensor
    box: Box | None


def see(sample: Sample, zoo: Zoo, device: torch.device) -> Seen | Problem:
    """Read one picture, and carry its box through the same resize and crop."""
    try:
        picture = images.read(sample.path)
    except images.ImageError as error:
        missing = not sample.path.exists()
        return Problem(sample.name, "missing" if missing else "corrupt", str(error))
    box = None
    if len(sample.boxes) == 1 and not _other_shape(sample.size, picture.size):
        box = zoo.preprocess.box(sample.boxes[0], picture.size)
    return Seen(sample, zoo.preprocess(picture).to(device), box)


def _other_shape(annotated: tuple[int, int] | None, size: tuple[int, int]) -> bool:
    """The box was drawn on a picture of another shape (turned round by its EXIF data, for instance): it lies elsewhere in this one."""
    return annotated is not None and abs(annotated[0] * size[1] / (annotated[1] * size[0]) - 1) > 0.02


def box_share(box: Box) -> float:
    """The share of the picture that a box covers."""
    return (box[2] - box[0]) * (box[3] - box[1])


def protocol_takes(share: str) -> bool:
    """Does the EBPG protocol take a picture, by what its row says in ``box_share``?"""
    return share != "" and float(share) < HALF


def measure(samples: Sequence[Sample], zoo: Zoo, watched: torch.nn.Module, settings: Settings, device: torch.device) -> Piece:
    """One unit of work.

    Args:
        watched: the network once more, for plain forward passes: see :func:`~trgbp_core.folding.folded`.
    """
    piece = Piece()
    seen = []
    for sample in samples:
        result = see(sample, zoo, device)
        if isinstance(result, Problem):
            piece.problems.append(result)
        else:
            seen.append(result)
            if sample.boxes and len(sample.boxes) == 1 and result.box is None:
                piece.problems.append(Problem(sample.name, "bad box", "nothing of its box is in what the network sees"))
    if seen:
        _Batch(seen, zoo, watched, settings, piece).rows()
    return piece


class _Batch:
    """Pictures that go through everything together."""

    def __init__(self, seen: list[Seen], zoo: Zoo, watched: torch.nn.Module, settings: Settings, piece: Piece) -> None:
        self.seen, self.zoo, self.watched, self.settings, self.piece = seen, zoo, watched, settings, piece
        self.x = torch.cat([s.x for s in seen]).contiguous(memory_format=torch.channels_last)
        self.logits = scores(watched, lambda start, stop: self.x[start:stop].clone(), len(seen))
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
        confidence = self.logits.double().softmax(1).amax(1)
        measured = {key: self._numbers(key) for key in self.settings.methods}
        for i, seen in enumerate(self.seen):
            facts: Row = {
                "image": seen.sample.name,
                "class_index": seen.sample.label,
                "predicted": int(self.predicted[i]),
                "confidence": float(confidence[i]),
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
        good = usable(maps)
        for i in self.boxed:
            box = self.seen[i].box
            assert box is not None
            for name, of in (("ebpg", ebpg), ("pointing_game", pointing_game)):
                numbers[name][i] = float(of(maps[i : i + 1], box, "fractions")) if good[i] else float("nan")

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
                    batch=AT_A_TIME[self.x.device.type],
                )
                self._write_curve(order, curve, good, numbers)

    def _write_curve(self, order: str, curve: PerturbationCurve, good: Tensor, numbers: dict[str, list[float | str]]) -> None:
        change = torch.where(good[:, None], curve.change, float("nan")).double()
        for fraction, values in zip(FRACTIONS, change.unbind(1), strict=True):
            numbers[f"{order}_{fraction:g}"] = values.tolist()
        exact = PerturbationCurve(curve.fractions, change, curve.scores, curve.unperturbed)
        for highest in AREAS:
            numbers[f"{order}_area_{round(100 * highest)}"] = exact.area(highest).tolist()
