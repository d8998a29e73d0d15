"""The same picture, class, network, seed, threads and instructions give the same bytes in every process; others, nearly the same."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from trgbp_core import TRGBP, load_model
from trgbp_core.data import images

from ..support.comparison import JUMP
from ..support.fingerprint import ROOT


def prints(*options: str) -> dict[str, str]:
    command = [sys.executable, "-m", "tests.support.fingerprint", *options]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600).stdout)


@pytest.mark.parametrize("options", [("--methods",), ("--network", "random:resnet18"), ("--threads", "2")])
def test_two_processes_give_the_same_bytes(options: tuple[str, ...]) -> None:
    """Maps, layers, a cascade stage and, for the embedded network, every method."""
    first, second = prints(*options), prints(*options)
    assert len(first) > 25
    assert [name for name in first if first[name] != second[name]] == []


def test_another_thread_count_moves_a_map_by_no_more_than_a_few_units_do() -> None:
    """Convolutions share out their sums among threads, and float32 sums depend on their order: docs/reproducibility.md says how much."""
    zoo = load_model("efficientnet_lite0")
    x = zoo.preprocess(images.read(ROOT / "assets" / "examples" / "cheetah_and_lion.jpg"))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(TRGBP(zoo.network).explain(x, [293]))
    finally:
        torch.set_num_threads(before)
    for psi in ("paper", "conserving"):
        one, two = (e.attribution(293, psi) for e in found)
        difference = float((one - two).abs().max() / one.abs().max())
        print(f"{psi}: largest difference {difference:.1e} of the map's maximum")
        assert difference < JUMP
    assert found[0].top5 == found[1].top5
