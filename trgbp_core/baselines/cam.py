"""Methods that weigh the last convolutional activation: Grad-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..geometry import upsample
from ..recording import record
from ..tape import LayerRecord, Tape
from ..trgbp import Target, one_hot, per_picture
from .registry import NotApplicable, Progress, register


@dataclass
class _ActivationTape(Tape):
    """Remembers the last activation that is still a map: (N, C, h, w) with more than one position."""

    last: Tensor | None = None

    __hash__ = object.__hash__

    def _remember(self, out: Tensor) -> Tensor:
        if out.dim() == 4 and out.shape[2] * out.shape[3] > 1:
            self.last = out
        return out

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        return self._remember(super().rectify(z, ceiling, inplace))

    def affine(self, x: Tensor, forward: Any, record: LayerRecord) -> Tensor:
        return self._remember(super().affine(x, forward, record))


def last_activation(network: nn.Module, x: Tensor, target: Target = None) -> tuple[Tensor, Tensor]:
    """The last convolutional activation A (N, C, h, w) and ∂f_target/∂A of the same shape; ordinary gradients.

    It is the output of the last rectifier (or of the last layer, where none follows) that still has more than one position.

    Raises:
        NotApplicable: the network has no such activation.
    """
    tape = _ActivationTape(network, guided=False, layer_maps=False, strict=False)
    recording = record(network, x, tape=tape)
    if tape.last is None:
        raise NotApplicable("This network has no convolutional activation that is still a map, so that there is nothing to weigh.")
    classes = per_picture(target, recording.logits)
    (gradient,) = torch.autograd.grad(recording.output, tape.last, one_hot(classes[None], recording.logits)[0])
    return tape.last.detach(), gradient


@register(
    "grad_cam",
    title="Grad-CAM",
    family="activations",
    citation="Selvaraju et al. 2017",
    what="The last convolutional activation, each channel weighed by its mean gradient.",
    promise="Shows where the evidence for the class lies.",
    failure="As coarse as the last layer; blind to anything finer.",
)
def grad_cam(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """relu(Σ_c mean_{ij}(∂f_k/∂A_c) A_c) (Selvaraju et al. 2017, Eqs. 1, 2), bilinear to (N, 1, H, W), not negative."""
    activation, gradient = last_activation(network, x, target)
    weights = gradient.mean((2, 3), keepdim=True)
    cam = (weights * activation).sum(1, keepdim=True).relu()
    return upsample(cam, (x.shape[2], x.shape[3]))
