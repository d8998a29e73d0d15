"""The benchmark command's tables: that they measure what they say, not how fast this machine is."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from torch import nn

from benchmarks import machine, peers, scale
from trgbp_core.cli.main import main


def test_traffic_counts_what_an_operation_reads_and_writes() -> None:
    a, b = torch.zeros(1000), torch.zeros(1000)
    assert machine.traffic(lambda: a + b) == 3 * 4000
    assert machine.traffic(lambda: a.view(10, 100).T) == 0


def test_peak_memory_sees_what_is_taken_and_given_back() -> None:
    peak = machine.peak_memory(lambda: torch.ones(1 << 24).sum())
    if not sys.platform.startswith("linux"):
        assert peak is None
        return
    assert peak is not None
    assert 60e6 < peak < 200e6  # 64 MiB and the sum's crumbs


def test_exponents_are_the_slopes() -> None:
    points = tuple(scale.Point(str(n), n, 3e-3 * n**1.5, 1e-3, 100 * n) for n in (1, 2, 4, 8))
    series = scale.Series("made up", "things", "1.5", points)
    time, memory = series.exponent(lambda p: p.seconds), series.exponent(lambda p: p.memory)
    assert time is not None
    assert math.isclose(time, 1.5)
    assert memory is not None
    assert math.isclose(memory, 1)
    assert "time^1.50, memory^1.00" in scale.table([series])


def test_a_missing_memory_is_not_fitted() -> None:
    series = scale.Series("made up", "things", "1", tuple(scale.Point(str(n), n, float(n), 1.0, None) for n in (1, 2)))
    assert series.exponent(lambda p: p.memory) is None
    assert "–" in scale.table([series])


def test_bench_prints_every_column_for_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    assert main(["bench", "--models", "random:squeezenet1_1", "--repeats", "1", "--threads", str(threads + 1)]) == 0
    assert torch.get_num_threads() == threads
    header, _, row = capsys.readouterr().out.splitlines()[-3:]
    assert header.count("|") == row.count("|")
    numbers = [float(cell.split()[0].strip("+%")) for cell in row.split("|")[2:-1]]
    assert all(n > 0 for i, n in enumerate(numbers) if i != 3)  # the cost of the maps may read as nothing on a noisy machine


def test_peers_do_the_same_work_as_ours() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6)
    )
    by = [row[2] for row in peers.rows("small", network.eval(), torch.randn(1, 3, 16, 16), 1)]
    assert by.count("TR-GBP Explorer") == 2
    named = {
        "hooks and autograd, bias gradients",
        "captum GuidedBackprop, one batch",
        "zennit GuidedBackprop, one batch",
        "grad-cam FullGrad",
    }
    assert named <= set(by)
    assert network[2].inplace


def test_only_one_kind_of_bench_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--scale", "--compare"]) == 2
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(("asked", "rounds"), [(["--compare"], 5), (["--scale"], 3), (["--compare", "--repeats", "2"], 2)])
def test_each_kind_of_bench_has_its_usual_number_of_rounds(
    asked: list[str], rounds: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "compare", lambda names, *, repeats: f"{repeats} rounds")
    monkeypatch.setattr(scale, "report", lambda folder, *, repeats: f"{repeats} rounds")
    main(["bench", *asked])
    assert capsys.readouterr().out == f"{rounds} rounds\n"
