"""Guided Integrated Gradients: a path that changes the least sensitive pixels first."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from ..trgbp.targets import Target
from .gradients import baseline_for, input_gradient, prepared
from .registry import Progress, register

STEPS, FRACTION, MAX_DISTANCE = 200, 0.25, 0.02
CLOSE = 1e-9


def guided_path(
    gradient: Callable[[Tensor], Tensor], x: Tensor, start: Tensor, *, steps: int, fraction: float, max_distance: float
) -> Tensor:
    """Σ over the path of gradient × change, (N, F), for N independent paths from ``start`` to ``x``, both (N, F) in float64.

    Each step must bring every path's L1 distance to x down by the same share. It changes the values with the smallest gradients
    first, ``fraction`` of all values at a time, and none further from the straight line than ``max_distance`` of its way
    (Kapishnikov et al. 2021, in the order of the authors' code). ``gradient`` may answer in another precision.
    """
    way = x - start
    length, direction = way.abs(), way.sign()
    total = length.sum(1, keepdim=True)
    # A path is known by what is left of each value's way: then every bound of a value is one comparison, whichever way it goes.
    left, attribution = length, torch.zeros_like(x)
    for step in range(1, steps + 1):
        slope = gradient(torch.addcmul(x, direction, left, value=-1))
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
        unfinished = excess.abs() > (CLOSE * (target + excess.clamp_min(0))).clamp_min(CLOSE)
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
    promise="Complete, and less noisy: the path avoids steep places that have nothing to do with the picture.",
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
    steps: int = STEPS,
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
    done = 0

    def gradient(points: Tensor) -> Tensor:
        nonlocal done
        result = input_gradient(network, points.view_as(x).to(x.dtype), classes).flatten(1)
        done += 1
        if progress is not None:
            progress(done / steps)
        return result

    path = guided_path(
        gradient, x.flatten(1).double(), start.flatten(1).double(), steps=steps, fraction=fraction, max_distance=max_distance
    )
    return path.view_as(x).sum(1, keepdim=True).to(x.dtype)
