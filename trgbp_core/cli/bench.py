"""The command ``bench``: speed, as ratios within one run. The measurements are in the folder ``benchmarks`` of the repository."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from ..engine import devices
from .options import folder, models, threads


def options(command: argparse.ArgumentParser) -> None:
    models(command, "--models", help="networks (random:NAME needs no weights)")
    command.add_argument("--repeats", type=int, help="rounds (default 10; 5 with --compare, 3 with --methods and --scale)")
    threads(command, 2)
    kinds = command.add_mutually_exclusive_group()
    kinds.add_argument("--methods", action="store_true", help="the time of every method instead")
    kinds.add_argument("--compare", action="store_true", help="the same work by captum, zennit and grad-cam instead, where installed")
    kinds.add_argument("--scale", action="store_true", help="growth with size, classes, depth and batch instead, as table and plot")
    folder(command, what="folder of the plot of --scale")


def run(arguments: argparse.Namespace) -> None:
    """Print the table that was chosen.

    Raises:
        ValueError: an option that makes no sense, or the benchmarks are not installed.
    """
    usual = 3 if arguments.methods or arguments.scale else 5 if arguments.compare else 10
    repeats = usual if arguments.repeats is None else arguments.repeats
    if repeats < 1:
        raise ValueError("--repeats is at least 1.")
    device = devices.prepare(arguments.device)
    if device.type != "cpu" and (arguments.compare or arguments.scale):
        raise ValueError("--compare and --scale measure the processor; `python -m benchmarks gpu` measures a graphics card.")
    speed = _benchmark("speed")
    names = arguments.models or speed.NETWORKS
    if arguments.methods:
        for name in arguments.models or [speed.NETWORKS[-1]]:
            for line in speed.bench_methods(name, repeats=repeats, device=device):
                print(line, flush=True)
    elif arguments.compare:
        print(_benchmark("peers").compare(names, repeats=repeats))
    elif arguments.scale:
        print(_benchmark("scale").report(arguments.out, repeats=repeats))
    else:
        print(speed.bench(names, repeats=repeats, device=device))


def _benchmark(name: str) -> Any:
    try:
        return importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        if error.name != "benchmarks":
            raise
        raise ValueError("The benchmarks are not installed with the package; run `bench` in the repository's folder.") from error
