"""A layer whose weights are drawn at random: the variance of its outputs, of its bias, and of the gradient at its inputs.

The weights of a randomised layer are drawn from N(0, r²), a batch norm's γ and β likewise; its running statistics are kept. Given γ, the
layer's output z is Gaussian. Gaussian integration by parts (Stein's lemma) turns the moments of what the rectifier behind it lets
through, h (:mod:`.rectifier_moments`), into everything else:

- ``E[w h] = r² x E[∂h/∂z]``: the slope at the layer's input x (Theorem 1 for one layer of many);
- ``E[b' h] = Var(b') E[∂h/∂z]``: the same for the map of ones (Eq. 8), the expected R̃^l;
- ``E[∂h/∂z] = Cov(z, h) / Var(z)``, which needs no derivative.

The gradient at x sums over filters. It is Gaussian given their h, with the variance r²·S, S = Σ h²; where few filters contribute, S is far
from its mean, and what counts below is not √E[S] but E[√S] (:func:`concentration`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input

from ..engine.geometry import per_channel
from ..engine.rules import Affine
from .rectifier_moments import Grid

TINY = 1e-30


def _half_normal(cells: int = 7, lowest: float = 0.02, highest: float = 2.5) -> list[tuple[float, float]]:
    """|γ| in cells of equal ratio: (root mean square, probability) of each. Small γ, whose biases stand out, have cells of their own."""
    edges = [0.0, *np.geomspace(lowest, highest, cells - 1).tolist(), math.inf]

    def below(x: float) -> tuple[float, float]:
        if math.isinf(x):
            return 1.0, 1.0
        share = math.erf(x / math.sqrt(2))
        return share, share - x * math.sqrt(2 / math.pi) * math.exp(-x * x / 2)

    parts = [(below(b)[0] - below(a)[0], below(b)[1] - below(a)[1]) for a, b in itertools.pairwise(edges)]
    return [(math.sqrt(square / share), share) for share, square in parts]


_GAMMAS = [(sign * size, share / 2) for size, share in _half_normal() for sign in (1, -1)]


@dataclass(frozen=True)
class Norm:
    """What a batch norm is drawn from: mean squares of γ and β, which are drawn; running mean and deviation (C,), which are kept."""

    gamma: float
    beta: float
    mean: Tensor
    std: Tensor


@dataclass(frozen=True)
class Draw:
    """One γ of a layer: z ~ N(mean, std²) with its ``probability``. ``factor``: γ/σ, what multiplies the weights.

    The bias b' is ``fixed``, what γ makes of the running mean, plus a Gaussian of variance ``free``.
    """

    probability: float
    factor: Tensor
    mean: Tensor
    std: Tensor
    fixed: Tensor
    free: Tensor


@dataclass(frozen=True)
class RandomLayer:
    """What a bias-carrying layer is drawn from: mean squares of ``weight`` and of its own ``bias``, and the batch norm behind it.

    ``affine`` gives the geometry alone; of its weights only the shape is read. Without weights it is a batch norm of its own.
    """

    affine: Affine
    weight: float
    bias: float = 0.0
    norm: Norm | None = None

    @property
    def mixes(self) -> bool:
        """Every filter sees every channel, so that differences between channels average out."""
        return self.affine.weight is not None and self.affine.groups == 1

    def power(self, square: Tensor) -> Tensor:
        """r² Σ square over a filter's inputs, (1, O, ...): the mean square of the weighted sum, before the batch norm."""
        affine = self.affine
        if affine.weight is None:
            return square
        filters, groups = len(affine.weight), affine.groups
        if affine.weight.dim() == 2:
            return self.weight * square.sum(-1, keepdim=True).expand(*square.shape[:-1], filters)
        sums = square.unflatten(1, (groups, -1)).sum(2)
        sums = F.conv2d(sums, self._ones(square), None, affine.stride, affine.padding, affine.dilation, groups)
        return self.weight * sums.repeat_interleave(filters // groups, 1)

    def total(self, m: Tensor) -> Tensor:
        """Σ m over the filters and taps that look at an input, (M, groups, ...), from m (M, O, ...); a group's channels share it."""
        affine = self.affine
        assert affine.weight is not None
        if affine.weight.dim() == 2:
            return m.sum(-1, keepdim=True)
        sums = m.unflatten(1, (affine.groups, -1)).sum(2)
        size = (len(m), affine.groups, *affine.input_shape[2:])
        return conv2d_input(size, self._ones(m), sums, affine.stride, affine.padding, affine.dilation, affine.groups)

    def back(self, m: Tensor) -> Tensor:
        """r² Σ m over filters and taps, for each input channel, (M, C, ...)."""
        if self.affine.weight is None:
            return m
        total, axis = self.total(m), 1 if m.dim() == 4 else -1
        return self.weight * total.repeat_interleave(self.affine.input_shape[axis] // total.shape[axis], axis)

    def variance(self, power: Tensor) -> Tensor:
        """Var(z), γ drawn too, (1, O, ...)."""
        if self.norm is None:
            return power + self.bias
        scale, mean = per_channel(self.scale(), power), per_channel(self.norm.mean, power)
        return scale * (power + self.bias + mean**2) + self.norm.beta

    def scale(self) -> Tensor:
        """E[γ²]/σ² of every filter, (O,)."""
        assert self.norm is not None
        return self.norm.gamma / self.norm.std**2

    def bias_variance(self) -> Tensor:
        """Var(b') of every filter, (O,) or (1,)."""
        if self.norm is None:
            return torch.full((1,), self.bias)
        return self.scale() * (self.norm.mean**2 + self.bias) + self.norm.beta

    def draws(self, power: Tensor) -> Iterator[Draw]:
        """The layer's γ in :data:`_GAMMAS`'s cells; one draw where there is no batch norm."""
        zero = power.new_zeros(())
        if self.norm is None:
            yield Draw(1.0, zero + 1, torch.zeros_like(power), (power + self.bias).clamp_min(TINY).sqrt(), zero, zero + self.bias)
            return
        for gamma, probability in _GAMMAS:
            factor = per_channel(gamma * math.sqrt(self.norm.gamma) / self.norm.std, power)
            mean = -factor * per_channel(self.norm.mean, power)
            free = factor**2 * self.bias + self.norm.beta
            yield Draw(probability, factor, mean, (factor**2 * power + free).clamp_min(TINY).sqrt(), mean, free)

    def _ones(self, like: Tensor) -> Tensor:
        assert self.affine.weight is not None
        return torch.ones(self.affine.groups, 1, *self.affine.weight.shape[2:], dtype=like.dtype, device=like.device)


_STEP = 1.0
_ARGUMENTS = torch.arange(-10, 24, _STEP, dtype=torch.float64).exp()


def concentration(layer: RandomLayer, parts: Sequence[tuple[float, Tensor, Tensor]], grid: Grid) -> Tensor:
    """E[√S]²/E[S] at each input of a layer, S = Σ h² over the filters and taps that look at it, (1, 1, ...): 1 where many contribute alike.

    ``E[√S] = ∫ (1 − E[exp(−tS)]) t^{−3/2} dt / 2√π``, and the transform of independent filters is the product of theirs; h is 0 or, in
    half of the open gates, a half-normal number: ``E[exp(−t h²)] = 1 − open/2·(1 − 1/√(1 + 2t·2E[h²]/open))``.

    Args:
        parts: (probability, open, E[h²]) of every draw, (1, O, ...) on ``grid``.
    """
    mean = layer.total(grid.grow(sum(p * second for p, _, second in parts)))  # type: ignore[arg-type]
    highest = float(mean.max())
    if highest <= 0:
        return torch.ones_like(mean)
    logarithms = []
    for t in (_ARGUMENTS / highest).tolist():
        transform: Tensor | float = 1.0
        for probability, open, second in parts:
            half = open / 2
            transform = transform - probability * half * (1 - (1 + 2 * t * second / half.clamp_min(TINY)).rsqrt())
        logarithms.append(transform.clamp_min(TINY).log().sum(1, keepdim=True))  # type: ignore[union-attr]
    total = layer.total(grid.grow(torch.cat(logarithms)))
    arguments = (_ARGUMENTS / highest).to(total).reshape(-1, *[1] * (total.dim() - 1))
    root = ((1 - total.exp()) * arguments.rsqrt()).sum(0, keepdim=True) * (_STEP / (2 * math.sqrt(math.pi)))
    return torch.where(mean > 0, root**2 / mean, 1)
