"""The command line: what commands write and print, and how they refuse."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

import app
from benchmarks import speed
from trgbp_core import METHODS, Preprocess, own_model
from trgbp_core.cli.main import main

from ..support.documents import ROOT
from ..support.nets import randomise

MOSAIC = str(ROOT / "assets" / "examples" / "cheetah_and_lion.jpg")


def test_explain_writes_overlays_and_maps_and_prints_the_top_5(tmp_path: Path) -> None:
    arguments = ["explain", MOSAIC, "--class", "cheetah", "--layer", "49", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "trgbp_core", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "lion" in lines[0]
    assert next(line for line in lines if "<- explained" in line).split()[2] == "cheetah"
    map = np.load(tmp_path / "tr_gbp.npy")
    assert map.shape == (224, 224)
    assert np.maximum(map, 0)[:, :112].sum() > 0.9 * np.maximum(map, 0).sum()
    assert np.load(tmp_path / "layer49_raw.npy").shape == (7, 7)
    assert Image.open(tmp_path / "tr_gbp_overlay.png").size == (224, 224)


def test_explain_writes_the_contrast_with_a_second_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", MOSAIC, "--class", "lion", "--against", "cheetah", "--out", str(tmp_path)])
    marked = {line.split()[2]: line.partition("<-")[2] for line in capsys.readouterr().out.splitlines() if "<-" in line}
    assert marked == {"lion": " explained", "cheetah": " rather than this"}
    for name in ("contrast", "contrast_conserving"):
        map = np.load(tmp_path / f"{name}.npy")
        assert np.maximum(map, 0)[:, 112:].sum() > 0.9 * np.maximum(map, 0).sum(), "the lion's half"
        assert np.minimum(map, 0)[:, :112].sum() < 0.9 * np.minimum(map, 0).sum(), "the cheetah's half"
        colours = np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int).sum((0, 1))
        assert min(colours[0], colours[2]) > 0.2 * max(colours[0], colours[2]), "red and blue"


def test_explain_writes_what_each_layer_gives_to_a_box(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", MOSAIC, "--class", "lion", "--box", "0.5,0,1,0.5", "--out", str(tmp_path)])
    with (tmp_path / "shares.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with Image.open(tmp_path / "shares.png") as figure:
        assert figure.width > 1000
    printed = next(line.split() for line in capsys.readouterr().out.splitlines() if line.strip().startswith("all "))
    for name, number in zip(("tr_gbp", "tr_gbp_conserving"), printed[1:], strict=True):
        whole = np.load(tmp_path / f"{name}.npy")[:112, 112:].astype(float).sum()
        assert sum(float(row[name]) for row in rows) == pytest.approx(whole, rel=1e-5) == pytest.approx(float(number), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["explain", MOSAIC, "--box", "0.5,0,1"], "A box is"),
        (["explain", MOSAIC, "--box", "-0.5,0,1,1"], "A box is"),
        (["explain", MOSAIC, "--box", "-.5", "0", "1", "1"], "A box is"),
        (["explain", MOSAIC, "--box=-5e-1,0,1,1"], "A box is"),
        (["explain", MOSAIC, "--class", "lion", "--against", "291"], "these two are the same"),
        (["explain", MOSAIC, "--against", "unicorn"], "No class is called"),
        (["explain", "no_such.jpg"], "no such picture"),
        (["explain", str(ROOT / "README.md")], "not a picture"),
        (["explain", MOSAIC, "--class", "unicorn"], "No class is called"),
        (["explain", MOSAIC, "--layer", "99"], "no layer 99"),
        (["explain", MOSAIC, "--crop", "left"], "A crop is centre, whole, or x,y,size"),
        (["explain", MOSAIC, "--model", "vit_b_16"], "vit_b_16"),
        (["explain", MOSAIC, "--threads", "0"], "--threads is at least 1, not 0"),
        (["compare", MOSAIC, "--methods", "magic"], "no method 'magic'"),
        (["cascade", MOSAIC, "--beside", "no_such"], "There is no method 'no_such'"),
        (["cascade", MOSAIC, "--beside", "saliency,cam"], "takes one method"),
        (["bench", "--repeats", "0"], "at least 1"),
        (["figure", "6"], "There is no figure 6; there are 3, 4, 5, 7, 8, 9, 10"),
        (["figure", "3", "--images", "no_such.jpg"], "no such picture"),
        (["figure", "3", "--class", "unicorn"], "No class is called"),
        (["figure", "3", "--model", "vit_b_16"], "vit_b_16"),
        (["figure", "4", "--methods", "magic"], "no method 'magic'"),
        (["figure", "9", "--layers", "99"], "no layer 99"),
        (["figure", "5", "--seed", "-1"], "A seed is"),
        (["figure", "7", "--opacity", "2"], "--opacity lies between 0 and 1"),
        (["evaluate", "--images", ".", "--workers", "-1"], "--workers is at least 0, not -1"),
    ],
)
def test_an_error_is_one_line_on_stderr_and_exit_code_2(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.splitlines()[-1].startswith("trgbp: ")
    assert sentence in err.splitlines()[-1]
    assert arguments[0] == "figure" or err.count("\n") == 1, "a figure says first what it draws"


def test_methods_are_listed_with_commas_or_spaces_and_networks_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", MOSAIC, "--methods", "saliency, grad_cam", "--out", str(tmp_path)]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["Saliency", "Grad-CAM", "figure:"]
    assert main(["models", "--fetch", "vit_b_16,nope"]) == main(["models", "--fetch", "nope", "vit_b_16"]) == 2
    assert [name in line for name, line in zip(("vit_b_16", "nope"), capsys.readouterr().err.splitlines(), strict=True)] == [True, True]


def test_models_lists_the_networks_and_what_must_be_downloaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "| `efficientnet_lite0` |" in out
    assert "embedded" in out
    assert "download, 103 MB" in out or "on this machine" in out


def test_bench_of_methods_prints_forward_passes_and_what_the_path_of_guided_ig_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6)]
    zoo = own_model(randomise(nn.Sequential(*layers)).float(), [*"abcdef"], preprocess=Preprocess(size=32, resize=None))
    monkeypatch.setattr(speed, "METHODS", {key: METHODS[key] for key in ("saliency", "guided_ig", "pattern_net")})
    lines = list(speed.bench_methods(zoo, repeats=3))
    found = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|$", "\n".join(lines), re.MULTILINE))
    assert set(found) == {"saliency", "guided_ig"}
    assert float(found["guided_ig"]) > 10 * float(found["saliency"]), "two hundred gradients against one"
    assert any(line.startswith("| `pattern_net` | does not apply: ") for line in lines)
    assert float(lines[-1].removeprefix("Guided IG ÷ its 200 gradients alone: ")) > 0


def test_bench_without_the_benchmarks_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path and Path(path).resolve() != ROOT])
    assert main(["bench"]) == 2
    assert "The benchmarks are not installed with the package" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [(["--help"], 0, ["--host", "--port", "--share", "--model"]), (["--model", "nope"], 2, ["no network 'nope'"])],
)
def test_the_page_has_a_help_and_refuses_an_unknown_network(
    arguments: list[str], code: int, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        app.launch(arguments)
    assert ended.value.code == code
    text = "".join(capsys.readouterr())
    assert all(word in text for word in words)
