"""What the tape notes of a forward pass."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .backward import Affine
from .geometry import Pair, Window


@dataclass(frozen=True)
class LayerRecord:
    """A bias-carrying layer as the forward pass met it. ``tap`` is the leaf whose gradient is the layer's bias map."""

    name: str
    kind: str
    affine: Affine
    window: Window
    tap: Tensor | None
    has_bias: bool
    filters: int
    taps: int


@dataclass
class Origin:
    """Where a tensor comes from, as far as the next operation may need to know."""

    layers: tuple[int, ...] = ()
    source: Tensor | None = None
    padding: tuple[int, int, int, int] | None = None
    flattened: Pair | None = None
