"""PatternNet and PatternAttribution: back through patterns, where the gradient goes back through weights.

A pattern says what a unit's input looks like when the unit is active (:mod:`.learn_patterns`). In the backward pass it takes the weight's
place: a for PatternNet, w ⊙ a for PatternAttribution.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..engine.geometry import per_channel
from ..engine.layers import LayerRecord
from ..engine.recording import record
from ..engine.rules import Affine
from ..trgbp.targets import Target
from .learn_patterns import COMMAND, Patterns, layer_key
from .registry import NotApplicable, Progress, register
from .relevance_rules import folded_weight
from .rule_tape import Back, RuleTape, carried_back

EXPONENTS = (60, 110)  # 2⁻¹¹⁰ of a score is still a normal number in single precision
LARGEST = 60  # 2⁶⁰: sums and products of a map's values stay finite

_in_use: WeakKeyDictionary[nn.Module, Patterns] = WeakKeyDictionary()


def use_patterns(network: nn.Module, patterns: Patterns) -> None:
    """From now on, ``pattern_net`` and ``pattern_attribution`` explain this very ``network`` with ``patterns``, as long as it lives.

    The network itself is not touched. A copy of it, or another one, is not meant.
    """
    _in_use[network] = patterns


@dataclass
class _PatternTape(RuleTape):
    """Patterns in place of weights in the backward pass; all other operations keep their gradient."""

    patterns: Patterns = field(default_factory=lambda: Patterns({}, 0))
    attribution: bool = False
    method: str = "PatternNet"

    __hash__ = object.__hash__

    def layer_back(self, x: Tensor, index: int, record: LayerRecord) -> Back:
        affine = record.affine
        if affine.weight is None:
            # The pattern of a lone batch norm y = s x + b is 1/s; a channel with s = 0 carries no signal.
            scale = None if self.attribution or affine.scale is None else torch.where(affine.scale == 0, 0.0, 1 / affine.scale)
            return lambda g: (g if scale is None else g * per_channel(scale, g),)

        def back(g: Tensor) -> tuple[Tensor]:
            pattern = self._pattern(layer_key(index, record.name), affine)
            weight = pattern * folded_weight(affine) if self.attribution else pattern
            return (replace(affine, weight=weight, scale=None).input_gradient(g),)

        return back

    def _pattern(self, key: str, affine: Affine) -> Tensor:
        assert affine.weight is not None
        pattern = self.patterns.layers.get(key)
        if pattern is None or pattern.shape != affine.weight.shape:
            raise NotApplicable(
                f"These patterns were learnt from another network: they have none that fits its layer {key.partition(':')[2]}."
            )
        pattern = pattern.to(affine.weight)
        products = (pattern * folded_weight(affine)).flatten(1)
        # wᵀa = 1 by construction, and 0 for a unit that was never active: that tells whether a pattern belongs to this weight.
        total, slack = products.sum(1), 1e-3 + 1e-4 * products.abs().sum(1)
        if bool(((total - 1).abs() > slack).logical_and(total.abs() > slack).any()):
            raise NotApplicable(
                f"These patterns were learnt with other weights than layer {key.partition(':')[2]} has now; learn them anew."
            )
        return pattern


def _carry(network: nn.Module, x: Tensor, target: Target, patterns: Patterns | None, *, attribution: bool) -> Tensor:
    method = "PatternAttribution" if attribution else "PatternNet"
    patterns = patterns or _in_use.get(network)
    if patterns is None:
        raise NotApplicable(f"{method} needs patterns learnt from pictures by this very network; learn them with: {COMMAND}")
    tape: Any = _PatternTape(network, method=method, patterns=patterns, attribution=attribution)
    recording = record(network, x, tape=tape)
    for exponent in (0, *EXPONENTS):  # the way back is linear in what it starts from: start smaller where it ends too large
        signal = carried_back(recording, target, score=True, factor=2.0**-exponent).sum(1, keepdim=True)
        if bool(signal.isfinite().all()):
            return _in_range(signal, exponent)
    raise NotApplicable(f"{method}'s numbers grow out of {x.dtype} in this deep network; give it and the picture in double precision.")


def _in_range(signal: Tensor, exponent: int) -> Tensor:
    """``signal`` · 2^exponent, each picture's map divided by the power of two that keeps it below 2^LARGEST; maps below stay exact."""
    _, size = torch.frexp(signal.abs().amax((1, 2, 3), keepdim=True))
    return torch.ldexp(signal, torch.clamp(LARGEST - size, max=exponent))


@register(
    "pattern_net",
    title="PatternNet",
    family="patterns",
    citation="Kindermans et al. 2017",
    what="The part of the picture that the class score stands for, built from what each unit's input looked like in many pictures.",
    promise="Shows the part that carries the answer (the signal) and leaves out what disturbs: exactly so for a linear model.",
    failure="Needs patterns learnt for this very network; in a deep one only the proportions of its numbers mean something.",
    signed=True,
    cost=5,
)
def pattern_net(
    network: nn.Module, x: Tensor, target: Target = None, *, patterns: Patterns | None = None, progress: Progress | None = None
) -> Tensor:
    """S(x) = the score f_k carried back through patterns a in place of weights (Kindermans et al. 2017), summed over the
    colours: (N, 1, H, W), signed.

    Units that share a signal each bring back all of it, so that the numbers of deep networks grow beyond all bounds (10³⁵ in
    EfficientNet-Lite0): a map above 2⁶⁰ is divided by a power of two, its picture's own.

    Rectifiers, poolings and concatenations keep their ordinary gradient, as in the paper; so do additions and averages, which the paper
    does not have.

    Args:
        patterns: from :func:`fit_patterns` or :meth:`Patterns.load`; by default those that :func:`use_patterns` gave to the network.

    Raises:
        NotApplicable: no patterns, those of another network or of other weights, or something neither linear nor a rectifier.
    """
    return _carry(network, x, target, patterns, attribution=False)


@register(
    "pattern_attribution",
    title="PatternAttribution",
    family="patterns",
    citation="Kindermans et al. 2017",
    what="How much each pixel's part of the signal contributes to the class score.",
    promise="Attributes the score to the signal only and nothing to what disturbs: exactly so for a linear model.",
    failure="Needs patterns learnt for this very network; hardly depends on the class.",
    signed=True,
    cost=5,
)
def pattern_attribution(
    network: nn.Module, x: Tensor, target: Target = None, *, patterns: Patterns | None = None, progress: Progress | None = None
) -> Tensor:
    """The score f_k carried back through w ⊙ a in place of weights (Kindermans et al. 2017), else as :func:`pattern_net`."""
    return _carry(network, x, target, patterns, attribution=True)
