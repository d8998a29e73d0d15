"""Every command that takes a network takes one of a user's own; and so does the evaluation from Python."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from trgbp_core.cli.main import main
from trgbp_core.data import datasets
from trgbp_core.evaluation.report import evaluate
from trgbp_core.evaluation.settings import Settings
from trgbp_core.explorer.lessons import lessons
from trgbp_core.zoo.catalogue import ModelError
from trgbp_core.zoo.custom import from_code, own_model

from ..support import own
from ..support.documents import ROOT
from ..support.small_sets import csv_set

LION = str(ROOT / "assets" / "examples" / "lion.jpg")
SMALL = f"{own.FILE}:small"
SET = ["FOLDER", "--annotations", "TABLE"]
RUNS = {
    "explain": ([LION, "--layers", "0,2", "--out", "OUT"], ["tr_gbp.npy", "layer0_raw.npy", "layer2_raw.png"]),
    "compare": ([LION, "--methods", "saliency", "grad_cam", "--out", "OUT"], ["compare.png"]),
    "cascade": ([LION, "--seeds", "2", "--class", "tiger cat", "--out", "OUT"], ["cascade.md"]),
    "predict": ([LION, "--seeds", "2", "--layers", "1", "--out", "OUT"], ["predict.md"]),
    "figure": (["8", LION, "--class", "a", "b", "tiger cat", "e", "f,g", "--dpi", "30", "--out", "OUT"], ["figure8.png"]),
    "patterns": (["FOLDER", "--out", "OUT/patterns"], ["patterns"]),
    "calibrate": ([*SET, "--out", "OUT/table.json"], ["table.json"]),
    "predictability": ([*SET, "--limit", "2", "--methods", "saliency", "--out", "OUT"], ["predictability.md"]),
    "evaluate": ([*SET, "--methods", "saliency", "--mosaics", "0", "--sanity", "0", "--out", "OUT"], ["report.md", "run.json"]),
    "bench": (["--methods", "saliency", "--repeats", "1"], []),
}


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return csv_set(tmp_path_factory.mktemp("set"), 6)


@pytest.mark.parametrize("command", RUNS)
def test_a_command_works_on_a_network_of_ones_own_and_writes_where_it_is_told(
    command: str, small_set: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"FOLDER": str(small_set[0]), "TABLE": str(small_set[1])}
    arguments = [words.get(word, word.replace("OUT", str(tmp_path / "out"))) for word in RUNS[command][0]]
    assert main([command, *arguments, "--network", SMALL]) == 0, capsys.readouterr().err
    for name in RUNS[command][1]:
        assert (tmp_path / "out" / name).stat().st_size > 0
    out = capsys.readouterr().out
    assert "nan" not in out
    if command == "explain":
        assert np.load(tmp_path / "out" / "layer2_raw.npy").shape == (32, 32)
        assert "tiger cat" in out
    if command in ("cascade", "predict", "predictability"):
        assert out.count("|") > 20
        written = (tmp_path / "out" / RUNS[command][1][0]).read_text()
        assert set(filter(None, out.splitlines()[-4:-1])) <= set(written.splitlines())
    if command == "calibrate":
        assert "6 labelled pictures" in out
        assert "too few pictures" in out


def test_a_map_that_is_the_same_everywhere_has_no_similarity(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cascade", LION, "--seeds", "2", "--network", f"{own.FILE}:dead"]) == 0
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| 1 |")]
    assert "–" in lines[0]


def test_weights_go_into_a_network_of_ones_own_and_the_network_itself_stays(tmp_path: Path) -> None:
    other = {key: value + 1 if value.is_floating_point() else value for key, value in own.plain().state_dict().items()}
    torch.save(other, tmp_path / "mine.pth")
    before = [p.clone() for p in own.READY.network.parameters()]
    found = from_code(f"{own.__name__}:READY", tmp_path / "mine.pth")
    assert all(torch.equal(value, other[key]) for key, value in found.network.state_dict().items())
    assert found.labels == own.LABELS
    assert all(map(torch.equal, own.READY.network.parameters(), before))
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth does not fit this network"):
        from_code(SMALL, tmp_path / "other.pth")


def test_a_module_of_the_working_folder_is_found_and_without_labels_classes_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_networks_here.py").write_text("from tests.support.own import plain as mine\n")
    zoo = from_code("my_networks_here:mine")
    assert (zoo.name, zoo.labels[-1], zoo.input_size, zoo.network.training) == ("mine", "class 6", 224, False)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gated", "GELU"),
        ("broken", "RuntimeError: no such drive"),
        ("text", "gave str; it returns a torch module"),
        ("absent", "has no attribute 'absent'"),
        ("", "is MODULE:FUNCTION or FILE.py:FUNCTION"),
    ],
)
def test_what_is_no_network_is_one_line(name: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", LION, "--network", f"{own.FILE}:{name}", "--out", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert sentence.lower() in err.lower()


def test_a_network_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", LION, "--network", SMALL, "--model", "resnet18"]) == 2
    assert main(["explain", LION, "--network", SMALL, SMALL]) == 2
    assert main(["explain", LION, "--network", "no_such_module:x"]) == 2
    first, second, third = capsys.readouterr().err.splitlines()
    assert "Give --model or --network, not both" in first
    assert "takes one network, not 2" in second
    assert "No module named 'no_such_module'" in third


def test_a_network_is_evaluated_from_python_and_neither_it_nor_its_mode_is_changed(small_set: tuple[Path, Path], tmp_path: Path) -> None:
    network = own.plain().train()
    zoo = own_model(network, own.LABELS, preprocess=own.READY.preprocess, name="trained")
    dataset = datasets.load(*small_set, labels=zoo.labels)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    settings = Settings(methods=("saliency", "grad_cam"), mosaics=0, sanity=2, stages=2)
    summary = evaluate(zoo, dataset, tmp_path / "run", settings)
    assert "6 pictures" in summary
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["model"] == "trained"
    evaluated = own_model(own.plain().eval(), own.LABELS, preprocess=own.READY.preprocess, name="trained")
    evaluate(evaluated, dataset, tmp_path / "again", settings)
    assert (tmp_path / "again" / "results.csv").read_text() == (tmp_path / "run" / "results.csv").read_text()
    with torch.no_grad():
        next(evaluated.network.parameters()).add_(1)
    with pytest.raises(ValueError, match="differs in the network's weights"):
        evaluate(evaluated, dataset, tmp_path / "run", settings)


def test_handouts_without_a_lesson_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(lessons, "load", functools.partial(lessons.load, tmp_path))
    assert main(["handouts", "--out", str(tmp_path / "out")]) == 2
    assert "There is no lesson to print" in capsys.readouterr().err


def test_the_page_takes_networks_of_ones_own() -> None:
    from trgbp_core.cli.main import _parser
    from trgbp_core.page.start import _given

    def given(*words: str) -> tuple[list[str], str]:
        own_networks, first = _given(_parser().parse_args(["page", *words]), {}, torch.device("cpu"))
        return list(own_networks), first

    assert given() == ([], "efficientnet_lite0")
    assert given("--network", f"{SMALL},{own.FILE}:plain") == (["small", "plain"], "small")
    assert given("--network", SMALL, "--model", "random:squeezenet1_1") == (["small", "random:squeezenet1_1"], "random:squeezenet1_1")
    with pytest.raises(ModelError, match="have the same name"):
        given("--network", SMALL, SMALL)
    with pytest.raises(ModelError, match="--weights goes with one network"):
        given("--network", SMALL, f"{own.FILE}:plain", "--weights", "x.pth")


def test_networks_are_compared_by_the_name_of_a_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["tests/support/own.py:small", "tests/support/own.py:dead"]
    assert main(["compare", LION, "--network", *own, "--class", "tiger cat", "--methods", "saliency", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0].rstrip(":") for line in lines] == ["small", "Saliency", "dead", "Saliency", "figure"]
    assert {file.name for file in tmp_path.iterdir()} == {"compare.png", "compare.pdf"}
    assert main(["compare", LION, "--network", *own, "--patterns", "p.npz", "--methods", "saliency", "--out", str(tmp_path)]) == 2
    assert "--patterns are those of one network" in capsys.readouterr().err
