"""Relevance rules as data: how a unit's relevance is shared among the inputs that made it.

Every rule of layer-wise relevance propagation (LRP; Bach et al. 2015, Montavon et al. 2017) is the same three steps with other small
functions in them. For a linear operation and the relevance R at its output:

1. modify: for each :class:`Term` m, ``z_m = W_m a_m + b_m`` with ``a_m = input(a)``, ``W_m = weight(W)``, ``b_m = bias(b)``;
2. share: ``c_m = shares(R, [z_m])``, usually R over a stabilised denominator;
3. reduce: ``R_in = Σ_m coefficient_m · a_m ⊙ W_mᵀ c_m``.

A new rule is one expression; the mechanism, :func:`redistribute`, knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..engine.rules import Affine, per_channel
from ..engine.torch_ops import replaced
from .rule_tape import call

Modifier = Callable[[Tensor], Tensor]
STABILISER = 1e-6


def keep(t: Tensor) -> Tensor:
    return t


def positive(t: Tensor) -> Tensor:
    return t.clamp(min=0)


def negative(t: Tensor) -> Tensor:
    return t.clamp(max=0)


def nothing(t: Tensor) -> Tensor:
    return torch.zeros_like(t)


@dataclass(frozen=True)
class Term:
    """The modifiers of one copy of an operation's input, weight and bias. Operations without parameters use ``input`` alone."""

    input: Modifier = keep
    weight: Modifier = keep
    bias: Modifier = keep


@dataclass(frozen=True)
class Rule:
    """A relevance rule: see the module's docstring."""

    terms: tuple[Term, ...]
    shares: Callable[[Tensor, Sequence[Tensor]], Sequence[Tensor]]
    coefficients: tuple[float, ...]


UNCHANGED = Rule((), lambda r, z: (), ())
"""Relevance passes as it is: an operation with one input for each output."""


def stabilised(z: Tensor, epsilon: float = STABILISER) -> Tensor:
    """z + ε·sign(z), sign(0) = 1 (Bach et al. 2015, Eq. 58)."""
    return torch.where(z >= 0, z + epsilon, z - epsilon)


def epsilon_rule(epsilon: float = STABILISER) -> Rule:
    """R_i = Σ_j a_i w_ij R_j / (z_j + ε·sign(z_j)) (Bach et al. 2015, Eq. 58). The bias, part of z, keeps its share."""
    return Rule((Term(),), lambda r, z: [r / stabilised(z[0], epsilon)], (1.0,))


def alpha_beta_rule(alpha: float, beta: float) -> Rule:
    """R_i = Σ_j (α·(a_i w_ij)⁺ / z_j⁺ − β·(a_i w_ij)⁻ / z_j⁻) R_j (Bach et al. 2015, Eq. 60). The bias is part of z⁺ or z⁻.

    Raises:
        ValueError: not α − β = 1 with β ≥ 0, without which relevance is not conserved.
    """
    if beta < 0 or abs(alpha - beta - 1) > 1e-9:
        raise ValueError(f"The αβ-rule needs α − β = 1 and β ≥ 0, not α = {alpha:g}, β = {beta:g}.")
    helping = Term(positive, positive, positive), Term(negative, negative, nothing)
    hindering = Term(positive, negative, negative), Term(negative, positive, nothing)

    def shares(r: Tensor, z: Sequence[Tensor]) -> list[Tensor]:
        return [r / stabilised(z[m] + z[m + 1]) for m in range(0, len(z), 2) for _ in (0, 1)]

    if beta == 0:
        return Rule(helping, shares, (alpha, alpha))
    return Rule(helping + hindering, shares, (alpha, alpha, -beta, -beta))


def z_plus_rule() -> Rule:
    """R_i = Σ_j (a_i w_ij)⁺ / Σ_i' (a_i' w_i'j)⁺ R_j: the z⁺-rule (Montavon et al. 2017; Zhang et al. 2018).

    No bias takes part, so that relevance is conserved. The sources know inputs a ≥ 0 only; for others the product counts.
    """
    terms = Term(positive, positive, nothing), Term(negative, negative, nothing)
    return Rule(terms, lambda r, z: [r / stabilised(z[0] + z[1])] * 2, (1.0, 1.0))


def z_box_rule(low: Tensor, high: Tensor) -> Rule:
    """R_i = Σ_j (x_i w_ij − l_i w_ij⁺ − h_i w_ij⁻) / Σ_i' (…) R_j: the z^B-rule of Montavon et al. 2017, for l ≤ x ≤ h."""
    terms = Term(keep, keep, nothing), Term(lambda _: low, positive, nothing), Term(lambda _: high, negative, nothing)
    return Rule(terms, lambda r, z: [r / stabilised(z[0] - z[1] - z[2])] * 3, (1.0, -1.0, -1.0))


def same_sign_rule() -> Rule:
    """A sum with positive weights (an addition, an average) gives its relevance to the summands that have its own sign.

    ``R_i = a_i⁺ / Σ a⁺ · R`` where the sum is positive, ``a_i⁻ / Σ a⁻ · R`` where it is negative: conserving, and no sign ever changes.
    """

    def shares(r: Tensor, z: Sequence[Tensor]) -> list[Tensor]:
        up = z[0] + z[1] >= 0
        return [r * up / stabilised(z[0]), r * ~up / stabilised(z[1])]

    return Rule((Term(positive), Term(negative)), shares, (1.0, 1.0))


Operation = Callable[[Sequence[Tensor], Term], Tensor]
"""A linear operation: its output from its inputs, with the parameters that a term modifies."""


def folded_weight(affine: Affine) -> Tensor:
    """The weight with the batch norm's scale multiplied in; the affine must have a weight."""
    assert affine.weight is not None
    if affine.scale is None:
        return affine.weight
    return affine.weight * affine.scale.reshape(-1, *[1] * (affine.weight.dim() - 1))


def of_layer(affine: Affine) -> Operation:
    """A convolution or linear layer with its batch norm folded in, or a batch norm alone, which has a scale and no weight to modify."""

    def operation(inputs: Sequence[Tensor], term: Term) -> Tensor:
        (x,) = inputs
        bias = None if affine.bias is None else term.bias(affine.bias)
        shift = x.new_zeros(()) if bias is None else per_channel(bias, x) if x.dim() == 4 else bias
        if affine.weight is None:
            return (x if affine.scale is None else x * per_channel(affine.scale, x)) + shift
        if not bool(x.any()):  # the negative part of a rectified input: spare the convolution
            return shift
        weight = term.weight(folded_weight(affine))
        if weight.dim() == 2:
            return F.linear(x, weight, bias)
        return F.conv2d(x, weight, bias, affine.stride, affine.padding, affine.dilation, affine.groups)

    return operation


def of_function(func: Any, args: Any, kwargs: Any, inputs: Sequence[Tensor]) -> Operation:
    """Any linear call of torch without parameters of its own (an addition, a pooling, a mean) as a function of its ``inputs``."""
    stand_ins = [torch.empty_like(t, device="meta") for t in inputs]  # so that the call's own tensors are not kept
    by = {id(own): other for own, other in zip(inputs, stand_ins, strict=True)}
    args, kwargs = replaced(args, by), {k: replaced(v, by) for k, v in kwargs.items()}
    # Copies, because the call may work in place.
    return lambda values, term: call(func, args, kwargs, stand_ins, [v.clone() for v in values])


@torch.enable_grad()
def redistribute(rule: Rule, operation: Operation, inputs: Sequence[Tensor], relevance: Tensor) -> list[Tensor]:
    """The relevance at each of ``inputs`` from the ``relevance`` at the operation's output, by ``rule``."""
    modified = [[term.input(a).detach().requires_grad_() for a in inputs] for term in rule.terms]
    outputs = [operation(a, term) for a, term in zip(modified, rule.terms, strict=True)]
    shares = rule.shares(relevance, [z.detach() for z in outputs])
    result = [torch.zeros_like(a) for a in inputs]
    for a, z, share, coefficient in zip(modified, outputs, shares, rule.coefficients, strict=True):
        if z.requires_grad:
            for i, back in enumerate(torch.autograd.grad(z, a, share)):  # Wᵀ c
                result[i] = result[i] + coefficient * a[i].detach() * back
    return result
