"""The four statements about every method: each finds what was put in."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trgbp_core import METHODS
from trgbp_core.cli.main import main
from trgbp_core.data import datasets, examples
from trgbp_core.evaluation import predictability_table as tables
from trgbp_core.evaluation.predictability_table import RAW, SIDE, Boundary, PictureSample, agreement, line, measure
from trgbp_core.metrics.localisation import ibd
from trgbp_core.theory.coverage import coverage

from ..support.small_sets import LABELS, csv_set, small_zoo


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> PictureSample:
    images, annotations = csv_set(tmp_path_factory.mktemp("set"), 8)
    return PictureSample(small_zoo(), datasets.load(images, annotations, labels=LABELS), 6, 0)


def blind(network: nn.Module, x: Tensor, k: int) -> Tensor:
    """What a method draws that looks at the picture alone."""
    return x.abs().sum(1, keepdim=True)


def sees_the_class_only(network: nn.Module, x: Tensor, k: int) -> Tensor:
    generator = torch.Generator().manual_seed(k)
    return torch.rand(1, 1, *x.shape[2:], generator=generator)


def test_a_method_blind_to_the_class_never_changes_and_one_that_sees_nothing_else_always_does(sample: PictureSample) -> None:
    picture, chance = measure(blind, sample), measure(sees_the_class_only, sample)
    assert picture.change == pytest.approx(0, abs=1e-12)
    assert chance.change == pytest.approx(1, abs=0.15)  # 1,024 places: a standard error of 0.03
    assert picture.steady.mean() > 0.8  # plain noise on dark pictures, at five grey levels
    assert chance.steady == pytest.approx(1)
    assert picture.random.sum(1) == pytest.approx(1)
    assert len(picture.boundary.wrong) == len(picture.boundary.ibd) == 6


def test_the_predicted_shape_is_recognised_whatever_its_strength_and_a_uniform_map_gains_nothing() -> None:
    predicted = np.linspace(0, 1, SIDE**2)
    weights = np.ones((1, 3))
    same = agreement(np.stack([3 * predicted, predicted, 0 * predicted]), predicted)
    assert same(weights)[0, 0] == pytest.approx(1)
    assert agreement(np.stack([1 - predicted] * 3), predicted)(weights)[0, 0] == pytest.approx(-1)
    assert math.isnan(agreement(np.ones((3, SIDE**2)), predicted)(weights)[0, 0])
    mixed = agreement(np.stack([predicted, 1 - predicted]), predicted)
    assert mixed(np.array([[2.0, 0.0], [0.0, 1.0]])).flatten().tolist() == pytest.approx([1, -1])


def test_frames_of_a_finished_evaluation_are_judged_and_a_file_that_is_none_is_a_sentence(sample: PictureSample, tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["method", "class_index", "predicted", "ibd"])
        writer.writerows(["saliency", 1, 1 + (i % 3 == 0), (i % 3 == 0 and 0.4) or 0.1] for i in range(60))
        writer.writerow(["saliency", 1, 1, "nan"])
    boundaries = tables.read_boundaries(file)
    assert tables.boundary_cells(boundaries["saliency"], 0)[0] == "100 [100 to 100]"
    assert tables.boundary_cells(Boundary(np.ones(30), np.zeros(30, bool)), 0) == ["–", "–"]
    covered = coverage(sample.zoo.network, (1, 3, sample.zoo.input_size, sample.zoo.input_size))
    cells = line(RAW, sample, covered, boundaries["saliency"]).split(" | ")
    assert cells[0] == "| R̃, before the class mean"
    assert (len(cells), cells[5]) == (len(tables.HEAD), "100 [100 to 100], 60 pictures")
    file.write_text("method\nx")
    with pytest.raises(ValueError, match=r"no results\.csv of `evaluate`"):
        tables.read_boundaries(file)


def test_the_boundary_alone_is_of_one_map_a_picture_and_method(sample: PictureSample) -> None:
    found, refused = tables.measure_boundaries(["saliency", "pattern_net"], sample)
    assert list(found) == ["saliency"]
    values, wrong = found["saliency"].ibd, found["saliency"].wrong
    x, k, _, first = next(sample.pictures())
    assert values[0] == float(ibd(METHODS["saliency"].attribute(sample.zoo.network, x, k)))
    assert (len(values), len(wrong), wrong[0]) == (6, 6, first)
    lines = list(tables.boundary_lines(["saliency", "pattern_net"], found, refused, 0))
    assert lines[0].startswith(f"| Saliency | 6 | {wrong.sum()} | ")
    assert lines[1].startswith("| PatternNet | – | PatternNet needs patterns")


def test_fewer_pictures_are_the_first_of_more() -> None:
    assert tables.drawn_in_order(50, 5, 3) == tables.drawn_in_order(50, 20, 3)[:5]
    assert sorted(tables.drawn_in_order(9, 99, 0)) == list(range(9))


def test_the_command_prints_a_line_a_method_and_says_what_does_not_apply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["image", "class_index"], ["star.png", 3], ["star_with_tag.png", 3]])
    labelled = ["--images", str(examples.FOLDER), "--annotations", str(tmp_path / "labels.csv")]
    given = ["predictability", "--model", "shapes", *labelled, "--limit", "2", "--methods"]
    assert main([*given, "saliency,pattern_net"]) == 0
    lines = capsys.readouterr().out.strip().split("\n")
    assert len(lines) == 5
    assert "| PatternNet | – | PatternNet needs patterns" in lines[3]
    assert lines[4].startswith("| Saliency | 2 | ")
    assert main([*given, "saliency", "--frames", "2"]) == 0
    lines = capsys.readouterr().out.strip().split("\n")[2:]
    assert [line.split(" | ")[0] for line in lines] == ["| R̃, before the class mean", "| Saliency"]
    assert main([*given, "saliency", "--frames", "1"]) == 2
    assert main([*given, "magic"]) == 2
    assert main([*given[:-3], "--limit", "1"]) == 2
