"""Finished pieces of a run on disk, whole or not there whatever moment it is stopped at; and the processes that share the work."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from ..data.datasets import Problem
from ..engine import devices

Row = dict[str, Any]
NAMES = {
    "pictures": "the pictures or their annotations",
    "code": "this program's version or sources",
    "device": "the device, cpu or cuda",
    "weights": "the network's weights",
    "preprocess": "the network's preprocessing",
    "classes": "the network's classes",
}
"""What two runs may differ in, where the key of the fingerprint does not say it."""

PATIENCE = timedelta(days=7)
"""The processes meet only between phases, where the fastest wait for the slowest."""


@dataclass
class Piece:
    """What one unit of work found: rows for a results file, what it had to leave out, and what it cost.

    Attributes:
        rows: in the order of the results file. problems: pictures that turned out to be unusable.
        refused: method → why it does not apply to this network. seconds: method, or another part of the work → time taken.
    """

    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        # Floats are written so that reading them gives the same bits.
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Piece:
        values = json.loads(text)
        return cls(**values | {"problems": [Problem(**p) for p in values["problems"]]})


class Store:
    """A run's folder. ``parts/`` holds the pieces; a piece is written beside its place and moved there when it is complete."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts = folder / "parts"

    def open(self, fingerprint: dict[str, Any]) -> None:
        """Begin a run, or continue the one that is there.

        Raises:
            ValueError: the folder holds another run, or something else.
        """
        mark = self.folder / "settings.json"
        if mark.exists():
            there = json.loads(mark.read_text(encoding="utf-8"))
            changed = [key for key in fingerprint if there.get(key) != fingerprint[key]]
            if changed:
                what = ", ".join(NAMES.get(key, key) for key in changed)
                raise ValueError(f"{self.folder} holds a run that differs in {what}: choose another --out, or remove the folder.")
        elif self.folder.exists() and any(self.folder.iterdir()) and not self.parts.exists():
            raise ValueError(f"{self.folder} is not empty and holds no run: choose another --out.")
        self.parts.mkdir(parents=True, exist_ok=True)
        if not mark.exists():
            write(mark, json.dumps(fingerprint, indent=1))

    def path(self, phase: str, index: int) -> Path:
        return self.parts / f"{phase}-{index:06d}.json"

    def finished(self, phase: str, index: int) -> bool:
        return self.path(phase, index).exists()

    def save(self, phase: str, index: int, piece: Piece) -> None:
        write(self.path(phase, index), piece.to_json())

    def pieces(self, phase: str, count: int) -> Iterator[Piece]:
        """The pieces of a phase in order, one in memory at a time."""
        return (Piece.from_json(self.path(phase, index).read_text(encoding="utf-8")) for index in range(count))


def write(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it, not even after a power cut."""
    beside = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}")
    with beside.open("w", encoding="utf-8", newline="") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(beside, path)


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

    def broadcast(self, value: Any) -> Any:
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
