"""How a program of our own keeps memory. A library must not decide this for its caller; the page and the command line do."""

from __future__ import annotations

import ctypes
import sys
import threading

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_kept = threading.Event()


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
        done = all(libc.mallopt(*option) for option in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, limit)))
    except (OSError, AttributeError):
        return False
    if done:
        _kept.set()
    return done


def give_back_holes() -> None:
    """Hand freed memory back to the system, the holes between what is in use included, if :func:`keep_freed_memory` was called.

    What is kept for long (recordings, pictures of maps) lies between buffers that are not; in time the holes would add up beyond any
    limit. Takes about a tenth of a second, and the next computation fetches its buffers anew: to be called now and then.
    """
    if _kept.is_set():
        ctypes.CDLL("libc.so.6").malloc_trim(0)
