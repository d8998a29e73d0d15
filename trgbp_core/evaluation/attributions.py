"""Maps of a batch of pictures by several methods, sharing what they have in common."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..engine import devices
from ..engine.geometry import Pixel, Psi
from ..engine.validation import UnsupportedOperation
from ..methods import METHODS, NotApplicable
from ..trgbp.batches import BatchExplanation
from ..trgbp.explainer import TRGBP
from .store import Piece

SHARED: dict[str, tuple[Psi, Pixel | None] | None] = {
    "tr_gbp": ("paper", None),
    "tr_gbp_conserving": ("conserving", None),
    "guided_backprop": None,
}
"""These come from one recording: R with its ψ and pixel term (None is the one that goes with ψ), and R̃^0."""

RECORDING = "recording"
"""What the recording costs that they share."""


class Attributions:
    """Maps of a batch, (N, 1, H, W) a method and target, made when they are asked for; times and refusals go to ``piece``.

    Args:
        x: (N, C, H, W). targets: class indices (N,) by name, of which those that agree are explained once.
    """

    def __init__(self, network: nn.Module, x: Tensor, targets: dict[str, Tensor], piece: Piece) -> None:
        self.network, self.x, self.targets, self.piece = network, x, targets, piece
        self._shared: BatchExplanation | None = None

    def maps(self, key: str) -> dict[str, Tensor] | None:
        """The method's map for every target, or None where the method does not apply to this network."""
        if key in self.piece.refused:
            return None
        try:
            if key in SHARED and self._shared is None:
                with self.timed(RECORDING):
                    self._shared = TRGBP(self.network).explain_batch(self.x, torch.stack(list(self.targets.values()), 1))
            with self.timed(key):
                return self._from_recording(key) if key in SHARED else self._from_method(key)
        except (NotApplicable, UnsupportedOperation) as error:
            self.piece.refused[key] = str(error)
            return None

    @contextmanager
    def timed(self, key: str) -> Iterator[None]:
        """Add the time that is spent inside to what ``key`` has cost."""
        start = time.perf_counter()
        yield
        devices.synchronise(self.x.device)
        self.piece.seconds[key] = self.piece.seconds.get(key, 0.0) + time.perf_counter() - start

    def _from_recording(self, key: str) -> dict[str, Tensor]:
        shared = self._shared
        assert shared is not None
        variant = SHARED[key]
        maps = shared.guided if variant is None else shared.attribution(*variant)
        return dict(zip(self.targets, maps, strict=True))

    def _from_method(self, key: str) -> dict[str, Tensor]:
        attribute, found = METHODS[key].attribute, dict[str, Tensor]()
        first, *others = self.targets
        found[first] = attribute(self.network, self.x, self.targets[first]).detach()
        for name in others:
            # A picture of the batch that has the same class under both names is explained once.
            other = (self.targets[name] != self.targets[first]).nonzero().squeeze(1)
            found[name] = found[first].clone()
            if len(other):
                found[name][other] = attribute(self.network, self.x[other], self.targets[name][other]).detach()
        return found


def usable(maps: Tensor) -> Tensor:
    """Which maps hold finite numbers only, (N,) bool: the others cannot be measured."""
    return torch.isfinite(maps).flatten(1).all(1)
