"""The predictions for randomised weights compared with measurements: fully randomised networks are drawn and explained."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..metrics.similarity import pearson, ranks
from ..sanity.cascade import randomised
from ..trgbp.explainer import TRGBP
from .coverage import Coverage, cosine, coverage, predicted_sum
from .layer_noise import redrawn


@dataclass(frozen=True)
class Draws:
    """R̃^l of fully randomised networks, draw after draw.

    Attributes:
        maps: for each layer l = 1..L, (n, 1, h, w). total: R̃ without R̃^0 (paper's ψ), (n, 1, H, W).
    """

    maps: tuple[Tensor, ...]
    total: Tensor

    @property
    def count(self) -> int:
        return len(self.total)


def draw(network: nn.Module, x: Tensor, k: int, *, seeds: int, first: int = 0) -> Iterator[Draws]:
    """Randomise fully, explain class ``k`` of ``x`` (1, C, H, W), and yield all draws so far after each one.

    Args:
        seeds: how many draws. first: the first seed; the others follow it.
    """
    maps: list[list[Tensor]] = []
    totals: list[Tensor] = []
    for seed in range(first, first + seeds):
        e = TRGBP(randomised(network, seed=seed, x=x)).explain(x, [k])
        maps.append([e.layer_raw(layer.index, k) for layer in e.layers])
        totals.append(e.raw(k) - e.layer_raw(0, k))
        yield Draws(tuple(torch.cat(of_layer) for of_layer in zip(*maps, strict=True)), torch.cat(totals))


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rank correlation of two lists of numbers (∞ ranks above all); NaN where one of them is constant."""
    first, second = (ranks(torch.tensor(v, dtype=torch.float64)) for v in (a, b))
    return float(pearson(first, second))


@dataclass(frozen=True)
class LayerVerdict:
    """One layer: its prediction and its measurement.

    Attributes:
        cosine: of the mean map with its prediction. uniform: with a uniform map. expected: what theory expects of as many draws.
        noise: the measured share of noise in a draw, 0 to 1 (:attr:`.DrawnNoise.share`).
        predicted: the ε that moments predict. rule: √(p/N).
    """

    name: str
    rectified: bool
    cosine: float
    uniform: float
    expected: float
    noise: float
    predicted: float
    rule: float


@dataclass(frozen=True)
class Verdict:
    """How well the predictions for randomised weights agree with the measurements.

    Attributes:
        layers: one by one. total, total_uniform: cosine of the mean of Σ_l ψ(R̃^l) with its prediction, and with a uniform map.
    """

    layers: tuple[LayerVerdict, ...]
    total: float
    total_uniform: float

    def of(self, rectified: bool | None = None) -> list[LayerVerdict]:
        """All layers, those that a rectifier follows, or those that none does."""
        return [layer for layer in self.layers if rectified is None or layer.rectified is rectified]

    def correlation(self, by: Literal["predicted", "rule"], rectified: bool | None = None) -> float:
        """The rank correlation of the measured noise with a prediction of it; NaN for fewer than three layers."""
        layers = self.of(rectified)
        if len(layers) < 3:
            return math.nan
        return rank_correlation([getattr(layer, by) for layer in layers], [layer.noise for layer in layers])

    def median(self, of: Literal["cosine", "uniform", "expected"] = "cosine", rectified: bool | None = None) -> float:
        """The median over layers; NaN where there are none."""
        values = [getattr(layer, of) for layer in self.of(rectified)]
        return statistics.median(values) if values else math.nan


def verdict(predicted: Sequence[Coverage], draws: Draws) -> Verdict:
    """Compare two draws or more with what was predicted."""
    layers = []
    for c, maps in zip(predicted, draws.maps, strict=True):
        drawn = redrawn(maps)
        uniform = cosine(drawn.mean, torch.ones_like(drawn.mean))
        expected = c.expected_cosine(draws.count)
        layers.append(LayerVerdict(c.name, c.rectified, cosine(drawn.mean, c.map), uniform, expected, drawn.share, c.noise, c.rule))
    total = draws.total.double().mean(0, keepdim=True)
    size = (total.shape[2], total.shape[3])
    return Verdict(tuple(layers), cosine(total, predicted_sum(predicted, size)), cosine(total, torch.ones_like(total)))


def sanity_table(network: nn.Module, x: Tensor, k: int, *, seeds: int = 5) -> str:
    """R̃ (without R̃^0) of the fully randomised network, mean of ``seeds`` draws, against its prediction and a uniform map.

    Args:
        x: (1, C, H, W). k: the class that is explained.
    """
    predicted = predicted_sum(coverage(network, x.shape), (x.shape[2], x.shape[3]))
    *_, draws = draw(network, x, k, seeds=seeds)
    mean = draws.total.mean(0, keepdim=True)
    lines = ["| seeds | cosine with the predicted map | cosine with a uniform map |", "|---:|---:|---:|"]
    lines.append(f"| {seeds} | {cosine(mean, predicted):.4f} | {cosine(mean, torch.ones_like(mean)):.4f} |")
    return "\n".join(lines)
