"""Weights on the command line: downloaded with their progress, stopped and continued, refused with a sentence, or given as a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import app
from trgbp_core import ModelError, load_model
from trgbp_core.cli import models
from trgbp_core.cli.main import main
from trgbp_core.zoo.custom import first_choice, with_weights
from trgbp_core.zoo.loading import ModelCache

from ..support.documents import ROOT
from ..support.hostile_machine import environment, make_weights
from ..support.hostile_server import Server
from ..support.zoo import embedded

LION = str(ROOT / "assets" / "examples" / "lion.jpg")
NAME = "squeezenet1_1"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    make_weights(folder, [NAME])
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    server = Server({file.name: file.read_bytes() for file in folder.glob("*.pth")})
    server.start()
    yield server
    server.stop()


@pytest.fixture
def start(server: Server, folder: Path, tmp_path: Path) -> Start:
    """Start a command that downloads from the server."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        program = [sys.executable, "-m", "tests.support.hostile_machine", *arguments]
        variables = {**os.environ, **environment(server.address, folder, tmp_path)}
        return subprocess.Popen(program, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def test_fetch_prints_its_progress_and_the_path_of_the_file_and_downloads_once(server: Server, start: Start, tmp_path: Path) -> None:
    for times in (1, 2):
        process = start("models", "--fetch", NAME)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.startswith(f"{NAME}: ready, ")
        path = Path(out.strip().partition(", ")[2])
        assert path.parent == tmp_path / "hub" / "checkpoints"
        assert path.read_bytes() == server.files[path.name]
        assert (" MB/s" in err) == (times == 1)
    assert len(server.requests) == 1


def test_fetch_of_an_unknown_network_is_refused_before_anything_is_downloaded(server: Server, start: Start) -> None:
    process = start("models", "--fetch", NAME, "vit_b_16")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "vision transformer" in err
    assert not server.requests


def test_a_stopped_download_leaves_no_half_file_and_the_next_command_continues_it(server: Server, start: Start, tmp_path: Path) -> None:
    server.script = ["slow"]
    process = start("explain", LION, "--model", NAME, "--out", str(tmp_path))
    assert process.stderr is not None
    assert process.stderr.readline().startswith(f"{NAME}: 0.0 of 5.0 MB")
    process.stderr.readline()  # a tenth has come
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    rest = process.stderr.read()
    assert "trgbp_core: stopped" in rest
    assert "Traceback" not in rest
    cache = tmp_path / "hub" / "checkpoints"
    assert [file.suffix for file in cache.iterdir()] == [".part"]
    server.release.set()
    assert start("models", "--fetch", NAME).wait(120) == 0
    assert (server.requests[-1] or "").startswith("bytes=")
    assert [file.suffix for file in cache.iterdir()] == [".pth"]


def test_a_failed_download_is_a_sentence_and_exit_code_2(server: Server, start: Start) -> None:
    server.script = ["lie"]
    process = start("explain", LION, "--model", NAME)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert not out
    last = err.splitlines()[-1]
    assert last.startswith("trgbp_core: ")
    assert "wrong SHA-256" in last
    assert "embedded network efficientnet_lite0" in last
    assert "Traceback" not in err


# -- a file of weights -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_explain_takes_the_weights_of_a_file_instead_of_the_published_ones(
    suffix: str, nothing_here: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zoo, file = load_model(f"random:{NAME}"), tmp_path / f"mine{suffix}"
    state = zoo.network.state_dict()
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    assert main(["explain", LION, "--model", NAME, "--weights", str(file), "--out", str(tmp_path / "out")]) == 0
    with torch.no_grad():
        best = zoo.labels[int(zoo.network(zoo.preprocess(LION)).argmax())]
    assert f"{best}   <- explained" in capsys.readouterr().out


def test_a_file_that_does_not_fit_is_refused_with_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    given = ["--model", NAME, "--weights", str(tmp_path / "other.pth")]
    assert main(["explain", LION, *given]) == 2
    with pytest.raises(SystemExit) as ended:
        app.launch(given)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("other.pth does not fit this network") == 2


def test_a_network_with_weights_of_a_file_takes_the_place_of_the_published_one(nothing_here: None, tmp_path: Path) -> None:
    torch.save(load_model(f"random:{NAME}").network.state_dict(), tmp_path / "mine.pth")
    cache = ModelCache(own=with_weights(NAME, tmp_path / "mine.pth"))
    (entry,) = [entry for entry in cache.entries if entry.name == NAME]
    assert (entry.title, entry.available, entry.accuracy) == ("SqueezeNet 1.1, mine.pth", True, None)
    assert cache.get(NAME).entry is entry


def test_the_page_may_begin_with_a_network_that_its_picker_does_not_hold() -> None:
    own = first_choice(f"random:{NAME}", None, {})
    assert own[f"random:{NAME}"].entry.available
    assert first_choice("efficientnet_lite0", None, {}) == {}
    assert first_choice("mine", None, {"mine": embedded()}) == {}
    with pytest.raises(ModelError, match="has its weights already"):
        first_choice("mine", "file.pth", {"mine": embedded()})
    with pytest.raises(ModelError, match="no network 'nope'"):
        first_choice("nope", None, {})
    with pytest.raises(ModelError, match=f"is called {NAME}"):
        load_model(f"random:{NAME}", weights="mine.pth")


def test_the_table_says_of_every_network_where_its_weights_are(nothing_here: None) -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in models.table().splitlines()]
    assert rows[0] == ["name", "network", "input", "parameters", "top-1", "weights", "licence"]
    by_name = {row[0].strip("`"): row for row in rows[2:]}
    assert by_name["resnet50"][2:] == ["224×224", "25.6 M", "76.1 %", "download, 103 MB", "BSD-3-Clause"]
    assert by_name["efficientnet_lite0"][5] == "embedded"
    assert next(iter(by_name)) == "efficientnet_lite0"
