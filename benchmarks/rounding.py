"""``python -m benchmarks.rounding``: how far float32 maps are apart that differ in the order of their sums alone.

One network's explanations of the example pictures are computed by processes of other instruction sets and thread counts, in the two memory
layouts, and in a batch. A convolution's float32 sum depends on its order in the seventh digit. That alone would be harmless; but a
rectifier's input near its threshold lies on one side or on the other of it, and the guided rule (Eq. 4) lets the gradient through or not:
the map jumps. Printed are the number of such units and the largest difference of a map, relative to the map's largest magnitude.
"""

from __future__ import annotations

import argparse
import copy
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from trgbp_core import TRGBP, load_model
from trgbp_core.data import images
from trgbp_core.explorer.export_code import INSTRUCTION_SETS

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "assets" / "examples").glob("*.jpg"))
PROCESSES = [
    *({"threads": str(n)} for n in (1, 2, 4)),
    *({"threads": str(n), "ONEDNN_MAX_CPU_ISA": isa} for isa in ("AVX2", "AVX512_CORE") for n in (1, 2, 4)),
    *({"threads": str(n), "ATEN_CPU_CAPABILITY": isa} for isa in ("default", "avx2", "avx512") for n in (1, 2)),
]
"""The first is the reference. What is not set is as torch chooses."""

WAYS = ("one picture", "channels last", "batch", "float64")
KINDS = ("R̃", "TR-GBP", "conserving", "guided backprop")


def _note(notes: list[Tensor], module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    notes.append((output > 0) & (output < (6 if isinstance(module, nn.ReLU6) else torch.inf)))


class Gates:
    """Which units of the rectifier modules of a copy of ``network`` let the gradient through, in the latest forward pass."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.open = copy.deepcopy(network), list[Tensor]()
        for module in self.network.modules():
            if isinstance(module, nn.ReLU | nn.ReLU6):
                module.register_forward_hook(partial(_note, self.open))

    def taken(self) -> np.ndarray:
        """(N, units) of the forward pass before."""
        found = torch.cat([gates.flatten(1) for gates in self.open], 1).numpy()
        self.open.clear()
        return found


def computed(network: str, ways: list[str]) -> dict[str, np.ndarray]:
    """By way: ``maps`` (pictures, kinds, H, W) of every picture's best class, and ``gates`` (pictures, units)."""
    zoo = load_model(network)
    x = torch.cat([zoo.preprocess(images.read(path)) for path in EXAMPLES])
    found = {}
    for way in ways:
        dtype = torch.float64 if way == "float64" else torch.float32
        layout = torch.channels_last if way == "channels last" else torch.contiguous_format
        gates = Gates(zoo.network)
        network_here, pictures = gates.network.to(dtype).to(memory_format=layout), x.to(dtype).contiguous(memory_format=layout)
        if way == "batch":
            batch = TRGBP(network_here).explain_batch(pictures)
            kinds = [batch.attribution()[0], batch.attribution("conserving")[0], batch.guided[0]]
            maps = torch.stack([torch.full_like(kinds[0], torch.nan), *kinds], 1)
            found[f"{way}/gates"] = gates.taken()
        else:
            rows, opened = [], []
            for picture in pictures.split(1):
                e = TRGBP(network_here).explain(picture)
                k = e.top5[0]
                rows.append(torch.stack([e.raw(k), e.attribution(k), e.attribution(k, "conserving"), e.layer_raw(0, k)], 1)[0])
                opened.append(gates.taken())
            maps, found[f"{way}/gates"] = torch.stack(rows), np.concatenate(opened)
        found[f"{way}/maps"] = maps[:, :, 0].double().numpy()
    return found


def line(what: str, found: dict[str, np.ndarray], way: str, reference: dict[str, np.ndarray]) -> str:
    maps, expected = found[f"{way}/maps"], reference["one picture/maps"]
    gap = np.abs(maps - expected).max((2, 3)) / np.abs(expected).max((2, 3))
    units = (found[f"{way}/gates"] != reference["one picture/gates"]).sum(1)
    cells = ["–" if np.isnan(worst) else f"{worst:.0e}" if worst else "0" for worst in gap.max(0)]
    return f"| {what} | {units.max()} | {' | '.join(cells)} |"


def process(settings: dict[str, str], network: str, ways: list[str], folder: Path) -> dict[str, np.ndarray]:
    environment = {name: value for name, value in os.environ.items() if name not in INSTRUCTION_SETS}
    environment |= {name: value for name, value in settings.items() if name in INSTRUCTION_SETS}
    command = [sys.executable, "-m", "benchmarks.rounding", "--network", network, "--threads", settings["threads"], "--ways", *ways]
    subprocess.run([*command, "--out", str(folder / "found.npz")], cwd=ROOT, env=environment, check=True, timeout=1800)
    with np.load(folder / "found.npz") as stored:
        return dict(stored)


def table(network: str) -> None:
    """Print it line by line: every process against the first, largest difference over the pictures."""
    machine = f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores"
    print(f"{network}, {len(EXAMPLES)} pictures, {machine}; reference: {PROCESSES[0]['threads']} thread, one picture at a time\n")
    print(f"| another | units | {' | '.join(KINDS)} |\n|---|---:|{'---:|' * len(KINDS)}")
    reference: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        for settings in PROCESSES:
            ways = list(WAYS) if not reference else ["one picture"]
            found = process(settings, network, ways, Path(folder))
            reference = reference or found
            words = ", ".join(f"{name} {value}" for name, value in settings.items())
            for way in ways:
                print(line(words if way == "one picture" else f"{words}, {way}", found, way, reference), flush=True)
        found = process(PROCESSES[0], network, ["one picture"], Path(folder))
        print(line("the first once more", found, "one picture", reference))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", default="efficientnet_lite0")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--ways", nargs="+", choices=WAYS)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.out is None:
        table(given.network)
    else:
        torch.set_num_threads(given.threads)
        np.savez(given.out, **computed(given.network, given.ways))  # type: ignore[arg-type]
