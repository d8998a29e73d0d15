"""All phases of a run: pictures, mosaics, sanity checks; and their results files."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from ..data.datasets import Dataset, DatasetError, Problem, Sample, tally
from ..engine.plain_passes import for_scores
from ..metrics.similarity import SSIM_WINDOW
from ..zoo.loading import Zoo
from . import mosaic_measures, picture_measures, sanity_measures
from .further import faithfulness, fills
from .mosaic_measures import Measured
from .reading import Seen, ahead
from .settings import Settings, chunks, drawn
from .store import Piece, Row, Store, Team

RESULTS, MOSAICS, SANITY, SKIPPED = "results.csv", "mosaics.csv", "sanity.csv", "skipped.csv"
FILES = {
    "pictures": (RESULTS, picture_measures.COLUMNS),
    "mosaics": (MOSAICS, mosaic_measures.COLUMNS),
    "sanity": (SANITY, sanity_measures.COLUMNS),
    "fills": (fills.FILE, fills.COLUMNS),
    "faithfulness": (faithfulness.FILE, faithfulness.COLUMNS),
}
"""Phase → its results file and the columns of it."""

SECONDS_BETWEEN_LINES = 30.0
"""Of the progress bar, where the output is a file, which keeps every line."""


@dataclass(frozen=True)
class Phase:
    """One kind of work, in units that do not depend on each other.

    Attributes:
        counted: what the progress bar counts: pictures, or whole mosaics. samples: the pictures of each unit.
        work: a unit's number and its pictures → what it found.
    """

    name: str
    title: str
    counted: str
    samples: list[list[Sample]]
    work: Callable[[int, list[Seen | Problem]], Piece]

    def size(self, indices: Iterable[int]) -> int:
        """How many of what is counted some units are."""
        return sum(1 if self.counted == "mosaics" else len(self.samples[index]) for index in indices)


@dataclass(frozen=True)
class Finished:
    """What is on disk when all phases are done: the number of units of each phase, and which pictures were measured."""

    counts: dict[str, int]
    samples: tuple[Sample, ...]


class Bar(tqdm):  # type: ignore[type-arg]
    """Progress on stderr, without a thread of its own: the processes that read pictures are forked from this one."""

    monitor_interval = 0


def run(dataset: Dataset, zoo: Zoo, settings: Settings, store: Store, team: Team, *, workers: int = 0, shown: bool = True) -> Finished:
    """Do what is not done yet of every phase; afterwards the first process's folder holds all of it.

    Args:
        workers: processes that read pictures ahead; the results do not depend on them.

    Raises:
        DatasetError: no picture of the data set can be measured.
        ValueError: the network's pictures are too small for the sanity checks that are asked for.
    """
    samples = dataset.samples
    if settings.limit is not None:
        samples = tuple(samples[i] for i in drawn(len(samples), settings.limit, settings.seed))
    if settings.sanity and zoo.input_size < SSIM_WINDOW:
        raise ValueError(
            f"The sanity checks compare windows of {SSIM_WINDOW}×{SSIM_WINDOW} pixels (SSIM), and this network's pictures have only "
            f"{zoo.input_size}×{zoo.input_size}: leave them out with --sanity 0."
        )
    zoo = zoo.to(team.device)
    watched = _watched(zoo)
    phases = [_pictures(samples, zoo, watched, settings)]
    complete(phases[0], zoo, store, team, workers, shown)
    count = len(phases[0].samples)
    right, measured = team.broadcast(_outcome(store, count, settings) if team.leads else None)
    if not measured:
        problems = [p for piece in store.pieces("pictures", count) for p in piece.problems] if team.leads else []
        raise DatasetError(f"None of the {len(samples)} pictures could be measured. {tally([*dataset.problems, *problems])}")
    by_name = {sample.name: sample for sample in samples}
    phases += [_mosaics(right, by_name, zoo, settings), _sanity(measured, by_name, zoo, settings)]
    if settings.fills:
        work = partial(fills.measure, zoo=zoo, watched=watched, settings=settings)
        phases.append(Phase("fills", "Other fills", "pictures", phases[0].samples, work))
    if settings.faithfulness:
        phases.append(_faithfulness([by_name[one.name] for one in measured], zoo, watched, settings))
    for phase in phases[1:]:
        complete(phase, zoo, store, team, workers, shown)
    return Finished({phase.name: len(phase.samples) for phase in phases}, samples)


def _watched(zoo: Zoo) -> torch.nn.Module:
    """The network once more, for plain forward passes."""
    noise = torch.randn(2, 3, zoo.input_size, zoo.input_size, generator=torch.Generator().manual_seed(0))
    return for_scores(zoo.network, noise[:, : len(zoo.mean)].to(zoo.device))


def _pictures(samples: Sequence[Sample], zoo: Zoo, watched: torch.nn.Module, settings: Settings) -> Phase:
    names = None
    if settings.perturbed is not None:
        names = frozenset(samples[i].name for i in drawn(len(samples), settings.perturbed, settings.seed))
    work = partial(picture_measures.measure, zoo=zoo, watched=watched, settings=settings, perturbed=names)
    return Phase("pictures", "Pictures", "pictures", chunks(samples, settings.batch), work)


def _mosaics(right: list[Measured], by_name: dict[str, Sample], zoo: Zoo, settings: Settings) -> Phase:
    chosen = mosaic_measures.choose(right, settings.mosaics, settings.seed)
    work = partial(mosaic_measures.measure, zoo=zoo, methods=settings.methods)
    return Phase("mosaics", "Grid pointing game", "mosaics", [[by_name[name] for name in names] for names in chosen], work)


def _sanity(measured: list[Measured], by_name: dict[str, Sample], zoo: Zoo, settings: Settings) -> Phase:
    chosen = [measured[i] for i in drawn(len(measured), settings.sanity, settings.seed)]
    work = partial(sanity_measures.measure, labels={one.name: one.label for one in chosen}, zoo=zoo, settings=settings)
    return Phase("sanity", "Sanity checks", "pictures", chunks([by_name[one.name] for one in chosen], settings.batch), work)


def _faithfulness(samples: Sequence[Sample], zoo: Zoo, watched: torch.nn.Module, settings: Settings) -> Phase:
    chosen = [samples[i] for i in drawn(len(samples), settings.faithfulness, settings.seed)]
    work = partial(faithfulness.measure, zoo=zoo, watched=watched, settings=settings)
    return Phase("faithfulness", "Faithfulness", "pictures", chunks(chosen, settings.batch), work)


def _outcome(store: Store, count: int, settings: Settings) -> tuple[list[Measured], list[Measured]]:
    """The pictures that the network gets right, and all that were measured."""
    explained = "class_index" if settings.target == "label" else "predicted"
    right, measured = [], []
    for piece in store.pieces("pictures", count):
        for row in {row["image"]: row for row in piece.rows}.values():
            measured.append(Measured(row["image"], row[explained]))
            right += measured[-1:] if row["predicted"] == row["class_index"] else []
    return right, measured


def complete(phase: Phase, zoo: Zoo, store: Store, team: Team, workers: int, shown: bool) -> None:
    """Do what is not done yet of a phase, and bring it together."""
    mine = team.mine(len(phase.samples))
    left = [index for index in mine if not store.finished(phase.name, index)]
    bar = Bar(
        desc=phase.title,
        total=phase.size(mine),
        initial=phase.size(mine) - phase.size(left),
        unit=f" {phase.counted}" if team.size == 1 else f" {phase.counted} of process 1 of {team.size}",
        disable=not (shown and team.leads),
        mininterval=0.1 if sys.stderr.isatty() else SECONDS_BETWEEN_LINES,
    )
    reading = ahead([phase.samples[index] for index in left], zoo.preprocess, workers)
    with bar:
        for index in left:
            # Nothing else holds what was read: while the next unit is read this one's memory is free.
            store.save(phase.name, index, phase.work(index, next(reading)))
            bar.update(phase.size([index]))
    team.collect(store, phase.name, len(phase.samples))


def write_results(store: Store, finished: Finished, dataset: Dataset) -> None:
    """The results files, a piece at a time; every float reads back as the same bits."""
    for phase, count in finished.counts.items():
        name, columns = FILES[phase]
        write_csv(store.folder / name, columns, (row for piece in store.pieces(phase, count) for row in piece.rows))
    chosen = {sample.name for sample in finished.samples}
    found = [p for piece in store.pieces("pictures", finished.counts["pictures"]) for p in piece.problems]
    unread = {p.name for p in found}  # what their boxes lack does not matter any more
    whole = [p for p in dataset.problems if p.name not in unread and (p.kind != "no box" or p.name in chosen)]
    listed = ({"image": p.name, "kind": p.kind, "reason": p.reason} for problems in (whole, found) for p in problems)
    write_csv(store.folder / SKIPPED, ("image", "kind", "reason"), listed)


def write_csv(path: Path, columns: Sequence[str], rows: Iterator[Row]) -> None:
    beside = path.with_suffix(".part")
    with beside.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    beside.replace(path)
