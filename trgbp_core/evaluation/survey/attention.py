"""Attention: where in a picture a map lies, as shares that add up to one, and numbers about such shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ...data.imagenet import Box

Array = npt.NDArray[np.float64]
SIDE = 16
"""Cells of an attention in a row and in a column."""

RIM, CORNER, SQUARE = 3, 4, 5
"""How many cells wide the frame is, and how many a corner and a small place (less than 1/8 of the picture) are."""

CORNERS = ("upper left", "upper right", "lower left", "lower right")


def attention(maps: Tensor) -> Array:
    """The positive part of each map, pooled to 16×16 cells and divided by its sum, (N, 16, 16).

    Args:
        maps: (N, 1, H, W). One without a positive part gives zeros, one with a number that is not finite gives NaN.
    """
    pooled = F.adaptive_avg_pool2d(maps.detach().double().relu(), SIDE)[:, 0]
    total = pooled.sum((1, 2), keepdim=True)
    shares = torch.where(total > 0, pooled / total, torch.zeros_like(pooled))
    shares[~torch.isfinite(maps).flatten(1).all(1)] = float("nan")
    return shares.cpu().numpy()


def colours(picture: Image.Image) -> list[int]:
    """The mean colour of each of the 16×16 cells of an RGB picture, rows first: 768 numbers."""
    return np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)).flatten().tolist()


def frame(shares: Array) -> float:
    """How much of an attention (16, 16) lies in the outer three cells."""
    return float(shares.sum() - shares[RIM:-RIM, RIM:-RIM].sum())


def corner(shares: Array) -> tuple[str, float]:
    """The corner (4×4 cells) that holds most of an attention, and how much that is."""
    near, far = slice(None, CORNER), slice(-CORNER, None)
    parts = [float(shares[rows, columns].sum()) for rows in (near, far) for columns in (near, far)]
    most = int(np.argmax(parts))
    return CORNERS[most], parts[most]


def core(shares: Array) -> npt.NDArray[np.bool_]:
    """The fewest cells that hold half of an attention, (16, 16) bool."""
    order = np.argsort(shares, axis=None, kind="stable")[::-1]
    needed = int(np.searchsorted(shares.flat[order].cumsum(), shares.sum() / 2)) + 1
    inside = np.zeros(shares.size, bool)
    inside[order[:needed]] = True
    return inside.reshape(shares.shape)


def square(shares: Array) -> npt.NDArray[np.bool_]:
    """The square of :data:`SQUARE` cells a side that holds most of an attention, (16, 16) bool."""
    sums = np.lib.stride_tricks.sliding_window_view(shares, (SQUARE, SQUARE)).sum((2, 3))
    top, left = np.unravel_index(sums.argmax(), sums.shape)
    cells = np.zeros(shares.shape, bool)
    cells[top : top + SQUARE, left : left + SQUARE] = True
    return cells


def inside(shares: Array, boxes: Sequence[Box]) -> float:
    """How much of an attention lies in boxes (left, top, right, bottom in fractions); cells that a box cuts count by their part in it."""
    if not boxes:
        return float("nan")
    edges = np.arange(SIDE + 1) / SIDE
    covered = np.zeros_like(shares)
    for left, top, right, bottom in boxes:
        across = (np.minimum(edges[1:], right) - np.maximum(edges[:-1], left)).clip(0) * SIDE
        down = (np.minimum(edges[1:], bottom) - np.maximum(edges[:-1], top)).clip(0) * SIDE
        covered = np.maximum(covered, np.outer(down, across))
    return float((shares * covered).sum())
