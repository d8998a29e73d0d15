"""The measures that other papers report: deletion and insertion, infidelity and sensitivity-max, of some pictures."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

from ...data.datasets import Problem
from ...engine import devices
from ...engine.plain_passes import scores
from ...methods import METHODS
from ...methods.registry import SLOW
from ...metrics.faithfulness import infidelity, largest_change, replacement_auc, softened
from ...zoo.loading import Zoo
from ..attributions import Attributions, usable
from ..reading import Seen, stacked, without_problems
from ..settings import Settings
from ..store import Piece, Row

FILE = "faithfulness.csv"
NUMBERS = ("deletion_auc", "insertion_auc", "infidelity", "infidelity_share", "sensitivity_max")
COLUMNS = ("image", "method", *NUMBERS)
"""Of the results file: a row a picture and method; sensitivity-max is empty where it is not measured.

The share is infidelity, divided by that of a map of zeros, which is the mean square of the falls.
"""

PERTURBATIONS, SIDE = 50, 4
"""Infidelity removes so many random squares, the same for all methods; their side is the picture's, divided by this.

Squares are one of the two perturbations of Yeh et al. 2019. The other, small noise for each pixel, only asks how like a map is to the
gradient at the picture: the score then falls by I·∇f, and the share tends to 1 − cos²(R, ∇f), ∇f summed over channels. I is 1 in the
square, which captum advises for contributions to the score; maps in the unit of a gradient are measured alike.
"""

CHANGES, RADIUS = 10, 0.02
"""Sensitivity-max adds uniform noise up to this so many times, as captum does by default: not with slow methods."""


def measure(index: int, unit: Sequence[Seen | Problem], *, zoo: Zoo, watched: torch.nn.Module, settings: Settings) -> Piece:
    """All of :data:`NUMBERS` of every picture of a unit, for every method: of the label with ``--target label``, else of the prediction."""
    piece = Piece()
    seen = without_problems(unit, Piece())  # the main phase has named the others
    if seen:
        _Batch(seen, zoo, watched, settings, piece).rows()
    return piece


def generator_of(seed: int, name: str) -> torch.Generator:
    """Random numbers for a picture, whatever others are measured beside it."""
    return torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))


class _Batch:
    """Pictures that are measured together."""

    def __init__(self, seen: list[Seen], zoo: Zoo, watched: torch.nn.Module, settings: Settings, piece: Piece) -> None:
        self.seen, self.zoo, self.watched, self.settings, self.piece = seen, zoo, watched, settings, piece
        self.together = devices.perturbed_together(zoo.device)
        self.x = stacked(seen, zoo.device, devices.layout(zoo.device))
        self.soft = softened(self.x)
        self.logits, self.soft_logits = self._scores(self.x), self._scores(self.soft)
        labels = torch.tensor([one.sample.label for one in seen], device=self.x.device)
        self.classes = labels if settings.target == "label" else self.logits.argmax(1)
        self.attributions = self._attributions(self.x)

    def _scores(self, x: Tensor) -> Tensor:
        return scores(self.watched, lambda start, stop: x[start:stop].clone(), len(x), batch=self.together)

    def _attributions(self, x: Tensor) -> Attributions:
        return Attributions(self.zoo.network, x, {"class": self.classes}, self.piece)

    def _generators(self) -> list[torch.Generator]:
        return [generator_of(self.settings.seed, one.sample.name) for one in self.seen]

    def rows(self) -> None:
        maps = {key: found["class"] for key in self.settings.methods if (found := self.attributions.maps(key)) is not None}
        with self.attributions.timed("infidelity"):
            masks, falls = self._squares()
        changes = self._sensitivities({key: of for key, of in maps.items() if METHODS[key].cost < SLOW})
        measured = {key: self._numbers(key, of, masks, falls) for key, of in maps.items()}
        for i, one in enumerate(self.seen):
            for key, numbers in measured.items():
                row: Row = {"image": one.sample.name, "method": key} | {name: float(of[i]) for name, of in numbers.items()}
                self.piece.rows.append(row | {"sensitivity_max": float(changes[key][i]) if key in changes else ""})

    def _numbers(self, key: str, maps: Tensor, masks: Tensor, falls: Tensor) -> dict[str, Tensor]:
        """Everything but sensitivity, a number a picture; NaN where the map holds something else than finite numbers."""
        good = usable(maps)
        numbers = {name: torch.full((len(maps),), float("nan"), dtype=torch.float64) for name in NUMBERS[:-1]}
        if bool(good.any()):
            with self.attributions.timed(f"deletion and insertion of {key}"):
                numbers["deletion_auc"][good.cpu()] = self._auc(self.x, torch.zeros_like(self.x), self.logits, maps, good)
                numbers["insertion_auc"][good.cpu()] = self._auc(self.soft, self.x, self.soft_logits, maps, good)
            promised = torch.einsum("nsp,np->ns", masks[good], maps[good].flatten(1)).double()
            power = falls[good].square().mean(1)
            unexplained = torch.where(power > 0, infidelity(promised, falls[good]), float("nan"))  # nothing to explain is no success
            numbers["infidelity"][good.cpu()] = unexplained.cpu()
            numbers["infidelity_share"][good.cpu()] = (unexplained / power).cpu()
        return numbers

    def _auc(self, start: Tensor, end: Tensor, logits: Tensor, maps: Tensor, good: Tensor) -> Tensor:
        given = (of[good] for of in (start, end, maps, self.classes))
        return replacement_auc(self.watched, *given, unperturbed=logits[good], batch=self.together).cpu()

    def _squares(self) -> tuple[Tensor, Tensor]:
        """Random squares, (N, S, pixels) of zeros and ones, and how far the score falls where they become the mean, (N, S) float64."""
        height, width = self.x.shape[2:]
        side = max(1, min(height, width) // SIDE)
        masks = torch.zeros(len(self.x), PERTURBATIONS, height, width)
        for i, generator in enumerate(self._generators()):
            for mask in masks[i]:
                top, left = (int(torch.randint(size - side + 1, (), generator=generator)) for size in (height, width))
                mask[top : top + side, left : left + side] = 1
        masks = masks.to(self.x.device)
        flat = masks.flatten(0, 1)[:, None]

        def pictures(start: int, stop: int) -> Tensor:
            own = torch.arange(start, stop, device=self.x.device) // PERTURBATIONS
            return torch.where(flat[start:stop] > 0, 0.0, self.x[own])

        after = scores(self.watched, pictures, len(flat), batch=self.together).unflatten(0, (len(self.x), -1))
        rows = torch.arange(len(self.x), device=self.x.device)
        falls = self.logits[rows, self.classes, None].double() - after[rows, :, self.classes].double()
        return masks.flatten(2), falls

    def _sensitivities(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """Sensitivity-max of these methods, (N,) each. All explain the same noisy pictures, and some from the same recording."""
        noises = [RADIUS * (2 * torch.rand(CHANGES, *self.x.shape[1:], generator=own) - 1) for own in self._generators()]
        others: dict[str, list[Tensor]] = {key: [] for key in maps}
        for noise in torch.stack(noises, 1).to(self.x.device):
            noisy = self._attributions(self.x + noise)
            for key in maps:
                found = noisy.maps(key)
                others[key] += [] if found is None else [found["class"]]
        changes = {key: largest_change(maps[key], torch.stack(of)) for key, of in others.items() if len(of) == CHANGES}
        return {key: torch.where(torch.isfinite(of), of, float("nan")).cpu() for key, of in changes.items()}
