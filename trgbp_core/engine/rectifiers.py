"""Rectifiers: every way to call one, what one keeps of a forward pass for its backward rule (Eq. 4), and zeros that may make one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .torch_ops import PADS, depends, kind, operands


class Gate:
    """The state of a rectifier that passes what lies between two constants, and is constant elsewhere.

    Args:
        open: (N, C, ...): ∞ where a unit passes its input on, 0 elsewhere.
        held: (N, C, ...): the constants of all other units, 0 where it passes; None if they are all 0, or if no map is asked for.
    """

    def __init__(self, open: Tensor, held: Tensor | None) -> None:
        self._open: Tensor | Packed = open
        self._held: Tensor | Packed | None = held

    @classmethod
    def below(cls, ceiling: float, out: Tensor, *, layer_maps: bool) -> Gate:
        """That of the rectifier whose output is ``out`` = min(max(z, 0), ceiling), (N, C, ...)."""
        top, below = _rounded(ceiling, out.dtype)
        passing = torch.ops.aten.hardtanh_backward(number(math.inf, out), out, 0.0, top)
        return cls(passing, torch.threshold(out, below, 0.0) if layer_maps and math.isfinite(ceiling) else None)

    @classmethod
    def where(cls, out: Tensor, passing: Tensor, *, layer_maps: bool) -> Gate:
        """That of a rectifier whose output is ``out`` (N, C, ...), and whose units are open where ``passing``, boolean."""
        open = torch.where(passing, number(math.inf, out), number(0.0, out))
        return cls(open, out.masked_fill(passing, 0.0) if layer_maps else None)

    @property
    def saturates(self) -> bool:
        """May a unit be held at a constant other than 0?"""
        return self._held is not None

    @property
    def open(self) -> Tensor:
        """See :class:`Gate`."""
        return self._open.unpacked() if isinstance(self._open, Packed) else self._open

    @property
    def held(self) -> Tensor | None:
        """See :class:`Gate`."""
        return self._held.unpacked() if isinstance(self._held, Packed) else self._held

    def pack(self) -> None:
        """Keep a bit a unit instead of a number; each backward pass then unpacks it anew. Only in the processor's own memory."""
        if isinstance(self._open, Tensor) and self._open.device.type == "cpu":
            self._open = Packed.of(self._open)
            if isinstance(self._held, Tensor) and bool(((self._held == 0) | (self._held == self._held.max())).all()):
                self._held = Packed.of(self._held)

    @property
    def numel(self) -> int:
        return self._open.shape.numel()

    @property
    def nbytes(self) -> int:
        return self._open.nbytes + (0 if self._held is None else self._held.nbytes)


@dataclass(frozen=True)
class Packed:
    """A tensor of zeros and one other ``value`` (of ``dtype``), a bit each, in ``shape``; channels last where it had four dimensions."""

    bits: np.ndarray
    shape: torch.Size
    value: float
    dtype: torch.dtype

    @classmethod
    def of(cls, values: Tensor) -> Packed:
        last = values.movedim(1, -1) if values.dim() == 4 else values
        bits = np.packbits((last > 0).reshape(-1).numpy())
        return cls(bits, last.shape, float(values.max()) if values.numel() else 0.0, values.dtype)

    def unpacked(self) -> Tensor:
        found = torch.from_numpy(np.unpackbits(self.bits, count=self.shape.numel())).view(torch.bool).view(self.shape)
        values = torch.zeros(self.shape, dtype=self.dtype).masked_fill_(found, self.value)
        return values.movedim(-1, 1) if len(self.shape) == 4 else values

    @property
    def nbytes(self) -> int:
        return self.bits.nbytes


@lru_cache
def _rounded(ceiling: float, dtype: torch.dtype) -> tuple[float, float]:
    """``ceiling`` as ``dtype`` rounds it, and the next number below it."""
    top = torch.tensor(ceiling, dtype=dtype)
    return float(top), float(torch.nextafter(top, torch.zeros_like(top)))


def number(value: float, like: Tensor) -> Tensor:
    """A tensor of one number, of the type and on the device of ``like``; made once for each."""
    return _constant(value, like.dtype, like.device)


@lru_cache
def _constant(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.full((), value, dtype=dtype, device=device)


# -- calls -----------------------------------------------------------------------------------------------------------------------------

Handler = Callable[..., Any]
"""``(tape, func, *args, **kwargs)``: what a tape makes of a call of ``func``."""


def _rectifier(ceiling: float, always_inplace: bool = False) -> Handler:
    def handler(tape: Any, func: Any, input: Tensor, inplace: bool = False) -> Any:
        return tape.rectify(input, ceiling, inplace or always_inplace)

    return handler


def _bounded(inplace: bool, names: tuple[str, str] = ("min", "max"), lowest: Any = None, highest: Any = None) -> Handler:
    def handler(tape: Any, func: Any, input: Tensor, *args: Any, **kwargs: Any) -> Any:
        given = dict(zip((*names, "inplace"), args, strict=False)) | kwargs
        low, high = given.get(names[0], lowest), given.get(names[1], highest)
        found = tape.between(input, low, high, given.get("inplace", inplace))
        return tape._ordinary(func, (input, *args), kwargs) if found is None else found

    return handler


def _extreme(largest: bool, tape: Any, func: Any, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    other, found = kwargs.get("other", args[0] if args else None), None
    if len(args) + len(kwargs) == 1 and isinstance(other, Tensor) and depends(input) != depends(other):
        z, bound = (input, other) if depends(input) else (other, input)
        found = tape.between(z, bound if largest else None, None if largest else bound, False)
    return tape._ordinary(func, (input, *args), kwargs) if found is None else found


def _threshold(tape: Any, func: Any, input: Tensor, threshold: float, value: float, inplace: bool = False) -> Any:
    found = tape.threshold(input, threshold, value, inplace or func.__name__.endswith("_"))
    return tape._ordinary(func, (input, threshold, value), {"inplace": inplace} if inplace else {}) if found is None else found


def rectifier_calls() -> dict[Any, Handler]:
    """Every way to call a rectifier in torch."""
    calls: dict[Any, Handler] = {f: _rectifier(math.inf) for f in (F.relu, torch.relu, Tensor.relu)}
    calls |= {f: _rectifier(math.inf, always_inplace=True) for f in (F.relu_, torch.relu_, Tensor.relu_)}
    calls |= {F.relu6: _rectifier(6.0)}
    calls |= {f: _bounded(f is F.hardtanh_, ("min_val", "max_val"), -1.0, 1.0) for f in (F.hardtanh, F.hardtanh_)}
    for owner in (torch, Tensor):
        for name in ("clamp", "clip", "clamp_min", "clamp_max"):
            names = ("max", "min") if name == "clamp_max" else ("min", "max")
            calls |= {getattr(owner, name): _bounded(False, names), getattr(owner, name + "_"): _bounded(True, names)}
        calls |= {getattr(owner, name): partial(_extreme, "max" in name) for name in "max maximum fmax min minimum fmin".split()}
    return calls | dict.fromkeys((F.threshold, torch.threshold, F.threshold_, torch.threshold_), _threshold)  # type: ignore[attr-defined]


# -- zeros beside what depends on the picture: a maximum of both is a rectifier that nothing names ----------------------------------------

MIXING = frozenset(
    """Cat Stack Where MaskedFill MaskedScatter IndexPut IndexFill IndexCopy IndexAdd CopySlices Scatter ScatterAdd SelectScatter
    SliceScatter Put ConstantPadNd""".split()
)
"""May set constants beside what depends on the picture, where a choice that follows is a rectifier."""

PRODUCT_BY_ELEMENT = frozenset("mul mul_ __mul__ __rmul__ __imul__ multiply".split())


def mixes(name: str, args: Any, kwargs: Any, source: Tensor, new: list[Any], *, constants: bool, padded: float | None) -> bool:
    """Are there constants beside what depends on the picture in what an operation makes of ``source``, which a maximum might choose?

    Args:
        new: its nodes in the autograd graph. constants: it may add some. padded: see :func:`padded_with`.
    """
    if constants and any(kind(node) in MIXING for node in new):
        return True
    zeros = padded == 0 or any(_sets_zeros(node) for node in new) or _multiplies_by_zeros(name, args, kwargs)
    return zeros and source.is_floating_point() and bool((source < 0).any())


def _padding(input: Tensor, pad: Any, mode: Any = "constant", value: Any = None) -> tuple[Tensor, list[int], str, Any]:
    """The arguments of ``pad``, or of ``constant_pad_nd``, whose third one is the value."""
    return (input, list(pad), mode, value) if isinstance(mode, str) else (input, list(pad), "constant", mode)


def zero_padding(*args: Any, **kwargs: Any) -> tuple[int, ...] | None:
    """(left, right, top, bottom) of a padding of rows and columns by zeros, two a spatial axis; None for any other."""
    input, pad, mode, value = _padding(*args, **kwargs)
    widths = [int(p) for p in pad] + [0] * (2 * (input.dim() - 2) - len(pad))
    if mode != "constant" or value not in (None, 0) or len(widths) > 2 * (input.dim() - 2) or min(widths) < 0:
        return None
    return tuple(widths)


def padded_with(name: str, args: Any, kwargs: Any, dims: int) -> float | None:
    """What a padding of rows and columns puts around a map, if it is no constant that counts: 0, or −∞, which no maximum chooses.

    −∞ stands for a padding by the map's own numbers, too, and for one that only takes away. None for any other operation.

    ``dims``: of a tensor that is a map.
    """
    if name not in PADS:
        return None
    input, pad, mode, value = _padding(*args, **kwargs)
    if input.dim() != dims or len(pad) > 2 * (dims - 2) or (mode == "constant" and value not in (None, 0, -math.inf)):
        return None
    return 0.0 if mode == "constant" and not value and any(p > 0 for p in pad) else -math.inf


def _sets_zeros(node: Any) -> bool:
    """Does it put zeros around or between the numbers of a map, in the place of some of them, or take something from itself?"""
    name, inputs = kind(node), node.next_functions
    if name == "Im2Col":
        return any(node._saved_padding)
    if name == "Col2Im":
        return any(step > k for step, k in zip(node._saved_stride, node._saved_kernel_size, strict=True))
    if name == "Convolution" and node._saved_transposed:
        return any(step > k for step, k in zip(node._saved_stride, node._saved_weight.shape[2:], strict=True))
    if name.startswith("GridSampler"):
        return node._saved_padding_mode == 0
    return name in ("Tril", "Triu") or (name in ("Sub", "Rsub") and len(inputs) > 1 and inputs[0] == inputs[1])


def _multiplies_by_zeros(name: str, args: Any, kwargs: Any) -> bool:
    """Is it a product with constants, some of them zero: a mask?"""
    if name not in PRODUCT_BY_ELEMENT:
        return False
    return any(bool((a == 0).any()) if isinstance(a, Tensor) else a == 0 for a in operands(args, kwargs) if not depends(a))
