"""Where a layer's kernel lands: tap counts, spreading of bias maps, upsampling.

Everything follows from shapes alone. A convolution is separable in *where* it looks, so that the spreading of Eq. 8 is one small matrix
for each spatial axis, whatever the stride, dilation or asymmetry of the padding. Pictures have two axes, signals one, volumes three.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Psi = Literal["paper", "conserving"]
Pixel = Literal["contribution", "gradient", "none"]
Pair = tuple[int, int]
Size = tuple[int, ...]
"""One number for each spatial axis."""


@dataclass(frozen=True)
class Window:
    """The geometry of one bias-carrying layer: which input pixels an output position looks at.

    Of two axes the vertical one is the first, in pixels. ``padding`` is what lies before the first row and column; what lies after the
    last follows from the sizes. The default is a 1×1 layer.
    """

    input_size: Size
    output_size: Size
    kernel: Size = (1, 1)
    stride: Size = (1, 1)
    padding: Size = (0, 0)
    dilation: Size = (1, 1)

    @classmethod
    def pointwise(cls, size: Size) -> Window:
        """A 1×1 layer over a map of ``size`` pixels."""
        return replace(cls.whole(size), output_size=size, kernel=(1,) * len(size))

    @classmethod
    def whole(cls, size: Size) -> Window:
        """A linear layer after a flatten: one output position that looks at the whole map of ``size`` pixels."""
        ones = (1,) * len(size)
        return cls(size, ones, size, ones, (0,) * len(size), ones)


def pair(value: Any) -> Pair:
    """(vertical, horizontal), from one number for both or a sequence."""
    vertical, horizontal = per_axis(value, 2)
    return vertical, horizontal


def per_axis(value: Any, axes: int) -> Size:
    """One number for each of so many axes, from one for all or a sequence."""
    values = (value,) if isinstance(value, int) else tuple(int(v) for v in value)
    return values * axes if len(values) == 1 else values


def convolution_padding(padding: Any, kernel: Size, dilation: Size) -> tuple[Size, Size]:
    """The padding before and behind, also where torch was given ``"same"`` or ``"valid"``."""
    if isinstance(padding, str):
        total = [0 if padding == "valid" else d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    both = per_axis(padding, len(kernel))
    return both, both


def output_size(shape: Any, kernel: Size, stride: Size, padding: Size, dilation: Size) -> Size:
    """(h, w) of what a convolution makes of ``shape``, (N, C, h, w)."""
    every = zip(shape[2:], kernel, stride, padding, dilation, strict=True)
    return tuple((length + 2 * p - d * (k - 1) - 1) // s + 1 for length, k, s, p, d in every)


@lru_cache(maxsize=1024)
def sees_nothing(lengths: Size, outputs: Size, kernel: Size, stride: Size, padding: Size, dilation: Size) -> bool:
    """Has a convolution an output position whose taps all lie in the padding, so that a constant stands there?"""
    return any(
        not any(0 <= position * s - p + tap * d < length for tap in range(k))
        for length, count, k, s, p, d in zip(lengths, outputs, kernel, stride, padding, dilation, strict=True)
        for position in range(count)
    )


@lru_cache(maxsize=1024)
def axis_taps(window: Window, axis: int) -> Tensor:
    """(input, output) float64, along one axis of ``window`` (of two, 0 is vertical): 1 where an output position has a tap on a pixel."""
    length, outputs = window.input_size[axis], window.output_size[axis]
    kernel, dilation = window.kernel[axis], window.dilation[axis]
    first = torch.arange(outputs) * window.stride[axis] - window.padding[axis]
    taps = torch.zeros(length, outputs, dtype=torch.float64)
    for row in first + torch.arange(kernel)[:, None] * dilation:
        inside = (row >= 0) & (row < length)
        taps[row[inside], torch.arange(outputs)[inside]] += 1
    # A position that looks at padding only has no pixel of its own; its bias goes to the nearest one, so that no mass is lost.
    empty = taps.sum(0) == 0
    centre = (first + (kernel - 1) * dilation // 2).clamp(0, length - 1)
    taps[centre[empty], torch.arange(outputs)[empty]] = 1
    return taps


@lru_cache(maxsize=1024)
def _shares(window: Window, axis: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """:func:`axis_taps` with columns that add up to 1: how an output position's bias is shared out; transposed along the last axis."""
    taps = axis_taps(window, axis)
    shares = (taps / taps.sum(0)).to(device, dtype)
    return shares.T.contiguous() if axis == len(window.kernel) - 1 else shares


def spread(maps: Tensor, window: Window) -> Tensor:
    """Carry a bias map back to the map of ones that it was convolved from: ``conv_transpose(maps / n, ones)`` (Eq. 8).

    From Σ_o b'_o g_o at the layer's output positions, (..., h_out, w_out), to (..., h_in, w_in) of the same sum.
    """
    if window == Window.pointwise(window.input_size):
        return maps
    axes = len(window.kernel)
    lead, lengths = maps.shape[:-axes], list(maps.shape[-axes:])
    along = [_shares(window, axis, maps.dtype, maps.device) for axis in range(axes)]
    lengths[-1] = window.input_size[-1]
    found = torch.mm(maps.reshape(-1, maps.shape[-1]), along[-1])
    for axis in range(axes - 2, -1, -1):
        behind = math.prod(lengths[axis + 1 :])
        count = found.numel() // (lengths[axis] * behind)
        found = torch.bmm(along[axis].expand(count, -1, -1), found.view(count, lengths[axis], behind))
        lengths[axis] = window.input_size[axis]
    return found.view(*lead, *lengths)


@lru_cache(maxsize=1024)
def _upsampling(length: int, size: int, psi: Psi, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(size, length): the bilinear weights of ψ along one axis; of the conserving one every column, a unit's, adds up to 1."""
    units = torch.eye(length, dtype=torch.float64, device="cpu")
    weights = F.interpolate(units[:, None], size=size, mode="linear", align_corners=False)[:, 0].T.contiguous()
    if psi == "conserving":
        # Of a map that is larger than the picture some units lie between the places that are looked at: theirs goes to the nearest pixel.
        empty = (weights.sum(0) == 0).nonzero()[:, 0]
        weights[((empty + 0.5) * size / length).long(), empty] = 1
        weights = weights / weights.sum(0)
    return weights.to(device, dtype)


_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def _check_psi(psi: str) -> None:
    if psi not in ("paper", "conserving"):
        raise ValueError(f'psi is "paper" or "conserving", not {psi!r}.')


def upsample(maps: Tensor, size: Size, psi: Psi = "paper") -> Tensor:
    """ψ of Eq. 9: ``maps`` (N, C, h, w), or of any number of axes, bilinear (``align_corners=False``) to ``size``, (H, W).

    A 1×1 map becomes a constant.

    ``psi="paper"`` is the paper's plain upsampling, which counts a value of a coarse map once for every pixel it covers.
    ``psi="conserving"`` divides every unit's weights by their sum, so that its mass arrives whole, whatever the sizes. Where ``size`` is a
    multiple of the map's, that is plain upsampling times (h·w)/(H·W).

    Raises:
        ValueError: ``psi`` is neither of the two.
    """
    _check_psi(psi)
    lengths = tuple(maps.shape[2:])
    if lengths == tuple(size):
        return maps
    if psi == "paper":
        return F.interpolate(maps, size=size, mode=_LINEAR[len(size)], align_corners=False)
    *others, last = (_upsampling(*axis, psi, maps.dtype, maps.device) for axis in zip(lengths, size, strict=True))
    for dim, weights in enumerate(others, start=3):
        behind = maps.shape[dim:]
        maps = weights @ maps if len(behind) == 1 else (weights @ maps.flatten(dim)).unflatten(-1, behind)
    return maps @ last.T


def upsampled_sums(maps: Sequence[Tensor], inside: Sequence[Tensor], psi: Psi) -> Tensor:
    """Σ of ψ(map) over a box for each of ``maps``, (len(maps),), float64, without making the whole maps.

    Args:
        maps: (1, 1, h, w) each. inside: which rows and which columns of ψ(map) the box holds, boolean, (H,) and (W,).

    Raises:
        ValueError: there is no such ψ.
    """
    _check_psi(psi)
    places: dict[Size, list[int]] = {}
    for i, m in enumerate(maps):
        places.setdefault(tuple(m.shape[2:]), []).append(i)
    found = torch.zeros(len(maps), dtype=torch.float64, device=maps[0].device)
    for size, alike in places.items():
        sums = torch.cat([maps[i][0] for i in alike]).double()
        for length, chosen in reversed(list(zip(size, inside, strict=True))):
            sums = sums @ _upsampling(length, len(chosen), psi, sums.dtype, sums.device)[chosen.to(sums.device)].sum(0)
        found[alike] = sums
    return found


def box_axes(box: Sequence[float] | Tensor, size: Size) -> tuple[Tensor, ...]:
    """Which rows and which columns have their centres in ``box``, boolean, (H,) and (W,), for :func:`upsampled_sums`.

    Args:
        box: (left, top, right, bottom) in fractions of the width and height; of other than two axes, the lower edges from the last axis to
            the first, then the upper ones. size: (H, W).

    Raises:
        ValueError: the box has not four edges from 0 to 1, or holds no pixel.
    """
    try:
        edges = torch.as_tensor(box, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        edges = torch.empty(0)
    axes = len(size)
    if edges.shape != (2 * axes,) or not bool(((edges >= 0) & (edges <= 1)).all()):
        names = {1: "start, stop", 2: "left, top, right, bottom", 3: "left, top, front, right, bottom, back"}[axes]
        raise ValueError(f"A box is ({names}), in fractions of the input's extent, each from 0 to 1, not {box!r}.")
    found = []
    for length, low, high in zip(size, edges[:axes].flip(0), edges[axes:].flip(0), strict=True):
        centres = torch.arange(length, dtype=torch.float64) + 0.5
        found.append((centres >= low * length) & (centres < high * length))
    if not all(bool(axis.any()) for axis in found):
        raise ValueError(f"The box {edges.tolist()} holds no pixel of an input of {'×'.join(map(str, size))}.")
    return tuple(found)


def per_channel(vector: Tensor, like: Tensor) -> Tensor:
    """``vector`` (C,) shaped to multiply ``like`` (N, C, ...)."""
    return vector.view(1, -1, *([1] * (like.dim() - 2)))


def map_of(values: Tensor, spatial: Size | None) -> Tensor:
    """``values`` (M, ...) added up over every axis but the first and the ``spatial`` ones: (M, 1, h, w), or (M, 1) where there are none."""
    if spatial is None:
        return values.reshape(len(values), -1).sum(1, keepdim=True)
    other = [axis for axis in range(1, values.dim()) if axis not in spatial]
    summed = values.sum(other) if other else values
    kept = sorted(spatial)
    return summed.permute(0, *(1 + kept.index(axis) for axis in spatial)).unsqueeze(1)
