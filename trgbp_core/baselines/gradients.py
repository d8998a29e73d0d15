"""Methods that are one backward pass: Saliency, Guided backpropagation."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..recording import record
from ..trgbp import Target, one_hot, per_picture
from .registry import Progress, register


def input_gradient(network: nn.Module, x: Tensor, target: Target = None, *, guided: bool = False, **options: Any) -> Tensor:
    """∂f_target/∂x, (N, C, H, W), with the ordinary or the guided rule (Eq. 4) at rectifiers."""
    recording = record(network, x, guided=guided, layer_maps=False, **options)
    classes = per_picture(target, recording.logits)
    return recording.backward(one_hot(classes[None], recording.logits))[0][0]


@register(
    "saliency",
    title="Saliency",
    family="gradients",
    citation="Simonyan et al. 2013",
    what="The absolute gradient of the class score, the largest over the colours.",
    promise="Says what the score does under a tiny change of a pixel.",
    failure="Full of noise: a local slope, not a share of the score.",
)
def saliency(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """max_c |∂f_k/∂x_c| (Simonyan et al. 2013, Section 3.1), (N, 1, H, W), not negative."""
    return input_gradient(network, x, target, strict=False).abs().amax(1, keepdim=True)


@register(
    "guided_backprop",
    title="Guided backprop",
    family="gradients",
    citation="Springenberg et al. 2014",
    what="The gradient, with negative parts cut off at every rectifier.",
    promise="Sharp pictures of what the network can reconstruct.",
    failure="Ignores the class and survives even a randomised network.",
)
def guided_backprop(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """The guided gradient (Eq. 4) summed over the colours: R̃^0_k, (N, 1, H, W), signed."""
    return input_gradient(network, x, target, guided=True).sum(1, keepdim=True)
