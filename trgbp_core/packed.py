"""Tensors of zeros and one other value, kept as bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Packed:
    """Zeros and one other ``value`` (of ``dtype``), a bit each, in ``shape``; channels last where the tensor had four dimensions."""

    bits: np.ndarray
    shape: torch.Size
    value: float
    dtype: torch.dtype

    @classmethod
    def of(cls, values: Tensor) -> Packed:
        last = values.movedim(1, -1) if values.dim() == 4 else values
        bits = np.packbits((last > 0).reshape(-1).numpy())
        return cls(bits, last.shape, float(values.max()) if values.numel() else 0.0, values.dtype)

    def unpacked(self) -> Tensor:
        found = torch.from_numpy(np.unpackbits(self.bits, count=self.shape.numel())).view(torch.bool).view(self.shape)
        values = torch.zeros(self.shape, dtype=self.dtype).masked_fill_(found, self.value)
        return values.movedim(-1, 1) if len(self.shape) == 4 else values

    @property
    def nbytes(self) -> int:
        return self.bits.nbytes
