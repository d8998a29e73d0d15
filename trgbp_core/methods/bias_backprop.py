"""Bias backpropagation: the biases' part of the score, carried back to the pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..engine.geometry import Window, axis_taps
from ..engine.layers import LayerRecord
from ..engine.recording import record
from ..engine.rules import Affine
from ..engine.torch_ops import ADDITIVE, MULTIPLICATIVE, depends, tensors
from ..trgbp.targets import Target
from .fullgrad import BiasTape, full_gradients
from .registry import Progress, register
from .rule_tape import JOINING, MATRIX, NEGATION, Back, call, dependent, substitute, substitute_call, substitute_rectifier

TINY = 1e-15
"""Added to every magnitude: where nothing is active, the mass is shared out equally instead of being lost."""

ELEMENTWISE = (ADDITIVE - JOINING) | (MULTIPLICATIVE - MATRIX) | NEGATION
POOLING = frozenset(
    """sum mean avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d interpolate upsample upsample_bilinear upsample_nearest
    fold matmul mm bmm pad constant_pad_nd""".split()
)

Weigh = Callable[..., Tensor]


def _sharing(weigh: Weigh, inputs: Sequence[Tensor]) -> Back:
    """The rule by which an operation's mass goes back to its ``inputs`` in proportion to what each of them contributed, in magnitude.

    ``weigh`` adds up the contributions: linear with non-negative coefficients, from the inputs' magnitudes to the output's shape. With
    s = weigh(|x|), the input x_q receives |x_q| · weighᵀ(β / s)_q, so that Σ_q β_q = Σ_p β_p.
    """
    magnitudes = [x.detach().abs() + TINY for x in inputs]

    def back(mass: Tensor) -> list[Tensor]:
        with torch.enable_grad():
            leaves = [m.requires_grad_() for m in magnitudes]
            contributions = weigh(*leaves)
        shares = torch.autograd.grad(contributions, leaves, mass / contributions.detach())
        return [m.detach() * s for m, s in zip(leaves, shares, strict=True)]

    return back


def _weigh_layer(affine: Affine, window: Window) -> Weigh:
    """Σ_q |W_pq| |x_q| of a layer; a batch norm keeps its channels apart and shares nothing."""
    if affine.weight is None:
        return lambda m: m
    weight = affine.weight.abs()
    if weight.dim() == 2:
        return lambda m: F.linear(m, weight + TINY)
    top, left = (outer - inner for outer, inner in zip(window.padding, affine.padding, strict=True))
    height, width = window.input_size
    inside = weight.new_zeros(affine.input_shape[2:])
    inside[top : top + height, left : left + width] = 1
    rows, columns = axis_taps(window, 0).to(weight), axis_taps(window, 1).to(weight)

    def weigh(m: Tensor) -> Tensor:
        m = m * inside  # padding is no part of the picture and receives nothing
        within = m[..., top : top + height, left : left + width].sum(1, keepdim=True)
        # The second term counts only where a filter is all zero, or looks at padding only: there the nearest pixels share alike.
        return F.conv2d(m, weight, None, affine.stride, affine.padding, affine.dilation, affine.groups) + TINY * (rows.T @ within @ columns)

    return weigh


def _weigh_operation(func: Any, name: str, args: Any, kwargs: Any, inputs: Sequence[Tensor]) -> Weigh:
    if name in ELEMENTWISE:
        shape = torch.broadcast_shapes(*(t.shape for t in tensors(args, kwargs)))
        return lambda *ms: reduce(torch.add, ms).expand(shape)
    constants = [t for t in tensors(args, kwargs) if not depends(t)]
    positive = [t.abs() + TINY for t in constants]

    def weigh(*ms: Tensor) -> Tensor:
        sums: Tensor = call(func, args, kwargs, [*inputs, *constants], [*ms, *positive])
        if "pad" in name:  # padding stems from no input: what little it receives goes to the whole map, in proportion
            sums = sums + TINY * ms[0].flatten(1).mean(1).reshape(-1, *[1] * (sums.dim() - 1))
        return sums

    return weigh


@dataclass
class _MassTape(BiasTape):
    """Goes backward with masses instead of gradients: every operation passes its output's mass on to its inputs, none is lost.

    ``masses`` are the biases' own, in the order in which :class:`BiasTape` meets them.
    """

    masses: tuple[Tensor | None, ...] = ()

    __hash__ = object.__hash__

    def note(self, out: Tensor, constant: Tensor) -> Tensor:
        out = super().note(out, constant)
        mass = self.masses[len(self.constants) - 1]
        return out if mass is None else substitute(lambda g: (g + mass,), lambda: out.detach().clone(), [out])

    def layer(self, x: Tensor, forward: Callable[[], Tensor], record: LayerRecord) -> Tensor:
        return substitute(_sharing(_weigh_layer(record.affine, record.window), [x]), forward, [x])

    def rectifier(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        return substitute_rectifier(self, z, ceiling, inplace, lambda mass: mass)

    def _ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Operations that only move or choose values conserve mass by themselves."""
        name = getattr(func, "__name__", "")
        return super()._ordinary(self._shared(func, name) if name in ELEMENTWISE | POOLING else func, args, kwargs)

    def _shared(self, func: Any, name: str) -> Callable[..., Any]:
        """``func`` with the backward rule :func:`_sharing`."""

        def shared(*args: Any, **kwargs: Any) -> Any:
            inputs = dependent(args, kwargs)
            if not inputs:
                return func(*args, **kwargs)
            back = _sharing(_weigh_operation(func, name, args, kwargs, inputs), inputs)
            return substitute_call(self, func, args, kwargs, inputs, back)

        shared.__name__ = name
        return shared


@register(
    "bias_backprop",
    title="Bias backpropagation",
    family="biases",
    citation="Wang et al. 2019",
    what="What the biases contributed to the score, passed back layer by layer to the inputs that were active.",
    promise="Complete: adds up to the part of the score that the gradient leaves out.",
    failure="A bias belongs to no pixel: how a layer distributes it over its inputs is a choice.",
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
