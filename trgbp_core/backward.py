"""The two operations whose backward pass the theory changes, for many classes at once.

Autograd carries K classes through one backward pass by ``vmap``. Left to itself it would treat every elementwise step of these two
operations as a kernel of its own over K copies of every activation; here both backward steps receive all classes as one ordinary
batch (the ``vmap`` static methods below), so that a class costs one convolution and as few sweeps over memory as can be.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

Step = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Affine:
    """A layer ``W * x + b`` with its batch norm folded in (evaluation mode): what its backward pass needs.

    ``weight`` is (O, I/groups, kh, kw) for a convolution, (O, I) for a linear layer, None for the identity (then the layer is 1×1 and
    keeps its channels apart). ``scale`` is the batch norm's s, (O,), still to be multiplied in, or None; ``bias`` is the folded b', (O,),
    or None.
    """

    weight: Tensor | None
    bias: Tensor | None
    input_shape: torch.Size
    scale: Tensor | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def input_gradient(self, g: Tensor) -> Tensor:
        """The gradient at the layer's input, (M, I, h, w) or (M, ..., I), from ``g`` at its output, M = classes × pictures."""
        weight, scale = self.weight, self.scale
        if scale is not None:
            # The batch norm's scale goes to the smaller of the two, the weights or the gradients of all classes.
            if weight is None or weight.numel() > g.numel():
                g = g * per_channel(scale, g)
            else:
                weight = weight * scale.reshape(-1, *[1] * (weight.dim() - 1))
        if weight is None:
            return g
        if weight.dim() == 2:
            return g @ weight
        shape = (g.shape[0], *self.input_shape[1:])
        like = torch.empty(shape, dtype=g.dtype, device=g.device, memory_format=torch.channels_last)
        gradient, _, _ = torch.ops.aten.convolution_backward(
            g, like, weight, None, self.stride, self.padding, self.dilation, False, [0, 0], self.groups, [True, False, False]
        )
        return gradient

    def bias_map(self, g: Tensor) -> Tensor:
        """Σ_o b'_o g_o (Eq. 8), (M, 1, h, w): (M, 1, 1, 1) for a linear layer."""
        if self.bias is None:
            size = g.shape[2:] if g.dim() == 4 else (1, 1)
            return g.new_zeros(g.shape[0], 1, *size)
        if g.dim() == 4:
            return (g.movedim(1, -1) @ self.bias).unsqueeze(1)
        return (g.reshape(g.shape[0], -1, g.shape[-1]) @ self.bias).sum(1).reshape(-1, 1, 1, 1)


def per_channel(vector: Tensor, like: Tensor) -> Tensor:
    """``vector`` (C,) shaped to multiply ``like`` (N, C, ...)."""
    return vector.reshape(1, -1, *([1] * (like.dim() - 2)))


class _Workspace(threading.local):
    """One buffer a thread, alive during one backward pass: fresh memory for every layer would cost more than the arithmetic."""

    buffer: Tensor | None = None
    depth: int = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1
        if self.depth == 0:
            self.buffer = None

    def like(self, g: Tensor) -> Tensor:
        """Memory for a tensor of ``g``'s shape, channels last if it is a map. What was there before is lost."""
        if self.depth == 0 or g.device.type != "cpu":
            return torch.empty_like(g, memory_format=torch.channels_last if g.dim() == 4 else torch.contiguous_format)
        if self.buffer is None or self.buffer.dtype != g.dtype or self.buffer.numel() < g.numel():
            self.buffer = torch.empty(g.numel(), dtype=g.dtype)
        flat = self.buffer[: g.numel()]
        if g.dim() == 4:
            return flat.view(g.shape[0], g.shape[2], g.shape[3], g.shape[1]).permute(0, 3, 1, 2)
        return flat.view(g.shape)


workspace = _Workspace()


class _ForAllClasses(Function):
    """Runs a function of a gradient once for all classes: under ``vmap`` the classes become part of the batch.

    ``step(g)`` takes (M, ...) with M = classes × pictures, picture index fastest, and returns two tensors of M rows.
    """

    @staticmethod
    def forward(g: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        return step(g)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: Any, g: Tensor, step: Step) -> Any:
        g = g.movedim(in_dims[0], 0)
        results = step(g.flatten(0, 1))
        return tuple(r.unflatten(0, g.shape[:2]) for r in results), (0, 0)


@dataclass(frozen=True)
class Gate:
    """A rectifier's state in one forward pass: ``min(max(z, 0), ceiling)``, for its backward rule.

    ``passing`` is (N, C, ...): where 0 < z < ceiling, ∞ for the guided rule of Eq. 4 and 1 for the ordinary gradient; elsewhere 0.
    ``saturated`` holds the saturated units' places in the output taken channels last; None where no layer map is asked for.
    """

    passing: Tensor
    saturated: Tensor | None
    ceiling: float
    guided: bool

    @classmethod
    def of(cls, out: Tensor, ceiling: float, *, guided: bool, layer_maps: bool) -> Gate:
        """The gate of a rectifier whose output is ``out``."""
        unit = out.new_full((), math.inf if guided else 1.0).expand_as(out)
        passing = torch.ops.aten.hardtanh_backward(unit, out, 0.0, ceiling)
        saturated = None
        if layer_maps and not math.isinf(ceiling):
            saturated = (out.movedim(1, -1).reshape(-1) >= ceiling).nonzero().squeeze(1)
        return cls(passing, saturated, ceiling, guided)

    def saturation_map(self, g: Tensor) -> Tensor:
        """``Σ_c ceiling · 1[z_c ≥ ceiling] · g_c`` (M, 1, h, w), the voice of the saturated units; ``g`` at the rectifier's output.

        Few units saturate, so that they are gathered one by one.
        """
        assert self.saturated is not None
        pictures = len(self.passing)
        size = g.shape[2:] if g.dim() == 4 else torch.Size((1, 1))
        place = self.passing.numel() // (pictures * size.numel())  # units that share a place
        voices = g.movedim(1, -1).reshape(len(g) // pictures, -1).index_select(1, self.saturated) * self.ceiling
        maps = g.new_zeros(len(voices), pictures * size.numel()).index_add_(1, self.saturated // place, voices)
        return maps.view(len(g), 1, *size)

    def backward(self, g: Tensor, out: Tensor) -> Tensor:
        """The gradient at the rectifier's input: guided ``relu(g) · 1[0 < z < ceiling]``, written to ``out``."""
        grouped, result = g.unflatten(0, (-1, len(self.passing))), out.unflatten(0, (-1, len(self.passing)))
        if self.guided:  # one clamp does both: relu(g) · 1[open] = clamp(g, 0, ∞ where open, 0 elsewhere)
            torch.clamp(grouped, g.new_zeros(()), self.passing, out=result)
        else:
            torch.mul(grouped, self.passing, out=result)
        return out


class ApplyAffine(Function):
    """A layer, and the rectifier behind it if ``gate`` is given: ``value()`` is its output, computed by the caller's own operations.

    The gradient of ``tap``, (N, 1, h, w) of zeros, is the layer's bias map Σ_o b'_o g_o, with the constants of saturated units.
    ``tap`` is None where no map is asked for.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, tap: Tensor | None, value: Callable[[], Tensor], affine: Affine, gate: Gate | None) -> Tensor:
        ctx.affine, ctx.gate, ctx.tapped = affine, gate, tap is not None
        return value()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        affine, gate, tapped = ctx.affine, ctx.gate, ctx.tapped

        def step(g: Tensor) -> tuple[Tensor, Tensor]:
            saturation = gate.saturation_map(g) if gate is not None and gate.saturated is not None else None
            if gate is not None:
                g = gate.backward(g, out=workspace.like(g))
            elif g.dim() == 4:
                g = g.contiguous(memory_format=torch.channels_last)
            maps = affine.bias_map(g) if tapped else g.new_empty(len(g), 0)
            if saturation is not None:
                maps = maps + saturation
            return affine.input_gradient(g), maps

        gradient, maps = _ForAllClasses.apply(grads[0], step)
        return gradient, maps if tapped else None, None, None, None


class Rectify(Function):
    """A rectifier that follows no layer directly (after an addition, a concatenation, a pooling). ``tap`` as in :class:`ApplyAffine`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, tap: Tensor | None, value: Callable[[], Tensor], gate: Gate) -> Tensor:
        ctx.gate, ctx.tapped = gate, tap is not None
        return value()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        gate, tapped = ctx.gate, ctx.tapped

        def step(g: Tensor) -> tuple[Tensor, Tensor]:
            maps = gate.saturation_map(g) if tapped else g.new_empty(len(g), 0)
            return gate.backward(g, out=torch.empty_like(g)), maps

        gradient, maps = _ForAllClasses.apply(grads[0], step)
        return gradient, maps if tapped else None, None, None


def _constant_map(g: Tensor, constant: Tensor) -> Tensor:
    """Σ_c constant_c g_c from g (K·N, C, ...) and constant (N, C, ...): (K·N, 1, h, w), or (K·N, 1, 1, 1) where there is no map."""
    grouped = g.unflatten(0, (-1, len(constant)))
    product = (grouped * constant).flatten(0, 1)
    return product.sum(1, keepdim=True) if g.dim() == 4 else product.flatten(1).sum(1).reshape(-1, 1, 1, 1)


@dataclass(frozen=True)
class ConstantMap(Affine):
    """The identity plus a constant that differs from place to place, (N, C, ...)."""

    value: Tensor | None = None

    def bias_map(self, g: Tensor) -> Tensor:
        assert self.value is not None
        return _constant_map(g, self.value)
