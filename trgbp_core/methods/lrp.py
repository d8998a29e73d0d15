"""Methods that pass the class score down, layer by layer: LRP-ε, LRP-αβ, Deep Taylor, Excitation backpropagation.

One tape for all four; a method is a choice of rules (:mod:`.relevance_rules`) and of what it starts from. How each operation is treated:

- convolution, linear layer: the method's rule, the batch norm behind it folded in (zennit needs its ``SequentialMergeBatchNorm``);
- a batch norm that follows no such layer (DenseNet), a constant that is added: under the ε-rule a 1×1 layer whose bias keeps its share,
  so that LRP-ε is input × gradient for small ε, whatever the network; under the other rules relevance passes unchanged, each unit having
  one input only (zennit: ``Pass``; captum: ``IdentityRule``). With Pass the ε-rule explodes there, 10⁹ times the score in a DenseNet:
  relevance in proportion to the norm's output meets the layer below, which divides by the norm's input;
- a scaling, a change of sign: relevance passes unchanged;
- rectifier: relevance passes unchanged (zennit: ``Pass``);
- max-pooling: the winner takes all; concatenation, slicing, flattening: relevance goes where the value came from;
- additions (residual connections), averages, average pooling, interpolation: LRP shares in proportion to the summands, the ε-rule
  without weights (zennit: ``Norm``, which needs its ``ResNetCanonizer`` to see additions). Deep Taylor and Excitation backpropagation
  promise relevance that is never negative, and share among the summands of the sum's own sign; behind a rectifier with summands that
  are not negative, both are the same;
- anything else is refused with :class:`.NotApplicable`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from ..engine.geometry import per_channel
from ..engine.layers import LayerRecord
from ..engine.recording import record
from ..engine.torch_ops import ADDITIVE, MULTIPLICATIVE, depends, divides_by_constant, tensors
from ..trgbp.targets import Target
from .registry import Progress, register
from .relevance_rules import (
    STABILISER,
    UNCHANGED,
    Operation,
    Rule,
    alpha_beta_rule,
    epsilon_rule,
    of_function,
    of_layer,
    redistribute,
    same_sign_rule,
    z_box_rule,
    z_plus_rule,
)
from .rule_tape import JOINING, MATRIX, NEGATION, Back, RuleTape, call, carried_back, dependent, substitute_call

AVERAGING = frozenset(
    """add add_ __add__ __radd__ __iadd__ sum mean fold interpolate upsample upsample_bilinear upsample_nearest
    avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d""".split()
)
"""Sums with weights that are not negative."""

MIXING = AVERAGING | MATRIX | (ADDITIVE - JOINING) | {"conv_transpose2d"}
"""What makes one unit of several, other than a layer; everything else moves units about, and its ordinary gradient moves relevance."""

Bounds = tuple[Tensor | float, Tensor | float]
BOX_SLACK = 1e-4  # rounding of a normalisation
PROPORTIONAL = epsilon_rule()


@dataclass
class RelevanceTape(RuleTape):
    """Carries relevance back, where the ordinary tape carries gradients.

    Attributes:
        layer_rule: the rule of convolutions and linear layers.
        sum_rule: the rule of sums and averages with positive weights; other linear mixtures always share in proportion.
        shift_rule: the rule of lone batch norms and added constants; by default relevance passes them unchanged.
        first_rule: the rule of the layers that look at the picture itself, from the picture's bounds (l, h); by default ``layer_rule``.
        bounds: (l, h), broadcast to the picture; by default each picture's own range, channel by channel.
    """

    layer_rule: Rule = field(default_factory=epsilon_rule)
    sum_rule: Rule = field(default_factory=epsilon_rule)
    shift_rule: Rule = UNCHANGED
    first_rule: Callable[[Tensor, Tensor], Rule] | None = None
    bounds: Bounds | None = None

    __hash__ = object.__hash__

    def __post_init__(self) -> None:
        super().__post_init__()
        self._boxes: Any = WeakTensorKeyDictionary()

    def layer_back(self, x: Tensor, index: int, record: LayerRecord) -> Back:
        box = self._box(x)
        rule = self.layer_rule if box is None or self.first_rule is None else self.first_rule(*box)
        return _back(self.shift_rule if record.affine.weight is None else rule, of_layer(record.affine), [x])

    def rectifier_back(self, z: Tensor, ceiling: float) -> Callable[[Tensor], Tensor]:
        return lambda relevance: relevance

    def affine(self, x: Tensor, forward: Callable[[], Tensor], record: LayerRecord) -> Tensor:
        out = super().affine(x, forward, record)
        box = self._box(x)
        if box is not None and record.affine.weight is None:  # a network that normalises the picture by itself
            scale, shift = (1.0 if v is None else per_channel(v, x) for v in (record.affine.scale, record.affine.bias))
            self._note_box(out, [bound * scale + shift for bound in box])
        return out

    def _ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        inputs = dependent(args, kwargs)
        name = getattr(func, "__name__", str(func))
        rule = self._rule(name, args, kwargs) if inputs else None
        boxes = [self._box(t) for t in inputs]
        result = super()._ordinary(func, args, kwargs) if rule is None else self._replace(name, func, args, kwargs, inputs, rule)
        if isinstance(result, Tensor) and depends(result) and boxes and None not in boxes:
            with torch.no_grad():
                ends = [call(func, args, kwargs, inputs, [box[end].clone() for box in boxes if box]) for end in (0, 1)]
            self._note_box(result, ends)
        return result

    def _rule(self, name: str, args: Any, kwargs: Any) -> Rule | None:
        """The rule of an operation, or None where its ordinary gradient moves relevance to where the value came from."""
        uses = sum(depends(t) for t in tensors(args, kwargs))
        if name in NEGATION or (uses == 1 and name in MULTIPLICATIVE - MATRIX and divides_by_constant(name, args)):
            return UNCHANGED
        if uses == 1 and name in ADDITIVE - JOINING:
            return self.shift_rule
        if name in AVERAGING:
            return self.sum_rule
        return PROPORTIONAL if name in MIXING and (uses == 1 or name not in MATRIX) else None

    def _replace(self, name: str, func: Any, args: Any, kwargs: Any, inputs: list[Tensor], rule: Rule) -> Tensor:
        back = _back(rule, of_function(func, args, kwargs, inputs), inputs)
        result = substitute_call(self, func, args, kwargs, inputs, back)
        self._origins.follow(result, inputs[0], self.notes.spatial(inputs[0]), name, args, kwargs)
        return result

    # -- the box that the picture lies in, for the z^B-rule -------------------------------------------------------------------------

    def _box(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.first_rule is None:
            return None
        if x is not self.picture:
            return self._boxes.get(x)
        x = x.detach()
        if self.bounds is None:
            return x.amin((2, 3), keepdim=True).expand_as(x), x.amax((2, 3), keepdim=True).expand_as(x)
        low, high = (torch.as_tensor(bound).to(x).expand_as(x) for bound in self.bounds)
        if bool((x < low - BOX_SLACK).any() or (x > high + BOX_SLACK).any()):
            raise ValueError("The picture lies outside the bounds that were given for it; bounds are meant after normalisation.")
        return low, high

    def _note_box(self, x: Tensor, ends: list[Tensor]) -> None:
        """A change of sign turns the ends around; whatever happened, the box holds the picture."""
        plain = x.detach()
        self._boxes[x] = torch.minimum(torch.minimum(*ends), plain), torch.maximum(torch.maximum(*ends), plain)


def _back(rule: Rule, operation: Operation, inputs: list[Tensor]) -> Back:
    if rule is UNCHANGED:
        shape = inputs[0].shape
        return lambda relevance: [relevance.sum_to_size(shape)]
    kept = [t.detach().clone() for t in inputs]
    return lambda relevance: redistribute(rule, operation, kept, relevance)


def _relevance(tape: RelevanceTape, x: Tensor, target: Target, *, score: bool) -> Tensor:
    return carried_back(record(tape.network, x, tape=tape), target, score=score).sum(1, keepdim=True)


@register(
    "lrp_epsilon",
    title="LRP-ε",
    family="propagation",
    citation="Bach et al. 2015",
    what="The class score passed down layer by layer, in proportion to each input's contribution.",
    promise="What arrives at the pixels and at the biases adds up to the class score.",
    failure="With a small ε and rectifiers almost input × gradient, with all its noise.",
    signed=True,
    cost=9,
)
def lrp_epsilon(
    network: nn.Module, x: Tensor, target: Target = None, *, epsilon: float = STABILISER, progress: Progress | None = None
) -> Tensor:
    """LRP with the ε-rule everywhere (Bach et al. 2015, Eq. 58), from R = f_k, summed over the colours: (N, 1, H, W), signed.

    The biases are part of the denominators and keep their share, so that the map adds up to f_k only where there are none. A larger
    ``epsilon`` absorbs weak and contradictory relevance; the default only keeps divisions defined (zennit's value).

    Raises:
        ValueError: ``epsilon`` is not positive.
    """
    if not epsilon > 0:
        raise ValueError(f"ε must be positive, not {epsilon:g}.")
    rule = epsilon_rule(epsilon)
    return _relevance(RelevanceTape(network, method="LRP", layer_rule=rule, shift_rule=epsilon_rule()), x, target, score=True)


@register(
    "lrp_alpha_beta",
    title="LRP-αβ",
    family="propagation",
    citation="Bach et al. 2015",
    what="The class score passed down with contributions for it (weight α = 2) and against it (β = 1) kept apart.",
    promise="Shows evidence for and against; the shares stay stable where contributions cancel.",
    failure="Depends little on the class: the upper layers hardly change what the lower ones show.",
    signed=True,
    cost=30,
)
def lrp_alpha_beta(
    network: nn.Module, x: Tensor, target: Target = None, *, alpha: float = 2.0, beta: float = 1.0, progress: Progress | None = None
) -> Tensor:
    """LRP with the αβ-rule in layers (Bach et al. 2015, Eq. 60), from R = f_k, summed over the colours: (N, 1, H, W), signed.

    The default, α = 2 and β = 1, is the one of Bach et al.'s figures; α = 1, β = 0 is the z⁺-rule with biases.

    Raises:
        ValueError: not α − β = 1 with β ≥ 0.
    """
    rule = alpha_beta_rule(alpha, beta)
    return _relevance(RelevanceTape(network, method="LRP", layer_rule=rule), x, target, score=True)


@register(
    "deep_taylor",
    title="Deep Taylor",
    family="propagation",
    citation="Montavon et al. 2017",
    what="The class score passed down through positive contributions only; pixels are compared with the darkest and brightest possible.",
    promise="Shares add up to the score where every unit has a positive contribution, and all have the score's sign.",
    failure="Almost the same for every class; the share of units active by their bias alone is lost, which is much in depthwise networks.",
    cost=12,
)
def deep_taylor(
    network: nn.Module, x: Tensor, target: Target = None, *, bounds: Bounds | None = None, progress: Progress | None = None
) -> Tensor:
    """Deep Taylor decomposition: the z⁺-rule, at the picture z^B (Montavon et al. 2017), from R = f_k: (N, 1, H, W).

    The theory asks for biases that are not positive and for f_k > 0. Biases take no part here, so that Σ R = f_k holds all the same, but
    for units without any positive contribution, active by their bias alone: their relevance ends there. They are rare behind full
    convolutions and frequent behind depthwise ones (EfficientNet-Lite0 keeps 4 % on one picture). A negative f_k makes a negative map.

    Args:
        bounds: (l, h), the smallest and largest value a pixel can take after normalisation, broadcast to (N, C, H, W), say two
            (1, C, 1, 1) tensors. By default each picture's own range in each channel, which needs no knowledge of the normalisation.

    Raises:
        ValueError: the picture lies outside ``bounds``.
    """
    tape = RelevanceTape(
        network, method="Deep Taylor", layer_rule=z_plus_rule(), sum_rule=same_sign_rule(), first_rule=z_box_rule, bounds=bounds
    )
    return _relevance(tape, x, target, score=True)


@register(
    "excitation_backprop",
    title="Excitation backprop",
    family="propagation",
    citation="Zhang et al. 2018",
    what="The probability that a random walk from the class unit down along positive contributions ends at a pixel.",
    promise="A probability distribution over the picture, if every active unit has a positive contribution.",
    failure="Almost the same for every class; ignores negative weights; walks end at units active by their bias alone.",
    cost=12,
)
def excitation_backprop(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """The marginal winning probability (Zhang et al. 2018, Section 3) of every pixel, P = 1 at the class unit: (N, 1, H, W).

    ``P(a_i) = Σ_j a_i w_ij⁺ / Σ_i' a_i' w_i'j⁺ · P(a_j)``. The authors read it off at a hidden layer, where a ≥ 0; at the picture, whose
    normalised pixels have either sign, contributions a_i w_ij that are positive count (zennit's ``ExcitationBackprop``). Biases take no
    part, and the map adds up to 1, but for units without excitation (see :func:`deep_taylor`), where the walk ends.
    """
    tape = RelevanceTape(network, method="Excitation backpropagation", layer_rule=z_plus_rule(), sum_rule=same_sign_rule())
    return _relevance(tape, x, target, score=False)
