"""What a finished run found, read back from its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..data.datasets import Dataset, Problem
from ..metrics.perturbation import FRACTIONS
from ..zoo.loading import Zoo
from .further import faithfulness
from .mosaic_measures import CELLS
from .picture_measures import HALF, NUMBERS
from .run import MOSAICS, RESULTS, SANITY, SKIPPED, Finished
from .sanity_measures import SIMILARITY_COLUMNS
from .settings import Settings
from .statistics import Array, Resampled, Statistic, auc, joined, means, resampled
from .store import Store

AREAS = tuple(name for name in NUMBERS if "_area_" in name)
FEW = ("ebpg", "pointing_game", "ibd", "ebpg_empty", "ibd_empty", *AREAS)
"""All numbers of a row except the curves."""

EXACT: dict[str, Any] = {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
"""Since 3.1 pandas always reads floats to the last bit, and warns where that is asked for."""

TEXTS = ("image", "method", "class", "kind", "reason")


@dataclass(frozen=True)
class Results:
    """The numbers of a run, a vector of one value a picture (N,) each; NaN where a measure does not apply or a map holds none.

    Attributes:
        folder: of the run. network: its title. methods: that apply, in the order of the tables' columns. refused: method → reason.
        images: the pictures' names. wrong: the prediction is not the label. confidence: the prediction's probability.
        label_rank: the label's place among the network's classes, 1 where the prediction is right.
        boxed: the EBPG protocol takes the picture. numbers: column of :data:`FEW`, and of faithfulness where that was measured, → values,
            (N, methods).
        grid: the share in its own cell, (mosaics, methods): mean of four cells, which depend on each other.
        similarities: (method, column) → (pictures, stages) of the sanity checks. stages: their indices, of ``layers`` in all.
        problems: what was left out. seconds: phase → part of the work → seconds.
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
    label_rank: Array
    boxed: npt.NDArray[np.bool_]
    numbers: dict[str, Array]
    grid: Array
    similarities: dict[tuple[str, str], Array]
    stages: tuple[int, ...]
    layers: int
    problems: tuple[Problem, ...]
    seconds: dict[str, dict[str, float]]

    def curves(self, method: str, order: str) -> Array:
        """The perturbation curves of one method, (N, fractions): read when they are asked for, one method's in memory at a time."""
        columns = [f"{order}_{fraction:g}" for fraction in FRACTIONS]
        rows = read_csv(self.folder / RESULTS, ("method", *columns))
        return rows.loc[rows["method"] == method, columns].to_numpy(float)

    @cached_property
    def figures(self) -> dict[str, Resampled]:
        """The figures of the tables, of every method, with their resamples."""
        boxed = self.boxed
        return {
            **{name: self.resampled(means(self.numbers[name][boxed]), int(boxed.sum())) for name in ("ebpg", "pointing_game")},
            "grid_pointing_game": self.resampled(means(self.grid), len(self.grid)),
            "ibd_auc_upper_half": self._boundary_auc(0.5),
            "ibd_auc": self._boundary_auc(0.0),
            **{name: self._mean(self.numbers[name]) for name in (*AREAS, *faithfulness.NUMBERS) if name in self.numbers},
        }

    def resampled(self, statistic: Statistic, count: int) -> Resampled:
        """A statistic (B, N) → (B, methods) of ``count`` pictures."""
        return resampled(statistic, count, self.settings.seed, self.methods)

    def _mean(self, values: Array) -> Resampled:
        """The means over the pictures that were measured at all."""
        known = np.isfinite(values).any(1)
        return self.resampled(means(values[known]), int(known.sum()))

    def _boundary_auc(self, drop: float) -> Resampled:
        values = self.numbers["ibd"]
        known = np.isfinite(values).all(1)
        statistic = joined(*(auc(values[known, i], self.wrong[known], drop=drop) for i in range(len(self.methods))))
        return self.resampled(statistic, int(known.sum()))

    @property
    def seconds_per_picture(self) -> dict[str, float]:
        """Part of the work → seconds a picture, over the main phase."""
        return {part: value / max(1, len(self.images)) for part, value in self.seconds["pictures"].items()}


def read(store: Store, finished: Finished, dataset: Dataset, zoo: Zoo, settings: Settings) -> Results:
    """Read a run's files, without the curves."""
    refused, seconds = _totals(store, finished)
    return of_files(store.folder, settings, network=zoo.title, layout=dataset.layout, refused=refused, seconds=seconds)


def of_files(
    folder: Path,
    settings: Settings,
    *,
    network: str,
    layout: str,
    refused: dict[str, str] | None = None,
    seconds: dict[str, dict[str, float]] | None = None,
) -> Results:
    """The numbers of the results files in a folder, without the curves."""
    methods = tuple(method for method in settings.methods if method not in (refused or {}))
    facts = ("image", "class_index", "predicted", "confidence", "box_share", "label_rank")
    rows = read_csv(folder / RESULTS, (*facts, "method", *FEW))
    images = rows.drop_duplicates("image")
    by_method = [rows[rows["method"] == method] for method in methods]
    mosaics = read_csv(folder / MOSAICS, ("method", "grid_pointing_game"))
    shares = [mosaics.loc[mosaics["method"] == method, "grid_pointing_game"] for method in methods]
    sanity = read_csv(folder / SANITY, ("image", "stage", "of", "method", *SIMILARITY_COLUMNS))
    problems = read_csv(folder / SKIPPED, ("image", "kind", "reason"))
    numbers = {name: _columns([of[name] for of in by_method]) for name in FEW}
    if settings.faithfulness:
        found = read_csv(folder / faithfulness.FILE, faithfulness.COLUMNS).pivot(index="image", columns="method")
        every = pd.MultiIndex.from_product([faithfulness.NUMBERS, methods])
        found = found.reindex(index=images["image"], columns=every)
        numbers |= {name: found[name].to_numpy(float) for name in faithfulness.NUMBERS}
    return Results(
        folder=folder,
        settings=settings,
        network=network,
        layout=layout,
        methods=methods,
        refused=refused or {},
        images=tuple(images["image"]),
        wrong=(images["predicted"] != images["class_index"]).to_numpy(bool),
        confidence=images["confidence"].to_numpy(float),
        label_rank=images["label_rank"].to_numpy(float),
        boxed=(images["box_share"] < HALF).to_numpy(bool),
        numbers=numbers,
        grid=_columns([of.to_numpy(float).reshape(-1, CELLS).mean(1) for of in shares]),
        similarities={(method, name): _stages(sanity, method, name) for method in methods for name in SIMILARITY_COLUMNS},
        stages=tuple(sanity["stage"].unique().tolist()),
        layers=int(sanity["of"].max()) if len(sanity) else 0,
        problems=tuple(Problem(*row) for row in problems.itertuples(index=False)),
        seconds=seconds or {},
    )


def compressed(path: Path) -> Path:
    """Where a results file lies when it was compressed with gzip."""
    return path.with_name(f"{path.name}.gz")


def read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """These columns of a results file, or of the same compressed. Floats are read to the last bit, and an empty
    cell is NaN unless the column holds text.

    Raises:
        ValueError: a column is missing, or the file is no such table.
    """
    numbers = {name: ["", "nan"] for name in columns if name not in TEXTS}
    texts = {name: str for name in columns if name in TEXTS}
    path = path if path.exists() else compressed(path)
    frame = pd.read_csv(path, usecols=list(columns), dtype=texts, na_values=numbers, keep_default_na=False, **EXACT)
    return frame[list(columns)]


def _totals(store: Store, finished: Finished) -> tuple[dict[str, str], dict[str, dict[str, float]]]:
    """Refused methods, and seconds: phase → part of the work → seconds."""
    refused: dict[str, str] = {}
    seconds: dict[str, dict[str, float]] = {}
    for phase, count in finished.counts.items():
        spent: Counter[str] = Counter()
        for piece in store.pieces(phase, count):
            spent.update(piece.seconds)  # type: ignore[arg-type]  # a Counter adds up floats too
            if phase == "pictures":
                refused.update(piece.refused)
        seconds[phase] = dict(spent)
    return refused, seconds


def _columns(values: Sequence[npt.ArrayLike]) -> Array:
    return np.column_stack([np.asarray(of, np.float64) for of in values]) if values else np.zeros((0, 0))


def _stages(sanity: pd.DataFrame, method: str, name: str) -> Array:
    """One similarity of one method, (pictures, stages)."""
    rows = sanity[sanity["method"] == method].pivot(index="image", columns="stage", values=name)
    return rows.reindex(index=sanity["image"].unique(), columns=sanity["stage"].unique()).to_numpy(float)
