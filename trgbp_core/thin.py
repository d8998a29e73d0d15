"""The gradient at a picture: a convolution of few input channels, backward.

Convolution kernels compute their output channels in groups of sixteen, so that the gradient at three colours costs as much as at
sixteen: on a processor the first layer's backward pass takes several times its share of the arithmetic. Here the gradients of a square
of B×B pixels are the channels of one convolution (of the gradient, by the same weights in another order), and are laid out afterwards.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import Pair

THIN = 4
"""Up to this many input channels."""


def thin_input_gradient(g: Tensor, weight: Tensor, size: Pair, stride: Pair, padding: Pair) -> Tensor:
    """What :func:`torch.nn.grad.conv2d_input` computes.

    Args:
        g: (M, O, h, w), the gradient at the convolution's output.
        weight: (O, C, kh, kw). size: (H, W) of the input. stride, padding: the convolution's.

    Returns:
        (M, C, H, W), channels last.
    """
    rows, columns = (_Axis(*axis) for axis in zip(size, g.shape[2:], weight.shape[2:], stride, padding, strict=True))
    channels = weight.shape[1]
    squares = torch.einsum("ocuv,aud,bve->cabode", weight, rows.taps(weight), columns.taps(weight)).flatten(0, 2)
    found = F.conv2d(g, squares, None, (rows.step, columns.step), (rows.margin, columns.margin))
    found = found[:, :, rows.skip : rows.skip + rows.count, columns.skip : columns.skip + columns.count]
    laid_out = found.unflatten(1, (channels, rows.square, columns.square)).permute(0, 4, 2, 5, 3, 1)
    pixels = laid_out.reshape(len(g), rows.count * rows.square, columns.count * columns.square, channels)
    return pixels[:, : size[0], : size[1]].movedim(-1, 1)


class _Axis:
    """One axis of the convolution that goes backward. ``square`` pixels are computed together, ``step`` outputs apart, ``count`` times.

    Tap u of output i looks at pixel ``stride·i + u − padding``; pixel ``square·q + a`` is therefore seen by the outputs
    ``step·q + d``, ``stride·d = a + padding − u``, d running from ``first`` to ``last``.
    """

    def __init__(self, length: int, outputs: int, kernel: int, stride: int, padding: int) -> None:
        self.square = stride if stride > 1 else 2
        self.step = self.square // stride
        self.count = -(-length // self.square)
        pairs = [(a, u, (a + padding - u) // stride) for a in range(self.square) for u in range(kernel) if (a + padding - u) % stride == 0]
        self._pairs, self._kernel = pairs, kernel
        self._first, last = min(d for _, _, d in pairs), max(d for _, _, d in pairs)
        before, after = -self._first, self.step * (self.count - 1) + last + 1 - outputs
        self.margin = max(before, after, 0)
        self.margin += (before - self.margin) % self.step  # so that what is too much in front is whole steps
        self.skip = (self.margin - before) // self.step
        self._span = last - self._first + 1

    def taps(self, like: Tensor) -> Tensor:
        """(square, kernel, span): 1 where pixel a of a square is seen through tap u by the output that lies d further on."""
        taps = like.new_zeros(self.square, self._kernel, self._span)
        for a, u, d in self._pairs:
            taps[a, u, d - self._first] = 1
        return taps
