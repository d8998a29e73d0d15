"""Bias backpropagation: the biases' part of the score, carried back to the pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from ..engine.geometry import Window, axis_taps
from ..engine.layers import LayerRecord
from ..engine.recording import record
from ..engine.rules import Affine
from ..engine.torch_ops import ADDITIVE, MULTIPLICATIVE, depends, in_place, replaced, tensors
from ..trgbp.targets import Target
from .fullgrad import BiasTape, full_gradients
from .registry import Progress, register

TINY = 1e-15
"""Added to every magnitude: where nothing is active, the mass is shared out equally instead of being lost."""

JOINING = frozenset("cat concat concatenate stack hstack vstack".split())
ELEMENTWISE = (ADDITIVE - JOINING) | MULTIPLICATIVE - {"matmul", "mm", "bmm"} | {"neg", "negative", "__neg__"}
POOLING = frozenset(
    """sum mean avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d interpolate upsample upsample_bilinear upsample_nearest
    fold matmul mm bmm pad constant_pad_nd""".split()
)

Weigh = Callable[..., Tensor]


class _Share(Function):
    """An operation whose mass goes back to its inputs in proportion to what each of them contributed, in magnitude.

    ``weigh`` adds up the contributions: linear with non-negative coefficients, from the inputs' magnitudes to the output's shape. With
    s = weigh(|x|), the input x_q receives |x_q| · weighᵀ(β / s)_q, so that Σ_q β_q = Σ_p β_p.
    """

    @staticmethod
    def forward(ctx: Any, value: Callable[[], Tensor], weigh: Weigh, magnitudes: tuple[Tensor, ...], *inputs: Tensor) -> Tensor:
        ctx.weigh, ctx.magnitudes = weigh, magnitudes
        return value()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (mass,) = grads
        with torch.enable_grad():
            magnitudes = [m.requires_grad_() for m in ctx.magnitudes]
            contributions = ctx.weigh(*magnitudes)
        ratio = mass / contributions.detach()
        shares = torch.autograd.grad(contributions, magnitudes, ratio)
        return None, None, None, *(m.detach() * s for m, s in zip(magnitudes, shares, strict=True))


class _Receive(Function):
    """The identity, where a bias's own mass joins the mass that comes from above."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mass: Tensor) -> Tensor:
        ctx.mass = mass
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0] + ctx.mass, None


class _Pass(Function):
    """The identity for masses: a rectifier has one input for each output."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, value: Callable[[], Tensor]) -> Tensor:
        return value()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0], None


def _magnitude(x: Tensor) -> Tensor:
    return x.detach().abs() + TINY


def _weigh_layer(affine: Affine, window: Window) -> Weigh:
    """Σ_q |W_pq| |x_q| of a layer; a batch norm keeps its channels apart and shares nothing."""
    if affine.weight is None:
        return lambda m: m
    weight = affine.weight.abs()
    if weight.dim() == 2:
        return lambda m: F.linear(m, weight + TINY)
    (top, left), (height, width) = (outer - inner for outer, inner in zip(window.padding, affine.padding, strict=True)), window.input_size
    inside = weight.new_zeros(affine.input_shape[2:])
    inside[top : top + height, left : left + width] = 1
    rows, columns = axis_taps(window, 0).to(weight), axis_taps(window, 1).to(weight)

    def weigh(m: Tensor) -> Tensor:
        m = m * inside  # padding is no part of the picture and receives nothing
        within = m[..., top : top + height, left : left + width].sum(1, keepdim=True)
        # The second term is felt where a filter is all zero, or looks at padding only: there the nearest pixels share alike.
        return F.conv2d(m, weight, None, affine.stride, affine.padding, affine.dilation, affine.groups) + TINY * (rows.T @ within @ columns)

    return weigh


def _weigh_operation(func: Any, name: str, args: Any, kwargs: Any, inputs: tuple[Tensor, ...]) -> Weigh:
    if name in ELEMENTWISE:
        shape = torch.broadcast_shapes(*(t.shape for t in tensors(args, kwargs)))
        return lambda *ms: reduce(torch.add, ms).expand(shape)
    constants = {id(t): t.abs() + TINY for t in tensors(args, kwargs) if not depends(t)}

    def weigh(*ms: Tensor) -> Tensor:
        by = constants | {id(t): m for t, m in zip(inputs, ms, strict=True)}
        sums = func(*replaced(args, by), **{k: replaced(v, by) for k, v in kwargs.items()})
        if "pad" in name:  # padding stems from no input: what little it receives goes to the whole map, in proportion
            sums = sums + TINY * ms[0].flatten(1).mean(1).reshape(-1, *[1] * (sums.dim() - 1))
        return sums

    return weigh


@dataclass
class _MassTape(BiasTape):
    """Goes backward with masses instead of gradients: every operation hands its output's mass to its inputs, none is lost.

    ``masses`` are the biases' own, in the order in which :class:`BiasTape` meets them.
    """

    masses: tuple[Tensor | None, ...] = ()

    __hash__ = object.__hash__

    def note(self, out: Tensor, constant: Tensor) -> Tensor:
        out = super().note(out, constant)
        mass = self.masses[len(self.constants) - 1]
        return out if mass is None else _Receive.apply(out, mass)

    def layer(self, x: Tensor, forward: Callable[[], Tensor], record: LayerRecord) -> Tensor:
        return _Share.apply(forward, _weigh_layer(record.affine, record.window), (_magnitude(x),), x)

    def rectifier(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        plain = z.detach()
        return _Pass.apply(z, lambda: plain.clamp_(0, ceiling) if inplace else plain.clamp(0, ceiling))

    def _ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(func, "__name__", "")
        return super()._ordinary(self._sharing(func, name) if name in ELEMENTWISE | POOLING else func, args, kwargs)

    def _sharing(self, func: Any, name: str) -> Callable[..., Any]:
        """``func`` with :class:`_Share`'s backward pass. Operations that only move or choose values conserve mass by themselves."""

        def shared(*args: Any, **kwargs: Any) -> Any:
            inputs = tuple(t for t in tensors(args, kwargs) if depends(t))
            if not inputs:
                return func(*args, **kwargs)
            by = {id(t): t.detach() for t in inputs}
            result = _Share.apply(
                lambda: func(*replaced(args, by), **{k: replaced(v, by) for k, v in kwargs.items()}),
                _weigh_operation(func, name, args, kwargs, inputs),
                tuple(_magnitude(t) for t in inputs),
                *inputs,
            )
            if in_place(name):
                self._successors[args[0]] = result
            return result

        shared.__name__ = name
        return shared


@register(
    "bias_backprop",
    title="Bias backpropagation",
    family="biases",
    citation="Wang et al. 2019",
    what="What the biases gave to the score, handed back layer by layer to the inputs that were active.",
    promise="Complete: adds up to the part of the score that the gradient leaves out.",
    failure="Nothing in the biases says which pixel they belong to: how a layer shares them out is a choice.",
    signed=True,
    cost=15,
)
def bias_backprop(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """β_0 of bias backpropagation (Wang, Zhou & Bilmes 2019, Algorithm 1), summed over the colours, (N, 1, H, W), signed.

    From the logits to the picture, every layer takes the mass β that it received at its outputs, adds its own bias's b_p·∂f_k/∂b_p, and
    attributes the sum to its inputs: ``β_q = Σ_p α_pq (β_p + b_p ∂f_k/∂b_p)`` with Σ_q α_pq = 1. The authors study several α; here it
    is each input's share in magnitude, ``α_pq = |W_pq x_q| / Σ_r |W_pr x_r|``, for sums and average poolings, too. The biases are
    :class:`~trgbp_core.methods.fullgrad.BiasTape`'s. Hence ``Σ β_0 = f_k(x) − Σ x·∂f_k/∂x``.

    Raises:
        NotApplicable: an operation is neither a rectifier nor linear.
    """
    parts = full_gradients(network, x, target, method="Bias backpropagation")
    tape = _MassTape(network, guided=False, strict=False, masses=parts.biases)
    recording = record(network, x, tape=tape)
    with torch.inference_mode(False):  # every mass enters on the way: nothing starts at the logits
        (mass,) = torch.autograd.grad(recording.output, recording.input, torch.zeros_like(recording.output))
    return mass.sum(1, keepdim=True)
