"""What the page keeps of freed memory, and gives back now and then."""

from __future__ import annotations

import subprocess
import sys

from trgbp_core.serving.memory import keep_freed_memory

HOLES = """
import torch
from trgbp_core.serving.memory import give_back_holes, keep_freed_memory

def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) / 1024

{call}
kept = []
for _ in range(200):
    hole = torch.ones(1 << 18)
    kept.append(torch.ones(1 << 12))
    kept.append(hole)
full = resident()
kept = kept[::2]  # every other buffer goes: a hole of a megabyte between two that stay
holed = resident()
give_back_holes()
print(full - holed, holed - resident())
"""


def freed(call: str) -> tuple[float, float]:
    """Megabytes that came back when the buffers were freed, and when the holes were given back."""
    done = subprocess.run([sys.executable, "-c", HOLES.format(call=call)], capture_output=True, text=True, timeout=120, check=True)
    first, second = map(float, done.stdout.split())
    return first, second


def test_holes_are_kept_and_then_given_back() -> None:
    if not sys.platform.startswith("linux"):
        assert not keep_freed_memory()
        return
    first, second = freed("assert keep_freed_memory()")
    assert first < 20
    assert second > 150


def test_who_has_not_asked_for_it_is_left_alone() -> None:
    if sys.platform.startswith("linux"):
        assert freed("")[1] < 20
