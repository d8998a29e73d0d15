"""A survey from a folder of pictures to its table and groups; it continues where it was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...data.datasets import Dataset, DatasetError, Problem
from ...engine import devices
from ...engine.plain_passes import for_scores
from ...theory.frame_calibration import fingerprint
from ...zoo.loading import Zoo
from ..run import Phase, complete
from ..settings import Settings, chunks
from ..store import Row, Store, Team
from .analysis import Analysis, analyse
from .looking import look

METHOD = "tr_gbp_conserving"


@dataclass(frozen=True)
class Findings:
    """A finished survey.

    Attributes:
        rows: of :func:`~.looking.look`, a picture each, without their attentions and small pictures; ``place`` says where those are.
        analysis: its indices are those of ``rows``. problems: what was left out. store, count: the run's folder, and its pieces there.
    """

    zoo: Zoo
    dataset: Dataset
    method: str
    rows: list[Row]
    analysis: Analysis
    problems: tuple[Problem, ...]
    store: Store
    count: int


def run(
    zoo: Zoo,
    dataset: Dataset,
    out: Path,
    method: str = METHOD,
    *,
    batch: int | None = None,
    team: Team | None = None,
    workers: int = 0,
    shown: bool = False,
) -> Findings:
    """Look at every picture that is not done yet, and group all of them.

    Raises:
        ValueError: no picture can be used, the method does not apply, or ``out`` holds another run.
    """
    store, team = Store(out), team or Team(device=zoo.device)
    zoo = zoo.to(team.device)
    batch = devices.explained_together(team.device) if batch is None else batch
    settings = Settings(model=zoo.name, methods=(method,), batch=batch)
    network = {"weights": fingerprint(zoo.network), "preprocess": repr(zoo.entry.preprocess), "classes": list(zoo.labels)}
    store.open(settings.fingerprint(dataset, team.device.type) | network | {"command": "survey"})
    work = partial(look, zoo=zoo, watched=watched(zoo), method=method)
    phase = Phase("survey", "Pictures", "pictures", chunks(dataset.samples, batch), work)
    complete(phase, zoo, store, team, workers, shown)
    rows, shares, colours, problems = kept(store, len(phase.samples)) if team.leads else ([], [], [], [])
    if team.leads and not rows:
        reasons = "; ".join(f"{problem.name}: {problem.reason.rstrip('.')}" for problem in problems[:3])
        raise DatasetError(f"None of the {len(dataset.samples)} pictures can be used ({reasons}).")
    return Findings(zoo, dataset, method, rows, analysed(rows, shares, colours), (*dataset.problems, *problems), store, len(phase.samples))


def watched(zoo: Zoo) -> torch.nn.Module:
    """The network for plain forward passes."""
    noise = torch.randn(2, len(zoo.mean), zoo.input_size, zoo.input_size, generator=torch.Generator().manual_seed(0))
    return for_scores(zoo.network, noise.to(zoo.device))


def analysed(rows: Sequence[Row], shares: Sequence[np.ndarray], colours: Sequence[np.ndarray]) -> Analysis:
    """The groups of pictures of which ``rows`` holds the facts, ``shares`` the attentions, and ``colours`` the cells' colours."""
    right = [float("nan") if row["class_index"] == "" else float(row["predicted"] == row["class_index"]) for row in rows]
    return analyse(
        np.array(shares, np.float64).reshape(-1, 256),
        [row["predicted"] for row in rows],
        confidence=[row["confidence"] for row in rows],
        right=right,
        in_boxes=[row["in_box"] for row in rows],
        colours=np.array(colours) if rows else None,
    )


def kept(store: Store, count: int) -> tuple[list[Row], list[np.ndarray], list[np.ndarray], list[Problem]]:
    """Facts, attentions, colours and problems of all pieces; the small pictures stay on disk."""
    rows: list[Row] = []
    shares: list[np.ndarray] = []
    colours: list[np.ndarray] = []
    problems: list[Problem] = []
    for number, piece in enumerate(store.pieces("survey", count)):
        problems += piece.problems
        for within, row in enumerate(piece.rows):
            shares.append(np.array(row["attention"], np.float32))
            colours.append(np.array(row["colours"], np.uint8))
            facts = {key: value for key, value in row.items() if key not in ("attention", "colours", "picture", "map")}
            rows.append(facts | {"place": (number, within)})
    return rows, shares, colours, problems
