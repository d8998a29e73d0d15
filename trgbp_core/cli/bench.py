"""The command ``bench``: speed, as ratios within one run. The measurements are in the folder ``benchmarks`` of the repository."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from ..engine import devices
from ..evaluation.settings import chosen_methods
from ..methods import METHODS
from ..zoo.custom import working_folder_first
from ..zoo.loading import Zoo
from . import inputs
from .grammar import Listed
from .options import folder, models


def options(command: argparse.ArgumentParser) -> None:
    models(command, "five, four of them random")
    command.add_argument("--repeats", type=int, help="rounds (default 10; 5 with --compare, 3 with --methods and --scale)")
    kinds = command.add_mutually_exclusive_group()
    what = "the time of every method, or of these, instead"
    kinds.add_argument("--methods", "--method", nargs="*", action=Listed, metavar="KEY", help=what)
    kinds.add_argument("--compare", action="store_true", help="the same work by captum, zennit and grad-cam instead, where installed")
    kinds.add_argument("--scale", action="store_true", help="growth with size, classes, depth and batch instead, as table and plot")
    folder(command, what="folder of the plot of --scale")


def run(arguments: argparse.Namespace) -> None:
    """Print the table that was chosen.

    Raises:
        ValueError: an option that makes no sense, or the benchmarks are not installed.
    """
    methods = arguments.methods
    keys = None if methods is None else chosen_methods(methods or None, "all", every=list(METHODS))
    usual = 3 if keys or arguments.scale else 5 if arguments.compare else 10
    repeats = usual if arguments.repeats is None else arguments.repeats
    if repeats < 1:
        raise ValueError("--repeats is at least 1.")
    device = devices.prepare(arguments.device)
    if device.type != "cpu" and (arguments.compare or arguments.scale):
        raise ValueError("--compare and --scale measure the processor; `python -m benchmarks gpu` measures a graphics card.")
    speed = _benchmark("speed")
    if arguments.scale:
        if arguments.models or arguments.network or arguments.weights:
            raise ValueError("--scale measures networks of its own: leave --models, --network and --weights out.")
        print(_benchmark("scale").report(arguments.out, repeats=repeats))
        return
    networks: list[Zoo | str] = inputs.networks(arguments, device, speed.NETWORKS[-1:] if keys else speed.NETWORKS)
    if keys:
        for source in networks:
            for line in speed.bench_methods(source, repeats=repeats, device=device, keys=keys):
                print(line, flush=True)
    elif arguments.compare:
        print(_benchmark("peers").compare(networks, repeats=repeats))
    else:
        print(speed.bench(networks, repeats=repeats, device=device))


def _benchmark(name: str) -> Any:
    working_folder_first()
    try:
        return importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        if error.name != "benchmarks":
            raise
        raise ValueError("The benchmarks are not installed with the package; run `bench` in the repository's folder.") from error
