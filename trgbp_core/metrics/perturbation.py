"""Pixel perturbation (Section 5.3.2, appendix D): replace the most or least relevant pixels and compare the class scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..engine.plain_passes import scores
from ..trgbp.targets import Target, per_picture

Order = Literal["morf", "lerf"]
Fill = Tensor | Literal["mean", "blur"]

FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""0.1 % to 10 % as in FullGrad's experiment, and on to 90 %."""

ABSOLUTE_LERF = ("guided_backprop", "guided_ig")
"""Appendix D ranks |R| instead of R for the least relevant pixels of these methods."""

BLUR = 10 / 224  # the blur's σ as a share of the shorter side (Fong & Vedaldi 2017: σ = 10 at 224 pixels)


@dataclass(frozen=True)
class PerturbationCurve:
    """How the class score changes when pixels are replaced.

    Attributes:
        fractions: the share of pixels taken away, (K,), rising.
        change: |f_k(x') − f_k(x)| / |f_k(x)|, (N, K); infinite or NaN where f_k(x) is exactly zero.
        scores: f_k(x'), (N, K). unperturbed: f_k(x), (N,).
    """

    fractions: tuple[float, ...]
    change: Tensor
    scores: Tensor
    unperturbed: Tensor

    def area(self, highest: float = 1.0) -> Tensor:
        """The curve's mean height from the first fraction to the last that is at most ``highest``, by trapezoids, (N,).

        MoRF: higher is better; LeRF: lower is better.
        """
        inside = [i for i, fraction in enumerate(self.fractions) if fraction <= highest]
        k = torch.tensor([self.fractions[i] for i in inside], dtype=self.change.dtype, device=self.change.device)
        if len(inside) < 2:
            raise ValueError(f"An area needs two fractions up to {highest}; there are {len(inside)}.")
        return torch.trapezoid(self.change[:, inside], k) / (k[-1] - k[0])


def perturbation_curve(
    network: nn.Module,
    x: Tensor,
    maps: Tensor,
    target: Target = None,
    *,
    fill: Fill,
    order: Order = "morf",
    fractions: Sequence[float] = FRACTIONS,
    probability: bool = False,
    unperturbed: Tensor | None = None,
    batch: int = 16,
    progress: Callable[[float], None] | None = None,
) -> PerturbationCurve:
    """Replace the k most (MoRF) or least (LeRF) relevant pixels and compare the class score with the unperturbed one.

    Samek et al. 2016; Section 5.3.2, appendix D. Pixels of equal relevance are taken in one random order, the same for all pictures:
    row by row, maps with many zeros would lose the picture's upper edge first.

    Args:
        x: (N, C, H, W), normalised. maps: (N, 1, H, W), ranked as they are: give |R| where that is meant (LeRF of signed methods).
        fill: what replaces a pixel: a black pixel as the network sees it, (C,) or (1, C, 1, 1); ``"mean"``, zero after normalisation;
            ``"blur"``, the picture itself under a Gaussian blur; or pictures of ``x``'s shape, whose pixels take their place.
        fractions: the share of pixels to replace, at least one pixel each time.
        probability: the class probability instead of the class score before the softmax.
        unperturbed: the network's logits (N, classes) of ``x`` where they are known already.
        batch: pictures that go through the network at a time. progress: called with the share done; may raise to cancel.

    Raises:
        ValueError: shapes, an order, a fill or fractions that make no sense.
    """
    _check(x, maps, order, fractions)
    report = progress or (lambda share: None)
    if unperturbed is None:
        unperturbed = scores(network, lambda start, stop: x[start:stop].detach().clone(), len(x), batch=batch)
    pictures = _perturbed(x, removal_order(maps, order), _replacement(x, fill), fractions, report)
    perturbed = scores(network, pictures, len(x) * len(fractions), batch=batch).unflatten(0, (len(x), -1))
    classes = per_picture(target, unperturbed)
    before, after = ((logits.softmax(-1) if probability else logits) for logits in (unperturbed, perturbed))
    rows = torch.arange(len(x), device=x.device)
    before, after = before[rows, classes], after[rows, :, classes]
    report(1.0)
    change = (after - before[:, None]).abs() / before[:, None].abs()
    return PerturbationCurve(tuple(fractions), change, after, before)


def _perturbed(
    x: Tensor, sequence: Tensor, instead: Tensor, fractions: Sequence[float], report: Callable[[float], None]
) -> Callable[[int, int], Tensor]:
    """``(start, stop)`` → these perturbed pictures; all fractions of a picture follow each other."""
    pixels = sequence.shape[1]
    turn = torch.empty_like(sequence).scatter_(1, sequence, torch.arange(pixels, device=x.device).expand_as(sequence))
    counts = torch.tensor([max(1, round(fraction * pixels)) for fraction in fractions], device=x.device)

    def pictures(start: int, stop: int) -> Tensor:
        report(start / (len(x) * len(fractions)))
        index = torch.arange(start, stop, device=x.device)
        own, step = index // len(fractions), index % len(fractions)
        gone = turn[own] < counts[step][:, None]
        return torch.where(gone.view(-1, 1, *x.shape[2:]), instead[own], x[own].detach())

    return pictures


def removal_order(maps: Tensor, order: Order) -> Tensor:
    """Pixel indices (N, H·W) of ``maps`` (N, 1, H, W) in the order in which they are taken away."""
    values = maps.detach().flatten(1)
    shuffle = torch.randperm(values.shape[1], generator=torch.Generator().manual_seed(0)).to(values.device)
    return shuffle[values[:, shuffle].argsort(stable=True, dim=1, descending=order == "morf")]


def blurred(x: Tensor) -> Tensor:
    """``x`` (N, C, H, W) under a Gaussian blur, σ = 10 pixels at 224 and in proportion elsewhere; the picture is mirrored at its edges."""
    sigma = BLUR * min(x.shape[2:])
    for dim in (2, 3):
        radius = min(round(4 * sigma), x.shape[dim] - 1)
        offsets = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
        kernel = torch.exp(-offsets.square() / (2 * sigma**2))
        shape, pad = ((-1, 1), (0, 0, radius, radius)) if dim == 2 else ((1, -1), (radius, radius, 0, 0))
        weight = (kernel / kernel.sum()).view(1, 1, *shape).repeat(x.shape[1], 1, 1, 1)
        x = F.conv2d(F.pad(x, pad, mode="reflect"), weight, groups=x.shape[1])
    return x


def _replacement(x: Tensor, fill: Fill) -> Tensor:
    if isinstance(fill, Tensor):
        if fill.shape == x.shape:
            return fill.to(x)
        if fill.numel() != x.shape[1]:
            raise ValueError(f"A filling pixel has {x.shape[1]} values, one for each channel; got {tuple(fill.shape)}.")
        return fill.to(x).reshape(1, -1, 1, 1).expand_as(x)
    if fill == "mean":
        return torch.zeros_like(x)
    if fill == "blur":
        return blurred(x.detach())
    raise ValueError(f'fill is a pixel, "mean" or "blur", not {fill!r}.')


def _check(x: Tensor, maps: Tensor, order: str, fractions: Sequence[float]) -> None:
    if x.dim() != 4 or maps.shape != (len(x), 1, *x.shape[2:]):
        raise ValueError(f"Pictures (N, C, H, W) need maps (N, 1, H, W); got {tuple(x.shape)} and {tuple(maps.shape)}.")
    if not bool(torch.isfinite(maps).all()):
        raise ValueError("A map holds NaN or infinite numbers.")
    if order not in ("morf", "lerf"):
        raise ValueError(f'order is "morf" or "lerf", not {order!r}.')
    if not fractions or sorted(fractions) != list(fractions) or fractions[0] <= 0 or fractions[-1] > 1:
        raise ValueError("fractions are shares of the pixels, above 0 and up to 1, rising.")
