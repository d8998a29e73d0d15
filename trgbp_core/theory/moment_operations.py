"""Operations that carry moments through a layer, a rectifier, a sum: forward mean and variance, backward slope, offset and variance.

Each tensor has :data:`ROWS` rows in place of pictures; :mod:`.rectifier_moments` and :mod:`.random_layer` have the theory. The gradient of
a layer's tap is what is predicted of it: ``Σ_o E[b'_o g_o]`` in the first row, and in the second ``Σ_o E[(b'_o g_o)²]``, the variance over
draws.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from ..engine.geometry import per_channel
from .random_layer import TINY, RandomLayer, concentration
from .rectifier_moments import Arriving, Grid, clipped, levelled, passed, saturated

ROWS = 3


def _rows(first: Tensor, second: Tensor, third: Tensor | None = None) -> Tensor:
    return torch.cat([first, second, torch.zeros_like(first) if third is None else third])


def _map(expected: Tensor, square: Tensor) -> Tensor:
    """What a layer's tap receives: Σ_o E[b'_o g_o] and Σ_o E[(b'_o g_o)²], (3, 1, h, w)."""
    rows = _rows(expected.sum(1, keepdim=True), square.sum(1, keepdim=True))
    return rows if rows.dim() == 4 else rows.reshape(ROWS, 1, 1, 1)


class Layer(Function):
    """A layer that no rectifier follows directly: its bias is part of what the layers above reconstruct, ``E[b' g] = slope Var(b')``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tap: Tensor, layer: RandomLayer) -> Tensor:
        variance = layer.variance(layer.power(x[0:1] ** 2 + x[1:2]))
        ctx.layer, ctx.variance = layer, variance
        return _rows(torch.zeros_like(variance), variance)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        layer, g = ctx.layer, Arriving.of(grads[0])
        square = g.variance + g.offset**2 + g.slope**2 * ctx.variance
        bias = per_channel(layer.bias_variance().to(square), square)
        scale = 1.0 if layer.norm is None else per_channel(layer.scale(), square)
        slope = layer.back(g.slope * scale)
        result = _rows(slope, torch.zeros_like(slope), layer.back(square * scale))
        return result, _map(g.slope * bias, square * bias + 2 * (g.slope * bias) ** 2), None


class RectifiedLayer(Function):
    """A layer and the rectifier behind it, γ by γ. ``taken``: the share of units that a maximum behind it takes, [1.0] without one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tap: Tensor, layer: RandomLayer, ceiling: float, taken: list[float]) -> Tensor:
        power = layer.power(x[0:1] ** 2 + x[1:2])
        ctx.layer, ctx.ceiling, ctx.taken, ctx.grid = layer, ceiling, taken, Grid.of(power)
        ctx.power = ctx.grid.shrink(power)
        first = second = torch.zeros(())
        for draw in layer.draws(ctx.power):
            one, two, _ = clipped(draw.mean, draw.std, ceiling)
            first, second = first + draw.probability * one, second + draw.probability * two
        return ctx.grid.grow(_rows(first, (second - first**2).clamp_min(0)))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        layer, grid, ceiling, taken = ctx.layer, ctx.grid, ctx.ceiling, ctx.taken[0]
        deviation, level, g = levelled(grads[0] / taken, grid)
        slope = square = expected = energy = torch.zeros(())
        parts = []
        for draw in layer.draws(ctx.power):
            p, h = draw.probability, passed(draw.mean, draw.std, ceiling, g)
            derivative = h.tilted / draw.std
            slope = slope + p * draw.factor**2 * derivative
            square = square + p * draw.factor**2 * h.second
            expected = expected + p * (draw.free * derivative + draw.fixed * h.first)
            energy = energy + p * (draw.free + draw.fixed**2) * h.second
            if not math.isinf(ceiling):
                first, second = saturated(draw.mean, draw.std, ceiling, g)
                expected, energy = expected + p * first, energy + p * second
            parts.append((p, taken * h.open, taken * draw.factor**2 * h.second * level))
        of_g, of_square = taken * deviation, taken * deviation**2
        below = layer.back(grid.grow(slope) * of_g)
        variance = layer.back(grid.grow(square) * of_square)
        if layer.mixes:
            variance = variance * concentration(layer, parts, grid)
        result = _rows(below, torch.zeros_like(below), variance)
        return result, _map(grid.grow(expected) * of_g, grid.grow(energy) * of_square), None, None, None


class Rectifier(Function):
    """A rectifier behind a sum, a concatenation or a pooling: z is taken for Gaussian."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, tap: Tensor | None, ceiling: float, taken: list[float]) -> Tensor:
        mean, std = z[0:1], z[1:2].clamp_min(TINY).sqrt()
        ctx.grid, ctx.ceiling, ctx.taken, ctx.tapped = Grid.of(mean), ceiling, taken, tap is not None
        ctx.mean, ctx.std = ctx.grid.shrink(mean), ctx.grid.shrink(std)
        first, second, _ = clipped(mean, std, ceiling)
        return _rows(first, (second - first**2).clamp_min(0))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        grid, ceiling, taken = ctx.grid, ctx.ceiling, ctx.taken[0]
        deviation, _, g = levelled(grads[0] / taken, grid)
        h = passed(ctx.mean, ctx.std, ceiling, g)
        slope = taken * h.tilted / ctx.std
        offset = taken * h.first - slope * ctx.mean
        variance = (taken * h.second - (taken * h.first) ** 2 - (taken * h.tilted) ** 2).clamp_min(0)
        maps = None
        if ctx.tapped:
            expected, energy = (taken * part for part in saturated(ctx.mean, ctx.std, ceiling, g))
            maps = _map(grid.grow(expected) * deviation, grid.grow(energy) * deviation**2)
        result = _rows(grid.grow(slope) * deviation, grid.grow(offset) * deviation, grid.grow(variance) * deviation**2)
        return result, maps, None, None


class Sum(Function):
    """x + y: for x, the part of the gradient that depends on y is offset and noise."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.terms = x[:2], y[:2]
        return x + y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        g = Arriving.of(grads[0])

        def beside(other: Tensor) -> Tensor:
            return _rows(g.slope, g.offset + g.slope * other[0:1], g.variance + g.slope**2 * other[1:2])

        x, y = ctx.terms
        return beside(y), beside(x)


class Scaled(Function):
    """Rows multiplied by ``forward_factors``, and the gradient's by ``backward_factors``, on top of what autograd does elsewhere."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, forward_factors: tuple[float, ...], backward_factors: tuple[float, ...]) -> Tensor:
        ctx.factors = backward_factors
        return x * x.new_tensor(forward_factors).reshape(ROWS, *[1] * (x.dim() - 1))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        g = grads[0]
        return g * g.new_tensor(ctx.factors).reshape(ROWS, *[1] * (g.dim() - 1)), None, None


class Constant(Function):
    """A constant that was added: ``x`` arrives with it in all rows; it belongs to the mean, and its layer's bias map is made of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tap: Tensor, value: Tensor) -> Tensor:
        ctx.value = value
        out = torch.cat([x[0:1], x[1:] - value])
        ctx.mean, ctx.variance = out[0:1], out[1:2]
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        g = Arriving.of(grads[0])
        centre = g.slope * ctx.mean + g.offset
        square = g.variance + centre**2 + g.slope**2 * ctx.variance
        return grads[0], _map(ctx.value * centre, ctx.value**2 * square), None
