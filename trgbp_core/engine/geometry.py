"""Where a layer's kernel lands: tap counts, spreading of bias maps, upsampling.

Everything follows from shapes alone. A convolution is separable in *where* it looks, so that the spreading of Eq. 8 is two small
matrices, one for each spatial axis, whatever the stride, dilation or asymmetry of the padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Psi = Literal["paper", "conserving"]
Pixel = Literal["contribution", "gradient", "none"]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """The geometry of one bias-carrying layer: which input pixels an output position looks at.

    All pairs are (vertical, horizontal), in pixels. ``padding`` is what lies before the first row and column; what lies after the
    last follows from the sizes. The default is a 1×1 layer.
    """

    input_size: Pair
    output_size: Pair
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    @classmethod
    def pointwise(cls, size: Pair) -> Window:
        """A 1×1 layer over a map of ``size`` pixels."""
        return cls(size, size)

    @classmethod
    def whole(cls, size: Pair) -> Window:
        """A linear layer after a flatten: one output position that looks at the whole map of ``size`` pixels."""
        return cls(size, (1, 1), kernel=size)


def pair(value: Any) -> Pair:
    """(vertical, horizontal), from one number for both or a sequence."""
    if isinstance(value, int):
        return value, value
    values = [int(v) for v in value]
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def convolution_padding(padding: Any, kernel: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """The padding before and behind, also where torch was given ``"same"`` or ``"valid"``."""
    if isinstance(padding, str):
        if padding == "valid":
            return (0, 0), (0, 0)
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return (total[0] // 2, total[1] // 2), (total[0] - total[0] // 2, total[1] - total[1] // 2)
    both = pair(padding)
    return both, both


def output_size(shape: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """(h, w) of what a convolution makes of ``shape``, (N, C, h, w)."""
    sizes = [(shape[2 + i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]
    return sizes[0], sizes[1]


def map_size(x: Tensor, axes: Pair | None) -> Pair:
    """(h, w) of the map whose rows and columns are the ``axes`` of ``x``; (1, 1) where there is none."""
    return (1, 1) if axes is None else (x.shape[axes[0]], x.shape[axes[1]])


@lru_cache(maxsize=1024)
def axis_taps(window: Window, axis: int) -> Tensor:
    """(input, output) float64, along one axis of ``window`` (0 vertical, 1 horizontal): 1 where an output position has a tap on a pixel."""
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
    """:func:`axis_taps` with columns that add up to 1: how an output position's bias is shared out; transposed along axis 1."""
    taps = axis_taps(window, axis)
    shares = (taps / taps.sum(0)).to(device, dtype)
    return shares.T.contiguous() if axis else shares


def spread(maps: Tensor, window: Window) -> Tensor:
    """Carry a bias map back to the map of ones that it was convolved from: ``conv_transpose(maps / n, ones)`` (Eq. 8).

    From Σ_o b'_o g_o at the layer's output positions, (..., h_out, w_out), to (..., h_in, w_in) of the same sum.
    """
    if window.kernel == (1, 1) and window.stride == (1, 1) and window.input_size == window.output_size:
        return maps
    rows, columns = (_shares(window, axis, maps.dtype, maps.device) for axis in (0, 1))
    count = maps.shape[:-2].numel()
    across = torch.mm(maps.reshape(-1, maps.shape[-1]), columns).view(count, maps.shape[-2], -1)
    return torch.bmm(rows.expand(count, -1, -1), across).view(*maps.shape[:-2], *window.input_size)


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


def _check_psi(psi: str) -> None:
    if psi not in ("paper", "conserving"):
        raise ValueError(f'psi is "paper" or "conserving", not {psi!r}.')


def upsample(maps: Tensor, size: Pair, psi: Psi = "paper") -> Tensor:
    """ψ of Eq. 9: ``maps`` (N, C, h, w) bilinear (``align_corners=False``) to ``size``, (H, W); a 1×1 map becomes a constant.

    ``psi="paper"`` is the paper's plain upsampling, which counts a value of a coarse map once for every pixel it covers.
    ``psi="conserving"`` divides every unit's weights by their sum, so that its mass arrives whole, whatever the sizes. Where ``size`` is a
    multiple of the map's, that is plain upsampling times (h·w)/(H·W).

    Raises:
        ValueError: ``psi`` is neither of the two.
    """
    _check_psi(psi)
    height, width = maps.shape[-2:]
    if (height, width) == size:
        return maps
    if psi == "paper":
        return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
    rows, columns = (_upsampling(*axis, psi, maps.dtype, maps.device) for axis in ((height, size[0]), (width, size[1])))
    return rows @ maps @ columns.T


def upsampled_sum(map: Tensor, inside: Sequence[Tensor], psi: Psi) -> Tensor:
    """Σ of ψ(map) over a box, float64, without making the whole map.

    Args:
        map: (..., h, w). inside: which rows and which columns of ψ(map) the box holds, boolean, (H,) and (W,).

    Returns:
        (...).

    Raises:
        ValueError: there is no such ψ.
    """
    _check_psi(psi)
    found = map.double()
    for axis, chosen in reversed(list(zip(map.shape[-len(inside) :], inside, strict=True))):
        found = found @ _upsampling(axis, len(chosen), psi, found.dtype, found.device)[chosen.to(found.device)].sum(0)
    return found


def box_axes(box: Sequence[float] | Tensor, size: Pair) -> tuple[Tensor, ...]:
    """Which rows and which columns have their centres in ``box``, boolean, (H,) and (W,), for :func:`upsampled_sum`.

    Args:
        box: (left, top, right, bottom) in fractions of the width and height. size: (H, W).

    Raises:
        ValueError: the box has not four edges, or holds no pixel.
    """
    try:
        edges = torch.as_tensor(box, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        edges = torch.empty(0)
    if edges.shape != (4,):
        raise ValueError(f"A box is (left, top, right, bottom), in fractions of the picture's width and height, not {box!r}.")
    left, top, right, bottom = edges
    found = []
    for length, low, high in zip(size, (top, left), (bottom, right), strict=True):
        centres = torch.arange(length, dtype=torch.float64) + 0.5
        found.append((centres >= low * length) & (centres < high * length))
    if not all(bool(axis.any()) for axis in found):
        raise ValueError(f"The box {edges.tolist()} holds no pixel of a {size[0]}×{size[1]} picture.")
    return tuple(found)


def per_channel(vector: Tensor, like: Tensor) -> Tensor:
    """``vector`` (C,) shaped to multiply ``like`` (N, C, ...)."""
    return vector.view(1, -1, *([1] * (like.dim() - 2)))


def map_of(values: Tensor, spatial: Pair | None) -> Tensor:
    """``values`` (M, ...) added up over every axis but the first and the ``spatial`` ones: (M, 1, h, w), or (M, 1, 1, 1)."""
    if spatial is None:
        return values.reshape(len(values), -1).sum(1).view(-1, 1, 1, 1)
    other = [axis for axis in range(1, values.dim()) if axis not in spatial]
    summed = values.sum(other) if other else values
    return (summed if spatial[0] < spatial[1] else summed.mT).unsqueeze(1)
