"""What people read of a run: the report, the summary, the progress bar."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from trgbp_core import METHODS
from trgbp_core.data import datasets
from trgbp_core.evaluation import tables
from trgbp_core.evaluation.formatting import number, signed
from trgbp_core.evaluation.report import SECTIONS, summary, write_report
from trgbp_core.evaluation.results import read
from trgbp_core.evaluation.settings import DEFAULT, Settings, chosen_methods
from trgbp_core.evaluation.statistics import Estimate, means
from trgbp_core.evaluation.store import Team

from ..support.small_runs import METHODS_HERE, SMALL, Done, finished_run, rows, work
from ..support.small_sets import LABELS, csv_set


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return finished_run(tmp_path_factory.mktemp("done"))


def test_the_report_has_the_paper_s_tables_and_every_section(done: Done) -> None:
    store, finished, dataset, zoo = done
    said = summary(write_report(store, finished, dataset, zoo, SMALL, Team()))
    report = (store.folder / "report.md").read_text()
    assert re.findall(r"^## (.*)$", report, re.MULTILINE) == [heading for heading, _ in SECTIONS]
    assert "| EBPG, VGG16 (paper) | 40.2 ± 0.3 | 56.1 ± 0.4 | 45.7 ± 1.1 | 52.2 ± 1.4 | – |" in report
    assert "| ResNet50 (paper) | 51.44 | 51.96 | 53.06 | 62.16 | – |" in report
    boxed = [row for row in rows(store.folder / "results.csv") if row["ebpg"] and row["method"] == "tr_gbp"]
    mean = 100 * sum(float(row["ebpg"]) for row in boxed) / len(boxed)
    line = next(line for line in report.splitlines() if line.startswith("| EBPG, small |"))
    assert float(line.split("|")[5]) == pytest.approx(mean, abs=0.05)
    for name in ("perturbation.png", "perturbation.pdf", "sanity.png", "sanity.pdf"):
        assert (store.folder / name).stat().st_size > 10_000
    written = json.loads((store.folder / "run.json").read_text())
    assert written["counts"]["pictures"] == 14
    assert written["settings"]["seed"] == 0
    assert written["versions"]["torch"] == torch.__version__
    assert all(f"{method}" in written["seconds per picture"] for method in METHODS_HERE)
    assert "lower is better; there, GBP ranks |R| (appendix D)." in report
    assert "report.md" in said


def test_a_table_of_all_eight_methods_has_the_paper_s_order_of_columns(done: Done) -> None:
    assert chosen_methods(["paper"]) == DEFAULT
    assert DEFAULT[:7] == ("saliency", "guided_backprop", "guided_ig", "full_grad", "grad_cam", "cameras", "tr_gbp")
    assert set(chosen_methods(["all"])) == set(METHODS)
    assert chosen_methods(["all"])[:8] == DEFAULT
    for wrong in (("magic",), ("saliency", "saliency"), ()):
        with pytest.raises(ValueError, match="method"):
            Settings(methods=wrong)


def test_differences_are_paired(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trgbp_core.evaluation.statistics.FEWEST", 2)  # the data set of the tests is small
    r = read(*done, SMALL)
    of = r.resampled(means(r.numbers["ibd"]), len(r.images))
    itself = of.difference("tr_gbp", "tr_gbp")
    assert (itself.value, itself.low, itself.high) == (0, 0, 0)
    there, back = of.difference("tr_gbp", "saliency"), of.difference("saliency", "tr_gbp")
    assert there.value == -back.value
    assert there.low == pytest.approx(-back.high)


def test_a_method_that_does_not_apply_is_left_out_with_its_reason(tmp_path: Path) -> None:
    images, annotations = csv_set(tmp_path, 5)
    dataset = datasets.load(images, annotations, labels=LABELS)
    settings = Settings(methods=("saliency", "pattern_net"), mosaics=0, sanity=0)
    store, finished, zoo = work(tmp_path / "out", dataset, settings)
    write_report(store, finished, dataset, zoo, settings, Team())
    report = (store.folder / "report.md").read_text()
    assert re.search(r"^- PatternNet does not apply: .*patterns", report, re.MULTILINE)
    assert "Not measured." in report


@pytest.mark.parametrize(("value", "shown"), [(412.36, "412"), (0.5, "0.500"), (0.0004127, "0.000413"), (0.0, "0.00"), (float("nan"), "–")])
def test_a_figure_of_any_size_is_shown_with_three_digits(value: float, shown: str) -> None:
    assert number(value, *tables.digits("infidelity")) == shown


def test_a_difference_of_any_size_and_its_interval_have_as_many_digits() -> None:
    assert signed(Estimate(0.000412, 0.0000999, 0.00101), None, 1.0) == "**+0.00041 [+0.00010, +0.00101]**"
