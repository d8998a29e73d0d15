"""How a program of our own keeps memory. A library must not decide this for its caller; the page and the command line do."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory(limit: int = 512 << 20) -> bool:
    """Let glibc keep up to ``limit`` freed bytes for the next allocation, instead of handing every large buffer back to the system.

    A backward pass allocates and frees the same few buffers for every layer; fetching each anew from the system costs about a third of
    the time of networks that are bound by memory. Returns whether it could be done (Linux with glibc).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        return bool(libc.mallopt(_MMAP_THRESHOLD, 32 << 20)) and bool(libc.mallopt(_TRIM_THRESHOLD, limit))
    except (OSError, AttributeError):
        return False
