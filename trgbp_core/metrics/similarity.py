"""How alike two attribution maps are: Spearman, SSIM and HOG, as in the sanity checks of Adebayo et al. 2018.

All functions take two batches of maps, (N, 1, H, W), compute in float64 and return one number a pair, (N,).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Sign = Literal["abs", "relu"]

SSIM_WINDOW = 7
ORIENTATIONS, CELL, BLOCK = 9, 16, 3


@dataclass(frozen=True)
class Similarity:
    """Three similarities, each (N,), 1 for equal maps. NaN where a map is constant and a correlation does not exist."""

    spearman: Tensor
    ssim: Tensor
    hog: Tensor


def similarity(a: Tensor, b: Tensor, sign: Sign = "abs") -> Similarity:
    """All three between |a| and |b| (``sign="abs"``) or relu(a) and relu(b) (``sign="relu"``), each map scaled to [0, 1].

    Raises:
        ValueError: the maps differ in shape, are smaller than 7×7, or hold NaN or infinite numbers.
    """
    _check(a, b)
    if sign not in ("abs", "relu"):
        raise ValueError(f'sign is "abs" or "relu", not {sign!r}.')
    a, b = (unit_range(m.abs() if sign == "abs" else m.relu()) for m in (a, b))
    return Similarity(spearman(a, b), ssim(a, b), hog_similarity(a, b, cell=min(CELL, min(a.shape[2:]) // BLOCK)))


def unit_range(maps: Tensor) -> Tensor:
    """Each map scaled to [0, 1] by its minimum and maximum, float64; a constant map becomes zero."""
    maps = maps.double()
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    return torch.where(high > low, (maps - low) / (high - low), 0)


def ranks(values: Tensor) -> Tensor:
    """Ranks 1 … n of a vector, float64; equal values share the mean of their ranks."""
    numbers = values.detach().cpu().to(torch.promote_types(values.dtype, torch.float32)).numpy()
    _, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    return torch.from_numpy((counts.cumsum() - (counts - 1) / 2)[place.reshape(-1)]).to(values.device)


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's correlation along the last dimension; NaN where a side is constant."""
    a, b = (v.double() - v.double().mean(-1, keepdim=True) for v in (a, b))
    return (a * b).sum(-1) / (a.square().sum(-1).sqrt() * b.square().sum(-1).sqrt())


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's rank correlation over the pixels, (N,): Pearson's correlation of the ranks. NaN where a map is constant."""
    _check(a, b)
    rank = [torch.stack([ranks(m) for m in maps.flatten(1)]) for maps in (a, b)]
    return pearson(*rank)


def ssim(a: Tensor, b: Tensor, *, data_range: float = 1.0) -> Tensor:
    """The structural similarity index (Wang et al. 2004, Eq. 13), (N,): the mean over all 7×7 windows that lie inside the map.

    Uniform windows, sample covariances, K1 = 0.01, K2 = 0.03: scikit-image's defaults.

    Args:
        data_range: the largest difference that values may have, 1 for maps in [0, 1].

    Raises:
        ValueError: the maps are smaller than 7×7.
    """
    _check(a, b)
    return Windows(a).ssim(Windows(b), data_range=data_range)


class Windows:
    """Maps (N, 1, H, W) with the means and variances of their 7×7 windows, for whoever compares one with many; see :func:`ssim`."""

    SAMPLE = SSIM_WINDOW**2 / (SSIM_WINDOW**2 - 1)

    def __init__(self, maps: Tensor) -> None:
        if min(maps.shape[2:]) < SSIM_WINDOW:
            raise ValueError(f"SSIM compares windows of {SSIM_WINDOW}×{SSIM_WINDOW} pixels; the maps have only {_size(maps)}.")
        self.maps = maps.double()
        self.mean = self._mean(self.maps)
        self.variance = self.SAMPLE * (self._mean(self.maps * self.maps) - self.mean**2)

    def ssim(self, other: Windows, *, data_range: float = 1.0) -> Tensor:
        c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
        covariance = self.SAMPLE * (self._mean(self.maps * other.maps) - self.mean * other.mean)
        index = (2 * self.mean * other.mean + c1) * (2 * covariance + c2)
        return (index / ((self.mean**2 + other.mean**2 + c1) * (self.variance + other.variance + c2))).mean((1, 2, 3))

    @staticmethod
    def _mean(maps: Tensor) -> Tensor:
        # Seven maps added, twice, take a fifth of the time of avg_pool2d in float64.
        for axis in (-2, -1):
            count = maps.shape[axis] - SSIM_WINDOW + 1
            maps = functools.reduce(torch.add, (maps.narrow(axis, shift, count) for shift in range(SSIM_WINDOW)))
        return maps / SSIM_WINDOW**2


def hog(maps: Tensor, *, cell: int = CELL) -> Tensor:
    """Histograms of oriented gradients (Dalal & Triggs 2005), (N, features).

    Central differences, 9 unsigned orientations, cells of ``cell`` pixels, blocks of 3×3 cells, L2-Hys: Adebayo et al.'s choice.

    Raises:
        ValueError: the maps hold fewer than 3×3 cells.
    """
    if cell < 1 or min(maps.shape[2:]) < BLOCK * cell:
        raise ValueError(
            f"HOG needs {BLOCK}×{BLOCK} cells of at least one pixel; {_size(maps)} maps do not hold them at {cell} pixels a cell."
        )
    maps = maps.double()[:, 0]
    down, right = torch.zeros_like(maps), torch.zeros_like(maps)
    down[:, 1:-1] = maps[:, 2:] - maps[:, :-2]
    right[:, :, 1:-1] = maps[:, :, 2:] - maps[:, :, :-2]
    angle = torch.atan2(down, right) * (180 / math.pi) % 180
    votes = F.one_hot((angle * (ORIENTATIONS / 180)).long().clamp(max=ORIENTATIONS - 1), ORIENTATIONS) * torch.hypot(down, right)[..., None]
    cells = F.avg_pool2d(votes.movedim(-1, 1), cell)
    blocks = cells.unfold(2, BLOCK, 1).unfold(3, BLOCK, 1).movedim(1, -1).flatten(3)
    clipped = (blocks / _length(blocks)).clamp(max=0.2)
    return (clipped / _length(clipped)).flatten(1)


def hog_similarity(a: Tensor, b: Tensor, *, cell: int = CELL) -> Tensor:
    """Pearson's correlation of the two maps' :func:`hog`, (N,) (Adebayo et al. 2018, Section 4). NaN where a map is constant."""
    _check(a, b)
    return pearson(hog(a, cell=cell), hog(b, cell=cell))


def _length(blocks: Tensor) -> Tensor:
    return (blocks.square().sum(-1, keepdim=True) + 1e-10).sqrt()


def _size(maps: Tensor) -> str:
    return f"{maps.shape[2]}×{maps.shape[3]}"


def _check(a: Tensor, b: Tensor) -> None:
    if a.dim() != 4 or a.shape[1] != 1 or a.shape != b.shape:
        raise ValueError(f"Two batches of maps (N, 1, H, W) of one shape are compared, not {tuple(a.shape)} and {tuple(b.shape)}.")
    if not bool(torch.isfinite(a).all() and torch.isfinite(b).all()):
        raise ValueError("A map holds NaN or infinite numbers.")
