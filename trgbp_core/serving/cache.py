"""Results kept in memory: bounded in bytes, the least recently used goes, and many who ask at once are answered by one computation."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from .jobs import POLL_SECONDS, Cancelled

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """A thread-safe map from a key to a computed value.

    Args:
        max_bytes: the sum of the kept values' sizes; a value that is larger alone is returned, but not kept.
        size: bytes of a value.
    """

    def __init__(self, max_bytes: int, size: Callable[[Value], int]) -> None:
        self._max_bytes = max_bytes
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._running: dict[Hashable, Future[Value]] = {}
        self.bytes = 0

    def get(self, key: Hashable, compute: Callable[[], Value], waits: Callable[[], None] | None = None) -> Value:
        """The value of ``key``, computed at most once at a time; an error goes to all who wait for it, and is not kept.

        Where whoever computes it gives up (:class:`flights.Cancelled`), the next who waits takes over.

        Args:
            waits: called now and then while another one computes it; may raise to wait no longer.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
            future = self._running.get(key)
            mine = future is None
            if future is None:
                future = self._running[key] = Future()
        if not mine:
            while waits is not None and not wait([future], POLL_SECONDS).done:
                waits()
            try:
                return future.result()
            except Cancelled:
                return self.get(key, compute, waits)
        try:
            value = compute()
        except BaseException as error:
            with self._lock:
                del self._running[key]
            future.set_exception(error)
            raise
        with self._lock:
            del self._running[key]
            self._keep(key, value)
        future.set_result(value)
        return value

    def peek(self, key: Hashable) -> Value | None:
        """The value of ``key`` if it is kept; nothing is computed, and nobody waited for."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def put(self, key: Hashable, value: Value) -> None:
        """Keep ``value``, in the place of what was kept before; a value that has grown is counted anew."""
        with self._lock:
            self._keep(key, value)

    def change(self, key: Hashable, change: Callable[[Value], object]) -> None:
        """Change the value of ``key`` in place, if it is kept, and count it anew; it is used no more recently for that."""
        with self._lock:
            if key in self._kept:
                value, before = self._kept[key]
                change(value)
                self._kept[key] = value, (size := self._size(value))
                self.bytes += size - before

    def _keep(self, key: Hashable, value: Value) -> None:
        _, before = self._kept.pop(key, (None, 0))
        self.bytes -= before
        size = self._size(value)
        if size > self._max_bytes:
            return
        self._kept[key] = value, size
        self.bytes += size
        while self.bytes > self._max_bytes:
            _, (_, freed) = self._kept.popitem(last=False)
            self.bytes -= freed
