"""From the layers' maps to the picture's: spread (Eq. 8), added up with a term for the picture itself (Eq. 9), class-specific (Eq. 10)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from torch import Tensor

from ..engine.geometry import Pixel, Psi, Size, spread, upsample
from ..engine.layers import LayerRecord
from ..engine.recording import Recording, without_autocast
from ..engine.validation import NotApplicable

PIXEL: dict[Psi, Pixel] = {"paper": "gradient", "conserving": "contribution"}
"""The pixel term that goes with each ψ. R̃^0 is a gradient, per unit of a pixel, and so depends on how pictures are normalised; every R̃^l
is a contribution to the logit. The paper adds the two (Eq. 9). ``x ⊙ R̃^0``, the pixels' contribution, has the unit of the others: with the
ordinary gradient and a ψ that keeps masses, the whole picture's sum is the logit."""


def pixel_term(pixel: Pixel | None, psi: Psi) -> Pixel:
    """``pixel``, or what goes with ``psi``. Raises ValueError where there is no such term."""
    found = pixel or PIXEL.get(psi, "gradient")
    if found not in get_args(Pixel):
        raise ValueError(f"pixel is {', '.join(map(repr, get_args(Pixel)))} or None, not {pixel!r}.")
    return found


def contribution(x: Tensor, gradients: Tensor) -> Tensor:
    """x ⊙ R̃^0 (..., N, 1, H, W), summed over the colours, of pictures (N, C, H, W) and gradients (..., N, C, H, W)."""
    return (x * gradients).sum(1 - x.dim(), keepdim=True)


def layer_maps(recording: Recording, bias_maps: Iterable[Tensor]) -> list[Tensor]:
    """R̃^l (Eq. 8), (K, N, 1, h, w) each, from every layer's Σ_o b'_o g_o."""
    with without_autocast(recording.input.device):
        return [_spread(m, record) for m, record in zip(bias_maps, recording.layers, strict=True)]


def summed_layer_maps(recording: Recording, bias_maps: Iterable[Tensor]) -> list[Tensor]:
    """The sums of the R̃^l of one size each; layers that look through the same window are summed before they are spread."""
    alike: dict[object, tuple[LayerRecord, list[Tensor]]] = {}
    for m, record in zip(bias_maps, recording.layers, strict=True):
        alike.setdefault((record.window, record.transposed), (record, []))[1].append(m)
    with without_autocast(recording.input.device):
        sums = [_spread(sum(maps[1:], start=maps[0]), record) for record, maps in alike.values()]
    return list(by_size(sums, recording.input.dim() - 2).values())


def _spread(m: Tensor, record: LayerRecord) -> Tensor:
    spreading = spread(m, record.window)
    return spreading.mT if record.transposed else spreading


def by_size(maps: Iterable[Tensor], axes: int) -> dict[Size, Tensor]:
    """The sums of the maps (..., h, w), of so many axes, of each size."""
    found: dict[Size, Tensor] = {}
    for m in maps:
        size = tuple(m.shape[-axes:])
        found[size] = found[size] + m if size in found else m
    return found


def aggregate(maps: Iterable[Tensor], size: Size, psi: Psi) -> Tensor:
    """Σ ψ(maps) (Eq. 9), (..., 1, H, W); maps of one size are summed before they are upsampled, ψ being linear."""
    axes = len(size)
    summed = by_size(maps, axes).values()
    with without_autocast(next(iter(summed)).device):
        whole = [upsample(m.flatten(0, -axes - 2), size, psi).unflatten(0, m.shape[: -axes - 1]) for m in summed]
    return sum(whole[1:], start=whole[0])


def class_specific(logits: Tensor, own: Tensor, top: Tensor) -> Tensor:
    """``own`` less what the top classes share, the mean of ``top`` over its first dimension (Eq. 10).

    Raises:
        NotApplicable: there is no other class to compare with.
    """
    if logits.shape[1] == 1:
        raise NotApplicable(
            "The network has one logit. R subtracts what the top classes share, so that of a single one nothing is left by definition: "
            "look at R̃ instead, Explanation.raw(0)."
        )
    return own - top.mean(0)
