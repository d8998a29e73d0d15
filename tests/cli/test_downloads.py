"""Weights on the command line: fetched with their progress, stopped and resumed, refused with a sentence, or given as a file."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import app
from trgbp_core import ModelError, load_model
from trgbp_core.cli import models
from trgbp_core.cli.main import main
from trgbp_core.zoo import catalogue, downloads
from trgbp_core.zoo.custom import preloaded
from trgbp_core.zoo.loading import ModelCache

from ..support.hostile_machine import environment, make_weights, prepare
from ..support.hostile_server import Server
from ..support.zoo import embedded

ROOT = Path(__file__).parents[2]
LION = str(ROOT / "assets" / "examples" / "lion.jpg")
NAME = "squeezenet1_1"


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


def process(*arguments: str, server: Server, folder: Path, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.hostile_machine", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment(server.address, folder, home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def here(server: Server, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is on that machine until the test's end."""
    for name, value in environment(server.address, folder, tmp_path).items():
        monkeypatch.setenv(name, value)
    for name in ("shutil", "PAUSE_SECONDS", "TIMEOUT_SECONDS"):  # as they are now; it changes them
        monkeypatch.setattr(downloads, name, getattr(downloads, name))
    monkeypatch.setitem(catalogue.entries(), NAME, catalogue.entries()[NAME])
    prepare()


def test_fetch_shows_its_progress_and_where_the_file_lies_and_downloads_once(
    here: None, server: Server, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = (main(["models", "--fetch", NAME]), *capsys.readouterr())
    again = process("models", "--fetch", NAME, server=server, folder=folder, home=tmp_path)
    said = again.communicate(timeout=120)
    for (code, out, err), progress in ((first, True), ((again.returncode, *said), False)):
        assert code == 0
        assert out.startswith(f"{NAME}: ready, ")
        path = Path(out.strip().partition(", ")[2])
        assert path.parent == tmp_path / "hub" / "checkpoints"
        assert path.read_bytes() == server.files[path.name]
        assert (f"{NAME}: 100%" in err) == progress
    assert len(server.requests) == 1


def test_fetch_of_an_unknown_network_is_refused_before_anything_is_downloaded(
    here: None, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--fetch", NAME, "vit_b_16"]) == 2
    assert "vision transformer" in capsys.readouterr().err
    assert not server.requests


def test_a_stopped_download_leaves_no_half_file_and_the_next_command_resumes_it(
    here: None, server: Server, folder: Path, tmp_path: Path
) -> None:
    server.script = ["slow"]
    stopped = process("explain", LION, "--model", NAME, "--out", str(tmp_path), server=server, folder=folder, home=tmp_path)
    shown = ""
    while not re.search(r"[1-9]%", shown):
        shown += stopped.stderr.read(1)  # type: ignore[union-attr]
    assert shown.strip().startswith(f"{NAME}: ")
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(60) == 130
    rest = stopped.stderr.read()  # type: ignore[union-attr]
    assert "trgbp: stopped" in rest
    assert "Traceback" not in rest
    cache = tmp_path / "hub" / "checkpoints"
    assert [file.suffix for file in cache.iterdir()] == [".part"]
    server.release.set()
    assert main(["models", "--fetch", NAME]) == 0
    assert (server.requests[-1] or "").startswith("bytes=")
    assert [file.suffix for file in cache.iterdir()] == [".pth"]


def test_a_failed_download_is_a_sentence_and_exit_code_2(here: None, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.script = ["lie"]
    assert main(["explain", LION, "--model", NAME]) == 2
    out, err = capsys.readouterr()
    assert not out
    last = err.splitlines()[-1]
    assert last.startswith("trgbp: ")
    assert "wrong SHA-256" in last
    assert "embedded network efficientnet_lite0" in last


# -- a file of weights -----------------------------------------------------------------------------------------------------------------


def test_explain_takes_the_weights_of_a_file_instead_of_the_published_ones(
    nothing_here: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.safetensors"
    save_file(load_model(f"random:{NAME}").network.state_dict(), file)
    assert main(["explain", LION, "--model", NAME, "--weights", str(file), "--out", str(tmp_path / "out")]) == 0
    zoo = load_model(f"random:{NAME}")
    with torch.no_grad():
        best = zoo.labels[int(zoo.network(zoo.preprocess(LION)).argmax())]
    assert f"{best}   <- explained" in capsys.readouterr().out


def test_a_file_that_does_not_fit_is_refused_with_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    arguments = ["--model", NAME, "--weights", str(tmp_path / "other.pth")]
    with pytest.raises(SystemExit) as ended:
        app.launch(arguments)
    assert ended.value.code == 2
    assert "other.pth does not fit this network" in capsys.readouterr().err
    done = subprocess.run(
        [sys.executable, "-m", "trgbp_core", "explain", LION, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert "other.pth does not fit this network" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_network_with_weights_of_a_file_takes_the_place_of_the_published_one(nothing_here: None, tmp_path: Path) -> None:
    torch.save(load_model(f"random:{NAME}").network.state_dict(), tmp_path / "mine.pth")
    cache = ModelCache(own=preloaded(NAME, tmp_path / "mine.pth"))
    (entry,) = [entry for entry in cache.entries if entry.name == NAME]
    assert entry.title == "SqueezeNet 1.1, mine.pth"
    assert entry.available
    assert entry.accuracy is None
    assert cache.get(NAME).entry is entry


def test_noise_and_a_file_of_weights_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"is called {NAME}"):
        load_model(f"random:{NAME}", weights=tmp_path / "mine.pth")


def test_the_page_may_begin_with_a_network_that_its_picker_does_not_hold() -> None:
    own = preloaded(f"random:{NAME}", None, {})
    assert own[f"random:{NAME}"].entry.available
    assert preloaded("efficientnet_lite0", None, {}) == {}
    assert preloaded("mine", None, {"mine": embedded()}) == {}
    with pytest.raises(ModelError, match="has its weights already"):
        preloaded("mine", "file.pth", {"mine": embedded()})
    with pytest.raises(ModelError, match="no network 'nope'"):
        preloaded("nope", None, {})


# -- the table -------------------------------------------------------------------------------------------------------------------------


def test_the_table_says_of_every_network_where_its_weights_are(nothing_here: None) -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in models.table().splitlines()]
    assert rows[0] == ["name", "network", "input", "parameters", "top-1", "weights", "licence"]
    by_name = {row[0].strip("`"): row for row in rows[2:]}
    assert by_name["resnet50"][2:] == ["224×224", "25.6 M", "76.1 %", "download, 103 MB", "BSD-3-Clause"]
    assert by_name["efficientnet_lite0"][5] == "embedded"
    assert next(iter(by_name)) == "efficientnet_lite0"
