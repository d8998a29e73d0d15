"""Faithfulness and stability as other papers report them: deletion and insertion, infidelity, sensitivity-max."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..trgbp.targets import Target
from .perturbation import perturbation_curve

STEPS = 28
"""Equal steps from no pixel to all of them. RISE's code takes 224, which cost eight times as many forward passes."""

KERNEL, SIGMA = 11, 5.0
"""Of the blur from which insertion starts, in pixels, in RISE's code."""


def replacement_auc(
    network: nn.Module,
    start: Tensor,
    end: Tensor,
    maps: Tensor,
    target: Target = None,
    *,
    steps: int = STEPS,
    unperturbed: Tensor | None = None,
    batch: int = 16,
) -> Tensor:
    """The area under the class's probability while the pixels of ``start`` become those of ``end``, most relevant first.

    Deletion and insertion of Petsiuk, Das and Saenko 2018 (RISE), section 4.3. *Deletion*: from the picture to zeros after
    normalisation; lower is better. *Insertion*: from :func:`softened` pictures to the pictures; higher is better.

    Args:
        start, end: (N, C, H, W), normalised. maps: (N, 1, H, W); pixels of equal relevance are taken in one random order.
        target: the class whose probability is watched; None is the best one of ``start``.
        steps: equal steps, of as equal numbers of pixels as can be. unperturbed: logits (N, classes) of ``start`` where they are known.
        batch: pictures that go through the network at a time.

    Returns:
        (N,) float64, 0 to 1: by trapezoids over the share of pixels that are replaced, from 0 to 1.
    """
    shares = [step / steps for step in range(1, steps + 1)]
    curve = perturbation_curve(
        network, start, maps, target, fill=end, fractions=shares, probability=True, unperturbed=unperturbed, batch=batch
    )
    return torch.trapezoid(torch.cat([curve.unperturbed[:, None], curve.scores], 1).double(), dx=1 / steps)


def softened(x: Tensor) -> Tensor:
    """``x`` (N, C, H, W) under the blur of RISE's code: a Gaussian of σ = 5 pixels, folded at the edges of 11×11 pixels; zeros around."""
    place = KERNEL // 2 + torch.arange(-4 * int(SIGMA), 4 * int(SIGMA) + 1)
    weight = torch.exp(-(place - KERNEL // 2).double().square() / (2 * SIGMA**2))
    place = place % (2 * KERNEL)
    line = torch.zeros(KERNEL, dtype=torch.float64).index_add(0, torch.minimum(place, 2 * KERNEL - 1 - place), weight / weight.sum())
    for shape in ((-1, 1), (1, -1)):
        kernel = line.to(x).view(1, 1, *shape).repeat(x.shape[1], 1, 1, 1)
        x = F.conv2d(x, kernel, padding="same", groups=x.shape[1])
    return x


def infidelity(promised: Tensor, falls: Tensor) -> Tensor:
    """How far a map is from saying what perturbations do to the score (Yeh et al. 2019, definition 2.1), normalised; lower is better.

    A perturbation I is the same in all channels. I·a, the sum over pixels and channels of an attribution a, is then the sum over pixels of
    I times a's sum over channels: a map with one value a pixel is all that is needed. Its unit is free: it is multiplied by the β that
    fits best, as in the authors' code and with captum's ``normalize=True``.

    Args:
        promised: I·R for each perturbation, (N, S). falls: f_k(x) − f_k(x perturbed), (N, S).

    Returns:
        the mean of (β I·R − fall)², (N,), in the unit of the score, squared.
    """
    length = promised.square().sum(1, keepdim=True)
    beta = (promised * falls).sum(1, keepdim=True) / torch.where(length > 0, length, 1.0)
    return (beta * promised - falls).square().mean(1)


def largest_change(maps: Tensor, others: Tensor) -> Tensor:
    """Sensitivity-max (Yeh et al. 2019, equation 5), as captum estimates it; lower is better.

    Args:
        maps: of the pictures, (N, 1, H, W). others: of S slightly changed ones, (S, N, 1, H, W).

    Returns:
        the largest ‖R(x + δ) − R(x)‖ / ‖R(x)‖, (N,) float64; NaN for a map of zeros, which has no unit.
    """
    length = maps.double().flatten(1).norm(dim=1)
    change = (others.double() - maps.double()).flatten(2).norm(dim=2).amax(0)
    return torch.where(length > 0, change / length, float("nan"))
