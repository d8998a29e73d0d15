"""What a run is asked to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ..data.datasets import Dataset
from ..data.version import VERSION
from ..engine.devices import EXPLAINED
from ..methods import METHODS

PAPER = ("saliency", "guided_backprop", "guided_ig", "full_grad", "grad_cam", "cameras", "tr_gbp")
"""The paper's methods in the order of its tables' columns."""

DEFAULT = (*PAPER, "tr_gbp_conserving")
TARGETS = ("protocol", "label", "prediction")


@dataclass(frozen=True)
class Settings:
    """All that the results depend on, but for the pictures themselves.

    Attributes:
        model: a network of the zoo. methods: keys of :data:`METHODS`, in the order of the tables' columns.
        target: which class is explained. ``protocol``: the label where a box is to be hit, the prediction elsewhere; ``label`` and
            ``prediction``: that class everywhere.
        limit: at most so many pictures, drawn at random with the seed. seed: of every draw.
        sample, repeats: EBPG is the mean over ``repeats`` draws of ``sample`` pictures (appendix C).
        mosaics: of the grid pointing game. sanity: pictures whose map is followed through ``stages`` stages of the cascade.
        batch: pictures that are explained together.
    """

    model: str = "efficientnet_lite0"
    methods: tuple[str, ...] = DEFAULT
    target: str = "protocol"
    limit: int | None = None
    seed: int = 0
    sample: int = 500
    repeats: int = 5
    mosaics: int = 25
    sanity: int = 8
    stages: int = 12
    batch: int = EXPLAINED

    def __post_init__(self) -> None:
        unknown = [key for key in self.methods if key not in METHODS]
        if unknown:
            raise ValueError(f"There is no method {unknown[0]!r}; there are {', '.join(METHODS)}.")
        if not self.methods or len(set(self.methods)) != len(self.methods):
            raise ValueError("Name at least one method, and each one once.")
        if self.target not in TARGETS:
            raise ValueError(f"--target is one of {', '.join(TARGETS)}, not {self.target!r}.")
        least = {"limit": 1, "seed": 0, "sample": 1, "repeats": 1, "mosaics": 0, "sanity": 0, "stages": 1, "batch": 1}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise ValueError(f"--{name} is at least {bound}, not {value}.")

    def fingerprint(self, dataset: Dataset, device: str = "cpu") -> dict[str, Any]:
        """What two runs must share to be the same run. ``device`` is the kind of device: a card rounds otherwise than a processor."""
        pictures = [(s.name, s.label, s.boxes, s.path.stat().st_size) for s in dataset.samples]
        digest = hashlib.sha256(json.dumps([pictures, [asdict(p) for p in dataset.problems]]).encode()).hexdigest()
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        # They choose among results that are there; they change none.
        for name in ("sample", "repeats"):
            del values[name]
        return values | {"device": device, "pictures": digest, "torch": torch.__version__, "code": code()}


@cache
def code() -> str:
    """This package's version, and the digest of its sources as they were when it was first asked for."""
    return f"{VERSION} {sources(Path(__file__).parent.parent)}"


def sources(package: Path) -> str:
    """A digest of all Python files in a folder: the same for every copy of them, wherever it lies."""
    digest, files = hashlib.sha256(), {path.relative_to(package).as_posix(): path for path in package.rglob("*.py")}
    for name in sorted(files):
        source = files[name].read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name} {len(source)}\n".encode() + source)
    return digest.hexdigest()[:16]


def chosen_methods(text: str) -> tuple[str, ...]:
    """``paper`` (the default), ``all``, or keys with commas between them."""
    if text == "paper":
        return DEFAULT
    if text == "all":
        return (*DEFAULT, *(key for key in METHODS if key not in DEFAULT))
    return tuple(key.strip() for key in text.split(",") if key.strip())


def drawn(count: int, size: int, seed: int) -> list[int]:
    """``size`` of the numbers 0 … count − 1 (all where there are no more) at random, in rising order."""
    generator = torch.Generator().manual_seed(seed)
    return sorted(torch.randperm(count, generator=generator)[:size].tolist())


def chunks(items: Sequence[Any], size: int) -> list[list[Any]]:
    """The items in lists of ``size``, the last perhaps shorter."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def check_out(folder: Path) -> None:
    """Raises a ValueError if ``folder`` holds something that is not a run's."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; --out names a folder.")
