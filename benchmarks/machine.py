"""What the machine can do and what an explanation asks of it: arithmetic and memory traffic."""

from __future__ import annotations

import ctypes
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trgbp_core.engine import devices

MOVES_NOTHING = "view as_strided expand permute transpose slice select unsqueeze squeeze alias detach t empty".split()


class TrafficCounter(TorchDispatchMode):
    """Counts the bytes that every operation reads and writes, each tensor once an operation: the least traffic without fusing operations.

    Attributes:
        bytes: so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__.removeprefix("_").split("_copy")[0] not in MOVES_NOTHING:
            self.bytes += sum(t.numel() * t.element_size() for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor))
        return result


def bandwidth(device: torch.device = devices.CPU) -> float:
    """Bytes a second of a copy far larger than any cache, read and written."""
    source, target = torch.zeros(2, 1 << 26, device=device)
    seconds = medians({"copy": lambda: target.copy_(source)}, 5, device=device)["copy"]
    return 2 * source.numel() * source.element_size() / seconds


def medians(work: dict[str, Callable[[], Any]], repeats: int, *, warm_up: int = 3, device: torch.device = devices.CPU) -> dict[str, float]:
    """Seconds of each piece of work, the median of ``repeats`` rounds that take turns, so that a drift of the machine hits all alike.

    Args:
        device: what computes; the clock is read when it has finished.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for round_ in range(repeats + warm_up):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            devices.synchronise(device)
            if round_ >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def gemm_rate(device: torch.device = devices.CPU) -> float:
    """Arithmetic rate of a 2048³ float32 matrix product, GFLOP/s."""
    a, b = (torch.randn(2048, 2048).to(device) for _ in range(2))
    return 2 * 2048**3 / medians({"gemm": lambda: a @ b}, 5, device=device)["gemm"] / 1e9


def traffic(run: Callable[[], Any]) -> int:
    """Bytes that ``run`` moves, by :class:`TrafficCounter`."""
    with TrafficCounter() as counter:
        run()
    return counter.bytes


def peak_memory(run: Callable[[], Any]) -> int | None:
    """Bytes by which ``run`` raises this process's resident memory at its highest; None where the system does not say (not Linux).

    Memory that was freed before is handed back to the system first, so that it cannot hide what ``run`` takes.
    """
    clear = Path("/proc/self/clear_refs")
    if not sys.platform.startswith("linux") or not clear.exists():
        return None
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        clear.write_text("5")  # the highest mark starts anew
    except (OSError, AttributeError):
        return None
    before = _status("VmRSS")
    run()
    return max(0, _status("VmHWM") - before)


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024
