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

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

BLOCK = 1 << 20  # numbers: four megabytes of float32
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
    ``saturated`` holds the saturated units' indices in the output taken channels last; None where no layer map is asked for.
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
            saturated = _at_least(out.movedim(1, -1).reshape(-1), ceiling)
        return cls(passing, saturated, ceiling, guided)

    def add_saturated(self, maps: Tensor, g: Tensor) -> None:
        """Add ``Σ_c ceiling · 1[z_c ≥ ceiling] · g_c``, the voice of the saturated units, to ``maps`` (M, 1, h, w).

        ``g`` is the gradient at the rectifier's output. Few units saturate, so that they are gathered one by one.
        """
        if self.saturated is None or not len(self.saturated):
            return
        pictures = len(self.passing)
        voices = g.movedim(1, -1).reshape(len(g) // pictures, -1).index_select(1, self.saturated)
        places = maps.view(len(voices), -1)
        units = self.passing.numel() // places.shape[1]  # that share a place
        places.scatter_add_(1, (self.saturated // units).expand_as(voices), voices * self.ceiling)

    def backward(self, g: Tensor, out: Tensor, affine: Affine | None = None) -> Tensor | None:
        """The gradient at the rectifier's input, guided ``relu(g) · 1[0 < z < ceiling]``, written to ``out``; ``affine``'s map of it.

        Large gradients are taken in blocks, so that the map's sweep finds in the cache what the rectifier's has just written.
        """
        pictures = len(self.passing)
        grouped, results = g.unflatten(0, (-1, pictures)), out.unflatten(0, (-1, pictures))
        if affine is None or g.dim() != 4 or g.numel() <= BLOCK:
            self._open(grouped, self.passing, results)
            return None if affine is None else affine.bias_map(out)
        maps = g.new_empty(len(g), 1, *g.shape[2:])
        rows = max(1, BLOCK // (g.shape[1] * g.shape[3])) if pictures == 1 else g.shape[2]
        for k, places in enumerate(maps.unflatten(0, (-1, pictures))):
            for top in range(0, g.shape[2], rows):
                block = results[k, :, :, top : top + rows]
                self._open(grouped[k, :, :, top : top + rows], self.passing[:, :, top : top + rows], block)
                places[:, :, top : top + rows] = affine.bias_map(block)
        return maps

    def _open(self, g: Tensor, passing: Tensor, out: Tensor) -> None:
        if self.guided:  # one clamp does both: relu(g) · 1[open] = clamp(g, 0, ∞ where open, 0 elsewhere)
            torch.clamp(g, g.new_zeros(()), passing, out=out)
        else:
            torch.mul(g, passing, out=out)


def _at_least(values: Tensor, ceiling: float) -> Tensor:
    """Indices of ``values`` (n,) that reach ``ceiling``; numpy finds rare ones several times faster than torch does."""
    if values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(np.flatnonzero(values.numpy() >= ceiling))
    return (values >= ceiling).nonzero().squeeze(1)


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
            maps, asked = None, affine if tapped else None
            if gate is not None:
                at_output, g = g, workspace.like(g)
                maps = gate.backward(at_output, g, asked)
                if maps is not None:
                    gate.add_saturated(maps, at_output)
            else:
                g = g.contiguous(memory_format=torch.channels_last) if g.dim() == 4 else g
                maps = None if asked is None else asked.bias_map(g)
            return affine.input_gradient(g), g.new_empty(len(g), 0) if maps is None else maps

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
            maps = g.new_zeros(len(g), 1, *(g.shape[2:] if g.dim() == 4 else (1, 1))) if tapped else g.new_empty(len(g), 0)
            if tapped:
                gate.add_saturated(maps, g)
            out = torch.empty_like(g)
            gate.backward(g, out)
            return out, maps

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
