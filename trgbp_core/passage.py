"""What passes through the tape unchanged: every operation that is neither a rectifier nor a bias-carrying layer.

Linear operations keep their ordinary gradient; constants that they add become layers of their own; anything else is refused by name, or
let through and listed. What the next operation may need to know of a tensor's origin is noted on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from .backward import ApplyAffine, ConstantMap, Gate
from .geometry import Pair, Window
from .names import Names
from .operations import (
    ADDITIVE,
    DROPOUTS,
    LEAKY,
    MULTIPLICATIVE,
    ORDINARY,
    PADS,
    depends,
    divides_by_constant,
    map_size,
    operands,
    pad_value,
    replaced,
    tensors,
    zero_padding,
)
from .records import LayerRecord, Origin
from .suitability import NotApplicable


class UnsupportedOperation(NotApplicable):
    """The network holds an operation that the theory does not cover: not a rectifier, and not linear."""


@dataclass
class Passage(TorchFunctionMode):
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
        self._origins: Any = WeakTensorKeyDictionary()
        # A rectifier in place changes its input's values at once; whoever uses that input afterwards means the rectified tensor.
        self._successors: Any = WeakTensorKeyDictionary()
        self.names = Names(self.network)

    __hash__ = object.__hash__

    def _current(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            while (successor := self._successors.get(value)) is not None:
                value = successor
            return value
        if isinstance(value, (tuple, list)):
            return type(value)(self._current(v) for v in value)
        return value

    def _ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(func, "__name__", str(func))
        inputs = [a for a in tensors(args, kwargs) if depends(a)]
        if not inputs and name.endswith("_") and args and self.names.owns(args[0]):
            # A batch norm in training mode counts its batches: what belongs to the network is not written to.
            return args[0]
        if inputs and name in DROPOUTS:
            return inputs[0]
        if inputs and name == "view" and not isinstance(args[1], torch.dtype):
            # The tape computes in channels-last layout, where a view that the network may take for granted need not exist.
            func, name = torch.Tensor.reshape, "reshape"
        result = func(*args, **kwargs)
        if not inputs or not any(depends(r) for r in tensors((result,), {})):
            return result
        self._note_origin(name, inputs[0], result, kwargs, args)
        constants = [a for a in operands(args, kwargs) if not depends(a)]
        if name in ADDITIVE:
            return self._sum(func, args, kwargs, inputs, result) if constants else result
        if name == "conv_transpose2d" or (name in PADS and pad_value(*args, **kwargs)):
            return self._sum(func, args, kwargs, inputs, result)
        if name in ORDINARY or (name in MULTIPLICATIVE and len(inputs) == 1 and divides_by_constant(name, args)):
            return result
        return self.let_through(name, result)

    def let_through(self, name: str, result: Any) -> Any:
        where = self.names.running()
        if self.strict:
            raise UnsupportedOperation(
                f"{where} applies {name!r}, which is neither a rectifier (ReLU, ReLU6) nor linear: the theory of guided "
                f"backpropagation does not cover this network. strict=False lets it through with its ordinary gradient{_exact(name)}."
            )
        self.outside.append(f"{where}: {name}")
        return result

    def _note_origin(self, name: str, x: Tensor, result: Any, kwargs: Any, args: Any) -> None:
        """Remember paddings, flattened maps and sums; forget what an in-place operation has changed."""
        if not isinstance(result, Tensor):
            return
        origin = self._origins.pop(result, None) if result is x else None
        if name in ADDITIVE:
            parts = [self._origins.get(t) for t in tensors(args, kwargs) if t is not x or origin is None]
            layers = [i for part in [origin, *parts] if part is not None for i in part.layers]
            self._origins[result] = Origin(layers=tuple(dict.fromkeys(layers)))
        elif name in ("flatten", "reshape", "squeeze") and x.dim() == 4 and result.dim() == 2 and len(result) == len(x):
            self._origins[result] = Origin(flattened=(x.shape[2], x.shape[3]))
        elif name in ("pad", "constant_pad_nd") and x.dim() == 4:
            padding = zero_padding(*args, **kwargs)
            if padding is not None:
                self._origins[result] = Origin(source=x, padding=padding)

    def _sum(self, func: Any, args: Any, kwargs: Any, inputs: list[Tensor], result: Tensor) -> Tensor:
        """A constant joins the sum: the constant part, the operation's value at zero, is a bias that no layer holds."""
        with torch.no_grad():
            zero = {id(t): torch.zeros_like(t) for t in inputs}
            value = func(*replaced(args, zero), **{k: replaced(v, zero) for k, v in kwargs.items()})
        if not self.layer_maps or not bool(value.any()) or value.dim() < 2:
            return result
        return self._constant(result, value.expand_as(result).detach().clone())

    def _constant(self, x: Tensor, value: Tensor) -> Tensor:
        size = map_size(x)
        name = self.names.unique(self.names.running() + ".constant")
        affine = ConstantMap(None, None, x.shape, value=value)
        record = LayerRecord(name, "constant", affine, Window.pointwise(size), self._tap(x, size), True, x.shape[1], x.shape[1])
        self.layers.append(record)
        out = ApplyAffine.apply(x, record.tap, lambda: x.detach().clone(), affine, None)
        self._origins[out] = Origin(layers=(len(self.layers) - 1,))
        return out

    def _tap(self, x: Tensor, size: Pair) -> Tensor | None:
        if not self.layer_maps:
            return None
        return torch.zeros(len(x), 1, *size, dtype=x.dtype, device=x.device, requires_grad=True)


def _exact(name: str) -> str:
    return ", and with guided=False the shares of pixels and biases still add up exactly" if name in LEAKY else ""
