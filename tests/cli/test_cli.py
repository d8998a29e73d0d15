"""The command line, run as a person runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from benchmarks import speed
from trgbp_core import METHODS, Preprocess, own_model

from ..support.nets import randomise

ROOT = Path(__file__).parents[2]
MOSAIC = str(ROOT / "assets" / "examples" / "cheetah_and_lion.jpg")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "trgbp_core", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_explain_writes_overlays_and_maps_and_prints_the_top_5(tmp_path: Path) -> None:
    done = run("explain", MOSAIC, "--class", "cheetah", "--layer", "49", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "lion" in lines[0]
    assert next(line for line in lines if "<- explained" in line).split()[2] == "cheetah"
    map = np.load(tmp_path / "tr_gbp.npy")
    assert map.shape == (224, 224)
    assert np.maximum(map, 0)[:, :112].sum() > 0.9 * np.maximum(map, 0).sum()
    assert np.load(tmp_path / "layer49_raw.npy").shape == (7, 7)
    assert Image.open(tmp_path / "tr_gbp_overlay.png").size == (224, 224)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["explain", "no_such.jpg"], "no such picture"),
        (["explain", "README.md"], "not a picture"),
        (["explain", MOSAIC, "--class", "unicorn"], "No class is called"),
        (["explain", MOSAIC, "--layer", "99"], "no layer 99"),
        (["explain", MOSAIC, "--model", "vit_b_16"], "vit_b_16"),
        (["compare", MOSAIC, "--methods", "magic"], "no method 'magic'"),
        (["bench", "--repeats", "0"], "at least 1"),
    ],
)
def test_an_error_is_one_line_on_stderr_and_exit_code_2(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    done = run(*arguments, *([] if arguments[0] == "bench" else ["--out", str(tmp_path)]))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_models_lists_the_networks_and_what_must_be_downloaded() -> None:
    done = run("models")
    assert done.returncode == 0
    assert "| `efficientnet_lite0` |" in done.stdout
    assert "embedded" in done.stdout
    assert "download, 103 MB" in done.stdout or "on this machine" in done.stdout


def test_bench_prints_ratios() -> None:
    done = run("bench", "--models", "efficientnet_lite0", "--repeats", "1")
    assert done.returncode == 0, done.stderr
    assert "GEMM" in done.stdout
    assert "| efficientnet_lite0 |" in done.stdout


def test_bench_of_methods_prints_forward_passes_and_what_the_path_of_guided_ig_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6)]
    zoo = own_model(randomise(nn.Sequential(*layers)).float(), [*"abcdef"], preprocess=Preprocess(size=32, resize=None))
    monkeypatch.setattr(speed.loading, "load_model", lambda *_, **__: zoo)
    monkeypatch.setattr(speed, "METHODS", {key: METHODS[key] for key in ("saliency", "guided_ig", "pattern_net")})
    lines = list(speed.bench_methods("mine", repeats=1))
    found = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|$", "\n".join(lines), re.MULTILINE))
    assert set(found) == {"saliency", "guided_ig"}
    assert float(found["guided_ig"]) > 10 * float(found["saliency"]), "two hundred gradients against one"
    assert any(line.startswith("| `pattern_net` | does not apply: ") for line in lines)
    assert float(lines[-1].removeprefix("Guided IG ÷ its 200 gradients alone: ")) > 0


def test_cascade_refuses_a_method_that_does_not_exist() -> None:
    for beside, sentence in (("no_such", "There is no method 'no_such'"), ("saliency,cam", "takes one method")):
        done = run("cascade", str(ROOT / "assets" / "examples" / "lion.jpg"), "--beside", beside)
        assert (done.returncode, done.stdout) == (2, "")
        assert sentence in done.stderr


def test_the_page_has_a_help_and_refuses_an_unknown_network() -> None:
    help = subprocess.run([sys.executable, "app.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert help.returncode == 0
    assert all(option in help.stdout for option in ("--host", "--port", "--share", "--model"))
    wrong = subprocess.run([sys.executable, "app.py", "--model", "nope"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert wrong.returncode == 2
    assert "no network 'nope'" in wrong.stderr
