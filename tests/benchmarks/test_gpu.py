"""``python -m benchmarks gpu``, tiny and on the processor: that it measures what it says, not how fast this machine is."""

from __future__ import annotations

import re
import sys

import pytest
import torch

from benchmarks import gpu
from benchmarks.__main__ import main

from ..support.small_sets import small_zoo

TINY = "gpu --device cpu --models tiny --batches 2 3 --repeats 1 --pictures 4 --evaluated tiny --workers 0".split()


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "load_model", lambda name, device: small_zoo().to(device))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_it_prints_a_ratio_for_every_batch_and_the_rate_of_an_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("captum")
    before = torch.backends.cudnn.allow_tf32
    assert main(TINY) == 0
    lines = capsys.readouterr().out.splitlines()
    head, row = (cells(line) for line in (lines[2], lines[4]))
    assert [name.partition(",")[0] for name in head] == [
        "network",
        "explain",
        "attribute",
        "attribute",
        "captum's guided backprop",
        "peak memory",
    ]
    assert row[0] == "tiny"
    assert all(float(ratio) > 0 for ratio in row[1:5])
    assert row[5] == "–", "only a card tells its peak"
    assert re.search(r"tr_gbp_conserving: \d+\.\d+ pictures a second, 0 reading processes", lines[-1])
    assert torch.backends.cudnn.allow_tf32 == before


def test_without_captum_its_column_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("captum", "captum.attr"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main([*TINY, "--pictures", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert cells(lines[4])[4] == "captum is not installed"
    assert "pictures a second" not in lines[-1]


def test_running_out_of_memory_is_a_cell_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large() -> None:
        raise torch.OutOfMemoryError("too large")

    assert gpu._ratio(too_large, lambda: None, torch.device("cpu"), 1) == "out of memory"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--batches", "0"], "at least 1"),
        (["--repeats", "0"], "at least 1"),
        (["--workers", "-1"], "at least 0"),
        (["--device", "tpu"], "not 'tpu'"),
    ],
)
def test_what_makes_no_sense_gets_one_line(given: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, *given]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert sentence in lines[0]
