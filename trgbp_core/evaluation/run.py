"""All phases of a run: pictures, mosaics, sanity checks; and their results files."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from ..data.datasets import Dataset, DatasetError, Problem, Sample, tally
from ..engine.fused_copy import folded
from ..zoo.loading import Zoo
from . import mosaic_measures, picture_measures, sanity_measures
from .mosaic_measures import Measured
from .reading import Seen, ahead
from .settings import Settings, chunks, drawn
from .store import Piece, Row, Store, Team

RESULTS, MOSAICS, SANITY, SKIPPED = "results.csv", "mosaics.csv", "sanity.csv", "skipped.csv"
SECONDS_BETWEEN_LINES = 30.0
"""Of the progress bar, where the output is a file, which keeps every line."""

Work = Callable[[int, list[Seen | Problem]], Piece]


@dataclass(frozen=True)
class Phase:
    """One kind of work, in units that do not depend on each other.

    Attributes:
        samples: the pictures of each unit. work: a unit's number and its pictures → what it found.
        unit: what the progress bar counts. sizes: how many of these a unit is.
    """

    name: str
    title: str
    samples: list[list[Sample]]
    work: Work
    unit: str
    sizes: list[int]


@dataclass(frozen=True)
class Finished:
    """What is on disk when all phases are done: the number of units of each phase, and which pictures were measured."""

    counts: dict[str, int]
    samples: tuple[Sample, ...]


class Bar(tqdm):  # type: ignore[type-arg]
    """Progress on stderr, without a thread of its own: processes that read pictures are forked from this one."""

    monitor_interval = 0


def run(dataset: Dataset, zoo: Zoo, settings: Settings, store: Store, team: Team, *, workers: int = 0, shown: bool = True) -> Finished:
    """Do what is not done yet of every phase; afterwards the first process's folder holds all of it.

    Args:
        workers: processes that read pictures ahead; the results do not depend on them.

    Raises:
        DatasetError: no picture of the data set can be measured.
    """
    samples = dataset.samples
    if settings.limit is not None:
        samples = tuple(samples[i] for i in drawn(len(samples), settings.limit, settings.seed))
    zoo = zoo.to(team.device)
    phases = [_pictures(samples, zoo, settings)]
    _complete(phases[0], zoo, store, team, workers, shown)
    count = len(phases[0].samples)
    right, measured = team.broadcast(_outcome(store, count, settings) if team.leads else None)
    if not measured:
        problems = [p for piece in store.pieces("pictures", count) for p in piece.problems] if team.leads else []
        raise DatasetError(f"None of the {len(samples)} pictures could be measured. {tally([*dataset.problems, *problems])}")
    by_name = {sample.name: sample for sample in samples}
    phases += [_mosaics(right, by_name, zoo, settings), _sanity(measured, by_name, zoo, settings)]
    for phase in phases[1:]:
        _complete(phase, zoo, store, team, workers, shown)
    return Finished({phase.name: len(phase.samples) for phase in phases}, samples)


def _pictures(samples: Sequence[Sample], zoo: Zoo, settings: Settings) -> Phase:
    watched, batches = _folded(zoo), chunks(samples, settings.batch)

    def work(index: int, unit: list[Seen | Problem]) -> Piece:
        return picture_measures.measure(unit, zoo, watched, settings)

    return Phase("pictures", "Pictures", batches, work, "pictures", list(map(len, batches)))


def _folded(zoo: Zoo) -> nn.Module:
    """The network once more, for plain forward passes."""
    noise = torch.randn(2, 3, zoo.input_size, zoo.input_size, generator=torch.Generator().manual_seed(0))
    return folded(zoo.network, noise[:, : len(zoo.mean)].to(zoo.device))


def _mosaics(right: list[Measured], by_name: dict[str, Sample], zoo: Zoo, settings: Settings) -> Phase:
    chosen = mosaic_measures.choose(right, settings.mosaics, settings.seed)

    def work(index: int, unit: list[Seen | Problem]) -> Piece:
        return mosaic_measures.measure(index, unit, zoo, settings.methods)

    samples = [[by_name[name] for name in names] for names in chosen]
    return Phase("mosaics", "Grid pointing game", samples, work, "mosaics", [1] * len(chosen))


def _sanity(measured: list[Measured], by_name: dict[str, Sample], zoo: Zoo, settings: Settings) -> Phase:
    chosen = [measured[i] for i in drawn(len(measured), settings.sanity, settings.seed)]
    labels, batches = {one.name: one.label for one in chosen}, chunks([by_name[one.name] for one in chosen], settings.batch)

    def work(index: int, unit: list[Seen | Problem]) -> Piece:
        return sanity_measures.measure(unit, labels, zoo, settings)

    return Phase("sanity", "Sanity checks", batches, work, "pictures", list(map(len, batches)))


def _outcome(store: Store, count: int, settings: Settings) -> tuple[list[Measured], list[Measured]]:
    """The pictures that the network gets right, and all that were measured."""
    explained = "class_index" if settings.target == "label" else "predicted"
    right, measured = [], []
    for piece in store.pieces("pictures", count):
        for row in {row["image"]: row for row in piece.rows}.values():
            measured.append(Measured(row["image"], row[explained]))
            right += measured[-1:] if row["predicted"] == row["class_index"] else []
    return right, measured


def _complete(phase: Phase, zoo: Zoo, store: Store, team: Team, workers: int, shown: bool) -> None:
    """Do what is not done yet of a phase, and bring it together."""
    mine = team.mine(len(phase.sizes))
    left = [index for index in mine if not store.finished(phase.name, index)]
    total = sum(phase.sizes[index] for index in mine)
    bar = Bar(
        desc=phase.title,
        total=total,
        initial=total - sum(phase.sizes[index] for index in left),
        unit=f" {phase.unit}" if team.size == 1 else f" {phase.unit} of process 1 of {team.size}",
        disable=not (shown and team.leads),
        mininterval=0.1 if sys.stderr.isatty() else SECONDS_BETWEEN_LINES,
    )
    reading = ahead([phase.samples[index] for index in left], zoo.preprocess, workers)
    with bar:
        for index in left:
            # Nothing else holds what was read: while the next unit is read this one's memory is free.
            store.save(phase.name, index, phase.work(index, next(reading)))
            bar.update(phase.sizes[index])
    team.collect(store, phase.name, len(phase.sizes))


def write_results(store: Store, finished: Finished, dataset: Dataset) -> None:
    """The results files, a piece at a time; every float reads back as the same bits."""
    for phase, name, columns in (
        ("pictures", RESULTS, picture_measures.COLUMNS),
        ("mosaics", MOSAICS, mosaic_measures.COLUMNS),
        ("sanity", SANITY, sanity_measures.COLUMNS),
    ):
        rows = (row for piece in store.pieces(phase, finished.counts[phase]) for row in piece.rows)
        _write_csv(store.folder / name, columns, rows)
    chosen = {sample.name for sample in finished.samples}
    whole = [p for p in dataset.problems if p.kind != "no box" or p.name in chosen]
    found = (p for piece in store.pieces("pictures", finished.counts["pictures"]) for p in piece.problems)
    listed = ({"image": p.name, "kind": p.kind, "reason": p.reason} for problems in (whole, found) for p in problems)
    _write_csv(store.folder / SKIPPED, ("image", "kind", "reason"), listed)


def _write_csv(path: Path, columns: Sequence[str], rows: Iterator[Row]) -> None:
    beside = path.with_suffix(".part")
    with beside.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    beside.replace(path)
