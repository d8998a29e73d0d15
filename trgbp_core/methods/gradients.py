"""Methods that are one backward pass: Saliency, Input × gradient, Deconvnet, Guided backpropagation, Guided Grad-CAM."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..engine.plain_passes import folded, score_gradient, scores
from ..engine.recording import record
from ..engine.tape import Tape
from ..engine.validation import check
from ..trgbp.targets import Target, one_hot, per_picture
from .registry import METHODS, Progress, register
from .rule_tape import substitute_rectifier


def input_gradient(network: nn.Module, x: Tensor, target: Target = None) -> Tensor:
    """The ordinary gradient ∂f_target/∂x, (N, C, H, W): see :func:`~plain_passes.score_gradient`."""
    return score_gradient(network, x, lambda logits: per_picture(target, logits))


def rectified_gradient(tape: Tape, x: Tensor, target: Target = None) -> Tensor:
    """What the rules of ``tape`` bring from f_target to the picture, (N, C, H, W).

    Raises:
        UnsupportedOperation: the network holds an operation that is neither a rectifier nor linear.
    """
    recording = record(tape.network, x, tape=tape)
    classes = per_picture(target, recording.logits)
    return recording.backward(one_hot(classes[None], recording.logits))[0][0]


def prepared(network: nn.Module, x: Tensor, target: Target) -> tuple[nn.Module, Tensor]:
    """For methods of many gradients: the network :func:`~plain_passes.folded`, and the classes (N,), chosen once at ``x`` itself."""
    check(network, x)
    logits = scores(network, lambda start, stop: x[start:stop].clone(), len(x))
    return folded(network, x[:1].detach()), per_picture(target, logits)


def baseline_for(x: Tensor, baseline: Tensor | float) -> Tensor:
    """Where a path to ``x`` starts: ``baseline`` as a batch like ``x``.

    Methods take zero by default, as captum and the methods' authors do: zero as the network sees it, after normalisation, which is a
    picture of the data's mean colour. Any other picture may take its place, such as the normalised black one.

    Raises:
        ValueError: it does not broadcast to ``x``.
    """
    start = torch.as_tensor(baseline, dtype=x.dtype, device=x.device)
    try:
        return start.expand_as(x)
    except RuntimeError:
        raise ValueError(f"A baseline of shape {tuple(start.shape)} does not fit pictures of shape {tuple(x.shape)}.") from None


@dataclass
class _DeconvolutionTape(Tape):
    """relu(g) at every rectifier, ReLU6 included, whatever the forward pass let through; all else keeps its ordinary gradient."""

    __hash__ = object.__hash__

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        return substitute_rectifier(self, z, ceiling, inplace, torch.relu)


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
    return input_gradient(network, x, target).abs().amax(1, keepdim=True)


@register(
    "input_x_gradient",
    title="Input × gradient",
    family="gradients",
    citation="Shrikumar et al. 2016",
    what="The gradient times the pixel's own value, summed over the colours.",
    promise="Shares the score out among the pixels; exact where the network has no biases.",
    failure="Leaves the biases' part out, gives grey pixels nothing, and is as noisy as the gradient.",
    signed=True,
    cost=4,
)
def input_x_gradient(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """Σ_c x_c · ∂f_k/∂x_c (Shrikumar et al. 2016), (N, 1, H, W), signed; x as the network sees it, normalised."""
    return (x.detach() * input_gradient(network, x, target)).sum(1, keepdim=True)


@register(
    "deconvnet",
    title="Deconvnet",
    family="gradients",
    citation="Zeiler & Fergus 2014",
    what="The gradient, but at every rectifier its negative values are set to zero, whatever the rectifier did going forward.",
    promise="Projects the class back to the patterns that excite it.",
    failure="Ignores which units were active: it knows of the picture only what max-pooling chose.",
    signed=True,
    cost=4,
)
def deconvnet(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """The backward pass with relu(g) at rectifiers (Zeiler & Fergus 2014, Section 2.1), summed over the colours, (N, 1, H, W), signed.

    Raises:
        UnsupportedOperation: the network holds an operation that is neither a rectifier nor linear.
    """
    return rectified_gradient(_DeconvolutionTape(network, layer_maps=False), x, target).sum(1, keepdim=True)


@register(
    "guided_backprop",
    title="Guided backprop",
    family="gradients",
    citation="Springenberg et al. 2014",
    what="The gradient, with its negative values set to zero at every rectifier.",
    promise="Sharp pictures of what the network can reconstruct.",
    failure="Ignores the class and survives even a randomised network.",
    signed=True,
)
def guided_backprop(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """The guided gradient (Eq. 4) summed over the colours: R̃^0_k, (N, 1, H, W), signed."""
    return rectified_gradient(Tape(network, layer_maps=False), x, target).sum(1, keepdim=True)


@register(
    "guided_grad_cam",
    title="Guided Grad-CAM",
    family="gradients",
    citation="Selvaraju et al. 2017",
    what="Guided backprop, weighed pixel by pixel with the upsampled Grad-CAM.",
    promise="As sharp as guided backprop, as class-specific as Grad-CAM.",
    failure="Only its coarse outline depends on the class; the fine lines in it are guided backprop's.",
    signed=True,
    cost=7,
)
def guided_grad_cam(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """The guided gradient, summed over the colours, times Grad-CAM (Selvaraju et al. 2017, Section 3.2), (N, 1, H, W), signed.

    Grad-CAM is upsampled bilinearly, as its authors do. Raises what either of the two raises.
    """
    return guided_backprop(network, x, target) * METHODS["grad_cam"].attribute(network, x, target)
