"""Finished pieces of a run on disk: whole or not there, whatever moment the run is stopped at."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..data.datasets import Problem

Row = dict[str, Any]
NAMES = {"pictures": "the pictures or their annotations", "code": "this program's version or sources", "device": "the device, cpu or cuda"}
"""Of what two runs may differ in, where a setting's own name does not tell."""


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

    def load(self, phase: str, index: int) -> Piece:
        return Piece.from_json(self.path(phase, index).read_text(encoding="utf-8"))

    def pieces(self, phase: str, count: int) -> Iterator[Piece]:
        """The pieces of a phase in order, one in memory at a time."""
        return (self.load(phase, index) for index in range(count))


def write(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it, not even after a power cut."""
    beside = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}")
    with beside.open("w", encoding="utf-8", newline="") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(beside, path)
