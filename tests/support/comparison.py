"""How far two results are apart."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trgbp_core import Explanation

JUMP = 1e-2
"""How far float32 maps may be apart, of their largest magnitude, where sums were added in another order: by another process's instruction
set, thread count, memory layout or batch. A rectifier's input near its threshold may then lie on its other side, and the guided rule lets a
gradient through or not. ``python -m benchmarks.rounding`` measures it: 3e-3 on the embedded network, from two of its units."""

SAME_FORWARD = 1e-5
"""The same where the forward pass is repeated bit for bit, so that the same rectifiers are open. A backward pass for other classes beside
it sums in another order, and is continuous in that: 1e-7 a sum, and 3e-6 was measured of R_k, a difference of nearly equal maps."""


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
