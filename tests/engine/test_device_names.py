"""Where things are computed: how a device is named, and the sentence for one that is not there."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest
import torch

import app
from trgbp_core import load_model
from trgbp_core.cli.main import main
from trgbp_core.engine import devices
from trgbp_core.serving.server import page_device

ROOT = Path(__file__).parents[2]
LION = str(ROOT / "assets" / "examples" / "cheetah_and_lion.jpg")
CARDS = torch.cuda.is_available()
COMPUTING = "explain compare patterns cascade evaluate calibrate predict predictability figure handouts bench".split()


def test_without_a_name_it_is_cuda_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.pick() == devices.pick("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.pick() == devices.pick("auto") == torch.device("cuda")
    assert devices.pick("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cuda", "There is no CUDA device here"),
        ("cuda:1", "There is no CUDA device here"),
        ("tpu", "auto, cpu, cuda .* or mps, not 'tpu'"),
        ("meta", "not 'meta'"),
        ("cuda:one", "not 'cuda:one'"),
        ("", "not ''"),
        ("mps", "There is no MPS device here"),
    ],
)
def test_a_device_that_is_not_there_gets_a_sentence(name: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(devices.DeviceError, match=sentence):
        devices.pick(name)
    with pytest.raises(devices.DeviceError, match=sentence):
        load_model("efficientnet_lite0", device=name)


def test_a_second_card_that_is_not_there_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert devices.pick("cuda:0") == torch.device("cuda", 0)
    with pytest.raises(devices.DeviceError, match=r"no cuda:1 here; the last one is cuda:0"):
        devices.pick("cuda:1")


def test_where_there_is_no_float64_what_needs_it_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.prepare("mps", float64=False) == torch.device("mps")
    for command in ("compare", "evaluate"):
        assert main([command, *ARGUMENTS[command], "--device", "mps"]) == 2
    with pytest.raises(devices.DeviceError, match="computes no float64, which this needs: give --device cpu"):
        devices.prepare("mps")


def test_a_card_takes_more_at_a_time_and_has_pictures_read_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    there = torch.device("cuda")
    assert devices.explained_together(devices.CPU) == 4 < devices.explained_together(there)
    assert devices.perturbed_together(devices.CPU) == 5 < devices.perturbed_together(there)
    assert devices.reading_processes(devices.CPU) == 0
    assert devices.layout(devices.CPU) != devices.layout(there)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(16), raising=False)
    assert devices.reading_processes(there) == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert devices.reading_processes(there) == 1


def test_on_a_card_our_programs_compute_in_full_float32_and_the_library_leaves_that_to_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    before = torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = True
        devices.pick("cuda")
        assert torch.backends.cudnn.allow_tf32
        devices.prepare("cuda")
        assert not torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("command", COMPUTING)
def test_every_command_that_computes_takes_a_device(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--device DEVICE" in text
    assert ("(default: cpu)" if command == "bench" else "(default: cuda if there is one)") in text


ARGUMENTS = {
    "explain": [LION],
    "compare": [LION],
    "cascade": [LION],
    "predict": [LION],
    "patterns": ["assets/examples", "--out", "OUT"],
    "evaluate": ["--images", "assets/examples"],
    "predictability": ["--images", "assets/examples"],
    "calibrate": ["--images", "assets/examples", "--out", "OUT"],
    "figure": ["5"],
    "handouts": [],
    "bench": [],
}


@pytest.mark.parametrize("command", COMPUTING)
def test_a_command_refuses_a_device_that_does_not_exist_in_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, *ARGUMENTS[command], "--device", "tpu"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines == ["trgbp: A device is auto, cpu, cuda (cuda:1 for the second card) or mps, not 'tpu'."]


@pytest.mark.skipif(CARDS, reason="there is a card here")
def test_asking_for_a_card_without_one_ends_with_exit_code_2_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", LION, "--device", "cuda"]) == 2
    with pytest.raises(SystemExit) as ended:
        app.launch(["--device", "cuda"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("There is no CUDA device here") == 2


def test_the_page_refuses_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app.launch(["--device", "tpu"])
    assert ended.value.code == 2
    assert "not 'tpu'" in capsys.readouterr().err


def test_a_zerogpu_space_stays_on_the_processor_unless_a_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # the package says so, whether or not a card is lent just now
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    before = torch.backends.cudnn.allow_tf32
    try:
        assert page_device("auto") == torch.device("cuda")
        monkeypatch.setenv("SPACES_ZERO_GPU", "true")
        assert page_device("auto") == torch.device("cuda"), "without the package it is an ordinary machine"
        monkeypatch.setitem(sys.modules, "spaces", argparse)  # any module
        assert page_device("auto") == page_device(None) == torch.device("cpu")
        assert page_device("cuda") == torch.device("cuda")
    finally:
        torch.backends.cudnn.allow_tf32 = before
