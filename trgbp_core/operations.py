"""The vocabulary of the tape: which of torch's operations are linear, which are rectifiers, and how their arguments are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .geometry import Pair

ORDINARY = frozenset(
    """view view_as reshape reshape_as flatten unflatten squeeze unsqueeze permute transpose movedim moveaxis swapaxes swapdims t
    contiguous clone expand expand_as narrow select chunk split split_with_sizes tensor_split unbind flip roll repeat tile unfold fold
    repeat_interleave broadcast_to to float double half bfloat16 type type_as cpu cuda alias_copy identity
    channel_shuffle native_channel_shuffle pixel_shuffle pixel_unshuffle index_select gather
    sum mean neg negative __neg__ positive avg_pool2d avg_pool1d adaptive_avg_pool1d adaptive_avg_pool2d interpolate upsample
    upsample_bilinear upsample_nearest pad constant_pad_nd conv_transpose2d
    max_pool1d max_pool2d max_pool2d_with_indices _max_pool2d adaptive_max_pool2d adaptive_max_pool2d_with_indices _adaptive_max_pool2d
    amax max maximum requires_grad_ __get__ __getitem__ __reduce_ex__ register_hook retain_grad""".split()
)
"""Linear in what depends on the picture, or choosing among it: the theory passes through these with their ordinary gradient."""

ADDITIVE = frozenset(
    """add add_ __add__ __radd__ __iadd__ sub sub_ __sub__ __rsub__ __isub__ rsub subtract
    cat concat concatenate stack hstack vstack""".split()
)
"""Linear in two operands together: what does not depend on the picture is a constant that joins the biases."""

MULTIPLICATIVE = frozenset(
    """mul mul_ __mul__ __rmul__ __imul__ multiply
    div div_ __div__ __truediv__ __itruediv__ divide matmul mm bmm""".split()
)
"""Linear while only one operand depends on the picture (and, in a division, not the divisor)."""

PADS = frozenset({"pad", "constant_pad_nd"})

DROPOUTS = frozenset(
    """dropout dropout_ dropout1d dropout2d dropout3d
    feature_dropout alpha_dropout feature_alpha_dropout""".split()
)
"""The identity in evaluation mode."""


_WRITING = frozenset("__iadd__ __isub__ __imul__ __idiv__ __itruediv__ __setitem__".split())

LEAKY = frozenset("leaky_relu leaky_relu_ prelu prelu_kernel _prelu_kernel rrelu rrelu_".split())
"""Positively homogeneous, like a rectifier: with the ordinary gradient the sums stay exact. Eq. 4 is not about them."""


def rectifier_calls() -> dict[Any, Callable[..., Tensor]]:
    """Every way to call a rectifier in torch, as a handler ``(tape, func, *args, **kwargs)``."""

    def fixed(ceiling: float, inplace: bool) -> Callable[..., Tensor]:
        def handler(tape: Any, func: Any, input: Tensor, inplace: bool = inplace) -> Tensor:
            return tape.rectify(input, ceiling, inplace)

        return handler

    def bounded(lowest: Any, highest: Any, inplace: bool) -> Callable[..., Tensor]:
        def handler(tape: Any, func: Any, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            names = ("min_val", "max_val", "inplace") if "hardtanh" in func.__name__ else ("min", "max")
            given = {"min": lowest, "max": highest, "inplace": inplace}
            given.update({name.partition("_")[0]: value for name, value in [*zip(names, args, strict=False), *kwargs.items()]})
            low, high = given["min"], given["max"]
            if any(isinstance(bound, Tensor) for bound in (low, high)) or low != 0:
                return tape.let_through(func.__name__, func(input, *args, **kwargs))
            return tape.rectify(input, math.inf if high is None else float(high), given["inplace"])

        return handler

    def threshold(tape: Any, func: Any, input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
        if threshold != 0 or value != 0:
            return tape.let_through("threshold", func(input, threshold, value))
        return tape.rectify(input, math.inf, inplace or func.__name__.endswith("_"))

    calls: dict[Any, Callable[..., Tensor]] = {f: fixed(math.inf, False) for f in (F.relu, torch.relu, Tensor.relu)}
    calls |= {f: fixed(math.inf, True) for f in (F.relu_, torch.relu_, Tensor.relu_)}
    calls |= {F.relu6: fixed(6.0, False)}
    calls |= {F.hardtanh: bounded(-1, 1, False), F.hardtanh_: bounded(-1, 1, True)}
    for owner in (torch, Tensor):
        for name in ("clamp", "clip"):
            calls |= {getattr(owner, name): bounded(None, None, False), getattr(owner, name + "_"): bounded(None, None, True)}
        calls |= {owner.clamp_min: bounded(None, None, False), owner.clamp_min_: bounded(None, None, True)}
    calls |= dict.fromkeys((F.threshold, torch.threshold, F.threshold_, torch.threshold_), threshold)  # type: ignore[attr-defined]
    return calls


def in_place(name: str) -> bool:
    """Does the operation of this name write to its first argument?"""
    return name in _WRITING or (name.endswith("_") and not name.endswith("__"))


def tensors(args: Any, kwargs: Any) -> Iterator[Tensor]:
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from tensors(value, {})


def operands(args: Any, kwargs: Any) -> Iterator[Any]:
    """What an additive operation adds: tensors and numbers."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, (tuple, list)):
            yield from operands(value, {})
        elif isinstance(value, (Tensor, int, float)):
            yield value


def depends(value: Any) -> bool:
    """Does it depend on the picture? Parameters, leaves that are not the tape's own, do not."""
    return isinstance(value, Tensor) and value.requires_grad and not isinstance(value, nn.Parameter)


def detached(value: Any) -> Any:
    if isinstance(value, nn.Parameter):
        return value.detach()
    if isinstance(value, (tuple, list)) and any(isinstance(v, nn.Parameter) for v in value):
        return type(value)(detached(v) for v in value)
    return value


def replaced(value: Any, by: dict[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        return by.get(id(value), value)
    if isinstance(value, (tuple, list)):
        return type(value)(replaced(v, by) for v in value)
    return value


def divides_by_constant(name: str, args: Any) -> bool:
    return "div" not in name or not depends(args[1])


def zero_padding(input: Tensor, pad: Any, mode: str = "constant", value: Any = None) -> tuple[int, int, int, int] | None:
    pad = [int(p) for p in pad] + [0] * (4 - len(pad))
    if mode != "constant" or value not in (None, 0) or len(pad) != 4 or min(pad) < 0:
        return None
    return pad[0], pad[1], pad[2], pad[3]


def pad_value(input: Tensor, pad: Any, mode: str = "constant", value: Any = None) -> float:
    """The constant that a padding puts in; 0 for the modes that repeat the picture."""
    return float(value or 0) if mode == "constant" else 0.0


def pair(value: Any) -> Pair:
    if isinstance(value, int):
        return value, value
    values = [int(v) for v in value]
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def convolution_padding(padding: Any, kernel: Any, dilation: Pair) -> tuple[Pair, Pair]:
    if isinstance(padding, str):
        if padding == "valid":
            return (0, 0), (0, 0)
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return (total[0] // 2, total[1] // 2), (total[0] - total[0] // 2, total[1] - total[1] // 2)
    both = pair(padding)
    return both, both


def output_size(shape: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    sizes = [(shape[2 + i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]
    return sizes[0], sizes[1]


def map_size(x: Tensor) -> Pair:
    return (x.shape[2], x.shape[3]) if x.dim() == 4 else (1, 1)
