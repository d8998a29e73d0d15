"""Random tensors, and how far two results are apart."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(ours: Tensor | float, theirs: Tensor | np.ndarray | float | list[float], what: str, tolerance: float = 1e-12) -> None:
    """The default tolerance is float64's, for sums in another order."""
    difference = float((torch.as_tensor(ours, dtype=torch.float64) - torch.as_tensor(theirs, dtype=torch.float64)).abs().max())
    print(f"{what}: largest difference {difference:.1e}")
    assert difference < tolerance
