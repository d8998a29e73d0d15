"""What the tape knows of tensors besides their gradient: whether autograd tracks them, and where a map lies in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from .geometry import Size
from .rules import MAP_AXES
from .torch_ops import PERMUTING, depends, same_memory, tensors

Sources = tuple[Tensor, ...]
MOST_SOURCES = 32


@dataclass(frozen=True)
class Untracked:
    """Something computed from the picture whose gradient autograd does not carry: by which operation, and from what.

    ``alias``: it shares memory with what depends on the picture, so that autograd would not see a write to it.
    """

    by: str
    sources: Sources
    alias: bool


class TensorNotes:
    """Notes on the tensors of one forward pass.

    Attributes:
        doubtful: results of operations that the theory does not cover, and of others on them, with what they were computed from.
        mixed: tensors in which constants stand beside numbers that depend on the picture, with what they were computed from.
        pictures: how many pictures the network is called with. axes: where a map's rows and columns usually are, (2, 3) of pictures,
            (2,) of signals and (2, 3, 4) of volumes.
    """

    def __init__(self) -> None:
        self.doubtful: Any = WeakTensorKeyDictionary()
        self.mixed: Any = WeakTensorKeyDictionary()
        self.pictures = 1
        self.axes: Size = MAP_AXES
        self._untracked: Any = WeakTensorKeyDictionary()
        self._axes: Any = WeakTensorKeyDictionary()

    # -- what autograd does not track ----------------------------------------------------------------------------------------------

    def untracked(self, value: Any) -> Untracked | None:
        """What is known of something that was computed from the picture without its gradient; None if it was not."""
        return self._untracked.get(value) if len(self._untracked) and isinstance(value, Tensor) else None  # type: ignore[no-any-return]

    def note_untracked(self, result: Any, by: str, sources: Sources) -> Any:
        """Note that ``result``, a tensor or several, was computed from ``sources`` without its gradient."""
        first = next((known.by for s in sources if (known := self.untracked(s)) is not None), by)
        for t in tensors((result,), {}):
            if not depends(t) and not isinstance(t, nn.Parameter):
                shared = t.is_floating_point() and any(same_memory(t, s) and (depends(s) or self._untracked[s].alias) for s in sources)
                self._untracked[t] = Untracked(first, sources, shared)
        return result

    def write_is_untracked(self, written: Tensor) -> bool:
        """Would autograd not see a write to it?"""
        known = self.untracked(written)
        return known.alias if known is not None else depends(written) and not torch.is_grad_enabled()

    def transformed(self, args: Any, kwargs: Any) -> bool:
        """Does one of ``torch.func``'s transforms (vmap, grad, jvp) run just now, on something that depends on the picture?"""
        return torch._C._functorch.maybe_current_level() is not None and any(
            depends(inner) or self.untracked(inner) is not None for inner in map(_inside, tensors(args, kwargs))
        )

    def sources(self, of: Sources) -> Iterator[Tensor]:
        """``of``, and what that was computed from as far as it is doubtful, mixed or untracked: :data:`MOST_SOURCES` tensors at most."""
        seen: set[int] = set()
        waiting = list(of)
        while waiting and len(seen) < MOST_SOURCES:
            t = waiting.pop(0)
            if id(t) not in seen:
                seen.add(id(t))
                yield t
                known = self.untracked(t)
                waiting += [*self.doubtful.get(t, ()), *self.mixed.get(t, ()), *(() if known is None else known.sources)]

    def rectified(self, value: Tensor, inputs: Iterable[Tensor]) -> tuple[Tensor | None, bool]:
        """The one of ``inputs``, if any, that a rectifier makes ``value`` of: max(z, 0), or min(z, 0) where the flag is True.

        Only numbers of both signs prove it.
        """
        for z in inputs:
            if z.shape == value.shape and z.dtype == value.dtype and depends(z) and z not in self.doubtful:
                plain = z.detach()
                if bool((plain > 0).any() & (plain < 0).any()):
                    for flipped, expected in ((False, plain.clamp(min=0)), (True, plain.clamp(max=0))):
                        if torch.equal(value, expected):
                            return z, flipped
        return None, False

    # -- where a map lies in a tensor ----------------------------------------------------------------------------------------------

    @property
    def dims(self) -> int:
        """How many dimensions a tensor of maps has."""
        return 2 + len(self.axes)

    def map_size(self, x: Tensor) -> Size:
        """The size of the map that lies in ``x``; ones where there is none."""
        axes = self.spatial(x)
        return (1,) * len(self.axes) if axes is None else tuple(x.shape[axis] for axis in axes)

    def _usual(self, x: Tensor) -> Size | None:
        return self.axes if x.dim() == self.dims else None

    def spatial(self, x: Tensor) -> Size | None:
        """The axes of ``x`` that are rows and columns of a map; None where there is no map, or where it is not known."""
        if not x.dim() or len(x) != self.pictures:
            return None
        known = self._axes.get(x) if len(self._axes) else None
        return self._usual(x) if known is None else known[0]

    def set_spatial(self, x: Tensor, axes: Size | None) -> None:
        """Note where the map lies in ``x``."""
        if axes != self._usual(x):
            self._axes[x] = (axes,)

    def mix(self, result: Tensor, sources: Sources) -> None:
        """Note that constants stand in ``result`` beside numbers that depend on the picture; in the whole, where it is a written part."""
        self.mixed[result] = sources
        if result._base is not None and not any(result is source for source in sources):
            self.mixed[result._base] = sources

    def stays_mixed(self, result: Tensor, x: Tensor) -> Tensor:
        """``result``, what a linear layer makes of the last axis of ``x``: noted the same, since ``x`` may be mixed along others."""
        if x.dim() > 2 and x in self.mixed:
            self.mixed[result] = (x,)
        return result

    def carry(self, result: Tensor, sources: Sources, *, doubtful: bool, mixed: bool) -> None:
        """Note that ``result`` is what its sources were."""
        if doubtful:
            self.doubtful[result] = sources
        if mixed:
            self.mixed[result] = sources

    def copy(self, result: Tensor, x: Tensor) -> None:
        """Note that ``result`` has the shape and the meaning of ``x``."""
        for notes in (self.mixed, self._axes):
            if x in notes:
                notes[result] = notes[x]

    def follow_spatial(self, result: Tensor, x: Tensor, func: Any, name: str, args: Any, kwargs: Any) -> None:
        """Note where the map of ``x`` lies in ``result = func(*args, **kwargs)``."""
        known = len(self._axes) and x in self._axes
        if not known and x.dim() == result.dim() and name not in PERMUTING:
            return
        axes, usual = self.spatial(x), self._usual(result)
        if axes is None:  # a batch of vectors becomes maps of its own; how tokens lie on a map is not known
            found = None if known or 2 < x.dim() < self.dims else usual
        elif result.dim() != x.dim():
            found = _same_sizes(x, result, axes)
        elif name in PERMUTING:
            shape = func(torch.empty([101 + i for i in range(x.dim())], device="meta"), *args[1:], **kwargs).shape
            found = tuple(shape.index(101 + axis) for axis in axes) if len(set(shape)) == len(shape) else None
        else:
            found = axes
        if found != usual or known:
            self._axes[result] = (found,)


def _inside(value: Tensor) -> Tensor:
    """What the wrappers of ``torch.func`` hold; ``value`` itself where there is none."""
    while torch._C._functorch.is_functorch_wrapped_tensor(value):
        value = torch._C._functorch.get_unwrapped(value)
    return value


def _same_sizes(x: Tensor, result: Tensor, axes: Size) -> Size | None:
    """Where the map's axes are after a change of the number of dimensions: still the last ones, or still the ones behind the batch."""
    count, size = len(axes), tuple(x.shape[axis] for axis in axes)
    if result.dim() <= count or (count == 1 and result.numel() != x.numel()):  # a single axis may have another's length by accident
        return None
    if axes == tuple(range(x.dim() - count, x.dim())) and tuple(result.shape[-count:]) == size:
        return tuple(range(result.dim() - count, result.dim()))
    return axes if axes == tuple(range(1, 1 + count)) and tuple(result.shape[1 : 1 + count]) == size else None
