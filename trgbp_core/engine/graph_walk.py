"""Autograd's graph of one forward pass, walked once for many classes.

Autograd carries several gradients through one graph by ``vmap``, at a price: every node is interpreted in Python, elementwise steps run
over copies of activations that all classes share, and paddings and maxima copy whole maps. Here the walk is our own. The operations
whose backward rule the theory changes (:class:`rules.ForAllClasses`) receive all classes as one ordinary batch; additions,
paddings and concatenations, which a gradient passes without arithmetic, cost next to nothing; every other node is called under ``vmap``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from . import devices
from .torch_ops import CHOICES, kind, tensors

Node = Any  # torch.autograd.graph.Node, or the context of a torch.autograd.Function
Gradients = list["Tensor | None"]


@dataclass
class _Arrived:
    """A gradient on its way, (K, ...); ``fresh`` if nothing else holds its memory, so that another may be added in place."""

    value: Tensor
    fresh: bool

    def add(self, other: _Arrived) -> None:
        if self.fresh:
            self.value.add_(other.value)
        elif other.fresh:
            self.value, self.fresh = other.value.add_(self.value), True
        else:
            self.value, self.fresh = self.value + other.value, True


class Graph:
    """What ``output`` was computed from.

    Args:
        output: a tensor with a gradient function; the graph is kept as long as this object is.

    Attributes:
        nodes: all nodes, each before those that it hands its gradients to.
    """

    def __init__(self, output: Tensor) -> None:
        self._root, self._output_index = output.grad_fn, output.output_nr
        self.nodes = _ordered(self._root)
        self._leaves = {id(node.variable) for node in self.nodes if hasattr(node, "variable")}

    def reaches(self, leaf: Tensor | None) -> bool:
        """Does the output depend on ``leaf``?"""
        return id(leaf) in self._leaves

    @cached_property
    def signature(self) -> int:
        """The same for graphs of the same operations in the same order."""
        return hash(tuple(node.name() for node in self.nodes))

    @cached_property
    def nbytes(self) -> int:
        """What autograd's own nodes keep: above all the inputs of maxima."""
        kept = [t for node in self.nodes for t in _saved(node)]
        return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in kept}.values())

    def constants(self) -> list[tuple[str, list[Tensor]]]:
        """The operations but for choices, which keep what they chose: each one's name, and what it keeps that carries no gradient."""
        found = []
        for node in self.nodes:
            kept = getattr(node, "constants", None)  # of a layer, or of a constant that joins
            if kept is None and not hasattr(node, "variable") and kind(node) not in CHOICES:
                kept = [t for t in _saved(node) if not t.requires_grad]
            if kept is not None:
                found.append((node.name(), [t for t in kept if t is not None]))
        return found

    @torch.no_grad()
    def backward(self, cotangents: Tensor, leaves: Iterable[Tensor], *, guided: bool = True) -> list[Tensor]:
        """The gradients (K, ...) at ``leaves`` for ``cotangents``, (K, ...) at the output; the graph can be walked again.

        ``guided`` is passed on to the theory's own operations.
        """
        arrived: dict[Node, dict[int, _Arrived]] = {self._root: {self._output_index: _Arrived(cotangents, False)}}
        found: dict[int, Tensor] = {}
        for node in self.nodes:
            gradients = arrived.pop(node, None)
            if gradients is None:
                continue
            if hasattr(node, "variable"):
                found[id(node.variable)] = gradients[0].value
                continue
            given = [gradients[i].value if i in gradients else None for i in range(len(node._input_metadata))]
            fresh = 0 in gradients and gradients[0].fresh
            del gradients
            results, fresh = _back(node, given, guided, fresh)
            del given
            for (parent, index), result in zip(node.next_functions, results, strict=False):
                if parent is None or result is None:
                    continue
                wanted = parent._input_metadata[index].dtype
                new, there = _Arrived(result.to(wanted), fresh), arrived.setdefault(parent, {})
                if index in there:
                    there[index].add(new)
                else:
                    there[index] = new
            del results
        return [found[id(leaf)] if id(leaf) in found else leaf.new_zeros(len(cotangents), *leaf.shape) for leaf in leaves]


def _saved(node: Node) -> list[Tensor]:
    """The tensors that a node keeps for its backward step."""
    found = list[Tensor]()
    for name in dir(node):
        if name.startswith("_saved_"):
            with suppress(RuntimeError):  # written to since, in place: of no use to anybody
                found += tensors((getattr(node, name),), {})
    return found


def _ordered(root: Node) -> list[Node]:
    """All nodes, each before those that it hands its gradients to."""
    waiting = {root: 0}
    stack = [root]
    while stack:
        for parent, _ in stack.pop().next_functions:
            if parent is not None:
                if parent not in waiting:
                    waiting[parent] = 0
                    stack.append(parent)
                waiting[parent] += 1
    order, ready = [], [root]
    while ready:
        node = ready.pop()
        order.append(node)
        for parent, _ in node.next_functions:
            if parent is not None:
                waiting[parent] -= 1
                if not waiting[parent]:
                    ready.append(parent)
    return order


def _back(node: Node, given: Gradients, guided: bool, fresh: bool) -> tuple[Gradients, bool]:
    """The gradients that ``node`` passes to those before it, and whether they are fresh; ``fresh``: the ``given`` one is."""
    step = getattr(node, "for_all_classes", None)
    first = given[0]
    if step is not None and first is not None:
        results = step(first, guided, fresh)
        return list(results), fresh or results[0] is not first
    special = _SPECIAL.get(node.name())
    if special is not None and first is not None:
        result = special(node, first)
        if result is not None:
            return result
    return _under_vmap(node, given), False


def _under_vmap(node: Node, given: Gradients) -> Gradients:
    """One of autograd's own nodes, or a ``Function``, for every class at once."""
    call = node if callable(node) else node.apply
    shapes = [None if parent is None else parent._input_metadata[index].shape for parent, index in node.next_functions]
    like = next(g for g in given if g is not None)
    present = [like.new_zeros(len(like), *node._input_metadata[i].shape) if g is None else g for i, g in enumerate(given)]
    filled: list[bool] = []

    def one_class(*gradients: Tensor) -> tuple[Tensor, ...]:
        results = call(*gradients)
        results = results if isinstance(results, tuple) else (results,)
        filled[:] = [r is not None and s is not None for r, s in zip(results, shapes, strict=False)]
        # An operand that was broadcast receives the sum of what its copies receive, as from autograd's engine.
        return tuple(r.sum_to_size(s) for r, s, wanted in zip(results, shapes, filled, strict=False) if wanted)

    try:
        results = iter(torch.func.vmap(one_class)(*present))
    except RuntimeError:  # a write to a part of a tensor has no rule for several gradients at once
        results = iter([torch.stack(of) for of in zip(*(one_class(*gradients) for gradients in zip(*present, strict=True)), strict=True)])
    return [next(results) if wanted else None for wanted in filled]


# -- operations that a gradient passes without arithmetic --------------------------------------------------------------------------------


def _addition(node: Node, g: Tensor) -> tuple[Gradients, bool] | None:
    shapes = [parent._input_metadata[index].shape for parent, index in node.next_functions if parent is not None]
    if node._saved_alpha != 1 or any(tuple(shape) != tuple(g.shape[1:]) for shape in shapes):
        return None
    return [g] * len(node.next_functions), False


def _same(node: Node, g: Tensor) -> tuple[Gradients, bool]:
    return [g], False


def _padding(node: Node, g: Tensor) -> tuple[Gradients, bool] | None:
    """The inner part, as a view."""
    pad = [_signed(width) for width in node._saved_pad]
    if min(pad) < 0:
        return None
    for dim, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True), start=1):
        g = g.narrow(-dim, before, g.shape[-dim] - before - after)
    return [g], False


def _signed(number: int) -> int:
    """Autograd returns its nodes' numbers without their signs."""
    return number - (1 << 64) if number >> 63 else number


def _concatenation(node: Node, g: Tensor) -> tuple[Gradients, bool] | None:
    """Each part's share, as a view."""
    if any(parent is None for parent, _ in node.next_functions):
        return None  # a constant's size is not on record
    shapes = [parent._input_metadata[index].shape for parent, index in node.next_functions]
    dim = _signed(node._saved_dim)
    if len(set(map(len, shapes))) > 1:
        return None  # torch lets an empty vector stand among tensors of any shape
    sizes = [shape[dim] for shape in shapes]
    return list(g.split(sizes, dim if dim < 0 else dim + 1)), False


def _average(node: Node, g: Tensor) -> tuple[Gradients, bool] | None:
    """All classes as one batch."""
    x = node._saved_self
    if x.dim() != 4:
        return None
    like = torch.empty(len(g) * len(x), *x.shape[1:], dtype=g.dtype, device=g.device, memory_format=devices.layout(g.device))
    geometry = node._saved_kernel_size, node._saved_stride, node._saved_padding, node._saved_ceil_mode
    division = node._saved_count_include_pad, node._saved_divisor_override
    result = torch.ops.aten.avg_pool2d_backward(g.flatten(0, 1), like, *geometry, *division)
    return [result.unflatten(0, (len(g), -1))], True


def _maximum(node: Node, g: Tensor) -> tuple[Gradients, bool] | None:
    """All classes as one batch, each with the same winners."""
    winners, (parent, index) = node._saved_result1, node.next_functions[0]
    shape = parent._input_metadata[index].shape  # the input itself may have been written to since
    if len(shape) != 4:
        return None
    like = torch.empty(len(g) * shape[0], *shape[1:], dtype=g.dtype, device=g.device, memory_format=devices.layout(g.device))
    geometry = node._saved_kernel_size, node._saved_stride, node._saved_padding, node._saved_dilation, node._saved_ceil_mode
    batch = g.flatten(0, 1), like, *geometry, winners.expand(len(g), *winners.shape).flatten(0, 1)
    return [torch.ops.aten.max_pool2d_with_indices_backward(*batch).unflatten(0, (len(g), -1))], True


_SPECIAL: dict[str, Callable[[Node, Tensor], tuple[Gradients, bool] | None]] = {
    "AddBackward0": _addition,
    "AvgPool2DBackward0": _average,
    "CatBackward0": _concatenation,
    "CloneBackward0": _same,
    "ConstantPadNdBackward0": _padding,
    "MaxPool2DWithIndicesBackward0": _maximum,
}
