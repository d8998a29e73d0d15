"""``report.md`` with its curves, ``run.json``, and the summary on the screen. The tables are in :mod:`.tables`."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from ..data.datasets import KINDS, Dataset
from ..drawing.figures import save
from ..metrics.perturbation import FRACTIONS
from ..theory.frame_calibration import fingerprint
from ..zoo.loading import Zoo
from . import tables
from .attributions import RECORDING, SHARED
from .formatting import title
from .further import choices
from .results import Results, read
from .run import Finished, run, write_results
from .sanity_measures import SIGNS, SIMILARITIES
from .settings import Settings
from .statistics import Array, means, resampled
from .store import Store, Team, write

SECTIONS: tuple[tuple[str, Callable[[Results], str]], ...] = (
    ("Data", tables.data),
    ("Table 1: localisation", tables.localisation),
    ("Figure 6: pixel perturbation", tables.perturbation),
    ("Pixel perturbation under other choices", choices.sensitivities),
    ("Deletion, insertion, infidelity, sensitivity-max", choices.faithful),
    ("Table 2: boundary dependency and wrong predictions", tables.boundary),
    ("What boundary dependency adds to confidence", tables.confidence),
    ("Empty maps", choices.empty_maps),
    ("Paired differences", tables.differences),
    ("TR-GBP and the others, here and in the paper", tables.against_the_paper),
    ("Sanity checks", tables.sanity_checks),
)
"""The report from top to bottom: a heading, and what turns the results into Markdown. A further section is one more line."""

PACKAGES = ("torchvision", "numpy", "pillow", "matplotlib")


def evaluate(
    zoo: Zoo,
    dataset: Dataset,
    out: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    processes: Team | None = None,
    workers: int = 0,
    shown: bool = False,
) -> str:
    """The whole evaluation of any network: what the command ``evaluate`` does. Called again, it continues where it was stopped.

    Args:
        zoo: of :func:`trgbp_core.load_model`, or your own network by :func:`trgbp_core.own_model`. dataset: see :func:`datasets.load`.
        out: the folder of the run. settings: what is measured, by default what the command measures.
        processes: that share the work. workers: processes that read pictures ahead. shown: show the progress on stderr.

    Returns:
        a summary in words; the tables are in ``out``, ``report.md`` first.

    Raises:
        ValueError: ``out`` holds another run or something else, or nothing can be measured.
    """
    results = measured(zoo, dataset, out, settings or Settings(), processes=processes, workers=workers, shown=shown)
    return "" if results is None else summary(results)


def measured(
    zoo: Zoo,
    dataset: Dataset,
    out: str | os.PathLike[str],
    settings: Settings,
    *,
    processes: Team | None = None,
    workers: int = 0,
    shown: bool = False,
) -> Results | None:
    """The same, returning the numbers; None in every process but the first."""
    store, team = Store(Path(out)), processes or Team(device=zoo.device)
    settings = replace(settings, model=zoo.name)
    network = {"weights": fingerprint(zoo.network), "preprocess": repr(zoo.entry.preprocess), "classes": list(zoo.labels)}
    store.open(settings.fingerprint(dataset, team.device.type) | network)
    finished = run(dataset, zoo, settings, store, team, workers=workers, shown=shown)
    if not team.leads:
        return None
    write_results(store, finished, dataset)
    return write_report(store, finished, dataset, zoo, settings, team)


def write_report(store: Store, finished: Finished, dataset: Dataset, zoo: Zoo, settings: Settings, team: Team) -> Results:
    """Write the report and ``run.json`` into the run's folder; returns what they are made of."""
    results = read(store, finished, dataset, zoo, settings)
    if settings.perturbed != 0:
        draw_perturbation(results)
    if results.stages:
        draw_sanity(results)
    parts = [f"# {results.network}: {len(results.images)} pictures, {len(results.methods)} methods"]
    parts += [f"## {heading}\n\n{section(results)}" for heading, section in SECTIONS]
    write(store.folder / "report.md", "\n\n".join(parts) + "\n")
    write(store.folder / "run.json", json.dumps(_run(results, settings, team), indent=1, ensure_ascii=False) + "\n")
    return results


def _run(results: Results, settings: Settings, team: Team) -> dict[str, object]:
    """All that is needed to run it again."""
    return {
        "command": ["trgbp", *sys.argv[1:]] if Path(sys.argv[0]).stem in ("trgbp", "__main__") else sys.argv,
        "settings": {name: getattr(settings, name) for name in settings.__dataclass_fields__},
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES} | {"torch": torch.__version__},
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "processes": team.size,
            "threads": torch.get_num_threads(),
            "device": str(team.device) if team.device.type == "cpu" else torch.cuda.get_device_name(team.device),
        },
        "counts": {
            "pictures": len(results.images),
            "wrong predictions": int(results.wrong.sum()),
            "EBPG protocol": int(results.boxed.sum()),
            "mosaics": len(results.grid),
            **{kind: sum(p.kind == kind for p in results.problems) for kind in KINDS},
        },
        "seconds": results.seconds,
        "seconds per picture": results.seconds_per_picture,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def summary(results: Results) -> str:
    """What the command prints in the end: where the report is, and what each method cost."""
    each = results.seconds_per_picture
    shared = [m for m in results.methods if m in SHARED]
    lines = [
        f"{len(results.images)} pictures, {int(results.wrong.sum())} predictions wrong, {len(results.problems)} entries in skipped.csv.",
        "",
        f"{'seconds per picture':36s} {'map':>8s} {'perturbation':>13s}",
    ]
    for method in results.methods:
        lines.append(f"{title(method):36s} {each.get(method, 0):8.3f} {each.get(f'perturbation of {method}', 0):13.3f}")
    if shared:
        lines.append(f"one recording for {' + '.join(shared)}: {each.get(RECORDING, 0):.3f}")
    lines += [f"{phase}: {sum(parts.values()):.0f} s in all" for phase, parts in results.seconds.items()]
    return "\n".join([*lines, "", f"{results.folder / 'report.md'}"])


SHARES = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 90)
STYLES: dict[str, dict[str, Any]] = {
    "tr_gbp": {"lw": 2.4, "color": "black", "zorder": 3},
    "tr_gbp_conserving": {"lw": 2.4, "ls": "--", "color": "black", "zorder": 3},
}
NAMES = {"spearman": "Spearman", "ssim": "SSIM", "hog": "HOG", "abs": "|R|", "relu": "relu(R)"}


def draw_perturbation(r: Results) -> None:
    """Figure 6: the mean change of the class score over the share of pixels taken away, MoRF and LeRF, with 95 % bands."""
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
    save(figure, r.folder, "perturbation")


def draw_sanity(r: Results) -> None:
    """The similarity curves of the sanity checks: Spearman, SSIM and HOG of |R| and of relu(R), with 95 % bands."""
    figure = Figure(figsize=(12, 7.2), layout="constrained")
    grid = figure.subplots(len(SIGNS), len(SIMILARITIES), sharex=True)
    for row, sign in zip(grid, SIGNS, strict=True):
        for axis, name in zip(row, SIMILARITIES, strict=True):
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
    save(figure, r.folder, "sanity")


def _legend(figure: Any, axis: Any) -> None:
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)


def _band(axis: Any, x: Array, values: Array, method: str, seed: int) -> None:
    """The mean of each column of ``values`` (pictures, points) with its bootstrap interval."""
    values = values[np.isfinite(values).any(1)]
    of = resampled(means(values), len(values), seed)
    if not np.isfinite(of.values).any():
        return
    low, high = np.array([(e.low, e.high) for e in of.estimates()]).T
    (line,) = axis.plot(x, of.values, label=title(method), **STYLES.get(method, {"lw": 1.2}))
    axis.fill_between(x, low, high, color=line.get_color(), alpha=0.15, lw=0)
