"""Tapes whose operations get backward rules of their own: LRP, DeepLIFT, patterns and bias backpropagation are built on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from ..engine.layers import LayerRecord, Origin
from ..engine.recording import Recording
from ..engine.tape import Tape
from ..engine.torch_ops import depends, detached, in_place, replaced, tensors
from ..engine.validation import Doubt
from ..trgbp.targets import Target, one_hot, per_picture
from .registry import NotApplicable

JOINING = frozenset("cat concat concatenate stack hstack vstack".split())
MATRIX = frozenset("matmul mm bmm".split())
NEGATION = frozenset("neg negative __neg__".split())

Back = Callable[[Tensor], Sequence[Tensor]]
"""A backward rule: from what arrives at an operation's output to what each of its inputs receives."""


class _Substitute(Function):
    """Called with the input tensors, ``value`` and ``back``: the engine's graph counts tensors first."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        *_, value, ctx.back = given
        return value()  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return *ctx.back(grads[0]), None, None


def substitute(back: Back, value: Callable[[], Tensor], inputs: Sequence[Tensor]) -> Tensor:
    """``value()``, computed from ``inputs``, with the backward rule ``back`` in place of its gradient."""
    return _Substitute.apply(*inputs, value, back)


def substitute_rectifier(tape: Tape, z: Tensor, ceiling: float, inplace: bool, back: Callable[[Tensor], Tensor]) -> Tensor:
    """``min(max(z, 0), ceiling)`` with the backward rule ``back``."""
    plain = z.detach()
    result = substitute(lambda g: (back(g),), lambda: plain.clamp_(0, ceiling) if inplace else plain.clamp(0, ceiling), [z])
    if inplace:
        tape._successors[z] = result
    return result


def substitute_call(tape: Tape, func: Any, args: Any, kwargs: Any, inputs: Sequence[Tensor], back: Back) -> Tensor:
    """``func(*args, **kwargs)``, a function of ``inputs``, with the backward rule ``back``."""

    def value() -> Tensor:
        plain = detached(args), {k: detached(v) for k, v in kwargs.items()}
        return call(func, *plain, inputs, [t.detach() for t in inputs])  # type: ignore[no-any-return]

    result = substitute(back, value, inputs)
    if in_place(getattr(func, "__name__", "")):
        tape._successors[args[0]] = result
    return result


@dataclass
class RuleTape(Tape):
    """Override :meth:`layer_back` and :meth:`rectifier_back` to give layers and rectifiers another backward rule than their gradient.

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
        return lambda g: (record.affine.input_gradient(g),)

    def rectifier_back(self, z: Tensor, ceiling: float) -> Callable[[Tensor], Tensor]:
        """The backward rule of ``min(max(z, 0), ceiling)``."""
        gate = ((z > 0) & (z < ceiling)).to(z)
        return lambda g: g * gate

    def affine(self, x: Tensor, forward: Callable[[], Tensor], record: LayerRecord) -> Tensor:
        index = len(self.layers)
        out = substitute(self.layer_back(x, index, record), forward, [x])
        self.layers.append(record)
        self._origins[out] = Origin(layers=(index,), source=x)
        return out

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        before = z.detach().clone() if inplace else z.detach()
        return substitute_rectifier(self, z, ceiling, inplace, self.rectifier_back(before, ceiling))

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


@torch.inference_mode(False)
def carried_back(recording: Recording, target: Target = None, *, score: bool = False, factor: float = 1.0) -> Tensor:
    """What the tape's rules bring to the picture, (N, C, H, W), from ``factor`` at each picture's class, or from ``factor`` · f_k."""
    logits = recording.logits
    start = factor * one_hot(per_picture(target, logits)[None], logits)[0]
    (result,) = torch.autograd.grad(recording.output, recording.input, start * logits if score else start, retain_graph=True)
    return result
