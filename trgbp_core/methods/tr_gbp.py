"""TR-GBP itself, with either ψ, as two of the methods."""

from __future__ import annotations

from torch import Tensor, nn

from ..trgbp.explainer import TRGBP
from ..trgbp.targets import Target
from .registry import Progress, register


@register(
    "tr_gbp",
    title="TR-GBP",
    family="biases",
    citation="TR-GBP, Eqs. 8-10",
    what="Guided backpropagation with every bias as an input, minus what the best classes share.",
    promise="Depends on class and weights; its noise, its look on random weights and its borders can be predicted.",
    failure="The coarse maps of the upper layers hide the fine ones.",
)
def tr_gbp(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """R_k with the paper's ψ (Eqs. 9, 10), (N, 1, H, W), signed."""
    return TRGBP(network).attribute(x, target, psi="paper")


@register(
    "tr_gbp_conserving",
    title="TR-GBP, conserving ψ",
    family="biases",
    citation="TR-GBP, Eqs. 8-10; mass-conserving upsampling, pixels by their contribution",
    what="TR-GBP in another enlargement: each layer's map keeps its sum, and a pixel counts by its value times its gradient.",
    promise="Layers and pixels count by what they contribute to the score; sharper than with the paper's ψ.",
    failure="The noise of the fine layers is visible.",
)
def tr_gbp_conserving(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """R_k with the mass-conserving ψ and the pixels' contribution x ⊙ R̃^0 (see :data:`aggregation.PIXEL`), (N, 1, H, W), signed."""
    return TRGBP(network).attribute(x, target, psi="conserving")
