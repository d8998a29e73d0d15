"""Random tensors, and how far two results are apart."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trgbp_core import Explanation


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(ours: Tensor | float, theirs: Tensor | np.ndarray | float | list[float], what: str, tolerance: float = 1e-12) -> None:
    """The default tolerance is float64's, for sums in another order."""
    difference = float((torch.as_tensor(ours, dtype=torch.float64) - torch.as_tensor(theirs, dtype=torch.float64)).abs().max())
    print(f"{what}: largest difference {difference:.1e}")
    assert difference < tolerance


def completeness_gap(e: Explanation, x: Tensor) -> float:
    """|Σ x·∂f_k/∂x + Σ_l Σ R^l_k − f_k| relative to the sizes of its terms, the largest over the explained classes."""
    gaps = []
    for k in e.classes:
        shares = [(x * e.gradient(k)).sum()] + [e.layer_raw(i, k).sum() for i in range(1, len(e.layers) + 1)]
        scale = max(abs(float(s)) for s in [*shares, e.logits[0, k]])
        gaps.append(abs(float(sum(shares) - e.logits[0, k])) / scale)
    return max(gaps)
