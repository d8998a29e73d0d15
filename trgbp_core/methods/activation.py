"""The last convolutional activation, found in any network without naming its layers, and its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..engine.layers import LayerRecord
from ..engine.recording import Recording, record
from ..engine.tape import Tape
from ..engine.torch_ops import ADDITIVE
from ..engine.validation import NotApplicable
from ..trgbp.targets import Target, one_hot, per_picture


@dataclass
class ActivationTape(Tape):
    """Remembers the last activation that is still a map: (N, C, h, w) with more than one position.

    An activation is the output of a rectifier or a convolutional layer; a sum or a concatenation of such maps, and a non-linearity
    applied to one, take its place. Poolings do not: they are no features of their own.

    Nothing before the last activation is needed, so that every layer and rectifier on maps starts a new graph: memory holds a few maps
    at a time instead of all of them.

    Attributes:
        limit: only the first so many activations count. whole: keep the graph before the last activation too.
        count: how many were met. last: the last of them. last_map: the last map of any kind, pooled ones too.
        gates_before: how many rectifiers ran before the last activation, its own included.
    """

    limit: int | None = None
    whole: bool = False
    count: int = 0
    gates_before: int = 0
    last: Tensor | None = None
    last_map: Tensor | None = None

    __hash__ = object.__hash__

    def _counts(self) -> bool:
        return self.limit is None or self.count < self.limit

    def _remember(self, out: Tensor) -> Tensor:
        if _is_map(out) and self._counts():
            self.count += 1
            self.last = self.last_map = out
            self.gates_before = len(self.gates)
        return out

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        if not _is_map(z) or not self._counts():
            return super().rectify(z, ceiling, inplace)
        out = super().rectify(self._begun(z), ceiling, inplace)
        if inplace:
            self._successors[z] = out
        return self._remember(out)

    def affine(self, x: Tensor, forward: Any, record: LayerRecord) -> Tensor:
        height, width = record.window.output_size
        if record.kind == "linear" or height * width == 1 or not self._counts():
            return super().affine(x, forward, record)
        return self._remember(super().affine(self._begun(x), forward, record))

    def _begun(self, x: Tensor) -> Tensor:
        return x if self.whole else x.detach().requires_grad_()

    def _ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        result = super()._ordinary(func, args, kwargs)
        if _is_map(result) and result.requires_grad and self.last is not None and self._counts():
            if getattr(func, "__name__", "") in ADDITIVE and result.shape[2:] == self.last.shape[2:]:
                return self._remember(result)
            self.last_map = result
        return result

    def passed(self, name: str, result: Any) -> Any:
        return self._remember(result) if self.last is not None and _is_map(result) and result.shape == self.last.shape else result


def _is_map(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dim() == 4 and x.shape[2] * x.shape[3] > 1


@dataclass(frozen=True)
class Activation:
    """A network's last convolutional activation on some pictures.

    Attributes:
        maps: A, (N, C, h, w), detached. logits: (N, classes), detached.
        last_map: the last map before the network gives up positions, (N, C', h', w'), detached: A, or what a pooling made of it.
        layers: the network's layers, as the forward pass met them.
    """

    logits: Tensor
    layers: tuple[LayerRecord, ...]
    _maps: Tensor
    _last_map: Tensor
    _output: Tensor

    @property
    def maps(self) -> Tensor:
        return self._maps.detach()

    @property
    def last_map(self) -> Tensor:
        return self._last_map.detach()

    def gradient(self, classes: Tensor) -> Tensor:
        """∂f_k/∂A, (N, C, h, w), for one class a picture, ``classes`` (N,)."""
        return self._gradient(self._maps, classes)

    def last_map_gradient(self, classes: Tensor) -> Tensor:
        """∂f_k/∂last_map, (N, C', h', w'); zero where the logits do not depend on it."""
        return self._gradient(self._last_map, classes)

    def _gradient(self, source: Tensor, classes: Tensor) -> Tensor:
        cotangent = one_hot(classes[None], self.logits)[0]
        (gradient,) = torch.autograd.grad(self._output, source, cotangent, retain_graph=True, allow_unused=True)
        return torch.zeros_like(source) if gradient is None else gradient


def record_activation(network: nn.Module, x: Tensor) -> Activation:
    """Run ``network(x)`` once and keep its last convolutional activation; ordinary gradients.

    Raises:
        NotApplicable: the network has no activation that is still a map on the way to its logits.
    """
    tape = ActivationTape(network, guided=False, layer_maps=False, strict=False)
    recording = record(network, x, tape=tape)
    while tape.last is not None and not _reaches(recording, tape.last):
        # The last map belongs to a branch that the logits do not depend on: look before it.
        tape = ActivationTape(network, guided=False, layer_maps=False, strict=False, limit=tape.count - 1)
        recording = record(network, x, tape=tape)
    if tape.last is None or tape.last_map is None:
        raise NotApplicable("This network has no convolutional activation that is still a map, so that there is nothing to weigh.")
    return Activation(recording.logits, tuple(tape.layers), tape.last, tape.last_map, recording.output)


def record_both(network: nn.Module, x: Tensor) -> tuple[Recording, Activation | None]:
    """One guided pass that serves TR-GBP, with the last activation of the same pass.

    Returns:
        the recording; and the activation, or None where :func:`record_activation` needs a pass of its own: where there is no activation on
        the way to the logits, or where a rectifier lies behind it, whose rule in this pass is the guided one.

    Raises:
        what :func:`recording.record` raises.
    """
    tape = ActivationTape(network, whole=True)
    recording = record(network, x, tape=tape)
    if tape.last is None or tape.last_map is None or tape.gates_before < len(tape.gates):
        return recording, None
    if not _reaches(recording, tape.last):
        return recording, None
    return recording, Activation(recording.logits, tuple(tape.layers), tape.last, tape.last_map, recording.output)


def _reaches(recording: Recording, activation: Tensor) -> bool:
    seen: set[Any] = set()
    stack: list[Any] = [recording.output.grad_fn]
    while stack:
        node = stack.pop()
        if node is activation.grad_fn:
            return True
        if node is not None and node not in seen:
            seen.add(node)
            stack.extend(parent for parent, _ in node.next_functions)
    return False


def last_activation(network: nn.Module, x: Tensor, target: Target = None) -> tuple[Tensor, Tensor]:
    """The last convolutional activation A (N, C, h, w) and ∂f_target/∂A of the same shape; ordinary gradients.

    It is the output of the last rectifier (or of the last layer, sum or concatenation, where no rectifier follows) that still has more
    than one position.

    Raises:
        NotApplicable: the network has no such activation.
    """
    activation = record_activation(network, x)
    return activation.maps, activation.gradient(per_picture(target, activation.logits))
