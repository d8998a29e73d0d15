"""What became of the predictions for randomised weights: fully randomised networks are drawn, explained and compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .cascade import randomised
from .noise import Spread, redrawn
from .predictability import Coverage, cosine, coverage, predicted_sum
from .similarity import pearson, ranks
from .trgbp import TRGBP


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

    def spread(self, layer: int) -> Spread:
        """Mean, standard error and noise of layer ``layer`` (0-based), of two draws or more."""
        return redrawn(self.maps[layer])


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
class Verdict:
    """How well the predictions for randomised weights came true.

    Attributes:
        cosines: of each layer's mean map with its prediction. uniform: with a uniform map. expected: what theory expects of as many draws.
        noise: the measured share of noise of each layer. total, total_uniform: cosine of the sum over layers.
        by_moments, by_rule: rank correlation of the measured noise with the predicted ε, and with √(p/N).
    """

    cosines: tuple[float, ...]
    uniform: tuple[float, ...]
    expected: tuple[float, ...]
    noise: tuple[float, ...]
    total: float
    total_uniform: float
    by_moments: float
    by_rule: float


def verdict(predicted: Sequence[Coverage], draws: Draws) -> Verdict:
    """Compare two draws or more with what was predicted."""
    spreads = [draws.spread(i) for i in range(len(predicted))]
    noise = [s.share for s in spreads]
    total = draws.total.double().mean(0, keepdim=True)
    size = (total.shape[2], total.shape[3])
    return Verdict(
        cosines=tuple(cosine(s.mean, c.map) for s, c in zip(spreads, predicted, strict=True)),
        uniform=tuple(cosine(s.mean, torch.ones_like(s.mean)) for s in spreads),
        expected=tuple(c.expected_cosine(draws.count) for c in predicted),
        noise=tuple(noise),
        total=cosine(total, predicted_sum(predicted, size)),
        total_uniform=cosine(total, torch.ones_like(total)),
        by_moments=rank_correlation([c.noise for c in predicted], noise),
        by_rule=rank_correlation([c.rule for c in predicted], noise),
    )


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
