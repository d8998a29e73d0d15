"""A coarse grid over maps that are smooth inside and change at their borders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Rows and columns at which moments are computed: all near the border, few inside, where maps are smooth."""

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
