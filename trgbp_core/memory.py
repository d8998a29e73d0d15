"""How a program of our own keeps memory. A library must not decide this for its caller; the page and the command line do."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def keep_freed_memory(limit: int = 512 << 20) -> bool:
    """Let glibc keep up to ``limit`` freed bytes for the next allocation, instead of handing every large buffer back to the system.

    A backward pass allocates and frees the same few buffers for every layer; fetching each anew from the system costs about a third of
    the time of networks that are bound by memory. All threads share one heap: each with its own would keep its own ``limit``, and the
    heaps of threads other than the first are handed back whatever the limit says. Returns whether it could be done (Linux with glibc).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        return all(libc.mallopt(*option) for option in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, limit)))
    except (OSError, AttributeError):
        return False
