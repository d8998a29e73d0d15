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

    def gradient(self, target: Target) -> Tensor:
        """∂f_k/∂A, (N, C, h, w), for the class that ``target`` names for each picture."""
        return self._gradient(self._maps, target)

    def last_map_gradient(self, target: Target) -> Tensor:
        """∂f_k/∂last_map, (N, C', h', w'); zero where the logits do not depend on it."""
        return self._gradient(self._last_map, target)

    def _gradient(self, source: Tensor, target: Target) -> Tensor:
        cotangent = one_hot(per_picture(target, self.logits)[None], self.logits)[0]
        (gradient,) = torch.autograd.grad(self._output, source, cotangent, retain_graph=True, allow_unused=True)
        return torch.zeros_like(source) if gradient is None else gradient


def record_activation(network: nn.Module, x: Tensor) -> Activation:
    """Run ``network(x)`` once and keep its last convolutional activation; ordinary gradients.

    Raises:
        NotApplicable: the network has no activation that is still a map on the way to its logits.
    """
    limit = None
    while True:
        tape = ActivationTape(network, guided=False, layer_maps=False, strict=False, limit=limit)
        recording = record(network, x, tape=tape)
        if tape.last is None:
            raise NotApplicable("This network has no convolutional activation that is still a map, so that there is nothing to weigh.")
        if (activation := _found(tape, recording)) is not None:
            return activation
        limit = tape.count - 1  # the last map belongs to a branch that the logits do not depend on: look before it


def record_both(network: nn.Module, x: Tensor) -> tuple[Recording, Activation | None]:
    """One guided pass that serves TR-GBP, with the last activation of the same pass.

    Returns:
        the recording; and the activation, or None where :func:`record_activation` needs a pass of its own: where a rectifier lies behind
        it, whose rule in this pass is the guided one, or the logits do not depend on it.

    Raises:
        what :func:`recording.record` raises.
    """
    tape = ActivationTape(network, whole=True)
    recording = record(network, x, tape=tape)
    return recording, _found(tape, recording) if tape.gates_before == len(tape.gates) else None


def _found(tape: ActivationTape, recording: Recording) -> Activation | None:
    """The tape's last activation; None if there is none, or the logits do not depend on it."""
    if tape.last is None or tape.last_map is None:
        return None
    seen: set[Any] = set()
    stack: list[Any] = [recording.output.grad_fn]
    while stack:
        node = stack.pop()
        if node is tape.last.grad_fn:
            return Activation(recording.logits, tuple(tape.layers), tape.last, tape.last_map, recording.output)
        if node is not None and node not in seen:
            seen.add(node)
            stack.extend(parent for parent, _ in node.next_functions)
    return None
