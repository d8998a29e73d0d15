"""Intervals, paired differences and what one indicator adds to another: all of it on numbers, none of it on pictures.

A bootstrap resample (Efron 1979) is a vector of weights: how often each picture was drawn. Every statistic below takes weights, (B, N), so
that methods are compared on the same resamples, pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..metrics.estimate import Estimate

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array], Array]

RESAMPLES = 2000
LEVEL = 0.95
BLOCK = 1 << 20  # numbers of weights at a time: eight megabytes
FOLDS = 5
FEWEST = 20
"""Resampling fewer pictures than this says next to nothing about others: two that happen to agree would give an interval of no width."""


def bootstrap(statistic: Statistic, count: int, seed: int, *, resamples: int = RESAMPLES) -> Array:
    """``statistic`` of every resample of ``count`` pictures.

    Args:
        statistic: weights (B, count) → (B, K).

    Returns:
        (resamples, K); NaN, no interval, for fewer than :data:`FEWEST` pictures.
    """
    if count < FEWEST:
        return np.full((resamples, statistic(np.ones((1, count))).shape[1]), np.nan)
    generator = np.random.default_rng(seed)
    rows = max(1, min(resamples, BLOCK // max(count, 1)))
    results = []
    for start in range(0, resamples, rows):
        weights = np.empty((min(rows, resamples - start), count))
        for row in weights:
            row[:] = np.bincount(generator.integers(0, count, count), minlength=count)
        results.append(statistic(weights))
    return np.concatenate(results)


def estimate(value: float, draws: Array) -> Estimate:
    """A figure with the percentiles of its resamples, (B,); resamples in which it does not exist are left out."""
    finite = draws[np.isfinite(draws)]
    if not np.isfinite(value) or not len(finite):
        return Estimate(float(value), float("nan"), float("nan"))
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value), float(low), float(high))


@dataclass(frozen=True)
class Resampled:
    """Figures of the same pictures.

    Attributes:
        values: (K,). draws: the same of every resample, (B, K). names: of the K figures, for asking by name.
    """

    values: Array
    draws: Array
    names: tuple[str, ...] = ()

    def estimate(self, name: str) -> Estimate:
        index = self.names.index(name)
        return estimate(self.values[index], self.draws[:, index])

    def estimates(self) -> list[Estimate]:
        return [estimate(value, draws) for value, draws in zip(self.values, self.draws.T, strict=True)]

    def difference(self, name: str, other: str) -> Estimate:
        """The first minus the other, resample by resample: the interval is that of the difference on the same pictures."""
        a, b = self.names.index(name), self.names.index(other)
        return estimate(self.values[a] - self.values[b], self.draws[:, a] - self.draws[:, b])


def resampled(statistic: Statistic, count: int, seed: int, names: Sequence[str] = ()) -> Resampled:
    """A statistic (B, ``count``) → (B, K) of ``count`` pictures and of their resamples."""
    return Resampled(statistic(np.ones((1, count)))[0], bootstrap(statistic, count, seed), tuple(names))


def means(values: Array) -> Statistic:
    """Weighted means of K columns of values (N, K); a NaN belongs to no mean."""
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)

    def statistic(weights: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return (weights @ filled) / (weights @ known)

    return statistic


def auc(values: Array, positive: npt.NDArray[np.bool_], *, drop: float = 0.0) -> Statistic:
    """The ROC AUC of ``values`` (N,) against ``positive`` (N,), without the share ``drop`` of the smallest values: (B, N) → (B, 1).

    With weights of 1 it equals :func:`trgbp_core.metrics.localisation.boundary_auc` (``drop`` = 1/2 is the paper's protocol, Table 2).
    """
    order = np.argsort(values, kind="stable")
    ordered, label = values[order], positive[order].astype(np.float64)
    starts = np.flatnonzero(np.r_[True, np.diff(ordered) != 0]) if len(ordered) else np.zeros(0, np.int64)

    def statistic(weights: Array) -> Array:
        weights = weights[:, order]
        total = np.cumsum(weights, axis=1)
        kept = np.clip(total - np.floor(drop * total[:, -1:]), 0, weights)
        # Pictures of one value are one group: among themselves they count half.
        wrong = np.add.reduceat(kept * label, starts, axis=1)
        right = np.add.reduceat(kept * (1 - label), starts, axis=1)
        below = np.cumsum(right, axis=1) - right
        pairs = wrong.sum(1) * right.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(((wrong * (below + right / 2)).sum(1) / pairs)[:, None])

    return statistic


def joined(*statistics: Statistic) -> Statistic:
    """Several statistics of the same resamples, side by side."""
    return lambda weights: np.concatenate([statistic(weights) for statistic in statistics], axis=1)


def logistic_regression(features: Array, positive: npt.NDArray[np.bool_], *, penalty: float = 1.0, steps: int = 100) -> Array:
    """Coefficients (intercept first) that minimise ``Σ log-loss + penalty/2 · |w|²``, the intercept free: Newton's method.

    Args:
        features: (N, K), of about unit size.
    """
    x = np.column_stack([np.ones(len(features)), features])
    y, ridge = positive.astype(np.float64), penalty * np.diag(np.r_[0.0, np.ones(features.shape[1])])
    weights = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - y) + ridge @ weights
        change = np.linalg.solve((x.T * (p * (1 - p))) @ x + ridge, gradient)
        weights = weights - change
        if np.abs(change).max() < 1e-10:
            break
    return weights


def cross_validated(features: Array, positive: npt.NDArray[np.bool_], seed: int) -> Array:
    """The log odds that a logistic regression gives each picture which was fitted on the other four fifths, (N,).

    Each fold has its share of both kinds; features are standardised by what the fit has seen.

    Returns:
        NaN everywhere where one kind has fewer members than there are folds.
    """
    if min(positive.sum(), (~positive).sum()) < FOLDS:
        return np.full(len(positive), np.nan)
    generator, fold = np.random.default_rng(seed), np.empty(len(positive), np.int64)
    for kind in (positive, ~positive):
        fold[generator.permutation(np.flatnonzero(kind))] = np.arange(kind.sum()) % FOLDS
    odds = np.empty(len(positive))
    for k in range(FOLDS):
        seen = fold != k
        mean, spread = features[seen].mean(0), features[seen].std(0)
        scaled = (features - mean) / np.where(spread > 0, spread, 1)
        weights = logistic_regression(scaled[seen], positive[seen])
        odds[~seen] = weights[0] + scaled[~seen] @ weights[1:]
    return odds


def repeated_sample(values: Array, sample: int, repeats: int, seed: int) -> tuple[float, float]:
    """The mean and standard deviation over ``repeats`` of the mean of ``sample`` random values (appendix C), drawn without replacement.

    Returns:
        the standard deviation is NaN where there are no more than ``sample`` values: every repeat then takes them all.
    """
    if len(values) <= sample:
        return float(values.mean()) if len(values) else float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    drawn = [values[generator.choice(len(values), sample, replace=False)].mean() for _ in range(repeats)]
    return float(np.mean(drawn)), float(np.std(drawn, ddof=1)) if repeats > 1 else float("nan")
