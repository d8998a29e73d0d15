"""``--faithfulness``: its numbers against the definitions, its files and its tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trgbp_core import METHODS
from trgbp_core.cli.main import main
from trgbp_core.data import datasets
from trgbp_core.data.datasets import Dataset
from trgbp_core.evaluation import tables
from trgbp_core.evaluation.further import choices, faithfulness, networks
from trgbp_core.evaluation.results import Results, read
from trgbp_core.evaluation.settings import Settings, drawn
from trgbp_core.evaluation.store import Store
from trgbp_core.metrics.faithfulness import replacement_auc, softened

from ..support.comparison import JUMP
from ..support.small_runs import rows, work
from ..support.small_sets import LABELS, csv_set, small_zoo

CHOSEN = Settings(methods=("saliency", "tr_gbp", "smooth_grad"), mosaics=0, sanity=0, perturbed=0, faithfulness=5)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Dataset]:
    folder = tmp_path_factory.mktemp("faithfulness")
    dataset = datasets.load(*csv_set(folder, 12), labels=LABELS)
    store, finished, zoo = work(folder / "out", dataset, CHOSEN)
    return read(store, finished, dataset, zoo, CHOSEN), dataset


def test_every_number_is_what_its_definition_says_of_that_method_and_picture(done: tuple[Results, Dataset]) -> None:
    zoo, results = small_zoo(), done[0]
    network, found = zoo.network, rows(results.folder / "faithfulness.csv")
    assert [row["image"] for row in found[::3]] == [done[1].samples[i].name for i in drawn(12, 5, 0)]
    for row in found:
        x = zoo.preprocess(results.folder.parent / "images" / row["image"])
        with torch.no_grad():
            logits = network(x)
        k = int(logits.argmax())
        maps = METHODS[row["method"]].attribute(network, x, k)
        seed = faithfulness.generator_of(0, row["image"])
        falls, promised = [], []
        for _ in range(faithfulness.PERTURBATIONS):
            top, left = (int(torch.randint(32 - 8 + 1, (), generator=seed)) for _ in range(2))
            changed = x.clone()
            changed[:, :, top : top + 8, left : left + 8] = 0
            with torch.no_grad():
                falls.append(float(logits[0, k] - network(changed)[0, k]))
            promised.append(float(maps[0, 0, top : top + 8, left : left + 8].sum()))
        a, d = np.array(promised), np.array(falls)
        left_over = ((a @ d / (a @ a) * a - d) ** 2).mean()
        expected = {
            "deletion_auc": float(replacement_auc(network, x, torch.zeros_like(x), maps, k)),
            "insertion_auc": float(replacement_auc(network, softened(x), x, maps, k)),
            "infidelity": left_over,
            "infidelity_share": left_over / (d**2).mean(),
        }
        if row["method"] != "smooth_grad":
            noise = 0.02 * (2 * torch.rand(10, 3, 32, 32, generator=faithfulness.generator_of(0, row["image"])) - 1)
            others = [METHODS[row["method"]].attribute(network, x + one, k) for one in noise]
            expected["sensitivity_max"] = max(float((other - maps).norm() / maps.norm()) for other in others)
        else:
            assert row["sensitivity_max"] == "", "of a costly method it is not measured"
        for name, value in expected.items():
            assert float(row[name]) == pytest.approx(value, rel=JUMP, abs=1e-4), (row["image"], row["method"], name)


def test_a_stopped_run_continues_to_the_same_bytes(done: tuple[Results, Dataset], tmp_path: Path) -> None:
    results, dataset = done
    store = Store(tmp_path / "out")
    work(store.folder, dataset, CHOSEN)
    whole = (store.folder / "faithfulness.csv").read_bytes()
    assert whole == (results.folder / "faithfulness.csv").read_bytes()
    store.path("faithfulness", 0).unlink()
    before = store.path("faithfulness", 1).stat().st_mtime_ns
    work(store.folder, dataset, CHOSEN)
    assert (store.folder / "faithfulness.csv").read_bytes() == whole
    assert store.path("faithfulness", 1).stat().st_mtime_ns == before, "done twice"
    assert not (store.folder / "fills.csv").exists()


def test_the_report_has_a_table_and_several_networks_have_their_places(done: tuple[Results, Dataset]) -> None:
    results = done[0]
    table = choices.faithful(results)
    for name in faithfulness.NUMBERS:
        column = np.array([float(row[name]) for row in rows(results.folder / "faithfulness.csv") if row["method"] == "tr_gbp"])
        assert f"| {tables.FIGURE_NAMES[name]} |" in table
        assert results.figures[name].estimate("tr_gbp").value == pytest.approx(column.mean())
        assert results.numbers[name].shape == (12, 3)
    assert table.splitlines()[-2].endswith("| – |"), "sensitivity-max of a costly method"
    assert "deletion AUC" in tables.differences(results)
    assert "Not measured" in choices.faithful(replace(results, settings=Settings()))
    (line,) = [line for line in networks.best([results]).splitlines() if line.startswith("| deletion AUC |")]
    values = results.figures["deletion_auc"]
    best = min(results.methods, key=lambda method: values.estimate(method).value)
    assert f"| {networks.title(best)} {values.estimate(best).value:.3f}" in line, "less is better"
    assert networks.figures([results]).count(",insertion_auc,") == 3


def test_a_number_that_makes_no_sense_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, annotations = csv_set(tmp_path, 2)
    given = ["evaluate", str(images), "--annotations", str(annotations), "--out", str(tmp_path / "out"), "--model", "shapes"]
    assert main([*given, "--faithfulness", "-1"]) == 2
    assert "--faithfulness is at least 0" in capsys.readouterr().err


def test_pictures_that_cannot_be_read_are_not_among_those_that_are_drawn(tmp_path: Path) -> None:
    images, annotations = csv_set(tmp_path, 6)
    for damaged in sorted(images.iterdir())[:4]:
        damaged.write_bytes(b"no picture")
    dataset, chosen = datasets.load(images, annotations, labels=LABELS), replace(CHOSEN, methods=("saliency",), faithfulness=1)
    store, finished, zoo = work(tmp_path / "out", dataset, chosen)
    results = read(store, finished, dataset, zoo, chosen)
    assert len(rows(store.folder / "faithfulness.csv")) == 1
    assert np.isfinite(results.numbers["deletion_auc"]).sum() == 1


def test_a_score_that_nothing_moves_is_no_success(tmp_path: Path) -> None:
    dataset, zoo = datasets.load(*csv_set(tmp_path, 2), labels=LABELS), small_zoo()
    with torch.no_grad():
        for parameter in zoo.network.parameters():
            parameter.zero_()
    store, _, _ = work(tmp_path / "out", dataset, replace(CHOSEN, methods=("saliency",)), zoo=zoo)
    assert {row["infidelity"] for row in rows(store.folder / "faithfulness.csv")} == {"nan"}
