"""``python -m benchmarks passes``: plain forward passes, in passes of the network as it is, for each number of pictures at a time."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trgbp_core.engine.devices import PERTURBED
from trgbp_core.engine.plain_passes import folded, for_scores, scores
from trgbp_core.evaluation.formatting import markdown_table
from trgbp_core.zoo.custom import loaded

from .machine import medians

NETWORKS = ("efficientnet_lite0", "random:mobilenet_v2", "random:resnet50", "random:squeezenet1_1")
TOGETHER = (PERTURBED, 2 * PERTURBED)


def add(names: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = names.add_parser("passes", help="plain forward passes: folded, in place, and how many pictures at a time")
    command.set_defaults(run=lambda given: print(table(given.models, given.repeats)))
    command.add_argument("--models", nargs="+", default=NETWORKS, metavar="MODEL")
    command.add_argument("--repeats", type=int, default=7)


def table(models: list[str] | tuple[str, ...] = NETWORKS, repeats: int = 7) -> str:
    """Milliseconds a picture of each network as it is, and of its copies as a share of that."""
    rows = []
    for name in models:
        zoo = loaded(name)
        x = torch.randn(TOGETHER[-1], 3, zoo.input_size, zoo.input_size, generator=torch.Generator().manual_seed(0))
        ways = {"as it is": zoo.network, "folded": folded(zoo.network, x[:2]), "in place": for_scores(zoo.network, x[:2])}
        work: dict[str, Callable[[], Any]] = {
            f"{way}, {n} at a time": partial(_passes, network, x, n) for n in TOGETHER for way, network in ways.items()
        }
        seconds = medians(work, repeats)
        first = next(iter(seconds.values()))
        rows.append([name, f"{1e3 * first / len(x):.1f}", *(f"{value / first:.2f}" for value in seconds.values())])
    return markdown_table(["network", "ms a picture", *work], rows, "l" + "r" * (1 + len(work)))


def _passes(network: nn.Module, x: Tensor, together: int) -> None:
    scores(network, lambda start, stop: x[start:stop].clone(), len(x), batch=together)
