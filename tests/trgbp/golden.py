"""Reference maps that pin the engine's results, whatever is done to make it faster.

Made with ``python -m tests.trgbp.golden`` from seeded random weights and seeded noise in float64; :mod:`test_golden` compares. Make them
anew only when the method itself is meant to change, and with ``--only WORD`` no more of it than is.
"""

from __future__ import annotations

import argparse
import copy
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core import TRGBP

from ..support import nets, zoo

FILE = Path(__file__).with_name("golden.npz")
ARCHITECTURES = ("vgg11_bn", "resnet18", "mobilenet_v2", "efficientnet_lite0", "densenet121", "googlenet", "squeezenet1_1")
NAMES = (*nets.NETS, *ARCHITECTURES)
WHOLE, LAYER = 16, 4
"""Sides to which maps of the picture and of layers are averaged, to keep the file small."""


@cache
def _drawn(name: str) -> nn.Module:
    return nets.randomise(nets.NETS[name]() if name in nets.NETS else zoo.network(name))


def network(name: str) -> nn.Module:
    """A network in float64 whose weights are drawn, not calibrated: calibration would carry a machine's rounding into them.

    A copy for each caller, who may convert it: a shared one that a caller had rounded to float32 would be no reference.
    """
    return copy.deepcopy(_drawn(name))


def picture(name: str, count: int = 1) -> Tensor:
    side = 32 if name in nets.NETS else zoo.SIDE
    return nets.picture(count, 3, side, side)


def small(m: Tensor, side: int) -> Tensor:
    """``m`` (..., h, w) averaged to at most side × side."""
    return F.adaptive_avg_pool2d(m.flatten(0, -3), (min(side, m.shape[-2]), min(side, m.shape[-1])))


def maps(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Everything that is pinned of one network, by name, for its best class and for one outside its top 5; ``x`` holds two pictures.

    ``layer l`` holds R̃^l of both classes, averaged; ``mass l`` the sums of |R̃^l|, which averages could hide.
    """
    explainer = TRGBP(model)
    recorded = explainer.record(x[:1])
    further = next(k for k in range(recorded.logits.shape[1]) if k not in recorded.top5)
    e = recorded.explain([recorded.top5[0], further])
    classes = e.classes[:2]
    found = {"logits": e.logits[0, list(e.top5)], "top5": torch.tensor(e.top5)}
    for index in range(len(e.layers) + 1):
        both = torch.cat([e.layer_raw(index, k) for k in classes])
        found[f"layer {index}"] = small(both, LAYER)
        found[f"mass {index}"] = both.abs().sum((1, 2, 3))
    for psi in ("paper", "conserving"):
        found[f"raw, {psi}"] = small(torch.cat([e.raw(k, psi) for k in classes]), WHOLE)
        found[f"attribution, {psi}"] = small(torch.cat([e.attribution(k, psi) for k in classes]), WHOLE)
        found[f"batch, {psi}"] = small(explainer.attribute(x, psi=psi), WHOLE)
    return found


def flat(found: dict[str, Tensor]) -> np.ndarray:
    """All of ``found`` in its order, one float32 vector: an entry of its own for each would double the file."""
    return torch.cat([tensor.flatten().to(torch.float32) for tensor in found.values()]).numpy()


def reference(name: str, like: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the file holds for ``name``, in the names and shapes of ``like``.

    Raises:
        ValueError: it holds more or fewer numbers: a layer has come or gone.
    """
    with np.load(FILE) as stored:
        values = torch.from_numpy(stored[name]).double()
    sizes = [tensor.numel() for tensor in like.values()]
    if sum(sizes) != len(values):
        raise ValueError(f"{name}: {len(values)} numbers are pinned, {sum(sizes)} were computed.")
    return {what: part.view(tensor.shape) for (what, tensor), part in zip(like.items(), values.split(sizes), strict=True)}


def anew(name: str, only: str) -> np.ndarray:
    """What the file is to hold for ``name``: entries with ``only`` in their names computed anew, the others as they are, bit for bit."""
    found = maps(network(name), picture(name, 2))
    if not only:
        return flat(found)
    kept = reference(name, found)
    return flat({what: found[what] if only in what else kept[what] for what in found})


def main(only: str = "") -> None:
    np.savez_compressed(FILE, **{name: anew(name, only) for name in NAMES})
    print(f"{FILE.name}: {len(NAMES)} networks, {FILE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", metavar="WORD", help="make anew only what has WORD in its name, such as conserving")
    main(parser.parse_args().only)
