"""``report.md``, ``run.json``, and the summary on the screen."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import torch

from ..data.datasets import KINDS, Dataset
from ..zoo.loading import Zoo
from . import sections
from .attributions import RECORDING, SHARED
from .parallel import Team
from .results import Results, read, seconds_per_map, title, to_json
from .run import Finished
from .settings import Settings
from .store import Store, write

Section = Callable[[Results], str]

SECTIONS: tuple[tuple[str, Section], ...] = (
    ("Data", sections.data),
    ("Table 1: localisation", sections.localisation),
    ("Figure 6: pixel perturbation", sections.perturbation),
    ("Table 2: boundary dependency and wrong predictions", sections.boundary),
    ("What boundary dependency adds to confidence", sections.confidence),
    ("Paired differences", sections.differences),
    ("TR-GBP and the others, here and in the paper", sections.against_the_paper),
    ("Sanity checks", sections.sanity_checks),
)
"""The report from top to bottom: a heading, and what turns the results into markdown. A further section is one more line."""

PACKAGES = ("torchvision", "numpy", "pillow", "matplotlib")


def write_report(store: Store, finished: Finished, dataset: Dataset, zoo: Zoo, settings: Settings, team: Team) -> str:
    """Write the report and ``run.json`` into the run's folder; returns the summary to print."""
    results = read(store, finished, dataset, zoo, settings)
    parts = [f"# {results.network}: {len(results.images)} pictures, {len(results.methods)} methods"]
    parts += [f"## {heading}\n\n{section(results)}" for heading, section in SECTIONS]
    write(store.folder / "report.md", "\n\n".join(parts) + "\n")
    write(store.folder / "run.json", to_json(_run(results, settings, team)))
    return summary(results)


def _run(results: Results, settings: Settings, team: Team) -> dict[str, object]:
    """All that a stranger needs to run it again."""
    return {
        "command": [os.path.basename(sys.executable), "-m", "trgbp_core", *sys.argv[1:]],
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
            "mosaics": min((len(shares) for shares in results.grid.values()), default=0),
            **{kind: sum(p.kind == kind for p in results.problems) for kind in KINDS},
        },
        "seconds": results.seconds,
        "seconds per picture": seconds_per_map(results),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def summary(results: Results) -> str:
    """What the command prints in the end: where the report is, and what each method cost."""
    each = seconds_per_map(results)
    shared = [m for m in results.methods if m in SHARED]
    lines = [
        f"{len(results.images)} pictures, {int(results.wrong.sum())} predictions wrong, {len(results.problems)} entries in skipped.csv.",
        "",
        f"{'seconds per picture':36s} {'map':>8s} {'perturbation':>13s}",
    ]
    for method in results.methods:
        lines.append(f"{title(method):36s} {each.get(method, 0):8.3f} {each.get(f'perturbation of {method}', 0):13.3f}")
    if shared:
        lines.append(f"{'one recording for ' + ' + '.join(shared):s}: {each.get(RECORDING, 0):.3f}")
    lines += [f"{phase}: {sum(parts.values()):.0f} s in all" for phase, parts in results.seconds.items()]
    return "\n".join([*lines, "", f"{results.folder / 'report.md'}"])
