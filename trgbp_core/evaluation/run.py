"""All phases of a run: pictures, mosaics, sanity checks, and then the report."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..data.datasets import Dataset, DatasetError, Problem, Sample, tally
from ..engine.plain_passes import folded
from ..zoo.loading import Zoo
from . import mosaics, pictures, sanity
from .parallel import Team
from .progress import Bar
from .reading import Seen, ahead
from .settings import Settings, chunks, drawn
from .store import Piece, Row, Store

RESULTS, MOSAICS, SANITY, SKIPPED = "results.csv", "mosaics.csv", "sanity.csv", "skipped.csv"


@dataclass(frozen=True)
class Phase:
    """One kind of work, in units that do not depend on each other.

    Attributes:
        samples: the pictures of each unit. sizes: how many of ``unit`` that is, for the progress bar.
        work: a unit's number and its pictures → what it found.
    """

    name: str
    title: str
    unit: str
    samples: list[list[Sample]]
    sizes: list[int]
    work: Callable[[int, list[Seen | Problem]], Piece]


@dataclass(frozen=True)
class Finished:
    """What is on disk when all phases are done: the number of units of each phase, and which pictures were measured."""

    counts: dict[str, int]
    samples: tuple[Sample, ...]


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
    batches = chunks(samples, settings.batch)
    work = [_pictures(batches, zoo, settings)]
    _do(work[0], zoo, store, team, workers, shown)
    right, measured = team.told(_outcome(store, len(batches), settings) if team.leads else None)
    if not measured:
        problems = [p for piece in store.pieces("pictures", len(batches)) for p in piece.problems] if team.leads else []
        raise DatasetError(f"None of the {len(samples)} pictures could be measured. {tally([*dataset.problems, *problems])}")
    named = {sample.name: sample for sample in samples}
    for phase in (_mosaics(right, named, zoo, settings), _sanity(measured, named, zoo, settings)):
        work.append(phase)
        _do(phase, zoo, store, team, workers, shown)
    return Finished({phase.name: len(phase.sizes) for phase in work}, samples)


def _watched(zoo: Zoo) -> nn.Module:
    noise = torch.randn(2, 3, zoo.input_size, zoo.input_size, generator=torch.Generator().manual_seed(0))
    return folded(zoo.network, noise[:, : len(zoo.mean)].to(zoo.device))


def _pictures(batches: list[list[Sample]], zoo: Zoo, settings: Settings) -> Phase:
    watched = _watched(zoo)

    def work(index: int, read: list[Seen | Problem]) -> Piece:
        return pictures.measure(read, zoo, watched, settings)

    return Phase("pictures", "Pictures", "pictures", batches, [len(batch) for batch in batches], work)


def _mosaics(right: list[mosaics.Candidate], named: dict[str, Sample], zoo: Zoo, settings: Settings) -> Phase:
    chosen = mosaics.choose(right, settings.mosaics, settings.seed)

    def work(index: int, read: list[Seen | Problem]) -> Piece:
        return mosaics.measure(index, read, zoo, settings.methods)

    samples = [[named[name] for name in names] for names in chosen]
    return Phase("mosaics", "Grid pointing game", "mosaics", samples, [1] * len(chosen), work)


def _sanity(measured: list[mosaics.Candidate], named: dict[str, Sample], zoo: Zoo, settings: Settings) -> Phase:
    chosen = chunks([measured[i] for i in drawn(len(measured), settings.sanity, settings.seed)], settings.batch)

    def work(index: int, read: list[Seen | Problem]) -> Piece:
        return sanity.measure(read, [candidate.label for candidate in chosen[index]], zoo, settings)

    samples = [[named[candidate.name] for candidate in batch] for batch in chosen]
    return Phase("sanity", "Sanity checks", "pictures", samples, [len(batch) for batch in chosen], work)


def _outcome(store: Store, count: int, settings: Settings) -> tuple[list[mosaics.Candidate], list[mosaics.Candidate]]:
    """The pictures that the network gets right, and all that were measured, with the class to explain."""
    explained = "class_index" if settings.target == "label" else "predicted"
    right, measured = [], []
    for piece in store.pieces("pictures", count):
        for row in {row["image"]: row for row in piece.rows}.values():
            measured.append(mosaics.Candidate(row["image"], row[explained]))
            right += measured[-1:] if row["predicted"] == row["class_index"] else []
    return right, measured


def _do(phase: Phase, zoo: Zoo, store: Store, team: Team, workers: int, shown: bool) -> None:
    mine = team.mine(len(phase.sizes))
    done = {index for index in mine if store.finished(phase.name, index)}
    bar = Bar(
        phase.title,
        sum(phase.sizes[index] for index in mine),
        sum(phase.sizes[index] for index in done),
        unit=phase.unit if team.size == 1 else f"{phase.unit} of process 1 of {team.size}",
        shown=shown and team.leads,
    )
    bar.advance(0)
    left = [index for index in mine if index not in done]
    reading = ahead([phase.samples[index] for index in left], zoo.preprocess, workers)
    for index in left:
        # Nothing else holds what was read: while the next unit is read this one's memory is free.
        store.save(phase.name, index, phase.work(index, next(reading)))
        bar.advance(phase.sizes[index])
    team.collect(store, phase.name, len(phase.sizes))


def write_tables(store: Store, finished: Finished, dataset: Dataset) -> None:
    """The results files, a piece at a time; every float reads back as the same bits."""
    for phase, name, columns in (
        ("pictures", RESULTS, pictures.COLUMNS),
        ("mosaics", MOSAICS, mosaics.COLUMNS),
        ("sanity", SANITY, sanity.COLUMNS),
    ):
        rows = (row for piece in store.pieces(phase, finished.counts[phase]) for row in piece.rows)
        _write_csv(store.folder / name, columns, rows)
    chosen = {sample.name for sample in finished.samples}
    whole = (p for p in dataset.problems if p.kind != "no box" or p.name in chosen)
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
