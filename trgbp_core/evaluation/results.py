"""What a finished run found, read back from its files."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.datasets import Dataset, Problem
from ..methods import METHODS
from ..metrics.perturbation import FRACTIONS
from ..zoo.loading import Zoo
from . import paper, pictures, sanity
from .run import MOSAICS, RESULTS, SANITY, Finished
from .settings import Settings
from .statistics import Array
from .store import Store

FEW = tuple(name for name in pictures.NUMBERS if not name.startswith(("morf_0", "lerf_0")))
"""All numbers of a row but the curves."""


TITLES = {"tr_gbp": "TR-GBP (ours)", "tr_gbp_conserving": "TR-GBP, conserving ψ"}


@dataclass(frozen=True)
class Results:
    """The numbers of a run, a vector of one value a picture (N,) each; NaN where a measure does not apply or a map holds none.

    Attributes:
        folder: of the run. network: its title. methods: that apply, in the order of the tables' columns. refused: method → reason.
        images: the pictures' names. wrong: the prediction is not the label. confidence: the prediction's probability.
        boxed: the EBPG protocol takes the picture. numbers: (method, column of :data:`FEW`) → values.
        grid: method → the share in its own cell, (mosaics, cells).
        similarities: (method, column) → (pictures, stages) of the sanity checks. stages: their indices, of ``layers`` in all.
        problems: what was left out. seconds: part of the work → seconds. units: phase → pictures, mosaics or pictures.
    """

    folder: Path
    settings: Settings
    network: str
    layout: str
    methods: tuple[str, ...]
    refused: dict[str, str]
    images: tuple[str, ...]
    wrong: npt.NDArray[np.bool_]
    confidence: Array
    boxed: npt.NDArray[np.bool_]
    numbers: dict[tuple[str, str], Array]
    grid: dict[str, Array]
    similarities: dict[tuple[str, str], Array]
    stages: tuple[int, ...]
    layers: int
    problems: tuple[Problem, ...]
    seconds: dict[str, dict[str, float]]

    def table(self, column: str) -> Array:
        """One column of every method, (N, methods)."""
        return np.column_stack([self.numbers[method, column] for method in self.methods])

    def curves(self, method: str, order: str) -> Array:
        """The perturbation curves of one method, (N, fractions): read when they are asked for, one method's in memory at a time."""
        columns = [f"{order}_{fraction:g}" for fraction in FRACTIONS]
        return np.array([_floats(row, columns) for row in _rows(self.folder / RESULTS) if row["method"] == method])


def title(method: str) -> str:
    """A method's name at the head of a column: the paper's, where it has one."""
    return {"tr_gbp": "TR-GBP (ours)", "tr_gbp_conserving": "TR-GBP, conserving ψ"}.get(
        method, paper.COLUMNS.get(method, METHODS[method].title)
    )


def read(store: Store, finished: Finished, dataset: Dataset, zoo: Zoo, settings: Settings) -> Results:
    """Read a run's files, of which none is held in memory whole."""
    refused, seconds, problems = _told(store, finished)
    methods = tuple(method for method in settings.methods if method not in refused)
    facts, numbers = _pictures(store.folder / RESULTS, methods)
    similarities, stages, layers = _sanity(store.folder / SANITY, methods)
    left_out = [p for p in dataset.problems if p.kind != "no box" or settings.limit is None]
    return Results(
        folder=store.folder,
        settings=settings,
        network=zoo.title,
        layout=dataset.layout,
        methods=methods,
        refused=refused,
        images=tuple(facts["image"]),
        wrong=np.array(facts["wrong"], bool),
        confidence=np.array(facts["confidence"]),
        boxed=np.array(facts["boxed"], bool),
        numbers=numbers,
        grid=_grid(store.folder / MOSAICS, methods),
        similarities=similarities,
        stages=stages,
        layers=layers,
        problems=(*left_out, *problems),
        seconds=seconds,
    )


def _told(store: Store, finished: Finished) -> tuple[dict[str, str], dict[str, dict[str, float]], list[Problem]]:
    """Refused methods, seconds (phase → part of the work → seconds), pictures that could not be read."""
    refused: dict[str, str] = {}
    seconds: dict[str, dict[str, float]] = {}
    problems: list[Problem] = []
    for phase, count in finished.counts.items():
        spent: dict[str, float] = defaultdict(float)
        for piece in store.pieces(phase, count):
            for part, value in piece.seconds.items():
                spent[part] += value
            if phase == "pictures":
                refused.update(piece.refused)
                problems += piece.problems
        seconds[phase] = dict(spent)
    return refused, seconds, problems


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)


def _floats(row: dict[str, str], columns: Sequence[str]) -> list[float]:
    return [float(row[column] or "nan") for column in columns]


def _pictures(path: Path, methods: tuple[str, ...]) -> tuple[dict[str, list[Any]], dict[tuple[str, str], Array]]:
    facts: dict[str, list[Any]] = {name: [] for name in ("image", "wrong", "confidence", "boxed")}
    values: dict[str, list[list[float]]] = {method: [] for method in methods}
    for row in _rows(path):
        if not facts["image"] or facts["image"][-1] != row["image"]:
            facts["image"].append(row["image"])
            facts["wrong"].append(row["predicted"] != row["class_index"])
            facts["confidence"].append(float(row["confidence"]))
            facts["boxed"].append(pictures.protocol_takes(row["box_share"]))
        if row["method"] in values:
            values[row["method"]].append(_floats(row, FEW))
    numbers = {}
    for method, found in values.items():
        columns = np.array(found, np.float64).reshape(-1, len(FEW))
        numbers.update({(method, name): columns[:, i].copy() for i, name in enumerate(FEW)})
    return facts, numbers


def _grid(path: Path, methods: tuple[str, ...]) -> dict[str, Array]:
    shares: dict[str, list[float]] = {method: [] for method in methods}
    for row in _rows(path):
        if row["method"] in shares:
            shares[row["method"]].append(float(row["grid_pointing_game"]))
    return {method: np.array(found).reshape(-1, 4) for method, found in shares.items()}


def _sanity(path: Path, methods: tuple[str, ...]) -> tuple[dict[tuple[str, str], Array], tuple[int, ...], int]:
    columns = [f"{name}_{sign}" for sign in sanity.SIGNS for name in sanity.SIMILARITIES]
    stages, layers = dict[int, None](), 0
    found: dict[str, dict[str, dict[int, list[float]]]] = {method: defaultdict(dict) for method in methods}
    for row in _rows(path):
        stage, layers = int(row["stage"]), int(row["of"])
        stages[stage] = None
        if row["method"] in found:
            found[row["method"]][row["image"]][stage] = _floats(row, columns)
    nothing = [float("nan")] * len(columns)
    result = {}
    for method, images in found.items():
        block = np.array([[by_stage.get(stage, nothing) for stage in stages] for by_stage in images.values()])
        block = block.reshape(len(images), len(stages), len(columns))
        result.update({(method, name): block[:, :, i].copy() for i, name in enumerate(columns)})
    return result, tuple(stages), layers


def seconds_per_map(results: Results) -> dict[str, float]:
    """Part of the work → seconds a picture, over the main phase."""
    count = max(1, len(results.images))
    return {part: value / count for part, value in results.seconds["pictures"].items()}


def to_json(value: Any) -> str:
    """For files that people read."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
