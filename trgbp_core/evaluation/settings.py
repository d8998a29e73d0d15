"""What a run of ``evaluate`` depends on: its options, its pictures, and the program itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..data.datasets import Dataset
from ..data.version import VERSION
from ..engine.devices import EXPLAINED
from ..methods import METHODS

T = TypeVar("T")
PAPER = ("saliency", "guided_backprop", "guided_ig", "full_grad", "grad_cam", "cameras", "tr_gbp")
"""The paper's methods in the order of its tables' columns."""

DEFAULT = (*PAPER, "tr_gbp_conserving")
TARGETS = ("protocol", "label", "prediction")
FILLS = ("black", "mean", "blur")
LEAST = {
    **dict.fromkeys(("limit", "sample", "repeats", "stages", "batch"), 1),
    **dict.fromkeys(("seed", "perturbed", "faithfulness", "mosaics", "sanity"), 0),
}


@dataclass(frozen=True)
class Settings:
    """All that the results depend on, except for the pictures themselves.

    Attributes:
        model: a network of the zoo. methods: keys of :data:`METHODS`, in the order of the tables' columns.
        target: which class is explained. ``protocol``: the label where a box is to be hit, the prediction elsewhere; ``label`` and
            ``prediction``: that class everywhere.
        limit: at most so many pictures, drawn at random with the seed. seed: of every draw.
        sample, repeats: EBPG is the mean over ``repeats`` draws of ``sample`` pictures (appendix C).
        perturbed: pictures whose perturbation curves are measured, drawn at random with the seed; all by default. fills: of
            :data:`FILLS`, with which pixel perturbation is measured once more, on all pictures. faithfulness: pictures of which deletion
            and insertion, infidelity and sensitivity-max are measured, drawn at random with the seed.
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
    perturbed: int | None = None
    fills: tuple[str, ...] = ()
    faithfulness: int = 0
    mosaics: int = 25
    sanity: int = 8
    stages: int = 12
    batch: int = EXPLAINED

    def __post_init__(self) -> None:
        _check_methods(self.methods)
        if not self.methods or len(set(self.methods)) != len(self.methods):
            raise ValueError("Name at least one method, and each one once.")
        if self.target not in TARGETS:
            raise ValueError(f"--target is one of {', '.join(TARGETS)}, not {self.target!r}.")
        if not set(self.fills) <= set(FILLS) or len(set(self.fills)) < len(self.fills):
            raise ValueError(f"--fills are of {', '.join(FILLS)}, each once, not {', '.join(self.fills)}.")
        for name, bound in LEAST.items():
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
    """This package's version, and the digest of its sources when first asked for."""
    return f"{VERSION} {sources(Path(__file__).parent.parent)}"


def sources(package: Path) -> str:
    """A digest of all Python files in a folder: the same for every copy of them, wherever it lies."""
    digest, files = hashlib.sha256(), {path.relative_to(package).as_posix(): path for path in package.rglob("*.py")}
    for name in sorted(files):
        source = files[name].read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name} {len(source)}\n".encode() + source)
    return digest.hexdigest()[:16]


def chosen_methods(words: Sequence[str] | None, usual: str = "paper", every: Sequence[str] | None = None) -> tuple[str, ...]:
    """Keys of methods, of which ``paper`` and ``all`` stand for several, each once.

    Args:
        words: None for ``usual``. every: what ``all`` stands for, by default the paper's methods and then the others.

    Raises:
        ValueError: there is no such method, or none is named.
    """
    groups = {"paper": DEFAULT, "all": tuple(every or dict.fromkeys((*DEFAULT, *METHODS)))}
    keys = [key for word in ([usual] if words is None else words) for key in groups.get(word, (word,))]
    if not keys:
        raise ValueError(f"Name at least one method; there are {', '.join(METHODS)}.")
    return _check_methods(tuple(dict.fromkeys(keys)))


def _check_methods(keys: tuple[str, ...]) -> tuple[str, ...]:
    for key in keys:
        if key not in METHODS:
            raise ValueError(METHODS.unknown(key))
    return keys


def drawn(count: int, size: int, seed: int) -> list[int]:
    """``size`` of the numbers 0 … count − 1 (all where there are no more) at random, in rising order."""
    return sorted(torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:size].tolist())


def chunks(items: Sequence[T], size: int) -> list[list[T]]:
    """The items in lists of ``size``, the last perhaps shorter."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]
