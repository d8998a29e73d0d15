"""What the tape knows of tensors besides their gradient: what was computed from the picture in hiding, and how a map lies in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from .geometry import Pair
from .rules import MAP_AXES
from .torch_ops import PERMUTING, depends, same_memory, tensors

Sources = tuple[Tensor, ...]


@dataclass(frozen=True)
class Hidden:
    """Something computed from the picture whose gradient autograd does not carry: by which operation, and from what.

    ``alias``: it shares memory with what depends on the picture, so that a write to it would be one behind autograd's back.
    """

    by: str
    sources: Sources
    alias: bool


class Trail:
    """Notes on the tensors of one forward pass.

    Attributes:
        doubtful: results of operations that the theory does not cover, and of others on them, with what they were computed from.
        mixed: tensors in which constants stand beside numbers that depend on the picture, with what they were computed from.
        pictures: how many pictures the network is called with.
    """

    def __init__(self) -> None:
        self.doubtful: Any = WeakTensorKeyDictionary()
        self.mixed: Any = WeakTensorKeyDictionary()
        self.pictures = 1
        self._hidden: Any = WeakTensorKeyDictionary()
        self._axes: Any = WeakTensorKeyDictionary()

    # -- what autograd does not see ------------------------------------------------------------------------------------------------

    def hidden(self, value: Any) -> Hidden | None:
        """What is known of something that was computed from the picture in hiding; None if it was not."""
        return self._hidden.get(value) if len(self._hidden) and isinstance(value, Tensor) else None  # type: ignore[no-any-return]

    def hide(self, result: Any, by: str, sources: Sources) -> Any:
        """Note that ``result``, a tensor or several, was computed from ``sources`` without its gradient."""
        first = next((known.by for s in sources if (known := self.hidden(s)) is not None), by)
        for t in tensors((result,), {}):
            if not depends(t) and not isinstance(t, nn.Parameter):
                shared = t.is_floating_point() and any(same_memory(t, s) and (depends(s) or self._hidden[s].alias) for s in sources)
                self._hidden[t] = Hidden(first, sources, shared)
        return result

    def is_behind_the_back(self, written: Tensor) -> bool:
        """Would a write to it be one that autograd does not see?"""
        known = self.hidden(written)
        return known.alias if known is not None else depends(written) and not torch.is_grad_enabled()

    def sources(self, of: Sources) -> Iterator[Tensor]:
        """``of``, and what that was computed from as far as it is doubtful, mixed or hidden: some thirty tensors at most."""
        seen: set[int] = set()
        waiting = list(of)
        while waiting and len(seen) < 32:
            t = waiting.pop(0)
            if id(t) not in seen:
                seen.add(id(t))
                yield t
                known = self.hidden(t)
                waiting += [*self.doubtful.get(t, ()), *self.mixed.get(t, ()), *(() if known is None else known.sources)]

    # -- where a map lies in a tensor ----------------------------------------------------------------------------------------------

    def spatial(self, x: Tensor) -> Pair | None:
        """The axes of ``x`` that are rows and columns of a map; None where there is no map, or nobody knows."""
        if not x.dim() or len(x) != self.pictures:
            return None
        known = self._axes.get(x) if len(self._axes) else None
        return (MAP_AXES if x.dim() == 4 else None) if known is None else known[0]

    def lies(self, x: Tensor, axes: Pair | None) -> None:
        """Note where the map lies in ``x``."""
        if axes != (MAP_AXES if x.dim() == 4 else None):
            self._axes[x] = (axes,)

    def like(self, result: Tensor, x: Tensor) -> None:
        """Note that ``result`` has the shape and the meaning of ``x``."""
        for notes in (self.mixed, self._axes):
            if x in notes:
                notes[result] = notes[x]

    def moved(self, result: Tensor, x: Tensor, func: Any, name: str, args: Any, kwargs: Any) -> None:
        """Note where the map of ``x`` lies in ``result = func(*args, **kwargs)``."""
        known = len(self._axes) and x in self._axes
        if not known and x.dim() == result.dim() and name not in PERMUTING:
            return
        axes, usual = self.spatial(x), MAP_AXES if result.dim() == 4 else None
        if axes is None:  # a batch of vectors becomes maps of its own; how tokens lie on a map nobody says
            found = None if known or x.dim() == 3 else usual
        elif result.dim() != x.dim():
            found = _same_sizes(x, result, axes)
        elif name in PERMUTING:
            shape = func(torch.empty([101 + i for i in range(x.dim())], device="meta"), *args[1:], **kwargs).shape
            found = (shape.index(101 + axes[0]), shape.index(101 + axes[1])) if len(set(shape)) == len(shape) else None
        else:
            found = axes
        if found != usual or known:
            self._axes[result] = (found,)


def _same_sizes(x: Tensor, result: Tensor, axes: Pair) -> Pair | None:
    """Where the map's axes are after a change of the number of dimensions: still the last two, or still the two behind the batch."""
    size = (x.shape[axes[0]], x.shape[axes[1]])
    ends, start = (x.dim() - 2, x.dim() - 1), (1, 2)
    if axes == ends and result.dim() >= 3 and tuple(result.shape[-2:]) == size:
        return (result.dim() - 2, result.dim() - 1)
    if axes == start and result.dim() >= 3 and tuple(result.shape[1:3]) == size:
        return start
    return None
