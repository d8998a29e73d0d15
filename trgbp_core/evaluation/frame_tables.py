"""The fourth statement of :mod:`trgbp_core.evaluation.predictability`: what a strong frame says of a prediction, method by method."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ..methods import NotApplicable
from ..metrics.localisation import ibd
from .asked import Asked, attribute, title
from .calibration import calibration_error
from .statistics import FEWEST, Array, Statistic, auc, bootstrap, estimate
from .tables import NOTHING, interval, number

FEWEST_WRONG = 5
Frames = tuple[Array, np.ndarray]
"""IBD (N,), and whether the prediction was wrong (N,)."""

HEAD = ("", "pictures", "misclassified", "boundary: AUC", "boundary: calibration error")


def read(file: Path) -> dict[str, Frames]:
    """(IBD, misclassified) of every method in ``results.csv`` of `evaluate`.

    Raises:
        ValueError: it is no such file.
    """
    found: dict[str, tuple[list[float], list[bool]]] = {}
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                values, wrong = found.setdefault(row["method"], ([], []))
                values.append(float(row["ibd"]))
                wrong.append(row["predicted"] != row["class_index"])
    except (KeyError, ValueError, csv.Error) as error:
        raise ValueError(f"{file.name} is no results.csv of `evaluate`: {error}") from error
    return {key: (np.array(values), np.array(wrong, bool)) for key, (values, wrong) in found.items()}


def measure(keys: Iterable[str], asked: Asked) -> tuple[dict[str, Frames], dict[str, str]]:
    """The frames of one map a picture and method, that of the best class; and of methods that do not apply, why."""
    methods, refused = {key: attribute(key) for key in keys}, dict[str, str]()
    found: dict[str, list[float]] = {key: [] for key in methods}
    wrongs = []
    for x, k, _, wrong in asked.pictures() if methods else ():
        wrongs.append(wrong)
        for key in [key for key in methods if key not in refused]:
            try:
                found[key].append(float(ibd(methods[key](asked.zoo.network, x, k))))
            except NotApplicable as error:
                refused[key] = str(error)
    wrong_ones = np.array(wrongs, bool)
    return {key: (np.array(values), wrong_ones) for key, values in found.items() if key not in refused}, refused


def lines(keys: Iterable[str], frames: Mapping[str, Frames], refused: Mapping[str, str], seed: int) -> list[str]:
    """A line of the table for each method."""
    rows = []
    for key in keys:
        if key not in frames:
            rows.append(f"| {title(key)} | – | {refused[key]} | | |")
            continue
        values, wrong = frames[key]
        known = np.isfinite(values)
        rows.append(f"| {' | '.join([title(key), str(known.sum()), str(wrong[known].sum()), *cells(values, wrong, seed)])} |")
    return rows


def cells(frames: Array, wrong: np.ndarray, seed: int) -> list[str]:
    """AUC and calibration error, per cent, of the pictures whose map is one; dashes where too few predictions are right or wrong."""
    known = np.isfinite(frames)
    frames, wrong, count = frames[known], wrong[known], int(known.sum())
    if not FEWEST_WRONG <= wrong.sum() <= count - FEWEST_WRONG:
        return [NOTHING, NOTHING]
    error = calibration_error(frames, wrong, seed)
    return [
        cell(auc(frames, wrong), count, seed, 100, 0),
        f"{100 * error.value:.0f} [{100 * error.low:.0f} to {100 * error.high:.0f}]",
    ]


def more(frames: Array) -> str:
    """How many pictures these are, where they are more than the table's."""
    count = int(np.isfinite(frames).sum())
    return f", {count} pictures" if count > 2 * FEWEST else ""


def cell(statistic: Statistic, count: int, seed: int, scale: float = 1, digits: int = 2) -> str:
    """A figure with its bootstrap interval over ``count`` pictures."""
    value = float(statistic(np.ones((1, count)))[0, 0])
    of = estimate(value, bootstrap(statistic, count, seed)[:, 0])
    return f"{number(of.value, digits, scale)} [{interval(of, digits, scale)}]"
