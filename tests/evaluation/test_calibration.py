"""The table behind the boundary's statement: counts, intervals, and the command that makes it."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from trgbp_core.cli.main import main
from trgbp_core.data import examples
from trgbp_core.evaluation.calibration import calibration_error
from trgbp_core.metrics.estimate import Estimate
from trgbp_core.theory import frame_calibration
from trgbp_core.theory.coverage import coverage
from trgbp_core.theory.frame_calibration import Calibration
from trgbp_core.zoo.loading import load_model

NOTHING = Estimate(0.5, 0.4, 0.6)


def table(ibds: np.ndarray, confidences: np.ndarray, wrong: np.ndarray, network: nn.Module | None = None) -> Calibration:
    counts = frame_calibration.counted(ibds, confidences, wrong)
    weights = "" if network is None else frame_calibration.fingerprint(network)
    return Calibration("mine", weights, "0", "python", "pictures", *counts, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING)


def measured(count: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """IBD, confidence, and errors that grow with the first and fall with the second."""
    generator = np.random.default_rng(0)
    ibds, confidences = generator.beta(3, 8, count), generator.uniform(0.1, 1, count)
    return ibds, confidences, generator.uniform(size=count) < 0.2 + ibds - 0.2 * confidences


def test_counts_answer_as_the_pictures_themselves_would() -> None:
    ibds, confidences, wrong = measured()
    found = table(ibds, confidences, wrong)
    assert (found.everything().number, found.everything().wrong) == (400, wrong.sum())
    for value in (0.0, 0.207, 0.35, 1.0):
        of, taken = found.at_least(value), np.floor(ibds * 100) >= math.floor(value * 100)
        assert (of.number, of.wrong) == (taken.sum(), wrong[taken].sum())
    alike = np.floor(confidences * 10) == 4
    weak, strong = found.as_confident(0.45, 0.25)
    assert (weak.number, strong.number) == ((alike & (ibds < 0.25)).sum(), (alike & (ibds >= 0.25)).sum())
    assert weak.wrong + strong.wrong == wrong[alike].sum()
    edges = [edge for edge, _ in found.curve()]
    assert edges == sorted(edges)
    assert edges[-1] == pytest.approx(math.floor(ibds.max() * 100) / 100)


@pytest.mark.parametrize(("wrong", "number", "low", "high"), [(5, 10, 0.2366, 0.7634), (0, 10, 0.0, 0.2775), (1, 29, 0.0061, 0.1718)])
def test_intervals_are_wilsons(wrong: int, number: int, low: float, high: float) -> None:
    found = frame_calibration.rate(wrong, number)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))  # as tables of the interval give it


def test_a_table_is_that_of_one_network_weight_for_weight(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    table(*measured(), network).save(tmp_path / "mine.json")
    assert frame_calibration.of_network("mine", network, tmp_path) == table(*measured(), network)
    assert frame_calibration.of_network("yours", network, tmp_path) is None
    network[1].running_mean += 1
    assert frame_calibration.of_network("mine", network, tmp_path) is None


def test_a_figure_that_does_not_exist_survives_the_file(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    replace(table(*measured()), gain=Estimate(math.nan, math.nan, math.nan)).save(file)
    json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert math.isnan(frame_calibration.load(file).gain.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"number": 3}', '{"number": [[1]], "wrong": [[0]]}'])
def test_a_broken_table_is_a_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(ValueError, match=r"t\.json is no calibration table"):
        frame_calibration.load(tmp_path / "t.json")


def test_theory_expects_a_frame_weaker_than_that_of_a_map_that_points_nowhere() -> None:
    network = load_model("random:resnet18").network
    expected = frame_calibration.expected_ibd(coverage(network, (1, 3, 224, 224)), (224, 224))
    assert 0 < expected < 1 - (192 / 224) ** 2


def test_the_calibration_error_is_chance_alone_where_frames_say_nothing_and_more_where_the_statement_moves() -> None:
    ibds, _, wrong = measured(1000)
    error, low, high = astuple(calibration_error(ibds, wrong, repeats=20))
    # A fifth of 1,000 pictures, a share of about 0.35: a standard deviation of 0.034 at the lowest threshold, of 0.1 at the highest.
    assert 0.01 < low <= error <= high < 0.1
    few = calibration_error(ibds[:100], wrong[:100], repeats=20).value
    assert few > error
    assert all(map(math.isnan, astuple(calibration_error(ibds[:5], wrong[:5]))))


def test_the_command_writes_a_table_without_names_of_files_or_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["chelsea.jpg", "coffee.jpg", "lion.jpg"]
    with (tmp_path / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["image", "class_index"], *([name, 291] for name in names)])
    folder, out = examples.pictures()["lion.jpg"].parent, tmp_path / "out" / "table.json"
    assert main(["calibrate", "--images", str(folder), "--annotations", str(tmp_path / "labels.csv"), "--out", str(out)]) == 0
    found = frame_calibration.load(out)
    assert (found.everything().number, found.everything().wrong) == (3, 2)  # the lion is one
    assert found.weights == frame_calibration.fingerprint(load_model("efficientnet_lite0").network)
    assert not {str(folder), str(tmp_path), *names} & set(out.read_text().split('"'))
    assert found.command == "trgbp calibrate --images IMAGES --annotations ANNOTATIONS --model efficientnet_lite0 --out FILE"
    assert "3 labelled pictures, 2 of them misclassified" in capsys.readouterr().out
    assert main(["calibrate", "--images", str(tmp_path), "--out", str(out)]) == 2


def test_the_embedded_network_has_its_table() -> None:
    zoo = load_model("efficientnet_lite0")
    found = frame_calibration.of_network(zoo.name, zoo.network)
    assert found is not None, "assets/calibration/efficientnet_lite0.json is missing or of other weights: run `calibrate`"
    assert found.everything().number >= 500
    assert found.auc_confidence.value > found.auc_ibd.value > 0.5
