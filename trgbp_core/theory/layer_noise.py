"""How noisy a layer's map is: two estimators of ε, the noise's strength over the signal's, as a ratio of root mean squares.

Both answer Section 4.2's first question where it can be answered. Where weights are drawn, noise is what another draw changes
(:func:`redrawn`). A trained network is drawn once; there noise is what a map has at the finest scale (:func:`finest_scale`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..engine.geometry import Window, axis_taps


@dataclass(frozen=True)
class DrawnNoise:
    """What several draws of one map show.

    Attributes:
        mean: (1, 1, h, w).
        noise: ε, spread of a single draw over the strength of the expected map. share: ε²/(1 + ε²), the noise's share of a draw's energy.
    """

    mean: Tensor
    noise: float
    share: float


def redrawn(draws: Tensor) -> DrawnNoise:
    """The noise of maps whose weights were drawn anew each time.

    The variance over draws is the noise's energy V without bias. The mean of n draws still holds V/n of it, so that the signal's energy is
    ``mean(m²) − V/n``. Where that is not positive, the signal is too weak for so few draws: ε is ∞ and the noise's share 1. This is the
    statement of Theorem 1 itself, whose ε is the distance of a mean over filters from its expectation.

    Args:
        draws: (n, 1, h, w), n ≥ 2.

    Raises:
        ValueError: fewer than two draws, which have no spread.
    """
    if draws.dim() != 4 or len(draws) < 2:
        raise ValueError(f"A spread needs two draws or more, (n, 1, h, w); these are {tuple(draws.shape)}.")
    values = draws.double()
    mean, variance = values.mean(0, keepdim=True), values.var(0, keepdim=True)
    noise = float(variance.mean())
    signal = max(0.0, float(mean.square().mean()) - noise / len(draws))
    ratio = math.sqrt(noise / signal) if signal > 0 else math.inf if noise > 0 else 0.0
    return DrawnNoise(mean, ratio, noise / (noise + signal) if noise > 0 else 0.0)


def finest_scale(map: Tensor, window: Window | None = None) -> float:
    """The noise's share of a single map's energy, from what it holds at its finest scale; 0 to 1; NaN where it cannot be estimated: a
    side of fewer than 3 places, or a kernel over the whole map, which leaves no noise that differs from place to place.

    Second differences along both axes are blind to slopes and straight edges (Immerkær 1996), so that their energy is noise, if noise
    differs from place to place. R̃^l has been spread over its kernel (Eq. 8), which smooths white noise by a known amount: the estimate is
    scaled so that white noise at the layer's outputs, spread, reads 1. Noise that neighbours share is counted as signal, and fine texture
    as noise: compare layers, not methods.

    Args:
        map: (1, 1, h, w). window: the layer's, if the map was spread by :func:`geometry.spread`.
    """
    values = map.detach().double()[0, 0]
    if min(values.shape) < 3:
        return math.nan
    energy = float(values.square().sum())
    if energy == 0:
        return 0.0
    differences = [_second_differences(n) for n in values.shape]
    found = float((differences[0] @ values @ differences[1].T).square().sum())
    gain = 1.0
    for axis, difference in enumerate(differences):
        spreading = torch.eye(values.shape[axis], dtype=torch.float64)
        if window is not None:
            taps = axis_taps(window, axis)
            spreading = taps / taps.sum(0)
        gain *= float((difference @ spreading).square().sum() / spreading.square().sum())
    return min(1.0, found / gain / energy) if gain > 1e-12 else math.nan


def _second_differences(length: int) -> Tensor:
    matrix = torch.zeros(length - 2, length, dtype=torch.float64)
    rows = torch.arange(length - 2)
    for offset, value in ((0, 1.0), (1, -2.0), (2, 1.0)):
        matrix[rows, rows + offset] = value
    return matrix
