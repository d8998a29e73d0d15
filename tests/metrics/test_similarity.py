"""Similarities of maps against scipy and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import skimage.feature
import skimage.metrics
import torch
from torch import Tensor

from trgbp_core.metrics.perturbation import blurred
from trgbp_core.metrics.similarity import hog, hog_similarity, ranks, similarity, spearman, ssim, unit_range

from ..support.comparison import close
from ..support.nets import picture as random


@pytest.fixture(scope="module")
def alike() -> tuple[Tensor, Tensor]:
    """Two batches of smooth maps in [0, 1], from hardly to nearly the same, with flat regions (many equal values)."""
    a = unit_range(blurred(random(5, 1, 64, 80)).relu())
    share = torch.linspace(0.1, 0.95, 5, dtype=torch.float64).view(5, 1, 1, 1)
    return a, unit_range((share * a + (1 - share) * unit_range(blurred(random(5, 1, 64, 80, seed=1)))).relu())


def test_spearman_equals_scipy(alike: tuple[Tensor, Tensor]) -> None:
    theirs = [scipy.stats.spearmanr(p.flatten(), q.flatten()).statistic for p, q in zip(*alike, strict=True)]
    assert max(theirs) - min(theirs) > 0.3
    close(spearman(*alike), theirs, "Spearman")


def test_ranks_equal_scipy() -> None:
    values = random(1000).round()
    close(ranks(values), scipy.stats.rankdata(values), "ranks")


def test_ssim_equals_scikit_image(alike: tuple[Tensor, Tensor]) -> None:
    theirs = [skimage.metrics.structural_similarity(p[0].numpy(), q[0].numpy(), data_range=1.0) for p, q in zip(*alike, strict=True)]
    assert max(theirs) - min(theirs) > 0.3
    close(ssim(*alike), theirs, "SSIM", 1e-10)  # variances are differences of means, in another order of summation


@pytest.mark.parametrize("cell", [16, 10])
def test_hog_equals_scikit_image(alike: tuple[Tensor, Tensor], cell: int) -> None:
    a, b = alike
    theirs = [[skimage.feature.hog(m[0].numpy(), pixels_per_cell=(cell, cell)) for m in maps] for maps in (a, b)]
    # scikit-image sums a cell in float32.
    close(hog(a, cell=cell), np.stack(theirs[0]), "HOG", 1e-5)
    correlation = [scipy.stats.pearsonr(p, q).statistic for p, q in zip(*theirs, strict=True)]
    assert max(correlation) - min(correlation) > 0.3
    close(hog_similarity(a, b, cell=cell), correlation, "HOG similarity", 1e-5)


@pytest.mark.parametrize("sign", ["abs", "relu"])
def test_similarity_compares_maps_scaled_to_one(sign: str) -> None:
    a, b = random(3, 1, 64, 64), random(3, 1, 64, 64, seed=1) + random(3, 1, 64, 64)
    p, q = (unit_range(m.abs() if sign == "abs" else m.clamp(min=0)) for m in (a, b))
    result = similarity(a * 7, b * 0.01, sign)
    close(result.spearman, spearman(p, q), "Spearman")
    close(result.ssim, ssim(p, q), "SSIM")
    close(result.hog, hog_similarity(p, q), "HOG")


def test_a_map_is_like_itself_and_an_empty_one_like_none() -> None:
    a = random(1, 1, 50, 60)
    same = similarity(a, a.clone())
    for value in (same.spearman, same.ssim, same.hog):
        close(value, 1.0, "with itself")
    empty = similarity(a, torch.zeros_like(a))
    assert empty.spearman.isnan()
    assert empty.hog.isnan()
    assert 0 <= float(empty.ssim) < 0.1


def test_similarity_works_on_small_maps_and_says_when_they_are_too_small() -> None:
    assert similarity(random(1, 1, 32, 32), random(1, 1, 32, 32, seed=1)).hog.isfinite()
    with pytest.raises(ValueError, match="7×7"):
        ssim(random(1, 1, 6, 32), random(1, 1, 6, 32))
    with pytest.raises(ValueError, match="one shape"):
        similarity(random(1, 1, 32, 32), random(1, 1, 32, 31))
