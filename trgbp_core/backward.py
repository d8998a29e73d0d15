"""The two operations whose backward pass the theory changes, for many classes at once.

Both backward steps receive all classes as one ordinary batch, so that a class costs one convolution and as few sweeps over memory as
can be; :mod:`trgbp_core.graph` walks from one to the next.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .packed import Packed
from .saturated import Saturated
from .thin import THIN, thin_input_gradient

BLOCK = 1 << 21  # numbers: eight megabytes of float32
FEW_PLACES = 800  # of all classes and pictures together


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
        if self.groups == 1 and weight.shape[1] <= THIN and self.dilation == (1, 1) and min(weight.shape[2:]) > 1:
            return thin_input_gradient(g, weight, (self.input_shape[2], self.input_shape[3]), self.stride, self.padding)
        if self._is_small_product(g):
            return (g.movedim(1, -1) @ weight.flatten(1)).movedim(-1, 1)
        shape = (g.shape[0], *self.input_shape[1:])
        like = torch.empty(shape, dtype=g.dtype, device=g.device, memory_format=torch.channels_last)
        gradient, _, _ = torch.ops.aten.convolution_backward(
            g, like, weight, None, self.stride, self.padding, self.dilation, False, [0, 0], self.groups, [True, False, False]
        )
        return gradient

    def _is_small_product(self, g: Tensor) -> bool:
        """A 1×1 convolution of few places is a matrix product, without what a convolution prepares at every call."""
        plain = self.groups == 1 and self.stride == (1, 1) and self.padding == (0, 0)
        places = g.shape[0] * g.shape[2] * g.shape[3]
        return plain and self.weight is not None and self.weight.shape[2:] == (1, 1) and places <= FEW_PLACES

    def bias_map(self, g: Tensor, voices: Tensor | None = None) -> Tensor:
        """Σ_o b'_o g_o (Eq. 8), and ``voices`` of saturated units if there are any: (M, 1, h, w), (M, 1, 1, 1) for a linear layer."""
        if self.bias is None:
            size = g.shape[2:] if g.dim() == 4 else (1, 1)
            return g.new_zeros(g.shape[0], 1, *size) if voices is None else voices
        if g.dim() != 4:
            sums = (g.reshape(g.shape[0], -1, g.shape[-1]) @ self.bias).sum(1).reshape(-1, 1, 1, 1)
            return sums if voices is None else sums + voices
        # A matrix's product with a vector is left to one thread; a batch of them, one for each row of the map, is shared out.
        rows = g.movedim(1, -1).flatten(0, 1)
        factors = self.bias.expand(len(rows), 1, -1), rows.mT
        sums = torch.bmm(*factors) if voices is None else torch.baddbmm(voices.view(len(rows), 1, -1), *factors)
        return sums.view(g.shape[0], 1, *g.shape[2:])


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


class ForAllClasses(Function):
    """An operation whose backward rule takes the gradients of all classes as one batch.

    Subclasses set ``ctx.for_all_classes``: a function of the gradient at the output, (M, ...) with M = classes × pictures, picture index
    fastest, that returns the gradient at the first argument and at the second (or None), M rows each. :class:`trgbp_core.graph.Graph`
    calls it for all classes; autograd's own engine, for one.
    """

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return *ctx.for_all_classes(grads[0]), None, None, None


class Gate:
    """A rectifier's state in one forward pass: ``min(max(z, 0), ceiling)``, for its backward rule.

    Args:
        passing: (N, C, ...): where 0 < z < ceiling, ∞ for the guided rule of Eq. 4 and 1 for the ordinary gradient; elsewhere 0.
        saturated: the saturated units; None where there is no ceiling, or no layer map is asked for.
    """

    def __init__(self, passing: Tensor, saturated: Saturated | None, guided: bool) -> None:
        self._passing: Tensor | Packed = passing
        self.saturated, self.guided = saturated, guided
        self._pictures = len(passing)

    @classmethod
    def of(cls, out: Tensor, ceiling: float, *, guided: bool, layer_maps: bool) -> Gate:
        """The gate of a rectifier whose output is ``out``."""
        unit = out.new_full((), math.inf if guided else 1.0).expand_as(out)
        passing = torch.ops.aten.hardtanh_backward(unit, out, 0.0, ceiling)
        saturated = Saturated.of(out, ceiling) if layer_maps and not math.isinf(ceiling) else None
        return cls(passing, saturated, guided)

    @property
    def passing(self) -> Tensor:
        return self._passing if isinstance(self._passing, Tensor) else self._passing.unpacked()

    def pack(self) -> None:
        """Keep a bit a unit instead of a number; each backward pass then unpacks it anew. Only in the processor's own memory."""
        if isinstance(self._passing, Tensor) and self._passing.device.type == "cpu":
            self._passing = Packed.of(self._passing)

    @property
    def nbytes(self) -> int:
        return self._passing.nbytes + (0 if self.saturated is None else self.saturated.nbytes)

    def voices(self, g: Tensor) -> Tensor | None:
        """What the saturated units say, (M, 1, h, w), from the gradient ``g`` at the rectifier's output; None if there are none."""
        return self.saturated.voices(g) if self.saturated else None

    def backward(self, g: Tensor, out: Tensor, affine: Affine | None = None) -> Tensor | None:
        """The gradient at the rectifier's input, guided ``relu(g) · 1[0 < z < ceiling]``, written to ``out``; ``affine``'s map of it.

        Large gradients are taken one by one, so that the map's sweep finds in the cache what the rectifier's has just written.
        """
        passing, voices = self.passing, None if affine is None else self.voices(g)
        if affine is None or g.dim() != 4 or g.numel() <= BLOCK:
            self._open(g.unflatten(0, (-1, self._pictures)), passing, out.unflatten(0, (-1, self._pictures)))
            return None if affine is None else affine.bias_map(out, voices)
        maps = g.new_empty(len(g), 1, *g.shape[2:])
        for i in range(len(g)):
            one = slice(i, i + 1)
            self._open(g[one], passing[i % self._pictures], out[one])
            maps[one] = affine.bias_map(out[one], None if voices is None else voices[one])
        return maps

    def _open(self, g: Tensor, passing: Tensor, out: Tensor) -> None:
        if self.guided:  # one clamp does both: relu(g) · 1[open] = clamp(g, 0, ∞ where open, 0 elsewhere)
            torch.clamp(g, g.new_zeros(()), passing, out=out)
        else:
            torch.mul(g, passing, out=out)


class ApplyAffine(ForAllClasses):
    """A layer, and the rectifier behind it if ``gate`` is given: ``value()`` is its output, computed by the caller's own operations.

    The gradient of ``tap``, (N, 1, h, w) of zeros, is the layer's bias map Σ_o b'_o g_o, with the constants of saturated units.
    ``tap`` is None where no map is asked for.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, tap: Tensor | None, value: Callable[[], Tensor], affine: Affine, gate: Gate | None) -> Tensor:
        ctx.for_all_classes = partial(_affine_step, affine, gate, tap is not None)
        return value()


def _affine_step(affine: Affine, gate: Gate | None, tapped: bool, g: Tensor) -> tuple[Tensor, Tensor | None]:
    asked = affine if tapped else None
    if gate is None:
        g = g.contiguous(memory_format=torch.channels_last) if g.dim() == 4 else g
        return affine.input_gradient(g), None if asked is None else asked.bias_map(g)
    at_output, g = g, workspace.like(g)
    maps = gate.backward(at_output, g, asked)
    return affine.input_gradient(g), maps


class Rectify(ForAllClasses):
    """A rectifier that follows no layer directly (after an addition, a concatenation, a pooling). ``tap`` as in :class:`ApplyAffine`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, tap: Tensor | None, value: Callable[[], Tensor], gate: Gate) -> Tensor:
        ctx.for_all_classes = partial(_rectify_step, gate, tap is not None)
        return value()


def _rectify_step(gate: Gate, tapped: bool, g: Tensor) -> tuple[Tensor, Tensor | None]:
    out = torch.empty_like(g, memory_format=torch.channels_last if g.dim() == 4 else torch.contiguous_format)
    return out, gate.backward(g, out, Affine(None, None, g.shape) if tapped else None)


def _constant_map(g: Tensor, constant: Tensor) -> Tensor:
    """Σ_c constant_c g_c from g (K·N, C, ...) and constant (N, C, ...): (K·N, 1, h, w), or (K·N, 1, 1, 1) where there is no map."""
    grouped = g.unflatten(0, (-1, len(constant)))
    product = (grouped * constant).flatten(0, 1)
    return product.sum(1, keepdim=True) if g.dim() == 4 else product.flatten(1).sum(1).reshape(-1, 1, 1, 1)


@dataclass(frozen=True)
class ConstantMap(Affine):
    """The identity plus a constant that differs from place to place, (N, C, ...)."""

    value: Tensor | None = None

    def bias_map(self, g: Tensor, voices: Tensor | None = None) -> Tensor:
        assert self.value is not None
        own = _constant_map(g, self.value)
        return own if voices is None else own + voices
