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
    CHOICES,
    DROPOUTS,
    IN_PLACE_ON_PARTS,
    LAST,
    LEAKY,
    LIKE_ANOTHER,
    MIXING,
    PADS,
    PERMUTING,
    RANDOM,
    READING,
    RESHAPING,
    STEPS,
    VALUE_FREE,
    adds_constant,
    depends,
    in_place,
    is_part,
    kind,
    map_size,
    nonlinear,
    pad_value,
    replaced,
    tensors,
    zero_padding,
)
from .validation import NotApplicable

Node = Any


class UnsupportedOperation(NotApplicable):
    """The network holds an operation that the theory does not cover: not a rectifier, and not linear."""


@dataclass(frozen=True)
class Hidden:
    """Something computed from the picture whose gradient autograd does not carry: by which operation, and from what.

    ``alias``: it shares memory with what depends on the picture, so that a write to it would be one behind autograd's back.
    """

    by: str
    sources: tuple[Tensor, ...]
    alias: bool


@dataclass(frozen=True)
class Doubt:
    """An operation that the theory does not cover, unless a later one turns its result into a rectifier's."""

    where: str
    name: str
    reason: str


@dataclass
class Passthrough(TorchFunctionMode):
    """A tape's state, and its handling of ordinary operations; see :class:`trgbp_core.tape.Tape`, which adds the others."""

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
        self._origins = Origins()
        # A rectifier in place changes its input's values at once; whoever uses that input afterwards means the rectified tensor.
        self._successors: Any = WeakTensorKeyDictionary()
        self._hidden: Any = WeakTensorKeyDictionary()
        self._doubtful: Any = WeakTensorKeyDictionary()  # what it was computed from
        self._mixed: Any = WeakTensorKeyDictionary()  # tensors in which constants stand beside numbers that depend on the picture
        self._axes: Any = WeakTensorKeyDictionary()
        self._seen: dict[Node, Doubt | None] = {}
        self.names = Names(self.network)

    __hash__ = object.__hash__

    def current(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            while (successor := self._successors.get(value)) is not None:
                value = successor
            return value
        if isinstance(value, (tuple, list)):
            return type(value)(self.current(v) for v in value)
        return value

    # -- ordinary operations -------------------------------------------------------------------------------------------------------

    def is_constant(self, value: Any) -> bool:
        """Does it not depend on the picture, in the open or hidden?"""
        return not isinstance(value, Tensor) or not (depends(value) or value in self._hidden)

    def ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run an operation that is neither a rectifier nor a layer."""
        return self._ordinary(func, args, kwargs)

    def _ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(func, "__name__", str(func))
        operands = list(tensors(args[:1] if name in LIKE_ANOTHER else args, kwargs))
        inputs = [a for a in operands if depends(a)]
        hidden = [a for a in operands if a in self._hidden] if len(self._hidden) else []
        writes = in_place(name) or bool(kwargs.get("inplace"))
        if name in RANDOM and kwargs.get("generator") is None:
            raise self._stop(name, "random: in evaluation mode too, no two calls agree")
        if writes and args and not depends(args[0]) and self.names.owns_memory(args[0]):
            return args[0]  # what belongs to the network is not written to: counters, running means
        if not inputs and not hidden:
            return func(*args, **kwargs)
        if name in READING:
            return self._read(name, func, args, kwargs)
        if name in DROPOUTS:
            return (inputs or hidden)[0]
        if writes and self._is_behind_the_back(args[0]):
            raise self._stop(name, "a write that autograd does not see, under no_grad or to what was detached")
        if not torch.is_grad_enabled() or not inputs:
            return self._hide(func(*args, **kwargs), name if torch.is_grad_enabled() else "torch.no_grad()", (*inputs, *hidden))
        if name == "view" and not isinstance(args[1], torch.dtype):
            # The tape computes in a layout of its own, where a view that the network may take for granted need not exist.
            func, name = Tensor.reshape, "reshape"
        self._note_unseen(inputs)
        written = args[0] if writes else None
        if writes and hidden:  # a mask decides what is written: the tensor as it was may be a rectifier's input
            args = (args[0].clone(), *args[1:])
        result = func(*args, **kwargs)
        outcome = args[0] if writes and result is None else result
        sources = (*inputs, *hidden)
        parts = self._parts(name, outcome, sources)
        if not parts:
            return result
        new = self._new_nodes(parts)
        if any(kind(node) in STEPS for node in new):
            return self._hide(outcome.detach(), name, sources)
        checked = self._checked(func, name, args, kwargs, sources, outcome, new)
        if written is not None and checked is not written:
            if is_part(written):
                checked = self.written_back(written, checked)
            else:
                self._successors[written] = checked
        return None if result is None else checked

    def written_back(self, part: Tensor, value: Tensor) -> Tensor:
        """``value`` belongs in the place of ``part``: whoever uses the whole tensor means it too."""
        return self._ordinary(Tensor.copy_, (part, value), {})  # type: ignore[no-any-return]

    def _note_unseen(self, inputs: list[Tensor]) -> None:
        """What autograd knows of ``inputs`` and the tape does not was computed by something that hides its operations."""
        for node in self._new_nodes([t for t in inputs if t.grad_fn not in self._seen]):
            if reason := nonlinear(node):
                where = "of a scripted function or an operator of one's own, " if not isinstance(node, BackwardCFunction) else ""
                self._seen[node] = Doubt(self.names.running(), kind(node), where + reason)

    def _parts(self, name: str, outcome: Any, sources: tuple[Tensor, ...]) -> list[Tensor]:
        """The tensors of a result that carry a gradient; the others are noted as hidden."""
        parts = []
        for part in tensors((outcome,), {}):
            if depends(part):
                parts.append(part)
            elif name not in VALUE_FREE:
                self._hide(part, "detach()" if name in ("detach", "__get__", "detach_") else name, sources)
        return parts

    def _checked(self, func: Any, name: str, args: Any, kwargs: Any, sources: tuple[Tensor, ...], outcome: Any, new: list[Node]) -> Any:
        """``outcome``, or what stands for it: a rectifier that it turned out to be, or a tensor through which its constants are heard."""
        reason = self._reason(name, sources, new)
        doubtful = bool(reason) or (len(self._doubtful) and any(t in self._doubtful for t in sources))
        mixed = len(self._mixed) and any(t in self._mixed for t in sources)
        if (doubtful or mixed) and (found := self._as_rectifier(outcome, sources)) is not None:
            return found
        parts = [t for t in tensors((outcome,), {}) if depends(t)]
        for part in parts:
            self._note_axes(part, sources[0], func, name, args, kwargs)
            if doubtful:
                self._doubtful[part] = sources
        if reason:
            doubt = Doubt(self.names.running(), name, reason)
            self._seen |= dict.fromkeys([node for node in new if nonlinear(node)] or new[:1], doubt)
            return self.passed(name, outcome)
        if not isinstance(outcome, Tensor):
            return outcome
        constants = any(adds_constant(node) for node in new) and not _pads_with_zeros(name, args, kwargs)
        if mixed or (constants and any(kind(node) in MIXING for node in new)):
            self._mixed[outcome] = sources
        self._note_origin(name, sources[0], outcome, kwargs, args)
        return self._with_constant(func, args, kwargs, sources, outcome) if constants else outcome

    def passed(self, name: str, result: Any) -> Any:
        """Hears of the result of an operation that the theory does not cover. Override to take note."""
        return result

    def _reason(self, name: str, sources: tuple[Tensor, ...], new: list[Node]) -> str:
        """Why the theory does not cover an operation, as the end of a sentence; empty where it does."""
        for source in sources:
            if len(self._hidden) and (hidden := self._hidden.get(source)) is not None:
                return f"given what was computed from the picture without its gradient, by {hidden.by!r}"
        for node in new:
            if reason := nonlinear(node):
                return reason
            if len(self._mixed) and kind(node) in CHOICES and any(source in self._mixed for source in sources):
                return "a choice between what depends on the picture and constants, which is not recognised as a rectifier"
            if kind(node) == "CopySlices" and name not in IN_PLACE_ON_PARTS:
                return "a write to a part of a tensor that is neither a rectifier nor linear"
        return ""

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

    # -- rectifiers in other words -------------------------------------------------------------------------------------------------

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        """One rectifier, ``min(max(z, 0), ceiling)``."""
        raise NotImplementedError

    def rectify_between(self, z: Tensor, low: Any, high: Any, inplace: bool = False) -> Tensor:
        """``min(max(z, low), high)``, for constants, tensors or None, by rectifiers from 0: for tapes that know no others."""
        if low is None:
            out = self._ordinary(torch.rsub, (self.rectify(self._ordinary(torch.rsub, (z, high), {}), math.inf, False), high), {})
        elif high is None or isinstance(low, Tensor) or isinstance(high, Tensor):
            out = self._ordinary(torch.add, (self.rectify(self._ordinary(torch.sub, (z, low), {}), math.inf, False), low), {})
            out = out if high is None else self.rectify_between(out, None, high)
        else:
            out = self._ordinary(torch.add, (self.rectify(self._ordinary(torch.sub, (z, low), {}), float(high - low), False), low), {})
        if inplace:
            self._successors[z] = out
        return out  # type: ignore[no-any-return]

    def flipped(self, z: Tensor, inplace: bool = False) -> Tensor:
        """``min(z, 0) = -max(-z, 0)``."""
        negative = self.rectify(self._ordinary(torch.neg, (z,), {}), math.inf, False)
        out: Tensor = self._ordinary(torch.neg, (negative,), {})
        if inplace:
            self._successors[z] = out
        return out

    def threshold(self, z: Tensor, threshold: float, value: float, inplace: bool) -> Tensor:
        """``z`` where it is above ``threshold``, else ``value``: a rectifier, and a constant that depends on where its units are open."""
        with torch.no_grad():
            constant = torch.where(z > threshold, threshold, value).to(z.dtype)
        out = self.rectify(self._ordinary(torch.sub, (z, threshold), {}) if threshold else z, math.inf, False)
        if threshold or value:
            out = self._ordinary(torch.add, (out, constant), {})
        if inplace:
            self._successors[z] = out
        return out

    def _as_rectifier(self, outcome: Any, sources: tuple[Tensor, ...]) -> Tensor | None:
        """The rectifier that computes ``outcome`` from one of ``sources``, or from what those were computed from, if there is one."""
        if not isinstance(outcome, Tensor) or outcome.is_complex():
            return None
        value = outcome.detach()
        for z in self._all_sources(sources):
            if z.shape == value.shape and z.dtype == value.dtype and depends(z) and z not in self._doubtful:
                plain = z.detach()
                if torch.equal(value, plain.clamp(min=0)):
                    return self.rectify(z, math.inf, False)
                if torch.equal(value, plain.clamp(max=0)):
                    return self.flipped(z)
        return None

    def _all_sources(self, sources: tuple[Tensor, ...]) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        stack = list(sources)
        while stack and len(found) < 32:
            t = self.current(stack.pop(0))
            if id(t) not in found:
                found[id(t)] = t
                stack += self._doubtful.get(t, ())
                stack += self._mixed.get(t, ())
                if (hidden := self._hidden.get(t)) is not None:
                    stack += hidden.sources
        return list(found.values())

    # -- what autograd does not see ------------------------------------------------------------------------------------------------

    def _hide(self, result: Any, by: str, sources: tuple[Tensor, ...]) -> Any:
        first = next((self._hidden[s].by for s in sources if s in self._hidden), by)
        for t in tensors((result,), {}):
            if not depends(t) and not isinstance(t, nn.Parameter):
                shared = t.is_floating_point() and any(_same_memory(t, s) and self._may_alias(s) for s in sources)
                self._hidden[t] = Hidden(first, sources, shared)
        return result

    def _may_alias(self, source: Tensor) -> bool:
        return depends(source) or self._hidden[source].alias

    def _is_behind_the_back(self, written: Tensor) -> bool:
        hidden = self._hidden.get(written)
        return hidden.alias if hidden is not None else depends(written) and not torch.is_grad_enabled()

    def _stop(self, name: str, reason: str) -> UnsupportedOperation:
        """The error for what cannot even be let through."""
        return UnsupportedOperation(f"{self.names.running()} applies {name!r}, which is {reason}: this network cannot be explained.")

    def hidden_by(self, output: Tensor) -> str:
        """By what operation the picture was lost on the way to ``output``; empty if it was not."""
        return self._hidden[output].by if output in self._hidden else ""

    def _read(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        doubt = Doubt(self.names.running(), name, "a step out of the tensors: what is done with the number cannot be followed")
        if (refused := self.refusal(doubt)) is not None:
            raise refused
        self.outside.append(f"{doubt.where}: {name}")
        return func(*args, **kwargs)

    # -- constants -----------------------------------------------------------------------------------------------------------------

    def _with_constant(self, func: Any, args: Any, kwargs: Any, sources: tuple[Tensor, ...], outcome: Tensor) -> Tensor:
        """A constant joins: what the operation makes of zeros is a bias that no layer holds."""
        if not self.layer_maps or not outcome.dim():
            return outcome
        with torch.no_grad():
            zero = {id(t): torch.zeros_like(t) for t in sources}
            if outcome is args[0]:  # what is written to a constant leaves the rest of it as it is
                zero.setdefault(id(outcome), outcome.clone())
            result = func(*replaced(args, zero), **{k: replaced(v, zero) for k, v in kwargs.items()})
            value = zero[id(outcome)] if outcome is args[0] else result
        return self._constant(outcome, value.expand_as(outcome).clone()) if bool(value.any()) else outcome

    def _constant(self, x: Tensor, value: Tensor) -> Tensor:
        axes = self._spatial(x)
        size, filters = map_size(x, axes), x.shape[1] if x.dim() > 1 else 1
        affine = Affine(None, None, x.shape, spatial=axes)
        name = self.names.unique(self.names.running() + ".constant")
        record = LayerRecord(name, "constant", affine, Window.pointwise(size), self._tap(x, size), True, filters, filters)
        self.layers.append(record)
        out = AddConstant.apply(x, record.tap, value, axes, self.guided)
        self._new_nodes([out])
        self._origins[out] = Origin(layers=(len(self.layers) - 1,))
        for of in (self._mixed, self._axes):
            if x in of:
                of[out] = of[x]
        return out

    def _tap(self, x: Tensor, size: Pair) -> Tensor | None:
        if not self.layer_maps:
            return None
        pictures = self.pictures
        if len(x) != pictures > 1:
            raise self._stop("a bias", f"added to {tuple(x.shape)} numbers of {pictures} pictures together: explain them one by one")
        return torch.zeros(pictures, 1, *size, dtype=x.dtype, device=x.device, requires_grad=True)

    # -- where a tensor comes from, and where its map lies in it -------------------------------------------------------------------

    def _note_origin(self, name: str, x: Tensor, result: Tensor, kwargs: Any, args: Any) -> None:
        """Remember paddings, flattened maps and sums."""
        if name in ADDITIVE:
            parts = [self._origins.get(t) for t in tensors(args, kwargs) if t is not result]
            before = [self._origins.before(result)] if any(t is result for t in tensors(args, kwargs)) else []
            layers = [i for part in [*before, *parts] if part is not None for i in part.layers]
            self._origins[result] = Origin(layers=tuple(dict.fromkeys(layers)))
        elif name in ("flatten", "reshape", "squeeze") and result.dim() == 2 and len(result) == len(x) and self._spatial(x) == MAP_AXES:
            self._origins[result] = Origin(flattened=(x.shape[2], x.shape[3]))
        elif name in PADS and x.dim() == 4 and self._spatial(x) == MAP_AXES:
            padding = zero_padding(*args, **kwargs)
            if padding is not None:
                self._origins[result] = Origin(source=x, padding=padding)

    def _spatial(self, x: Tensor) -> Pair | None:
        """The axes of ``x`` that are rows and columns of a map; None where there is no map, or nobody knows."""
        if len(x) != self.pictures:
            return None
        known = self._axes.get(x)
        return (MAP_AXES if x.dim() == 4 else None) if known is None else known[0]

    @property
    def pictures(self) -> int:
        """How many pictures the network is called with."""
        return 1 if self.picture is None else len(self.picture)

    def _note_axes(self, result: Tensor, x: Tensor, func: Any, name: str, args: Any, kwargs: Any) -> None:
        known = len(self._axes) and x in self._axes
        if not known and x.dim() == result.dim() and name not in PERMUTING:
            return
        axes, usual = self._spatial(x), MAP_AXES if result.dim() == 4 else None
        if axes is None:  # a batch of vectors becomes maps of its own; how tokens lie on a map nobody says
            found = None if known or x.dim() == 3 else usual
        elif result.dim() != x.dim():
            found = _same_sizes(x, result, axes)
        elif name in PERMUTING:
            moved = func(torch.empty([101 + i for i in range(x.dim())], device="meta"), *args[1:], **kwargs).shape
            found = (moved.index(101 + axes[0]), moved.index(101 + axes[1])) if len(set(moved)) == len(moved) else None
        else:
            found = axes
        if found != usual or known:
            self._axes[result] = (found,)

    # -- the verdict ---------------------------------------------------------------------------------------------------------------

    def verify(self, nodes: list[Node], output: Tensor) -> None:
        """Refuse, or list, the operations outside the theory that ``output`` depends on. ``nodes``: its graph, from the output back.

        Raises:
            UnsupportedOperation: there is one, and the tape is strict.
        """
        self._seen.update(
            {node: Doubt(self.names.running(), kind(node), nonlinear(node)) for node in nodes if node not in self._seen and nonlinear(node)}
        )
        doubts = [(node, doubt) for node in reversed(nodes) if (doubt := self._seen.get(node)) is not None]
        last = output.grad_fn
        while last is not None and kind(last) in RESHAPING:
            last = last.next_functions[0][0]
        for node, doubt in doubts:
            ending = LAST.get(doubt.name) if node is last else None
            if (refused := self.refusal(doubt, ending)) is not None:
                raise refused
            self.outside.append(f"{doubt.where}: {doubt.name}")

    def refusal(self, doubt: Doubt, ending: str | None = None) -> Exception | None:
        """The error for an operation outside the theory, or None where it is let through. Override for another error."""
        if not self.strict:
            return None
        if ending is not None:
            how = "for an nn.Sequential, net[:-1]; in a module, return what its forward gives to it"
            return UnsupportedOperation(
                f"The network ends in {ending} ({doubt.where} applies {doubt.name!r}). The theory explains logits: take it off and return "
                f"the logits ({how})."
            )
        exact = ", and with guided=False the shares of pixels and biases still add up exactly" if doubt.name in LEAKY else ""
        return UnsupportedOperation(
            f"{doubt.where} applies {doubt.name!r}, which is {doubt.reason}: the theory of guided backpropagation does not cover this "
            f"network. strict=False lets it through with its ordinary gradient{exact}."
        )


def _same_memory(a: Tensor, b: Tensor) -> bool:
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def _pads_with_zeros(name: str, args: Any, kwargs: Any) -> bool:
    """A padding of rows and columns by zeros, or by −∞ before a maximum, adds no constant, and nothing that a maximum would choose."""
    return name in PADS and pad_value(*args, **kwargs) in (0.0, -math.inf) and len(kwargs.get("pad", args[1:2] and args[1])) <= 4


def _same_sizes(x: Tensor, result: Tensor, axes: Pair) -> Pair | None:
    """Where the map's axes are after a change of the number of dimensions: still the last two, or still the two behind the batch."""
    size = (x.shape[axes[0]], x.shape[axes[1]])
    ends, start = (x.dim() - 2, x.dim() - 1), (1, 2)
    if axes == ends and result.dim() >= 3 and tuple(result.shape[-2:]) == size:
        return (result.dim() - 2, result.dim() - 1)
    if axes == start and result.dim() >= 3 and tuple(result.shape[1:3]) == size:
        return start
    return None
