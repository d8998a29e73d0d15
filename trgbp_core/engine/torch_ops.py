"""The vocabulary of the tape: what torch's operations are called, as functions and as nodes of the autograd graph.

A node says what an operation does, however it was called: it is linear, chooses among its inputs' own numbers, or is something that the
theory does not cover. Functions are known by name only where no node says it: random numbers, values read out of a tensor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction

# -- nodes of the autograd graph -------------------------------------------------------------------------------------------------------

RESHAPING = frozenset(
    """AccumulateGrad View UnsafeView ReshapeAlias Squeeze Unsqueeze Clone Alias ToCopy Permute Transpose T Select Slice Expand AsStrided
    Diagonal Split SplitWithSizes UnsafeSplit Unbind Narrow Unfold""".split()
)
"""Leave every number as it is."""

LINEAR = RESHAPING | frozenset(
    """Copy CopySlices Reshape Chunk Trace Tril Triu Flip Rot90 Roll Repeat RepeatInterleave Index IndexSelect IndexPut IndexFill
    IndexCopy IndexAdd Take Put Gather Scatter ScatterAdd MaskedFill MaskedSelect MaskedScatter Where Cat Stack Add Sub Rsub Neg
    Mul Div Sum Mean Nansum Cumsum Lerp Mm Bmm Mv Dot Addmm Addmv Addbmm Baddbmm Addr Addcmul Addcdiv Linear Convolution
    MkldnnConvolution CudnnConvolution SlowConv2D ThnnConv2D ConstantPadNd ReflectionPad1D ReflectionPad2D ReflectionPad3D
    ReplicationPad1D ReplicationPad2D ReplicationPad3D AvgPool1D AvgPool2D AvgPool3D AdaptiveAvgPool1D AdaptiveAvgPool2D
    AdaptiveAvgPool3D MkldnnAdaptiveAvgPool2D UpsampleNearest1D UpsampleNearest2D UpsampleNearest3D UpsampleNearestExact1D
    UpsampleNearestExact2D UpsampleNearestExact3D UpsampleLinear1D UpsampleBilinear2D UpsampleBilinear2DAa UpsampleTrilinear3D
    UpsampleBicubic2D UpsampleBicubic2DAa PixelShuffle PixelUnshuffle ChannelShuffle NativeChannelShuffle Im2Col Col2Im
    GridSampler2D GridSampler3D SelectScatter SliceScatter""".split()
)
"""Linear in one input, as long as the others do not depend on the picture (see :data:`PRODUCTS`)."""

PRODUCTS: dict[str, tuple[tuple[int, ...], ...]] = {
    **dict.fromkeys(("Mul", "Mm", "Bmm", "Mv", "Dot", "Convolution", "Linear"), ((0, 1),)),
    **dict.fromkeys(("Addmm", "Addmv", "Addbmm", "Baddbmm", "Addr", "Addcmul"), ((1, 2),)),
    "Div": ((1,),),
    "Addcdiv": ((2,),),
    "Lerp": ((2,),),
    "GridSampler2D": ((1,),),
    "GridSampler3D": ((1,),),
}
"""Operands that may not depend on the picture together, by their numbers."""

CHOICES = frozenset(
    """MaxPool1D MaxPool2D MaxPool2DWithIndices MaxPool3DWithIndices MkldnnMaxPool2D AdaptiveMaxPool1D AdaptiveMaxPool2D AdaptiveMaxPool3D
    Max Min Amax Amin Maximum Minimum Fmax Fmin Sort Topk Kthvalue Median Nanmedian Cummax Cummin Aminmax""".split()
)
"""Each output is one of the inputs: linear wherever the choice does not change."""

STEPS = frozenset("Sign Sgn Floor Ceil Round Trunc FloorDivide".split())
"""Constant wherever they do not jump: their gradient is zero, and their value is no constant."""

VIEWS = frozenset("View Squeeze Unsqueeze Alias Permute Transpose T Select Slice Expand AsStrided Diagonal Narrow Unfold".split())
"""Share memory with their input, which may be written to through them."""

WITH_CONSTANTS = frozenset(
    """Add Sub Rsub Cat Stack Where MaskedScatter IndexPut IndexCopy IndexAdd ScatterAdd Lerp Addmm Addmv Addbmm Baddbmm Addr Addcmul
    Addcdiv Convolution Linear Copy SelectScatter SliceScatter""".split()
)
"""May add a constant where one of their inputs does not depend on the picture."""

WITH_NUMBERS = frozenset("CopySlices ConstantPadNd MaskedFill IndexFill Put Scatter IndexPut Where".split())
"""May put in a constant that is no input of theirs at all."""

SUMS = frozenset("Add Sub Rsub".split())


def kind(node: Any) -> str:
    """A node's name without autograd's decoration: ``Mul`` for ``MulBackward0``."""
    return re.sub(r"Backward\d*$", "", node.name().rpartition("::")[2])


def last_operation(output: Tensor) -> Any:
    """The last node of the graph of ``output`` that changes a number."""
    node: Any = output.grad_fn
    while node is not None and kind(node) in RESHAPING:
        node = node.next_functions[0][0]
    return node


def nonlinear(node: Any) -> str:
    """Why the theory does not cover ``node``, as the end of a sentence; empty where it does."""
    if isinstance(node, BackwardCFunction):
        own = getattr(node, "_forward_cls", type(node)).__module__.partition(".")[0] == __name__.partition(".")[0]
        return "" if own else "a torch.autograd.Function, whose backward pass need not be its gradient"
    name = kind(node)
    if name != "Pow" and name not in LINEAR and name not in CHOICES and name not in STEPS:
        return "neither a rectifier (ReLU, ReLU6) nor linear"
    if name == "Pow":
        exponent = getattr(node, "_saved_exponent", None)
        return "" if isinstance(exponent, (int, float)) and exponent == 1 else "not linear"
    present = [parent is not None for parent, _ in node.next_functions]
    for together in PRODUCTS.get(name, ()):
        if all(i < len(present) and present[i] for i in together):
            return "not linear: what depends on the picture multiplies or divides what depends on it"
    return ""


def adds_constant(node: Any) -> bool:
    """May its output hold a constant, something that its inputs do not?"""
    if isinstance(node, BackwardCFunction):
        return True  # an operation with another backward rule in its place
    name = kind(node)
    inputs = node.next_functions
    by_number = name in ("Add", "Sub", "Rsub") and len(inputs) < 2
    return name in WITH_NUMBERS or (name in WITH_CONSTANTS and (by_number or any(parent is None for parent, _ in inputs)))


# -- functions -------------------------------------------------------------------------------------------------------------------------

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

RANDOM = frozenset(
    """rand randn randint randperm normal bernoulli multinomial poisson rand_like randn_like randint_like uniform_ normal_ random_
    bernoulli_ exponential_ geometric_ cauchy_ log_normal_ gumbel_softmax rrelu_with_noise fractional_max_pool2d
    fractional_max_pool2d_with_indices fractional_max_pool3d fractional_max_pool3d_with_indices""".split()
)

READING = frozenset(
    """item tolist numpy __array__ __float__ __int__ __bool__ __index__ __complex__ __contains__ is_nonzero equal allclose
    __dlpack__ __reduce_ex__ data_ptr storage untyped_storage""".split()
)
"""Bring a value out of a tensor, to where its use cannot be followed."""

VALUE_FREE = frozenset(
    """zeros_like ones_like empty_like full_like new_zeros new_ones new_empty new_full new_tensor
    result_type""".split()
)
"""Tell no more than a tensor's shape."""

EMPTY = frozenset("empty empty_like empty_strided new_empty new_empty_strided".split())

CHECKS = frozenset("isnan isfinite isinf isposinf isneginf".split())
"""Tell whether a tensor holds numbers at all: constants, as long as the answer is the same everywhere."""

LIKE_ANOTHER = frozenset("to type_as expand_as view_as reshape_as".split())
"""Take nothing but type and shape from their second operand."""

IN_PLACE_ON_PARTS = frozenset(
    """__setitem__ copy_ fill_ zero_ add_ sub_ mul_ div_ neg_ __iadd__ __isub__ __imul__ __idiv__ __itruediv__ masked_fill_ masked_scatter_
    index_put_ index_fill_ index_copy_ index_add_ scatter_ scatter_add_ pad""".split()
)
"""What autograd records as a write to a part of a tensor, without saying which operation it was, and is linear."""

PERMUTING = frozenset("permute transpose transpose_ swapaxes swapdims movedim moveaxis t adjoint rot90 __get__".split())

_WRITING = frozenset("__iadd__ __isub__ __imul__ __idiv__ __itruediv__ __ifloordiv__ __ipow__ __setitem__".split())

LEAKY = frozenset("leaky_relu leaky_relu_ prelu prelu_kernel _prelu_kernel rrelu rrelu_".split())
"""Positively homogeneous, like a rectifier: with the ordinary gradient the sums stay exact. Eq. 4 is not about them."""

LAST = {
    "softmax": "softmax", "Softmax": "softmax", "log_softmax": "log-softmax", "sigmoid": "sigmoid", "logsigmoid": "log-sigmoid",
    "special_softmax": "softmax", "special_expit": "sigmoid", "expit": "sigmoid", "special_log_softmax": "log-softmax",
}  # fmt: skip
"""What some networks end in, and the theory stops before."""


def in_place(name: str) -> bool:
    """Does the operation of this name write to its first argument?"""
    return name in _WRITING or (name.endswith("_") and not name.endswith("__"))


def is_foreign(func: Any) -> bool:
    """Is it an operator registered with torch from outside, ``torch.ops.mine.…``?"""
    name = getattr(func, "_qualified_op_name", None) or getattr(func, "namespace", "aten")
    return isinstance(name, str) and name.partition("::")[0] not in ("aten", "prims", "prim")


def same_memory(a: Tensor, b: Tensor) -> bool:
    """Do the two lie in one storage?"""
    return a.untyped_storage()._cdata == b.untyped_storage()._cdata


def is_part(z: Tensor) -> bool:
    """Is it a view, in part or in full, of another tensor that depends on the picture?"""
    return z._base is not None and depends(z._base) and kind(z.grad_fn) in VIEWS


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


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """``value`` with ``change`` made to every tensor in it, through tuples, lists and dictionaries; itself where nothing changes."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: mapped(v, change) for key, v in value.items()}
    if isinstance(value, (tuple, list)):
        found = [mapped(v, change) for v in value]
        return value if all(new is old for new, old in zip(found, value, strict=True)) else type(value)(found)
    return value


def detached(value: Any) -> Any:
    """``value`` with constants in the place of parameters."""
    return mapped(value, lambda t: t.detach() if isinstance(t, nn.Parameter) else t)


def replaced(value: Any, by: dict[int, Tensor]) -> Any:
    """``value`` with the tensors ``by`` in the place of those with these ids."""
    return mapped(value, lambda t: by.get(id(t), t))


def filled(name: str, result: Any) -> Any:
    """``result``, or zeros in the place of whatever lay in the memory of a new tensor, so that every call finds the same there."""
    if name in EMPTY and isinstance(result, Tensor):
        with torch.no_grad():
            result.zero_()
    return result


def divides_by_constant(name: str, args: Any) -> bool:
    return "div" not in name or not depends(args[1])
