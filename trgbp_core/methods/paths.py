"""Methods that add up many gradients: along a path to the picture (Guided IG, Integrated Gradients, Blur IG), or of noisy copies of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..trgbp.targets import Target
from .gradients import baseline_for, input_gradient, prepared
from .registry import Progress, register

GUIDED_STEPS, FRACTION, MAX_DISTANCE = 200, 0.25, 0.02
INTEGRATED_STEPS = 32
BLUR_STEPS, BLUR_SIGMA, BLUR_STEP = 100, 50.0, 0.01
ROUNDING = 1e-9
BATCH = 8
"""Pictures that go through the network together."""


def gradients_at(
    network: nn.Module, point: Callable[[int], Tensor], count: int, classes: Tensor, progress: Progress | None
) -> Iterator[Tensor]:
    """∂f_k/∂x at ``point(0)`` ... ``point(count - 1)``, each (N, C, H, W), in order; several go through the network together."""
    together = max(1, BATCH // len(classes))
    for first in range(0, count, together):
        points = [point(i) for i in range(first, min(first + together, count))]
        gradients = input_gradient(network, torch.cat(points), classes.repeat(len(points)))
        yield from gradients.unflatten(0, (len(points), -1))
        if progress is not None:
            progress((first + len(points)) / count)


def guided_path(
    gradient: Callable[[Tensor, int], Tensor], x: Tensor, start: Tensor, *, steps: int, fraction: float, max_distance: float
) -> Tensor:
    """Σ over the path of gradient × change, (N, F), for N independent paths from ``start`` to ``x``, both (N, F) in float64.

    Each step must bring every path's L1 distance to x down by the same share. It changes the values with the smallest gradients
    first, ``fraction`` of all values at a time, and none further from the straight line than ``max_distance`` of its way
    (Kapishnikov et al. 2021, in the order of the authors' code). ``gradient(points, step)`` may answer in another precision.
    """
    way = x - start
    length, direction = way.abs(), way.sign()
    total = length.sum(1, keepdim=True)
    # A path is known by what is left of each value's way: then every bound of a value is one comparison, whichever way it goes.
    left, attribution = length, torch.zeros_like(x)
    for step in range(1, steps + 1):
        slope = gradient(torch.addcmul(x, direction, left, value=-1), step)
        alpha = step / steps
        earliest = length * (1 - min(alpha + max_distance, 1.0))
        before, left = left, torch.minimum(left, length * (1 - max(alpha - max_distance, 0.0)))
        left = _advance(left, slope.abs(), earliest, total * (1 - alpha), fraction)
        attribution.addcmul_(before.sub_(left) if step > 1 else before - left, slope)
    return attribution * direction


def _advance(left: Tensor, sensitivity: Tensor, limit: Tensor, target: Tensor, fraction: float) -> Tensor:
    """Take values down to ``limit``, the least sensitive first, until what is left of each path's way adds up to ``target`` (N, 1).

    ``left`` and ``sensitivity`` are used up.
    """
    rank = math.floor(fraction * (left.shape[1] - 1))
    room, bound = left.sub_(limit), target - limit.sum(1, keepdim=True)
    # Every round takes its share of the values to their limit or ends the step, so that few rounds suffice.
    for _ in range(math.ceil(1 / fraction) + 1):
        excess = room.sum(1, keepdim=True) - bound
        unfinished = excess.abs() > (ROUNDING * (target + excess.clamp_min(0))).clamp_min(ROUNDING)
        if not bool(unfinished.any()):
            break
        sensitivity.masked_fill_(room == 0, math.inf)
        # numpy's selection is several times as fast as kthvalue, which would cost more than all the rest.
        threshold = torch.from_numpy(np.partition(sensitivity.numpy(force=True), rank, axis=1)[:, rank : rank + 1]).to(sensitivity)
        chosen = room * (sensitivity <= threshold)
        share = (excess / chosen.sum(1, keepdim=True)).clamp(0, 1)
        # A share of 1 ends at the limit exactly.
        room.addcmul_(chosen, torch.where(unfinished, share, 0), value=-1)
    return room.add_(limit)


@register(
    "guided_ig",
    title="Guided IG",
    family="paths",
    citation="Kapishnikov et al. 2021",
    what="Integrated Gradients on a path that changes the pixels with the smallest gradients first.",
    promise="Complete, and less noisy: the path avoids places where the gradient is large for reasons other than the picture.",
    failure="Slow; depends on the baseline and the path's settings; with its usual 200 steps the sum may miss the score by far.",
    signed=True,
    cost=600,
)
def guided_ig(
    network: nn.Module,
    x: Tensor,
    target: Target = None,
    *,
    progress: Progress | None = None,
    baseline: Tensor | float = 0.0,
    steps: int = GUIDED_STEPS,
    fraction: float = FRACTION,
    max_distance: float = MAX_DISTANCE,
) -> Tensor:
    """Guided Integrated Gradients (Kapishnikov et al. 2021), summed over the colours, (N, 1, H, W), signed.

    One gradient a step serves all pictures of the batch; each picture walks its own path, kept in float64 whatever the network's type.
    ``baseline`` as in :func:`~trgbp_core.methods.gradients.baseline_for`.

    Raises:
        ValueError: ``baseline`` does not fit ``x``, or ``fraction`` is no fraction.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is the share of values to change at a time, above 0 and up to 1, not {fraction}.")
    x = x.detach()
    start = baseline_for(x, baseline)
    network, classes = prepared(network, x, target)
    report = progress or (lambda share: None)

    def gradient(points: Tensor, step: int) -> Tensor:
        result = input_gradient(network, points.view_as(x).to(x.dtype), classes).flatten(1)
        report(step / steps)
        return result

    path = guided_path(
        gradient, x.flatten(1).double(), start.flatten(1).double(), steps=steps, fraction=fraction, max_distance=max_distance
    )
    return path.view_as(x).sum(1, keepdim=True).to(x.dtype)


@register(
    "integrated_gradients",
    title="Integrated Gradients",
    family="paths",
    citation="Sundararajan et al. 2017",
    what="The gradient, averaged along the straight line from a baseline to the picture, times the difference between the two.",
    promise="Complete: adds up to the score minus the baseline's score.",
    failure="Depends on the baseline, is blind to pixels of its colour, and collects noise along the line.",
    signed=True,
    cost=100,
)
def integrated_gradients(
    network: nn.Module,
    x: Tensor,
    target: Target = None,
    *,
    progress: Progress | None = None,
    baseline: Tensor | float = 0.0,
    steps: int = INTEGRATED_STEPS,
) -> Tensor:
    """Σ_c (x − x') ∫₀¹ ∂f_k/∂x (x' + α(x − x')) dα (Sundararajan et al. 2017, Eq. 1), (N, 1, H, W), signed.

    The integral is Gauss-Legendre's with ``steps`` points, captum's default rule. ``baseline`` is x', see
    :func:`~trgbp_core.methods.gradients.baseline_for`.

    Raises:
        ValueError: ``baseline`` does not fit ``x``.
    """
    x = x.detach()
    start = baseline_for(x, baseline)
    network, classes = prepared(network, x, target)
    places, weights = np.polynomial.legendre.leggauss(steps)
    alphas = (1 + places) / 2
    gradients = gradients_at(network, lambda i: start + float(alphas[i]) * (x - start), steps, classes, progress)
    mean = sum((g * float(w / 2) for g, w in zip(gradients, weights, strict=True)), start=torch.zeros_like(x))
    return ((x - start) * mean).sum(1, keepdim=True)


@dataclass(frozen=True)
class Noise:
    """Normal noise around a picture: ``samples`` copies with σ = ``spread`` × (the picture's largest minus its smallest value)."""

    samples: int = 25
    spread: float = 0.15
    seed: int = 0

    def draws(self, x: Tensor) -> Iterator[Tensor]:
        """Standard normal, (1, C, H, W), the same for every picture of a batch; torch's own generator is left alone."""
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.samples):
            yield torch.randn((1, *x.shape[1:]), generator=generator, dtype=x.dtype).to(x.device)

    def gradients(self, network: nn.Module, x: Tensor, target: Target, progress: Progress | None) -> Iterator[Tensor]:
        """∂f_k/∂x at each of the noisy copies, (N, C, H, W), k being the class of the picture without noise."""
        x = x.detach()
        network, classes = prepared(network, x, target)
        deviation = self.spread * (x.amax((1, 2, 3), keepdim=True) - x.amin((1, 2, 3), keepdim=True))
        draws = self.draws(x)
        return gradients_at(network, lambda _: x + deviation * next(draws), self.samples, classes, progress)


DEFAULT_NOISE = Noise()


@register(
    "smooth_grad",
    title="SmoothGrad",
    family="gradients",
    citation="Smilkov et al. 2017",
    what="The gradient, averaged over noisy copies of the picture; its absolute value, the largest over the colours.",
    promise="Noise that changes from copy to copy averages out.",
    failure="Explains the noisy copies, too; how much noise is a choice that changes the map.",
    cost=80,
)
def smooth_grad(
    network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None, noise: Noise = DEFAULT_NOISE
) -> Tensor:
    """max_c |mean_i ∂f_k/∂x_c (x + ε_i)| (Smilkov et al. 2017), (N, 1, H, W), not negative; ε as in :class:`Noise`."""
    gradients = noise.gradients(network, x, target, progress)
    return (sum(gradients, start=torch.zeros_like(x)) / noise.samples).abs().amax(1, keepdim=True)


@register(
    "var_grad",
    title="VarGrad",
    family="gradients",
    citation="Adebayo et al. 2018",
    what="How much the gradient varies over noisy copies of the picture, summed over the colours.",
    promise="Shows where the score's slope changes quickly.",
    failure="Says nothing about the gradient's size or sign, and depends on the amount of noise.",
    cost=80,
)
def var_grad(
    network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None, noise: Noise = DEFAULT_NOISE
) -> Tensor:
    """Σ_c Var_i(∂f_k/∂x_c (x + ε_i)) (Adebayo et al. 2018), (N, 1, H, W), not negative; SmoothGrad's noise, the variance over n."""
    mean, squares = torch.zeros_like(x), torch.zeros_like(x)
    # Welford's running sums: the difference of two large means would lose a small variance in float32.
    for i, g in enumerate(noise.gradients(network, x, target, progress), start=1):
        change = g - mean
        mean = mean + change / i
        squares = squares + change * (g - mean)
    return (squares / noise.samples).sum(1, keepdim=True)


def _blur_matrix(length: int, sigma: float) -> Tensor:
    """(length, length) float64: a Gaussian along one axis, cut off at 4σ, black beyond the border."""
    if sigma == 0:
        return torch.eye(length, dtype=torch.float64)
    radius = int(4 * sigma + 0.5)
    kernel = torch.exp(-0.5 * (torch.arange(radius + 1, dtype=torch.float64) / sigma) ** 2)
    kernel = kernel / (2 * kernel.sum() - kernel[0])
    distance = (torch.arange(length)[:, None] - torch.arange(length)).abs()
    return torch.where(distance <= radius, kernel[distance.clamp(max=radius)], 0.0)


def blurred(x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """The picture blurred with ``sigma`` pixels, and its change with sigma, (L(σ + h) − L(σ)) / h with h = 0.01, both (N, C, H, W)."""
    height, width = x.shape[2:]
    rows, columns = _blur_matrix(height, sigma), _blur_matrix(width, sigma)
    wider_rows, wider_columns = _blur_matrix(height, sigma + BLUR_STEP), _blur_matrix(width, sigma + BLUR_STEP)
    # The difference is taken between the matrices, in float64: between two blurred float32 pictures it would be rounding noise.
    row_change, column_change = ((wider_rows - rows) / BLUR_STEP).to(x), ((wider_columns - columns) / BLUR_STEP).to(x)
    rows, columns, wider_columns = rows.to(x), columns.to(x), wider_columns.to(x)
    return rows @ x @ columns.T, row_change @ (x @ wider_columns.T) + rows @ (x @ column_change.T)


@register(
    "blur_ig",
    title="Blur IG",
    family="paths",
    citation="Xu et al. 2020",
    what="Integrated Gradients along a path from a strongly blurred copy of the picture to the picture itself.",
    promise="Needs no baseline colour: what counts is the scale at which details appear.",
    failure="Credits edges and fine texture, where blurring changes most; faint inside plain objects.",
    signed=True,
    cost=300,
)
def blur_ig(
    network: nn.Module,
    x: Tensor,
    target: Target = None,
    *,
    progress: Progress | None = None,
    steps: int = BLUR_STEPS,
    max_sigma: float = BLUR_SIGMA,
) -> Tensor:
    """−Σ_c Σ_i ∂f_k/∂x (L(σ_i)) · ∂L/∂σ(σ_i) · Δσ, σ_i = i·Δσ from 0 to ``max_sigma`` pixels (Xu et al. 2020), (N, 1, H, W), signed.

    L(σ) is the picture under a Gaussian of σ; the sum is the authors' left Riemann sum with their finite difference of 0.01.
    """
    x = x.detach()
    change = max_sigma / steps
    network, classes = prepared(network, x, target)
    slopes: list[Tensor] = []

    def point(i: int) -> Tensor:
        picture, slope = blurred(x, i * change)
        slopes.append(slope)
        return picture

    total = torch.zeros_like(x)
    for g in gradients_at(network, point, steps, classes, progress):
        total = total - g * slopes.pop(0) * change
    return total.sum(1, keepdim=True)
