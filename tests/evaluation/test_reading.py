"""Pictures read ahead by other processes: the same pictures, the same bytes, and sentences where one fails."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from trgbp_core.data import datasets
from trgbp_core.data.datasets import Problem
from trgbp_core.data.preprocessing import Preprocess
from trgbp_core.evaluation import reading
from trgbp_core.evaluation.reading import Seen, ahead
from trgbp_core.evaluation.run import MOSAICS, RESULTS, SANITY, SKIPPED, run, write_results
from trgbp_core.evaluation.settings import Settings, chunks
from trgbp_core.evaluation.store import Store, Team

from ..support.small_sets import LABELS, csv_set, small_zoo

SETTINGS = Settings(methods=("saliency", "tr_gbp"), mosaics=1, sanity=2, stages=2, batch=3)


@pytest.fixture
def dataset(tmp_path: Path) -> datasets.Dataset:
    """Ten pictures, one of them torn."""
    folder, annotations = csv_set(tmp_path, 10)
    torn = folder / "0004.png"
    torn.write_bytes(torn.read_bytes()[:400])
    return datasets.load(folder, annotations, labels=LABELS)


def results(folder: Path, dataset: datasets.Dataset, workers: int) -> dict[str, bytes]:
    store = Store(folder)
    store.open(SETTINGS.fingerprint(dataset))
    write_results(store, run(dataset, small_zoo(), SETTINGS, store, Team(), workers=workers, shown=False), dataset)
    return {name: (folder / name).read_bytes() for name in (RESULTS, MOSAICS, SANITY, SKIPPED)}


def test_the_number_of_workers_changes_no_byte_and_a_torn_picture_is_a_sentence(tmp_path: Path, dataset: datasets.Dataset) -> None:
    expected = results(tmp_path / "0", dataset, 0)
    assert expected[SKIPPED].decode().splitlines()[1].startswith("0004.png,corrupt,")
    for workers in (1, 3):
        assert results(tmp_path / str(workers), dataset, workers) == expected


def test_a_run_continued_with_other_workers_ends_with_the_same_bytes(tmp_path: Path, dataset: datasets.Dataset) -> None:
    expected = results(tmp_path / "whole", dataset, 0)
    results(tmp_path / "again", dataset, 2)
    for part in ("pictures-000001", "pictures-000002", "sanity-000000"):
        (tmp_path / "again" / "parts" / f"{part}.json").unlink()
    assert results(tmp_path / "again", dataset, 1) == expected


def test_units_come_in_order_as_they_would_be_read_here(dataset: datasets.Dataset) -> None:
    units, preprocess = chunks(dataset.samples, 4), Preprocess(size=32, resize=36)
    state = torch.random.get_rng_state()
    found = list(ahead(units, preprocess, 2))
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's random numbers stay as they are"
    assert [len(unit) for unit in found] == [4, 4, 2]
    for one, sample in zip([one for unit in found for one in unit], dataset.samples, strict=True):
        if isinstance(one, Problem):
            assert sample.name == one.name == "0004.png"
            continue
        assert one.sample == sample
        assert np.array_equal(one.x, preprocess(sample.path).numpy())
        assert one.box is not None


def test_nothing_to_read_starts_no_process() -> None:
    assert list(ahead([], Preprocess(), 4)) == []


def test_a_process_that_is_killed_while_reading_gets_a_sentence(dataset: datasets.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.getpid()

    def killed(*_: object) -> Seen:
        assert os.getpid() != here
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    monkeypatch.setattr(reading, "see", killed)
    with pytest.raises(OSError, match=r"has ended; too little memory\? Give fewer than --workers 1"):
        list(ahead([dataset.samples[:1]], Preprocess(), 1))
