"""The figures of a report: PNG for the screen, PDF for paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..metrics.perturbation import FRACTIONS
from . import sanity as sanity_checks
from .results import Results, title
from .statistics import Array, bootstrap, estimate, means

SHARES = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 90)
STYLES: dict[str, dict[str, Any]] = {
    "tr_gbp": {"lw": 2.4, "color": "black", "zorder": 3},
    "tr_gbp_conserving": {"lw": 2.4, "ls": "--", "color": "black", "zorder": 3},
}
NAMES = {"spearman": "Spearman", "ssim": "SSIM", "hog": "HOG", "abs": "|R|", "relu": "relu(R)"}


def perturbation(r: Results) -> list[Path]:
    """Figure 6: the mean change of the class score over the share of pixels taken away, MoRF and LeRF, with 95 % bands."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, order, name in zip(axes, ("morf", "lerf"), ("most relevant first (MoRF)", "least relevant first (LeRF)"), strict=True):
        for method in r.methods:
            _band(axis, 100 * np.array(FRACTIONS), r.curves(method, order), method, r.settings.seed)
        axis.set_xscale("log")
        axis.set_xticks(SHARES, [f"{share:g}" for share in SHARES])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.set_xlabel("pixels taken away, %")
        axis.set_ylabel("relative change of the class score")
        axis.set_title(name)
        axis.set_ylim(bottom=0)
    _legend(figure, axes[0])
    return _save(figure, r.folder, "perturbation")


def sanity(r: Results) -> list[Path]:
    """The similarity curves of the sanity checks: Spearman, SSIM and HOG of |R| and of relu(R), with 95 % bands."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7.2), layout="constrained")
    grid = figure.subplots(len(sanity_checks.SIGNS), len(sanity_checks.SIMILARITIES), sharex=True)
    for row, sign in zip(grid, sanity_checks.SIGNS, strict=True):
        for axis, name in zip(row, sanity_checks.SIMILARITIES, strict=True):
            for method in r.methods:
                values = r.similarities[method, f"{name}_{sign}"]
                start = np.ones((len(values), 1))
                _band(axis, np.r_[0, r.stages], np.hstack([start, values]), method, r.settings.seed)
            axis.set_title(f"{NAMES[name]} of {NAMES[sign]}")
            axis.set_xscale("symlog", linthresh=5)
            axis.set_xticks([0, *r.stages[:: max(1, len(r.stages) // 5)], r.stages[-1]])
            axis.get_xaxis().set_major_formatter("{x:.0f}")
            axis.minorticks_off()
            axis.grid(alpha=0.3)
    for axis in grid[-1]:
        axis.set_xlabel("layers randomised")
    _legend(figure, grid[0][0])
    return _save(figure, r.folder, "sanity")


def _legend(figure: Any, axis: Any) -> None:
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)


def _band(axis: Any, x: Array, values: Array, method: str, seed: int) -> None:
    """The mean of each column of ``values`` (pictures, points) with its bootstrap interval."""
    statistic = means(values)
    mean, draws = statistic(np.ones((1, len(values))))[0], bootstrap(statistic, len(values), seed)
    if not np.isfinite(mean).any():
        return
    low, high = np.array([(e.low, e.high) for e in map(estimate, mean, draws.T)]).T
    (line,) = axis.plot(x, mean, label=title(method), **STYLES.get(method, {"lw": 1.2}))
    axis.fill_between(x, low, high, color=line.get_color(), alpha=0.15, lw=0)


def _save(figure: Any, folder: Path, name: str) -> list[Path]:
    files = [folder / f"{name}.png", folder / f"{name}.pdf"]
    for file in files:
        figure.savefig(file, dpi=150)
    return files
