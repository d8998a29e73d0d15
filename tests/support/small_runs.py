"""Runs of the evaluation over small generated sets."""

from __future__ import annotations

import csv
from pathlib import Path

from trgbp_core.data import datasets
from trgbp_core.data.datasets import Dataset
from trgbp_core.evaluation.run import Finished, run, write_results
from trgbp_core.evaluation.settings import Settings
from trgbp_core.evaluation.store import Store, Team
from trgbp_core.zoo.loading import Zoo

from .small_sets import LABELS, csv_set, small_zoo

Done = tuple[Store, Finished, Dataset, Zoo]
METHODS_HERE = ("saliency", "guided_backprop", "grad_cam", "tr_gbp", "tr_gbp_conserving")
SMALL = Settings(methods=METHODS_HERE, mosaics=2, sanity=3, stages=3, batch=4)


def work(folder: Path, dataset: Dataset, settings: Settings = SMALL, zoo: Zoo | None = None) -> tuple[Store, Finished, Zoo]:
    zoo = zoo or small_zoo()
    store = Store(folder)
    store.open(settings.fingerprint(dataset))
    finished = run(dataset, zoo, settings, store, Team(), shown=False)
    write_results(store, finished, dataset)
    return store, finished, zoo


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def finished_run(folder: Path) -> Done:
    """A finished run over 14 pictures, of which the network calls ten by their label."""
    images, annotations = csv_set(folder, 14)
    zoo = small_zoo()
    lines = annotations.read_text().splitlines()
    for i in range(10):  # the labels of the first ten are the network's own predictions
        k = int(zoo.network(zoo.preprocess(images / f"{i:04d}.png")).argmax())
        parts = lines[i + 1].split(",")
        lines[i + 1] = ",".join([parts[0], str(k), *parts[2:]])
    annotations.write_text("\n".join(lines) + "\n")
    dataset = datasets.load(images, annotations, labels=LABELS)
    store, finished, zoo = work(folder / "out", dataset, zoo=zoo)
    return store, finished, dataset, zoo
