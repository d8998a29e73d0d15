"""Several networks in one report, pixel perturbation under other choices, and maps without positive relevance."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trgbp_core import METHODS
from trgbp_core.cli.main import main
from trgbp_core.data import datasets
from trgbp_core.evaluation import tables
from trgbp_core.evaluation.further import choices, networks
from trgbp_core.evaluation.results import Results, read
from trgbp_core.evaluation.settings import Settings, drawn
from trgbp_core.metrics.perturbation import FRACTIONS, perturbation_curve

from ..support.comparison import JUMP
from ..support.small_runs import rows, work
from ..support.small_sets import LABELS, csv_set, small_zoo

CHOSEN = Settings(methods=("saliency", "guided_backprop", "tr_gbp"), mosaics=0, sanity=0, perturbed=5, fills=("black", "blur"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("further")
    dataset = datasets.load(*csv_set(folder, 22), labels=LABELS)
    store, finished, zoo = work(folder / "out", dataset, CHOSEN)
    return read(store, finished, dataset, zoo, CHOSEN)


def test_fills_rankings_and_classes_are_those_of_the_perturbation_curve(measured: Results) -> None:
    zoo = small_zoo()
    found = {(row["image"], row["method"], row["class"]): row for row in rows(measured.folder / "fills.csv")}
    assert len(found) == 22 * 3 * 2
    assert all(row["black_signed"] and row["blur_positive"] and not row["mean_signed"] for row in found.values())
    fractions = [fraction for fraction in FRACTIONS if fraction <= 0.1]
    labels = {row["image"]: int(row["class_index"]) for row in rows(measured.folder / "results.csv")}
    for name in list(labels)[:3]:
        x = zoo.preprocess(measured.folder.parent / "images" / name)
        for which, k in (("prediction", int(zoo.network(x).argmax())), ("label", labels[name])):
            maps = METHODS["guided_backprop"].attribute(zoo.network, x, k)
            for fill, ranking in (("black", "signed"), ("blur", "positive")):
                ranked = maps if ranking == "signed" else maps.relu()
                curve = perturbation_curve(
                    zoo.network, x, ranked, k, fill=zoo.preprocess.black if fill == "black" else "blur", fractions=fractions
                )
                area = float(found[name, "guided_backprop", which][f"{fill}_{ranking}"])
                assert area == pytest.approx(float(curve.area(0.1)), rel=JUMP, abs=1e-3)
    shown = choices.sensitivities(measured)
    assert shown.count("| black, ") == shown.count("| blur, ") == 4


def test_curves_of_a_part_of_the_pictures_are_the_others_left_empty(measured: Results) -> None:
    found = [row for row in rows(measured.folder / "results.csv") if row["method"] == "tr_gbp"]
    names = sorted(row["image"] for row in found)
    assert [row["image"] for row in found if row["morf_area_10"]] == [names[i] for i in drawn(22, 5, 0)]
    assert all(row["ibd"] for row in found)
    assert not np.isfinite(measured.figures["morf_area_10"].draws).any(), "five pictures have no interval"
    assert np.isfinite(measured.figures["ibd_auc"].values).any()


def test_empty_maps_are_counted_by_the_place_of_the_label(measured: Results) -> None:
    zoo, expected = small_zoo(), 0
    for row in rows(measured.folder / "results.csv"):
        if row["method"] != "tr_gbp":
            continue
        x, label = zoo.preprocess(measured.folder.parent / "images" / row["image"]), int(row["class_index"])
        logits = zoo.network(x)[0]
        assert int(row["label_rank"]) == 1 + int((logits > logits[label]).sum())
        empty = not bool((METHODS["tr_gbp"].attribute(zoo.network, x, label) > 0).any())
        expected += empty
        assert row["ebpg_empty"] == ("1.0" if empty else "0.0")
    table = choices.empty_maps(measured)
    (line,) = [line for line in table.splitlines() if line.startswith("| all |")]
    assert line.split("|")[5].strip() == str(expected)
    made = replace(measured, numbers=measured.numbers | {"ebpg_empty": torch.ones(22, 3).double().numpy()})
    assert "| all | 22 | 22 | 22 | 22 |" in choices.empty_maps(made)


def test_the_report_over_networks_says_what_is_first_and_what_holds_in_all(measured: Results) -> None:
    ebpg = measured.numbers["ebpg"]
    high = replace(measured, network="one", numbers=measured.numbers | {"ebpg": ebpg * 0 + np.array([0.1, 0.5, 0.9])})
    turned = replace(measured, network="other", numbers=measured.numbers | {"ebpg": ebpg * 0 + np.array([0.1, 0.9, 0.5])})
    text = networks.report([high, turned])
    assert "| EBPG | one | TR-GBP (ours) 90.0, **+40.0 [+40.0, +40.0]** | GBP 50.0, **+40.0 [+40.0, +40.0]** | Saliency 10.0, – |" in text
    assert "| EBPG | other | GBP 90.0, **+40.0" in text
    assert "| EBPG | GBP above Saliency; TR-GBP (ours) above Saliency | GBP and TR-GBP (ours) |" in text
    assert text.index("## What holds for all") < text.index("## one") < text.index("## other")
    assert text.count("\n–: no further method, or not measured, or too few pictures (an interval needs 20).") == 1
    assert text.count("\n–: no such pair.") == 1
    found = list(csv.DictReader(io.StringIO(networks.figures([high, turned]))))
    assert {row["measure"] for row in found} <= set(tables.FIGURE_NAMES)
    first = next(row for row in found if row["measure"] == "ebpg" and row["network"] == "other")
    assert (first["method"], first["place"], float(first["value"]), float(first["lead"])) == (
        "guided_backprop",
        "1",
        0.9,
        pytest.approx(0.4),
    )
    level = replace(measured, numbers=measured.numbers | {"ebpg": ebpg * 0 + np.array([0.5, 0.9, 0.5])})
    equal = [row["place"] for row in csv.DictReader(io.StringIO(networks.figures([level, turned]))) if row["measure"] == "ebpg"]
    assert equal[:3] == ["1", "2", "2"], "equal figures share their place"
    assert "mosaics: 22 (EBPG, pointing game, IBD AUC, upper half, IBD AUC, all); 0 (grid pointing game); 5 (MoRF area to 10 %, " in text
    lower = [float(row["value"]) for row in found if row["measure"] == "lerf_area_10" and row["network"] == "one"]
    assert lower == sorted(lower), "less is better"


def test_networks_are_named_once_and_a_folder_of_one_is_not_used_for_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, annotations = csv_set(tmp_path, 2)
    given = ["evaluate", str(images), "--annotations", str(annotations), "--out", str(tmp_path / "out"), "--models"]
    assert main([*given, "shapes", "shapes"]) == 2
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "settings.json").write_text("{}")
    assert main([*given, "shapes", "shapes_cheat"]) == 2
    assert main([*given, "shapes", "no_such_network"]) == 2
    assert main([*given, "shapes", "--fills", "white"]) == 2
    once, one, unknown, fill = capsys.readouterr().err.splitlines()
    assert "Name each network once" in once
    assert "holds the run of one network" in one
    assert "no_such_network" in unknown
    assert "--fills are of black, mean, blur" in fill
