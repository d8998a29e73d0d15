"""FullGrad: the score as input × gradient plus every bias × its gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from ..engine.geometry import per_channel
from ..engine.layers import LayerRecord
from ..engine.recording import record
from ..engine.tape import Tape
from ..trgbp.targets import Target, one_hot, per_picture
from .registry import NotApplicable, Progress, register

EPSILON = 1e-6


@dataclass
class BiasTape(Tape):
    """Notes every bias of the network apart, channel by channel, where it enters; ordinary gradients.

    A batch norm keeps its own implicit bias β − μγ/√(σ²+ε) and is not folded into the convolution before it, as FullGrad's authors
    count. The constant of saturated ReLU6 units and a constant that is added on the way are biases too.

    Attributes:
        constants: the biases, each broadcasting to the activation that it enters; ``edges``: those activations' places in the graph.
    """

    constants: list[Tensor] = field(default_factory=list)
    edges: list[GradientEdge] = field(default_factory=list)

    __hash__ = object.__hash__

    def note(self, out: Tensor, constant: Tensor) -> Tensor:
        """``constant`` entered ``out``. Override to let something happen there."""
        self.constants.append(constant)
        self.edges.append(get_gradient_edge(out))
        return out

    def layer(self, x: Tensor, forward: Callable[[], Tensor], record: LayerRecord) -> Tensor:
        """The layer itself. Override to change its backward rule."""
        return super().affine(x, forward, record)

    def affine(self, x: Tensor, forward: Callable[[], Tensor], record: LayerRecord) -> Tensor:
        out, bias = self.layer(x, forward, record), record.affine.bias
        # Without an origin, neither a batch norm nor a rectifier is merged with the layer.
        self._origins.forget(out)
        if bias is None:
            return out
        last = record.affine.weight is not None and record.affine.weight.dim() == 2
        return self.note(out, bias if last else per_channel(bias, out))

    def rectifier(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        """The rectifier itself. Override to change its backward rule."""
        return super().rectify(z, ceiling, inplace)

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        out = self.rectifier(z, ceiling, inplace)
        saturated = out.detach() >= ceiling
        if bool(saturated.any()):
            out = self.note(out, saturated.to(out.dtype) * ceiling)
        if inplace:
            self._successors[z] = out
        return out

    def _constant(self, x: Tensor, value: Tensor) -> Tensor:
        return self.note(super()._constant(x, value), value)


@dataclass(frozen=True)
class FullGradients:
    """The full-gradient decomposition (Srinivas & Fleuret 2019): ``f_k(x) = Σ x·gradient + Σ_l Σ biases[l]``.

    Attributes:
        logits: (N, classes). classes: (N,), the picked ones.
        gradient: ∂f_k/∂x, (N, C, H, W).
        biases: b·∂f_k/∂b wherever a bias enters, from input to output: (N, C, h, w), or (N, C) where there is no map; None where the
            score does not depend on it.
    """

    logits: Tensor
    classes: Tensor
    gradient: Tensor
    biases: tuple[Tensor | None, ...]


def full_gradients(network: nn.Module, x: Tensor, target: Target = None, *, method: str = "FullGrad") -> FullGradients:
    """Decompose the score of ``target`` into the contributions of the pixels and of every bias.

    Raises:
        NotApplicable: an operation is neither a rectifier nor linear, so that the parts do not add up. The message names ``method``.
    """
    tape = BiasTape(network, guided=False, strict=False)
    recording = record(network, x, tape=tape)
    if recording.let_through:
        listed = ", ".join(recording.let_through[:3]) + (", ..." if len(recording.let_through) > 3 else "")
        raise NotApplicable(f"{method} covers networks that are linear apart from ReLU and ReLU6; this one also applies {listed}.")
    classes = per_picture(target, recording.logits)
    with torch.inference_mode(False), torch.enable_grad():
        cotangent = one_hot(classes[None], recording.logits)[0]
        places = [get_gradient_edge(recording.input), *tape.edges]
        gradient, *at_biases = torch.autograd.grad(recording.output, places, cotangent, allow_unused=True)
    biases = tuple(None if g is None else g * constant for g, constant in zip(at_biases, tape.constants, strict=True))
    return FullGradients(recording.logits, classes, gradient, biases)


def _normalised(maps: Tensor) -> Tensor:
    """|maps| (N, C, h, w), each picture's scaled to 0..1 over all channels and places together."""
    maps = maps.abs()
    lowest = maps.amin((1, 2, 3), keepdim=True)
    return (maps - lowest) / ((maps - lowest).amax((1, 2, 3), keepdim=True) + EPSILON)


@register(
    "full_grad",
    title="FullGrad",
    family="biases",
    citation="Srinivas & Fleuret 2019",
    what="Input × gradient plus every bias × its gradient, each layer scaled to 0..1, upsampled and added.",
    promise="Its parts, before scaling, add up to the score exactly: nothing that the network used is left out.",
    failure="Absolute values and the scaling of every layer destroy that sum: the map itself no longer adds up to anything.",
    cost=5,
)
def full_grad(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """Σ_c ψ(x·∂f_k/∂x) + Σ_l Σ_c ψ(b^l·∂f_k/∂b^l) (Srinivas & Fleuret 2019), (N, 1, H, W), not negative.

    ψ is the authors' code's: the absolute value, min-max over a layer, bilinear upsampling with ``align_corners=True``. As there, a
    bias that enters no map (a linear layer's) has no place in the picture and is left out.

    Raises:
        NotApplicable: an operation is neither a rectifier nor linear.
    """
    parts = full_gradients(network, x, target)
    result = _normalised(x.detach() * parts.gradient).sum(1, keepdim=True)
    for maps in parts.biases:
        if maps is not None and maps.dim() == 4:
            # ψ is linear once a layer is scaled: its channels are summed before they are upsampled.
            layer: Any = _normalised(maps).sum(1, keepdim=True)
            result = result + F.interpolate(layer, size=x.shape[2:], mode="bilinear", align_corners=True)
    return result
