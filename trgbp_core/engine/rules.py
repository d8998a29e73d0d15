"""The two operations whose backward pass the theory changes, rectifiers (Eq. 4) and bias-carrying layers (Eq. 8), as dense rules.

All classes and pictures go through a rule as one tensor of M = classes × pictures gradients, picture index fastest, so that the number of
operations does not depend on how many there are. :mod:`trgbp_core.engine.graph_walk` carries the gradients from one rule to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from . import devices
from .geometry import Size, map_of, per_channel
from .rectifiers import Gate, number

MAP_AXES = (2, 3)
"""Where a map's rows and columns are in (N, C, h, w)."""
CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
Handed = tuple[Tensor, Tensor | None]


def rectifier_gradient(open: Tensor, g: Tensor, *, guided: bool, fresh: bool) -> Tensor:
    """``relu(g) · 1[open]`` (Eq. 4), or the ordinary ``g · 1[open]``, as one clamp; in the place of ``g`` if it is ``fresh``.

    Args:
        open: ∞ where a unit passes its input on, 0 elsewhere. g: (K, N, C, ...), at the rectifier's output.
    """
    low = number(0.0, g) if guided else -open
    return torch.clamp_(g, low, open) if fresh else torch.clamp(g, low, open)


@dataclass(frozen=True)
class Affine:
    """A layer ``W * x + b`` with its batch norm folded in (evaluation mode): what its backward pass needs.

    ``weight`` is (O, I/groups, kh, kw) for a convolution over two axes, (O, I) for a linear layer, None for the identity (then the layer is
    1×1 and keeps its channels apart). ``scale`` is the batch norm's s, (O,), still to be multiplied in, or None; ``bias`` is the folded b',
    (O,), or None. ``spatial`` are the axes of the output that are rows and columns of a map, None where there is no map.
    """

    weight: Tensor | None
    bias: Tensor | None
    input_shape: torch.Size
    scale: Tensor | None = None
    stride: Size = (1, 1)
    padding: Size = (0, 0)
    dilation: Size = (1, 1)
    groups: int = 1
    spatial: Size | None = MAP_AXES

    def input_gradient(self, g: Tensor) -> Tensor:
        """The gradient at the layer's input, (M, I, h, w) or (M, ..., I), from ``g`` at its output."""
        weight = self.weight
        if weight is None:
            return g if self.scale is None else g * per_channel(self.scale, g)
        if self.scale is not None:
            weight = weight * self.scale.view(-1, *[1] * (weight.dim() - 1))
        weight = weight.to(g.dtype)
        if weight.dim() == 2:
            return g @ weight
        every = zip(self.input_shape[2:], g.shape[2:], weight.shape[2:], self.stride, self.padding, self.dilation, strict=True)
        rest = [length - ((out - 1) * s - 2 * p + d * (k - 1) + 1) for length, out, k, s, p, d in every]  # behind the last position
        g = g.contiguous(memory_format=devices.layout(g.device, g.dim()))
        return CONV_TRANSPOSE[len(rest)](g, weight, None, self.stride, self.padding, rest, self.groups, self.dilation)

    def bias_map(self, g: Tensor, lead: torch.Size) -> Tensor:
        """Σ_o b'_o g_o (Eq. 8), (*lead, 1, h, w), lead = (K, N) and K × N = M; (*lead, 1) where there is no map."""
        assert self.bias is not None
        bias = self.bias.to(g.dtype)
        if self.weight is not None and self.weight.dim() == 2:
            return map_of((g @ bias).unsqueeze(-1), self.spatial).unflatten(0, lead)
        if self.spatial != tuple(range(2, g.dim())):
            return map_of(g * per_channel(bias, g), self.spatial).unflatten(0, lead)
        return torch.bmm(bias.expand(len(g), 1, -1), g.flatten(2)).view(*lead, 1, *g.shape[2:])


def constant_map(g: Tensor, constant: Tensor, spatial: Size | None) -> Tensor:
    """Σ_c constant_c g_c from g (K, N, C, ...) and ``constant`` (N, C, ...): (K, N, 1, h, w), or (K, N, 1) where there is no map."""
    if spatial == tuple(range(2, constant.dim())):
        return (g * constant).sum(2, keepdim=True)
    return map_of((g * constant).flatten(0, 1), spatial).unflatten(0, g.shape[:2])


class ForAllClasses(Function):
    """An operation whose backward rule takes the gradients of all classes at once.

    Subclasses set ``ctx.guided`` and ``ctx.for_all_classes``: a function of the gradient at the output, (K, N, ...), of whether the guided
    rule is meant, and of whether that gradient may be written to; it returns those at the first and the second argument (or None).
    :class:`trgbp_core.engine.graph_walk.Graph` calls it for K classes; autograd's own engine, for one."""

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        results = ctx.for_all_classes(grads[0][None], ctx.guided, False)
        return *(None if r is None else r[0] for r in results), *[None] * (len(ctx.needs_input_grad) - len(results))


class ApplyLayer(ForAllClasses):
    """A layer, the rectifier behind it if ``gate`` is given, or a rectifier alone (``affine`` is then the identity without a bias).

    ``value()`` is its output, computed by the caller's own operations. The gradient of ``tap``, (N, 1, h, w) of zeros, is the layer's bias
    map Σ_o b'_o g_o, with the constants of saturated units; ``tap`` is None where no map is asked for.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, tap: Tensor | None, value: Callable[[], Tensor], affine: Affine, gate: Gate | None, guided: bool
    ) -> Tensor:
        ctx.constants = affine.weight, affine.bias, affine.scale
        ctx.guided, ctx.for_all_classes = guided, partial(_backward, affine, gate, None if tap is None else tap.shape)
        return value()


def _backward(affine: Affine, gate: Gate | None, tap: torch.Size | None, g: Tensor, guided: bool, fresh: bool) -> Handed:
    held = None if gate is None or tap is None else gate.held
    maps = None if held is None else constant_map(g, held, affine.spatial)
    at_layer = (g if gate is None else rectifier_gradient(gate.open, g, guided=guided, fresh=fresh)).flatten(0, 1)
    if tap is not None and affine.bias is not None:
        of_bias = affine.bias_map(at_layer, g.shape[:2])
        maps = of_bias if maps is None else maps + of_bias
    return affine.input_gradient(at_layer).unflatten(0, g.shape[:2]), None if maps is None or tap is None else _of_pictures(maps, tap)


def _of_pictures(maps: Tensor, tap: torch.Size) -> Tensor:
    """The maps as the gradient of ``tap``, (K, N, 1, h, w); what a picture's several rows gave, (K, rows, 1), as the one picture's."""
    maps = maps if maps.shape[1] == tap[0] else maps.sum(1, keepdim=True)
    return maps if maps.shape[1:] == tap else maps.reshape(len(maps), *tap)


class AddConstant(ForAllClasses):
    """A constant that joins on the way, ``constant`` (N, C, ...), is a bias that no layer holds: it arrives at ``tap`` as a map."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tap: Tensor | None, constant: Tensor, spatial: Size | None, guided: bool) -> Tensor:
        shape = None if tap is None else tap.shape

        def backward(g: Tensor, guided: bool, fresh: bool) -> Handed:
            return g, None if shape is None else _of_pictures(constant_map(g, constant, spatial), shape)

        ctx.guided, ctx.for_all_classes, ctx.constants = guided, backward, (constant,)
        return x.clone()
