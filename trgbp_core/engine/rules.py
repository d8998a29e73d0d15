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
from .geometry import Pair, map_of, per_channel
from .rectifiers import Gate, number

MAP_AXES = (2, 3)
"""Where a map's rows and columns are in (N, C, h, w)."""
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

    ``weight`` is (O, I/groups, kh, kw) for a convolution, (O, I) for a linear layer, None for the identity (then the layer is 1×1 and
    keeps its channels apart). ``scale`` is the batch norm's s, (O,), still to be multiplied in, or None; ``bias`` is the folded b', (O,),
    or None. ``spatial`` are the axes of the output that are rows and columns of a map, None where there is no map.
    """

    weight: Tensor | None
    bias: Tensor | None
    input_shape: torch.Size
    scale: Tensor | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    spatial: Pair | None = MAP_AXES

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
        reached = [
            (g.shape[2 + i] - 1) * self.stride[i] - 2 * self.padding[i] + self.dilation[i] * (weight.shape[2 + i] - 1) + 1 for i in (0, 1)
        ]
        rest = [self.input_shape[2 + i] - reached[i] for i in (0, 1)]  # behind the last position
        g = g.contiguous(memory_format=devices.layout(g.device))
        return F.conv_transpose2d(g, weight, None, self.stride, self.padding, rest, self.groups, self.dilation)

    def bias_map(self, g: Tensor, lead: torch.Size) -> Tensor:
        """Σ_o b'_o g_o (Eq. 8), (*lead, 1, h, w), lead = (K, N) and K × N = M; (*lead, 1, 1, 1) where there is no map."""
        assert self.bias is not None
        bias = self.bias.to(g.dtype)
        if self.weight is not None and self.weight.dim() == 2:
            return map_of((g @ bias).unsqueeze(-1), self.spatial).unflatten(0, lead)
        if g.dim() != 4 or self.spatial != MAP_AXES:
            return map_of(g * per_channel(bias, g), self.spatial).unflatten(0, lead)
        return torch.bmm(bias.expand(len(g), 1, -1), g.flatten(2)).view(*lead, 1, *g.shape[2:])


def constant_map(g: Tensor, constant: Tensor, spatial: Pair | None) -> Tensor:
    """Σ_c constant_c g_c from g (K, N, C, ...) and ``constant`` (N, C, ...): (K, N, 1, h, w), or (K, N, 1, 1, 1) where there is no map."""
    if spatial == MAP_AXES and constant.dim() == 4:
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
        ctx.guided, ctx.for_all_classes = guided, partial(_backward, affine, gate, None if tap is None else len(tap))
        return value()


def _backward(affine: Affine, gate: Gate | None, pictures: int | None, g: Tensor, guided: bool, fresh: bool) -> Handed:
    held = None if gate is None or not pictures else gate.held
    maps = None if held is None else constant_map(g, held, affine.spatial)
    at_layer = (g if gate is None else rectifier_gradient(gate.open, g, guided=guided, fresh=fresh)).flatten(0, 1)
    if pictures and affine.bias is not None:
        of_bias = affine.bias_map(at_layer, g.shape[:2])
        maps = of_bias if maps is None else maps + of_bias
    return affine.input_gradient(at_layer).unflatten(0, g.shape[:2]), _of_pictures(maps, pictures)


def _of_pictures(maps: Tensor | None, pictures: int | None) -> Tensor | None:
    """What a picture's several rows gave, (K, rows, 1, 1, 1), as the one picture's, (K, 1, 1, 1, 1)."""
    return maps if maps is None or maps.shape[1] == pictures else maps.sum(1, keepdim=True)


class AddConstant(ForAllClasses):
    """A constant that joins on the way, ``constant`` (N, C, ...), is a bias that no layer holds: it arrives at ``tap`` as a map."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tap: Tensor | None, constant: Tensor, spatial: Pair | None, guided: bool) -> Tensor:
        pictures = None if tap is None else len(tap)

        def backward(g: Tensor, guided: bool, fresh: bool) -> Handed:
            return g, _of_pictures(constant_map(g, constant, spatial) if pictures else None, pictures)

        ctx.guided, ctx.for_all_classes = guided, backward
        return x.clone()
