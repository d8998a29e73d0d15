"""What the layers of a network computed from one picture, for networks that share its first ones.

A network whose last layers are randomised computes the same as the trained one up to the first of them. A tape that is given a
:class:`Prefix` takes it from there, layer after layer, until an operation comes with other weights; from then on it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from torch import Tensor

Weights = Sequence[Tensor | None]
Result = TypeVar("Result")


class Prefix:
    """The weights and the result of each of a network's operations on one picture, in their order; written once, then read by many."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []
        self._written = False

    def __len__(self) -> int:
        """How many operations' results are kept."""
        return len(self._steps)

    def reader(self) -> Reader:
        """For one forward pass on the same picture. The first one writes; what it did not finish is not used."""
        if self._written:
            return Reader(self, self._steps, writes=False)
        self._steps = []
        return Reader(self, self._steps, writes=True)

    def finish(self) -> None:
        """All operations are written."""
        self._written = True

    def forget(self) -> None:
        """Keep nothing more, and learn nothing more: forward passes to come compute everything."""
        self._written = True
        self._steps = []

    def shorten(self, count: int) -> None:
        """Networks to come share at most the first ``count`` operations."""
        self._steps = self._steps[:count]


class Reader:
    """One forward pass's place in a :class:`Prefix`."""

    def __init__(self, prefix: Prefix, steps: list[_Step], writes: bool) -> None:
        self._prefix, self._steps, self._writes = prefix, steps, writes
        self._at = 0
        self._same = True

    def value(self, weights: Weights, compute: Callable[[], Tensor]) -> Tensor:
        """The next operation's result, (...), from the prefix if everything up to it is the same. Nobody may write to it."""
        known = self._next(weights)
        if known is None:
            return compute()
        if known.value is None:
            known.value = compute()
        return known.value.detach()  # a tensor of its own: autograd hangs a history on it

    def of_last(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """What else follows from the last operation's result, by ``key``."""
        known = self._steps[self._at - 1] if self._same and self._at else None
        if known is None or self._writes:  # whoever writes may follow other rules than those who read
            return compute()
        if key not in known.more:
            known.more[key] = compute()
        return known.more[key]  # type: ignore[no-any-return]

    def passed(self, weights: Weights) -> None:
        """An operation that the tape leaves to torch has taken ``weights``."""
        self._next(weights)

    def _next(self, weights: Weights) -> _Step | None:
        if not self._same:
            return None
        if self._writes:
            self._steps.append(_Step(tuple(weights)))
        elif self._at >= len(self._steps) or not self._steps[self._at].takes(weights):
            self._same = False
            self._prefix.shorten(self._at)
            return None
        self._at += 1
        return self._steps[self._at - 1]


class _Step:
    def __init__(self, weights: tuple[Tensor | None, ...]) -> None:
        self._weights = weights
        self.value: Tensor | None = None
        self.more: dict[Hashable, Any] = {}

    def takes(self, weights: Weights) -> bool:
        return len(weights) == len(self._weights) and all(a is b for a, b in zip(weights, self._weights, strict=True))
