"""How alike two maps are: Spearman's rank correlation and SSIM, as in Adebayo et al. 2018."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def spearman(a: Tensor, b: Tensor) -> float:
    """Spearman's rank correlation of two maps of one shape; ties share their mean rank; 0 where a map is constant."""
    x, y = _ranks(a), _ranks(b)
    x, y = x - x.mean(), y - y.mean()
    norm = x.norm() * y.norm()
    return float((x @ y) / norm) if norm > 0 else 0.0


def _ranks(map: Tensor) -> Tensor:
    _, inverse, counts = map.detach().flatten().double().unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts.double() - 1) / 2)[inverse]


def ssim(a: Tensor, b: Tensor, *, window: int = 7) -> float:
    """Mean structural similarity (Wang et al. 2004) of two maps (..., H, W), each scaled to a maximum of 1; uniform window."""
    x, y = (m.detach().double().reshape(1, 1, *m.shape[-2:]) for m in (a, b))
    x, y = (m / m.abs().max().clamp_min(torch.finfo(torch.float64).tiny) for m in (x, y))
    mean_x, mean_y = F.avg_pool2d(x, window, 1), F.avg_pool2d(y, window, 1)
    unbiased = window**2 / (window**2 - 1)
    var_x = unbiased * (F.avg_pool2d(x * x, window, 1) - mean_x**2)
    var_y = unbiased * (F.avg_pool2d(y * y, window, 1) - mean_y**2)
    cov = unbiased * (F.avg_pool2d(x * y, window, 1) - mean_x * mean_y)
    c1, c2 = 0.01**2, 0.03**2
    return float((((2 * mean_x * mean_y + c1) * (2 * cov + c2)) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())
