"""A tape whose operations get backward rules of their own: the ground that propagation, DeepLIFT and the pattern methods stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from ..engine.layers import LayerRecord, Origin
from ..engine.recording import Recording
from ..engine.tape import Tape
from ..engine.torch_ops import depends, replaced, tensors
from ..engine.validation import Doubt
from ..trgbp.targets import Target, one_hot, per_picture
from .registry import NotApplicable

Back = Callable[[Tensor], Sequence[Tensor]]


class _Substitute(Function):
    """A value that is known already, with the backward rule ``back``: from what arrives at the value to what each input receives."""

    @staticmethod
    def forward(ctx: Any, back: Back, value: Callable[[], Tensor], *inputs: Tensor) -> Tensor:
        ctx.back = back
        return value()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return None, None, *ctx.back(grads[0])


@dataclass
class RuleTape(Tape):
    """Override :meth:`layer_back` and :meth:`rectifier_back` to give layers and rectifiers another backward rule.

    Both are called while the network runs and return the rule; what a rule keeps it must copy, because a later operation of the
    network may work in place. What is neither linear nor a rectifier is refused with :class:`NotApplicable`.

    Attributes:
        method: the method's name, for the refusal.
    """

    layer_maps: bool = False
    method: str = "This method"

    __hash__ = object.__hash__

    def layer_back(self, x: Tensor, index: int, record: LayerRecord) -> Back:
        """The backward rule of the layer ``record`` at the input ``x``; ``index`` is its place among the recorded layers."""
        raise NotImplementedError

    def rectifier_back(self, z: Tensor, out: Tensor, ceiling: float) -> Back:
        """The backward rule of ``out = min(max(z, 0), ceiling)``."""
        raise NotImplementedError

    def affine(self, x: Tensor, forward: Callable[[], Tensor], record: LayerRecord) -> Tensor:
        index = len(self.layers)
        out = self.substitute(self.layer_back(x, index, record), forward, [x])
        self.layers.append(record)
        self._origins[out] = Origin(layers=(index,), source=x)
        return out

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        before = z.detach().clone() if inplace else z.detach()
        out = z.detach().clamp_(0, ceiling) if inplace else before.clamp(0, ceiling)
        result = self.substitute(self.rectifier_back(before, out, ceiling), lambda: out, [z])
        if inplace:
            self._successors[z] = result
        return result

    def substitute(self, back: Back, value: Callable[[], Tensor], inputs: Iterable[Tensor]) -> Tensor:
        return _Substitute.apply(back, value, *inputs)

    def refusal(self, doubt: Doubt, ending: str | None = None) -> Exception | None:
        return NotApplicable(
            f"{self.method} has no rule for {doubt.name!r}, which {doubt.where} applies: "
            "it knows linear operations and rectifiers (ReLU, ReLU6) only."
        )


def call(func: Any, args: Any, kwargs: Any, inputs: Sequence[Tensor], values: Sequence[Tensor]) -> Any:
    """``func(*args, **kwargs)`` with ``values`` in the place of ``inputs``."""
    by = {id(own): given for own, given in zip(inputs, values, strict=True)}
    return func(*replaced(args, by), **{k: replaced(v, by) for k, v in kwargs.items()})


def dependent(args: Any, kwargs: Any) -> list[Tensor]:
    """The tensors among the arguments that depend on the picture, each once."""
    return list({id(t): t for t in tensors(args, kwargs) if depends(t)}.values())


def is_inplace(name: str) -> bool:
    """``add_``, ``__iadd__``."""
    return name.startswith("__i") or (name.endswith("_") and not name.endswith("__"))


@torch.inference_mode(False)
def carried_back(recording: Recording, target: Target = None, *, score: bool = False, factor: float = 1.0) -> Tensor:
    """What the tape's rules bring to the picture, (N, C, H, W), from ``factor`` at each picture's class, or from ``factor`` · f_k."""
    logits = recording.logits
    start = factor * one_hot(per_picture(target, logits)[None], logits)[0]
    (result,) = torch.autograd.grad(recording.output, recording.input, start * logits if score else start, retain_graph=True)
    return result
