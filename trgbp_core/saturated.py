"""The saturated units of a rectifier with a ceiling (ReLU6), whose constant is a bias too: it is heard wherever they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Saturated:
    """The units of one forward pass that reached ``ceiling``. Few do, so that they are kept, and gathered, one by one.

    Attributes:
        units: (n,), their indices in the rectifier's output (N, C, ...) taken channels last. places: (n,), those of their places in
            the pictures' maps.
        pictures: N. map_size: (h, w) of a map, (1, 1) where there is none.
        ceiling: the constant.
    """

    units: Tensor
    places: Tensor
    pictures: int
    map_size: tuple[int, int]
    ceiling: float

    @classmethod
    def of(cls, out: Tensor, ceiling: float) -> Saturated:
        """Those of a rectifier whose output is ``out``, (N, C, ...)."""
        size = (out.shape[2], out.shape[3]) if out.dim() == 4 else (1, 1)
        share_a_place = out.numel() // (len(out) * math.prod(size))
        if out.device.type == "cpu" and out.dtype in (torch.float32, torch.float64):
            # Numpy finds rare units several times faster than torch does.
            last = out.numpy().transpose(0, *range(2, out.dim()), 1)
            found = (last >= ceiling).ravel().nonzero()[0]
            units, places = torch.from_numpy(found), torch.from_numpy(found // share_a_place)
        else:
            units = (out.movedim(1, -1) >= ceiling).flatten().nonzero().squeeze(1)
            places = units // share_a_place
        return cls(units, places, len(out), size, ceiling)

    def __len__(self) -> int:
        return self.units.shape[0]

    @property
    def nbytes(self) -> int:
        return self.units.nbytes + self.places.nbytes

    def voices(self, g: Tensor) -> Tensor:
        """``Σ_c ceiling · 1[z_c ≥ ceiling] · g_c``, (M, 1, h, w), from the gradient ``g`` (M, C, ...) at the rectifier's output.

        M = classes × pictures, picture index fastest.
        """
        rows = _gathered(g, self.pictures, self.units)
        sums = g.new_zeros(len(rows), self.pictures * math.prod(self.map_size))
        sums.scatter_add_(1, self.places.expand_as(rows), rows)
        return sums.mul_(self.ceiling).view(len(g), 1, *self.map_size)


def _gathered(g: Tensor, pictures: int, units: Tensor) -> Tensor:
    """The numbers (K, n) of ``g`` (K × pictures, C, ...) at ``units`` (n,), indices of one class's numbers taken channels last."""
    last, classes = g.movedim(1, -1), len(g) // pictures
    if last.is_contiguous():
        return last.reshape(classes, -1).gather(1, units.expand(classes, -1))  # which torch does three times faster than index_select
    sizes, steps = (pictures, *last.shape[1:]), last.stride()
    # Where they lie in memory; a padding's inner part has gaps behind its rows.
    places, inner = units * steps[-1] if steps[-1] != 1 else units, 1
    for size, step, outer in zip(sizes[:0:-1], steps[:0:-1], steps[-2::-1], strict=True):
        inner *= size
        gap = outer - size * step
        if gap and inner < last[:pictures].numel():
            places = places + units // inner * gap
    span = sum((size - 1) * step for size, step in zip(sizes, steps, strict=True)) + 1
    rows = last.as_strided((classes, span), (pictures * steps[0], 1), last.storage_offset())
    return rows.gather(1, places.expand(classes, -1))
