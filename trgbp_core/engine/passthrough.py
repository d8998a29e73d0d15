"""What passes through the tape: every operation that is neither a rectifier nor a bias-carrying layer.

What autograd records of an operation says what it is. Linear operations keep their ordinary gradient; constants that they add, their
value at zero, become layers of their own; a rectifier in other words is recognised by what it computes; anything else is noted, and
refused by name if the logits depend on it. What is computed from the picture but carries no gradient (comparisons, masks, signs, what was
detached) is followed too: it may become a rectifier, and nothing else.
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

from .evaluation_mode import evaluation_copy
from .gates import Gate
from .geometry import Pair, Window
from .layers import LayerRecord, Names, Origin, Origins
from .rules import MAP_AXES, AddConstant, Affine
from .torch_ops import (
    ADDITIVE,
    CHECKS,
    CHOICES,
    DROPOUTS,
    IN_PLACE_ON_PARTS,
    LAST,
    LEAKY,
    LIKE_ANOTHER,
    MIXING,
    MULTIPLICATIVE,
    PADS,
    RANDOM,
    READING,
    RESHAPING,
    STEPS,
    VALUE_FREE,
    adds_constant,
    depends,
    in_place,
    is_foreign,
    is_part,
    kind,
    map_size,
    nonlinear,
    pads_with_zeros,
    replaced,
    tensors,
    zero_padding,
)
from .untracked import Sources, Trail
from .validation import NotApplicable

Node = Any


class UnsupportedOperation(NotApplicable):
    """The network holds an operation that the theory does not cover: not a rectifier, and not linear."""


@dataclass(frozen=True)
class Doubt:
    """An operation that the theory does not cover, unless a later one turns its result into a rectifier's."""

    where: str
    name: str
    reason: str


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
        self.trail = Trail()
        self._origins = Origins()
        # A rectifier in place changes its input's values at once; whoever uses that input afterwards means the rectified tensor.
        self._successors: Any = WeakTensorKeyDictionary()
        self._seen: dict[Node, Doubt | None] = {}

    __hash__ = object.__hash__

    def start(self, picture: Tensor) -> Tensor:
        """``picture`` (N, C, h, w) is what the network is called with."""
        self.picture, self.trail.pictures = picture, len(picture)
        return picture

    def current(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            while (successor := self._successors.get(value)) is not None:
                value = successor
            return value
        if isinstance(value, (tuple, list)):
            return type(value)(self.current(v) for v in value)
        return value

    def is_constant(self, value: Any) -> bool:
        """Does it not depend on the picture, in the open or in hiding?"""
        return not depends(value) and self.trail.hidden(value) is None

    # -- ordinary operations -------------------------------------------------------------------------------------------------------

    def ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run an operation that is neither a rectifier nor a layer."""
        return self._ordinary(func, args, kwargs)

    def _ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(func, "__name__", str(func)).partition(".")[0]  # relu_.default, as torch.ops has it
        operands = list(tensors(args[:1] if name in LIKE_ANOTHER else args, kwargs))
        inputs = [a for a in operands if depends(a)]
        sources = (*inputs, *(a for a in operands if self.trail.hidden(a) is not None))
        writes = in_place(name) or bool(kwargs.get("inplace"))
        if name in RANDOM and kwargs.get("generator") is None:
            raise self._stop(name, "random: in evaluation mode too, no two calls agree")
        if self._is_own_write(name, args, kwargs, writes):
            return args[0]
        if not sources:
            return func(*args, **kwargs)
        if name in READING:
            return self._read(name, func, args, kwargs)
        if name in DROPOUTS:
            return sources[0]
        if writes and self.trail.is_behind_the_back(args[0]):
            raise self._stop(name, "a write that autograd does not see, under no_grad or to what was detached")
        if not torch.is_grad_enabled() or not inputs:
            return self.trail.hide(func(*args, **kwargs), name if torch.is_grad_enabled() else "torch.no_grad()", sources)
        if name == "view" and not isinstance(args[1], torch.dtype):
            # The tape computes in a layout of its own, where a view that the network may take for granted need not exist.
            func, name = Tensor.reshape, "reshape"
        self._note_unseen(inputs)
        written = args[0] if writes else None
        if writes and len(sources) > len(inputs):  # a mask decides what is written: the tensor as it was may be a rectifier's input
            args = (args[0].clone(), *args[1:])
        result = func(*args, **kwargs)
        outcome = args[0] if writes and result is None else result
        parts = self._parts(name, outcome, sources)
        if not parts:
            return result
        new = self._new_nodes(parts)
        if any(kind(node) in STEPS for node in new):
            return self.trail.hide(outcome.detach(), name, sources)
        checked = self._checked(func, name, args, kwargs, sources, outcome, new)
        if written is not None and checked is not written:
            checked = self.replace(written, checked)
        return None if result is None else checked

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
        """The tensors of a result that carry a gradient; the others are noted as hidden."""
        parts = []
        for part in tensors((outcome,), {}):
            if depends(part):
                parts.append(part)
            elif not self._is_value_free(name, part, sources):
                self.trail.hide(part, "detach()" if name in ("detach", "__get__", "detach_") else name, sources)
        return parts

    def _is_value_free(self, name: str, part: Tensor, sources: Sources) -> bool:
        if name in CHECKS:
            return bool((part == part.flatten()[0]).all()) if part.numel() else True
        return name in VALUE_FREE and len(sources) < 2

    def _checked(self, func: Any, name: str, args: Any, kwargs: Any, sources: Sources, outcome: Any, new: list[Node]) -> Any:
        """``outcome``, or what stands for it: a rectifier that it turned out to be, or a tensor through which its constants are heard."""
        trail, reason = self.trail, self._reason(name, sources, new, foreign=is_foreign(func))
        doubtful = bool(reason) or (len(trail.doubtful) and any(t in trail.doubtful for t in sources))
        mixed = len(trail.mixed) and any(t in trail.mixed for t in sources)
        chosen = any(kind(node) in CHOICES for node in new)
        if (doubtful or mixed or chosen) and (found := self._as_rectifier(outcome, sources)) is not None:
            return found
        for part in tensors((outcome,), {}):
            if depends(part):
                trail.moved(part, sources[0], func, name, args, kwargs)
                if doubtful:
                    trail.doubtful[part] = sources
        if reason:
            doubt = Doubt(self.names.running(), name, reason)
            guilty = [node for node in new if nonlinear(node)] or [node for node in new if kind(node) == "CopySlices"] or new[:1]
            self._seen |= dict.fromkeys(guilty, doubt)
            return self.passed(name, outcome)
        if not isinstance(outcome, Tensor):
            return outcome
        constants = any(adds_constant(node) for node in new) and not pads_with_zeros(name, args, kwargs)
        if mixed or (constants and any(kind(node) in MIXING for node in new)):
            trail.mixed[outcome] = sources
        self._note_origin(name, sources[0], outcome, kwargs, args)
        return self._with_constant(func, args, kwargs, sources, outcome) if constants else outcome

    def passed(self, name: str, result: Any) -> Any:
        """Hears of the result of an operation that the theory does not cover. Override to take note."""
        return result

    def _reason(self, name: str, sources: Sources, new: list[Node], *, foreign: bool) -> str:
        """Why the theory does not cover an operation, as the end of a sentence; empty where it does."""
        hidden = next((known for source in sources if (known := self.trail.hidden(source)) is not None), None)
        if hidden is not None:
            return f"given what was computed from the picture without its gradient, by {hidden.by!r}"
        mixed = len(self.trail.mixed) and any(source in self.trail.mixed for source in sources)
        if foreign:
            return "an operator of one's own, which need not be what autograd makes of it"
        for node in new:
            if reason := nonlinear(node):
                return reason
            if kind(node) in CHOICES and (mixed or any(parent is None for parent, _ in node.next_functions)):
                return "a choice between what depends on the picture and constants, which is not recognised as a rectifier"
            if kind(node) == "CopySlices" and (name not in IN_PLACE_ON_PARTS or (name in MULTIPLICATIVE and len(sources) > 1)):
                return "a write to a part of a tensor that is neither a rectifier nor linear"
        return ""

    def _as_rectifier(self, outcome: Any, sources: Sources) -> Tensor | None:
        """The rectifier that computes ``outcome`` from one of ``sources``, or from what those were computed from, if there is one.

        It is believed only where there was something to pass and something to hold back.
        """
        if not isinstance(outcome, Tensor) or outcome.is_complex():
            return None
        value = outcome.detach()
        for z in map(self.current, self.trail.sources(sources)):
            if z.shape == value.shape and z.dtype == value.dtype and depends(z) and z not in self.trail.doubtful:
                if not bool((z > 0).any() & (z < 0).any()):
                    continue
                if torch.equal(value, z.detach().clamp(min=0)):
                    return self.rectify(z, math.inf, False)
                if torch.equal(value, z.detach().clamp(max=0)):
                    return self.flipped(z)
        return None

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        """One rectifier, ``min(max(z, 0), ceiling)``."""
        raise NotImplementedError

    def flipped(self, z: Tensor, inplace: bool = False) -> Tensor:
        """``min(z, 0) = -max(-z, 0)``."""
        negative = self.rectify(self._ordinary(torch.neg, (z,), {}), math.inf, False)
        out: Tensor = self._ordinary(torch.neg, (negative,), {})
        return self.replace(z, out) if inplace else out

    # -- what the graph tells ------------------------------------------------------------------------------------------------------

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
            if reason := nonlinear(node) or ("" if isinstance(node, BackwardCFunction) or kind(node) in RESHAPING else "linear at best"):
                where = "" if isinstance(node, BackwardCFunction) else "of a scripted function or an operator of one's own, "
                self._seen[node] = Doubt(self.names.running(), kind(node), where + reason)

    def verify(self, nodes: list[Node], output: Tensor) -> None:
        """Refuse, or list, the operations outside the theory that ``output`` depends on. ``nodes``: its graph, from the output back.

        Raises:
            UnsupportedOperation: there is one, and the tape is strict.
        """
        self._note_unseen([output])
        last = output.grad_fn
        while last is not None and kind(last) in RESHAPING:
            last = last.next_functions[0][0]
        for node in reversed(nodes):
            if (doubt := self._seen.get(node)) is not None:
                if (refused := self.refusal(doubt, LAST.get(doubt.name) if node is last else None)) is not None:
                    raise refused
                self.outside.append(f"{doubt.where}: {doubt.name}")

    def refusal(self, doubt: Doubt, ending: str | None = None) -> Exception | None:
        """The error for an operation outside the theory, or None where it is let through. Override for another error.

        ``ending``: what the network ends in, if the operation is the last one.
        """
        if not self.strict:
            return None
        if ending is not None:
            return UnsupportedOperation(
                f"The network ends in {ending} ({doubt.where} applies {doubt.name!r}). The theory explains logits: take it off and return "
                "the logits (for an nn.Sequential, net[:-1]; in a module, return what its forward gives to it)."
            )
        exact = ", and with guided=False the shares of pixels and biases still add up exactly" if doubt.name in LEAKY else ""
        return UnsupportedOperation(
            f"{doubt.where} applies {doubt.name!r}, which is {doubt.reason}: the theory of guided backpropagation does not cover this "
            f"network. strict=False lets it through with its ordinary gradient{exact}."
        )

    def _read(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        doubt = Doubt(self.names.running(), name, "a step out of the tensors: what is done with the number cannot be followed")
        if (refused := self.refusal(doubt)) is not None:
            raise refused
        self.outside.append(f"{doubt.where}: {name}")
        return func(*args, **kwargs)

    def _stop(self, name: str, reason: str) -> UnsupportedOperation:
        """The error for what cannot even be let through."""
        return UnsupportedOperation(f"{self.names.running()} applies {name!r}, which is {reason}: this network cannot be explained.")

    # -- constants -----------------------------------------------------------------------------------------------------------------

    def _with_constant(self, func: Any, args: Any, kwargs: Any, sources: Sources, outcome: Tensor) -> Tensor:
        """A constant joins: what the operation makes of zeros is a bias that no layer holds."""
        if not self.layer_maps or not outcome.dim():
            return outcome
        with torch.no_grad():
            zero = {id(t): torch.zeros_like(t) for t in sources}
            if outcome is args[0]:  # what is written to a constant leaves the rest of it as it is
                zero.setdefault(id(outcome), outcome.clone())
            result = func(*replaced(args, zero), **{k: replaced(v, zero) for k, v in kwargs.items()})
            value = zero[id(outcome)] if outcome is args[0] else result
            value = torch.where(value.isfinite(), value, 0.0)  # -∞ around a maximum is never chosen
        return self._constant(outcome, value.expand_as(outcome).clone()) if bool(value.any()) else outcome

    def _constant(self, x: Tensor, value: Tensor) -> Tensor:
        axes = self.trail.spatial(x)
        size, filters = map_size(x, axes), x.shape[1] if x.dim() > 1 else 1
        affine = Affine(None, None, x.shape, spatial=axes)
        name = self.names.unique(self.names.running() + ".constant")
        record = LayerRecord(name, "constant", affine, Window.pointwise(size), self._tap(x, size), True, filters, filters)
        self.layers.append(record)
        out = AddConstant.apply(x, record.tap, value, axes, self.guided)
        self._new_nodes([out])
        self._origins[out] = Origin(layers=(len(self.layers) - 1,))
        self.trail.like(out, x)
        return out

    def _tap(self, x: Tensor, size: Pair) -> Tensor | None:
        if not self.layer_maps:
            return None
        pictures = self.trail.pictures
        if len(x) != pictures > 1:
            raise self._stop("a bias", f"added to {tuple(x.shape)} numbers of {pictures} pictures together: explain them one by one")
        return torch.zeros(pictures, 1, *size, dtype=x.dtype, device=x.device, requires_grad=True)

    def _note_origin(self, name: str, x: Tensor, result: Tensor, kwargs: Any, args: Any) -> None:
        """Remember paddings, flattened maps and sums."""
        if name in ADDITIVE:
            parts = [self._origins.before(t) if t is result else self._origins.get(t) for t in tensors(args, kwargs)]
            layers = [i for part in parts if part is not None for i in part.layers]
            self._origins[result] = Origin(layers=tuple(dict.fromkeys(layers)))
        elif self.trail.spatial(x) != MAP_AXES:
            return
        elif name in ("flatten", "reshape", "squeeze") and result.dim() == 2 and len(result) == len(x):
            self._origins[result] = Origin(flattened=(x.shape[2], x.shape[3]))
        elif name in PADS and (padding := zero_padding(*args, **kwargs)) is not None:
            self._origins[result] = Origin(source=x, padding=padding)
