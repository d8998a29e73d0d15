"""One process or many: who does which unit, and how the first process comes by what the others found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from ..engine import devices
from .store import Store, write

PATIENCE = timedelta(days=7)
"""The processes meet only between phases, where the fastest wait for the slowest."""


@dataclass(frozen=True)
class Team:
    """The processes of a run; the one of rank 0 writes what people read."""

    rank: int = 0
    size: int = 1
    device: torch.device = devices.CPU

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def mine(self, count: int) -> range:
        """The units of this process, of units 0 … count − 1."""
        return range(self.rank, count, self.size)

    def collect(self, store: Store, phase: str, count: int) -> None:
        """Bring every finished piece of a phase into the first process's folder, which need not be the others'. One round in memory."""
        if self.size == 1:
            return
        for start in range(0, count, self.size):
            index = start + self.rank
            text = store.path(phase, index).read_text(encoding="utf-8") if index < count else None
            received: list[str | None] | None = [None] * self.size if self.leads else None
            dist.gather_object(text, received)
            for offset, piece in enumerate(received or ()):
                if piece is not None and not store.finished(phase, start + offset):
                    write(store.path(phase, start + offset), piece)
        dist.barrier()

    def told(self, value: Any) -> Any:
        """The first process's value, in every process."""
        box = [value]
        if self.size > 1:
            dist.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def team(device: torch.device | None = None) -> Iterator[Team]:
    """The processes that torchrun started together (gloo between processors, nccl between graphics cards), or this one alone.

    Args:
        device: what they compute on, by default cuda if there is one; processes share out the cards unless it names one of them.
    """
    device = devices.pick() if device is None else device
    cuda = device.type == "cuda"
    if cuda and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
    if int(os.environ.get("WORLD_SIZE", 1)) < 2:
        yield Team(device=device)
        return
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield Team(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()
