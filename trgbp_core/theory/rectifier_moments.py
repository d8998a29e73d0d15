"""Moments at a rectifier, for the prediction of randomised networks.

A rectifier's input z is Gaussian there, and so is the guided gradient that arrives at its output y = min(max(z, 0), ceiling):
``g = slope·y + offset + √variance·ξ``. The slope is the reconstruction of Theorem 1: g depends on y because the filters whose gates y
opened are those that point along y. What the rectifier lets through is ``h = relu(g)·1[0 < z < ceiling]``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_WIDTH = 6.0  # standard deviations beyond which a Gaussian counts as zero
_NODES = [(float(x), float(w)) for x, w in zip(*np.polynomial.legendre.leggauss(8), strict=True)]


@dataclass(frozen=True)
class Grid:
    """Rows and columns of a map at which moments are computed: all near the border, few inside, where maps are smooth."""

    size: tuple[int, ...]

    @classmethod
    def of(cls, m: Tensor) -> Grid:
        return cls(tuple(m.shape[2:]))

    def shrink(self, m: Tensor) -> Tensor:
        """(..., h, w) at the grid's rows and columns; anything that is not a map stays."""
        if len(self.size) != 2:
            return m
        rows, columns = (_axis(n)[0].to(m.device) for n in self.size)
        return m[..., rows, :][..., columns]

    def grow(self, m: Tensor) -> Tensor:
        """Back to the whole map."""
        if len(self.size) != 2:
            return m
        rows, columns = (_axis(n)[1].to(m) for n in self.size)
        return rows @ m @ columns.T


@lru_cache(maxsize=256)
def _axis(length: int, edge: int = 3, inside: int = 4) -> tuple[Tensor, Tensor]:
    """Positions along an axis, and the matrix (length, positions) that interpolates between them."""
    if length <= 2 * edge + inside:
        return torch.arange(length), torch.eye(length)
    inner = np.linspace(edge, length - 1 - edge, inside).round().astype(int)
    positions = np.unique(np.concatenate([np.arange(edge), inner, np.arange(length - edge, length)]))
    matrix = np.stack([np.interp(np.arange(length), positions, row) for row in np.eye(len(positions))], 1)
    return torch.from_numpy(positions), torch.from_numpy(matrix).float()


def _density(u: Tensor) -> Tensor:
    return torch.exp(-0.5 * u * u) / math.sqrt(2 * math.pi)


def clipped(mean: Tensor, std: Tensor, ceiling: float) -> tuple[Tensor, Tensor, Tensor]:
    """``E[y]``, ``E[y²]`` and ``P(z ≥ ceiling)`` for ``y = min(max(z, 0), ceiling)``, z ~ N(mean, std²)."""
    low = -mean / std
    high = torch.full_like(low, 40.0) if math.isinf(ceiling) else (ceiling - mean) / std
    between = torch.special.ndtr(-low) - torch.special.ndtr(-high)
    at_low, at_high = _density(low), _density(high)
    first = mean * between + std * (at_low - at_high)
    second = (mean**2 + std**2) * between + 2 * mean * std * (at_low - at_high) + std**2 * (low * at_low - high * at_high)
    saturated = torch.special.ndtr(-high)
    if not math.isinf(ceiling):
        first, second = first + ceiling * saturated, second + ceiling**2 * saturated
    return first, second, saturated


@dataclass(frozen=True)
class Arriving:
    """A guided gradient at a tensor y: ``slope·y + offset + √variance·ξ``; each (1, C, ...)."""

    slope: Tensor
    offset: Tensor
    variance: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> Arriving:
        """From a gradient's three rows, (3, C, ...)."""
        return cls(rows[0:1], rows[1:2], rows[2:3])

    def at(self, y: float) -> Tensor:
        """Its mean at y."""
        return self.slope * y + self.offset


def saturated(mean: Tensor, std: Tensor, ceiling: float, g: Arriving) -> tuple[Tensor, Tensor]:
    """Mean and mean square of what the constant of saturated units contributes, ``ceiling·g`` where z ≥ ceiling."""
    share, at = clipped(mean, std, ceiling)[2], g.at(ceiling)
    return share * ceiling * at, share * ceiling**2 * (g.variance + at**2)


def levelled(g: Tensor, grid: Grid) -> tuple[Tensor, Tensor, Arriving]:
    """A gradient's rows (3, C, ...) as its deviation, at every place; its mean variance around each place, on ``grid``; and the gradient in
    units of its deviation, on ``grid``.

    Strides leave a pattern on the deviation, down to zeros; the rest is smooth, and what a rectifier lets through is homogeneous in g.
    """
    rows = Arriving.of(g)
    variance = rows.variance.clamp_min(0)
    deviation = variance.sqrt()
    energy = _around(variance).clamp_min(torch.finfo(g.dtype).tiny)
    lean, shift = (grid.shrink(_around(part * deviation) / energy) for part in (rows.slope, rows.offset))
    return deviation, grid.shrink(energy), Arriving(lean, shift, torch.ones((), dtype=g.dtype, device=g.device))


def _around(m: Tensor) -> Tensor:
    return F.avg_pool2d(m, 3, 1, 1, count_include_pad=False) if m.dim() == 4 else m


@dataclass(frozen=True)
class Passed:
    """Moments of ``h = relu(g)·1[0 < z < ceiling]``: E[h], E[h·(z − mean)/std] and E[h²]; ``open``: P(0 < z < ceiling)."""

    first: Tensor
    tilted: Tensor
    second: Tensor
    open: Tensor


def passed(mean: Tensor, std: Tensor, ceiling: float, g: Arriving) -> Passed:
    """What a rectifier lets through of ``g``, for z ~ N(mean, std²); over ξ in closed form, over z by Gauss and Legendre's rule."""
    low = (-mean / std).clamp(-_WIDTH, _WIDTH)
    high = torch.full_like(low, _WIDTH) if math.isinf(ceiling) else ((ceiling - mean) / std).clamp(-_WIDTH, _WIDTH)
    half, middle = (high - low) / 2, (high + low) / 2
    noise = g.variance.sqrt()
    first = tilted = second = torch.zeros(())
    for node, weight in _NODES:
        u = middle + half * node
        share = _density(u) * half * weight
        centre = g.slope * (mean + std * u) + g.offset
        ratio = centre / noise
        relu = centre * torch.special.ndtr(ratio) + noise * _density(ratio)
        first = first + share * relu
        tilted = tilted + share * relu * u
        second = second + share * (centre * relu + noise**2 * torch.special.ndtr(ratio))
    return Passed(first, tilted, second, torch.special.ndtr(high) - torch.special.ndtr(low))
