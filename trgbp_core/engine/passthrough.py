"""What passes through the tape: every operation that is neither a rectifier nor a bias-carrying layer.

What autograd records of an operation says what it is. Linear operations keep their ordinary gradient, and constants that they add become
layers of their own; a rectifier is recognised by what it computes; anything else is refused by name if the logits depend on it. What is
computed from the picture without its gradient (comparisons, masks, signs, ``detach``) may become a rectifier, and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from . import torch_ops as ops
from .evaluation_mode import evaluation_copy
from .geometry import Size, Window
from .layers import LayerRecord, Names, Origin, Origins
from .rectifiers import Gate, mixes, padded_with
from .rules import AddConstant, Affine
from .tensor_notes import Sources, TensorNotes
from .torch_ops import depends, is_part, kind, tensors
from .validation import Doubt, UnsupportedOperation

Node = Any
READ = "a step out of the tensors: what is done with the number cannot be followed"


@dataclass
class Passthrough(TorchFunctionMode):
    """A tape's state, and its handling of ordinary operations; see :class:`trgbp_core.engine.tape.Tape`, which adds the others."""

    network: nn.Module
    guided: bool = True
    layer_maps: bool = True
    strict: bool = True
    layers: list[LayerRecord] = field(default_factory=list)
    rectified: set[int] = field(default_factory=set)
    saturating: set[int] = field(default_factory=set)
    outside: list[str] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    picture: Tensor | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self.network = evaluation_copy(self.network)
        self.names = Names(self.network)
        self.notes = TensorNotes()
        self._origins = Origins()
        # A rectifier in place changes its input's values at once; whoever uses that input afterwards means the rectified tensor.
        self._successors: Any = WeakTensorKeyDictionary()
        self._seen: dict[Node, Doubt | None] = {}
        self._unfolded: dict[Node, Any] = {}

    __hash__ = object.__hash__

    def current(self, value: Any) -> Any:
        """``value`` with the latest successor in the place of every tensor that was written to."""

        def latest(t: Tensor) -> Tensor:
            while (successor := self._successors.get(t)) is not None:
                t = successor
            return t

        return ops.mapped(value, latest)

    def is_constant(self, value: Any) -> bool:
        """Is it independent of the picture, with and without a gradient?"""
        return not depends(value) and self.notes.untracked(value) is None

    # -- ordinary operations -------------------------------------------------------------------------------------------------------

    def _ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run an operation that is neither a rectifier nor a layer."""
        name = getattr(func, "__name__", str(func)).partition(".")[0]  # relu_.default, as torch.ops has it
        operands = list(tensors(args[:1] if name in ops.LIKE_ANOTHER else args, kwargs))
        inputs = [a for a in operands if depends(a)]
        sources = (*inputs, *(a for a in operands if self.notes.untracked(a) is not None))
        writes = ops.in_place(name) or bool(kwargs.get("inplace"))
        self._check_call(name, args, kwargs, writes)
        if self._is_own_write(name, args, kwargs, writes):
            return args[0]
        if not sources:
            return ops.filled(name, func(*args, **kwargs))
        if name in ops.READING:
            self._refuse_or_list(Doubt(self.names.running(), name, READ))
            return func(*args, **kwargs)
        if name in ops.DROPOUTS:
            return sources[0]
        if not torch.is_grad_enabled() or not inputs:
            return self.notes.note_untracked(func(*args, **kwargs), name if torch.is_grad_enabled() else "torch.no_grad()", sources)
        if name == "view" and not any(isinstance(a, torch.dtype) for a in (*args, *kwargs.values())):
            # The tape computes in a layout of its own, where a view that the network may take for granted need not exist.
            func, name, args, kwargs = Tensor.reshape, "reshape", (*args, *kwargs.values()), {}
        self._note_unseen(inputs)
        written = args[0] if writes else None
        if writes and len(sources) > len(inputs):  # a mask decides what is written: the tensor as it was may be a rectifier's input
            args = (args[0].clone(), *args[1:])
        result = ops.filled(name, func(*args, **kwargs))
        outcome = args[0] if writes and result is None else result
        parts = self._parts(name, outcome, sources)
        if not parts:
            return result
        new = self._new_nodes(parts)
        if any(kind(node) in ops.STEPS for node in new):
            return self.notes.note_untracked(outcome.detach(), name, sources)
        checked = self._checked(func, name, args, kwargs, sources, outcome, new)
        if written is not None and checked is not written:
            checked = self.replace(written, checked)
        return None if result is None else checked

    def _check_call(self, name: str, args: Any, kwargs: Any, writes: bool) -> None:
        """Raises UnsupportedOperation for random numbers, and for a write that autograd does not see."""
        if name in ops.RANDOM and kwargs.get("generator") is None:
            raise self._stop(name, "random: in evaluation mode too, no two calls agree")
        if writes and args and name not in ops.DROPOUTS and self.notes.write_is_untracked(args[0]):
            raise self._stop(name, "a write that autograd does not see, under no_grad or to what was detached")

    def _is_own_write(self, name: str, args: Any, kwargs: Any, writes: bool) -> bool:
        """A write to one of the network's buffers (counters, running means), which is left out; one to a parameter is refused."""
        sets = name == "__set__" and isinstance(args[1], Tensor)
        targets = [*(tensors(args[:1], {}) if writes or sets else ()), *tensors((kwargs.get("out"),), {})]
        owned = [kind for t in targets if not depends(t) and (kind := self.names.owner_of_memory(t)) is not None]
        if owned and (sets or "out" in kwargs or "parameter" in owned or not isinstance(args[0], Tensor)):
            raise self._stop(name, f"a write to a {owned[0]} of the network")
        return bool(owned)

    def replace(self, written: Tensor, value: Tensor) -> Tensor:
        """``value`` is what an operation in place made of ``written``: whoever uses that tensor, or the whole of it, means the value."""
        if is_part(written):
            return self._ordinary(Tensor.copy_, (written, value), {})  # type: ignore[no-any-return]
        self._successors[written] = value
        return value

    def _parts(self, name: str, outcome: Any, sources: Sources) -> list[Tensor]:
        """The tensors of a result that carry a gradient; the others are noted as untracked."""
        parts = []
        for part in tensors((outcome,), {}):
            if depends(part):
                parts.append(part)
            elif name in ops.CHECKS and (part == part.flatten()[:1]).all():
                continue  # the answer is the same everywhere, and depends on no value
            elif name not in ops.VALUE_FREE or len(sources) > 1:
                self.notes.note_untracked(part, "detach()" if name in ("detach", "__get__", "detach_") else name, sources)
        return parts

    def _checked(self, func: Any, name: str, args: Any, kwargs: Any, sources: Sources, outcome: Any, new: list[Node]) -> Any:
        """``outcome``, or what stands for it: a rectifier that it turned out to be, or a tensor whose constants are a layer."""
        every = all if any(kind(node) in ops.SUMS for node in new) else any  # a sum is constant where all of its parts are
        mixed = every(t in self.notes.mixed for t in sources)
        reason = self._reason(name, sources, new, foreign=ops.is_foreign(func), mixed=mixed)
        doubtful = bool(reason) or any(t in self.notes.doubtful for t in sources)
        chosen = any(kind(node) in ops.CHOICES for node in new)
        if (doubtful or mixed or chosen) and (found := self._as_rectifier(outcome, sources)) is not None:
            return found
        for part in filter(depends, tensors((outcome,), {})):
            self.notes.follow_spatial(part, sources[0], func, name, args, kwargs)
            self.notes.carry(part, sources, doubtful=doubtful, mixed=mixed)
        if reason:
            doubt = Doubt(self.names.running(), name, reason)
            guilty = [node for node in new if ops.nonlinear(node)] or [node for node in new if kind(node) == "CopySlices"] or new[:1]
            self._seen |= dict.fromkeys(guilty, doubt)
            return self.passed(name, outcome)
        if not isinstance(outcome, Tensor):
            return outcome
        padded = padded_with(name, args, kwargs, self.notes.dims)
        constants = padded is None and any(ops.adds_constant(node) for node in new)
        if mixes(name, args, kwargs, sources[0], new, constants=constants, padded=padded):
            self.notes.mix(outcome, sources)
        self._origins.follow(outcome, sources[0], self.notes.spatial(sources[0]), name, args, kwargs)
        return self._with_constant(func, args, kwargs, sources, outcome) if constants else outcome

    def passed(self, name: str, result: Any) -> Any:
        """Called with the result of an operation that the theory does not cover; override to replace it."""
        return result

    def _reason(self, name: str, sources: Sources, new: list[Node], *, foreign: bool, mixed: bool) -> str:
        """Why the theory does not cover an operation, as the end of a sentence; empty where it does."""
        if (by := next((known.by for source in sources if (known := self.notes.untracked(source)) is not None), None)) is not None:
            return f"given what was computed from the picture without its gradient, by {by!r}"
        if foreign:
            return "an operator of one's own, which need not be what autograd makes of it"
        for node in new:
            if reason := ops.nonlinear(node):
                return reason
            if kind(node) in ops.CHOICES and (mixed or any(parent is None for parent, _ in node.next_functions)):
                return "a choice between what depends on the picture and constants, which is not recognised as a rectifier"
            if kind(node) == "CopySlices" and (name not in ops.IN_PLACE_ON_PARTS or (name in ops.MULTIPLICATIVE and len(sources) > 1)):
                return "a write to a part of a tensor that is neither a rectifier nor linear"
        return ""

    def _as_rectifier(self, outcome: Any, sources: Sources) -> Tensor | None:
        """The rectifier that computes ``outcome`` from one of ``sources``, or from what those were computed from, if there is one."""
        if not isinstance(outcome, Tensor) or outcome.is_complex():
            return None
        z, flipped = self.notes.rectified(outcome.detach(), map(self.current, self.notes.sources(sources)))
        return None if z is None else self.flipped(z) if flipped else self.rectify(z, math.inf, False)

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        """One rectifier, ``min(max(z, 0), ceiling)``."""
        raise NotImplementedError

    def flipped(self, z: Tensor, inplace: bool = False) -> Tensor:
        """``min(z, 0) = -max(-z, 0)``."""
        negative = self.rectify(self._ordinary(torch.neg, (z,), {}), math.inf, False)
        out: Tensor = self._ordinary(torch.neg, (negative,), {})
        return self.replace(z, out) if inplace else out

    # -- autograd's graph -----------------------------------------------------------------------------------------------------------

    def _new_nodes(self, results: list[Tensor]) -> list[Node]:
        """The nodes of the autograd graph that lie before ``results`` and were not seen before, the last ones first."""
        new, stack = [], [r.grad_fn for r in results]
        while stack:
            node = stack.pop()
            if node is not None and node not in self._seen:
                self._seen[node] = None
                new.append(node)
                stack += [parent for parent, _ in node.next_functions]
        return new

    def _note_unseen(self, inputs: list[Tensor]) -> None:
        """What autograd knows of ``inputs`` and the tape does not was computed by something that hides its operations."""
        for node in self._new_nodes([t for t in inputs if t.grad_fn not in self._seen]):
            own = isinstance(node, BackwardCFunction)
            if reason := ops.nonlinear(node) or ("" if own or kind(node) in ops.RESHAPING else "linear at best"):
                where = "" if own else "of a scripted function or an operator of one's own, "
                self._seen[node] = Doubt(self.names.running(), kind(node), where + reason)

    def verify(self, nodes: list[Node], output: Tensor) -> None:
        """Refuse, or list, the operations outside the theory that ``output`` depends on. ``nodes``: its graph, from the output back.

        Raises:
            UnsupportedOperation: there is one, and the tape is strict.
        """
        self._note_unseen([output])
        last = ops.last_operation(output)
        for node in reversed(nodes):
            if (doubt := self._seen.get(node)) is not None:
                self._refuse_or_list(doubt, ops.LAST.get(doubt.name) if node is last else None)

    def refusal(self, doubt: Doubt, ending: str | None = None) -> Exception | None:
        """The error for an operation outside the theory, or None where it is let through. See :meth:`Doubt.error`; override for another."""
        return doubt.error(ending) if self.strict else None

    def _refuse_or_list(self, doubt: Doubt, ending: str | None = None) -> None:
        if (refused := self.refusal(doubt, ending)) is not None:
            raise refused
        self.outside.append(f"{doubt.where}: {doubt.name}")

    def _stop(self, name: str, reason: str) -> UnsupportedOperation:
        """The error for what cannot even be let through."""
        return UnsupportedOperation(f"{self.names.running()} applies {name!r}, which is {reason}: this network cannot be explained.")

    # -- constants -----------------------------------------------------------------------------------------------------------------

    def _with_constant(self, func: Any, args: Any, kwargs: Any, sources: Sources, outcome: Tensor) -> Tensor:
        """A constant joins: what the operation makes of zeros is a bias that no layer holds."""
        if not self.layer_maps or not outcome.dim():
            return outcome
        written = bool(args) and outcome is args[0]
        with torch.no_grad():
            zero = {id(t): torch.zeros_like(t) for t in sources}
            if written:  # what is written to a constant leaves the rest of it as it is
                zero.setdefault(id(outcome), outcome.clone())
            result = func(*ops.replaced(args, zero), **ops.replaced(kwargs, zero))
            value = zero[id(outcome)] if written else result
            value = torch.where(value.isfinite(), value, 0.0)  # -∞ around a maximum is never chosen
        return self._constant(outcome, value.expand_as(outcome).clone()) if bool(value.any()) else outcome

    def _constant(self, x: Tensor, value: Tensor) -> Tensor:
        record = self._layer_alone("constant", x)
        out = AddConstant.apply(x, record.tap, value, record.affine.spatial, self.guided)
        self._new_nodes([out])
        self._origins[out] = Origin(layers=(len(self.layers) - 1,))
        self.notes.copy(out, x)
        return out

    def _layer_alone(self, kind: str, x: Tensor) -> LayerRecord:
        """A 1×1 layer of its own for constants that enter at ``x``, named after the running module; ``kind``: constant or rectifier."""
        constant, axes, filters = kind == "constant", self.notes.spatial(x), x.shape[1] if x.dim() > 1 else 1
        size, affine = self.notes.map_size(x), Affine(None, None, x.shape, spatial=axes)
        name = self.names.unique(self.names.running() + (".constant" if constant else ""))
        record = LayerRecord(name, kind, affine, Window.pointwise(size), self._tap(x, size), constant, filters, filters)
        self.layers.append(record)
        return record

    def _tap(self, x: Tensor, size: Size) -> Tensor | None:
        if not self.layer_maps:
            return None
        pictures = self.notes.pictures
        if len(x) != pictures > 1:
            raise self._stop("a bias", f"added to {tuple(x.shape)} numbers of {pictures} pictures together: explain them one by one")
        return torch.zeros(pictures, 1, *size, dtype=x.dtype, device=x.device, requires_grad=True)
