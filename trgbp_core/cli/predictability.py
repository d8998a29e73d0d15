"""The command ``predictability``: how well every method's maps can be predicted (:mod:`trgbp_core.evaluation.predictability_table`)."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..engine import devices
from ..evaluation.formatting import markdown_table
from ..evaluation.settings import chosen_methods
from ..methods import METHODS
from ..theory.coverage import coverage
from .inputs import labelled_pictures, network
from .options import labels, methods, model, seed


def options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    labels(command)
    model(command)
    methods(command, "all")
    add("--limit", type=int, default=24, metavar="N", help="pictures, drawn at random (default 24)")
    add("--slow", type=int, default=6, metavar="N", help="pictures for methods of more than --cost passes (default 6)")
    add("--cost", type=float, default=60, help="see --slow (default 60 forward passes a map)")
    add("--frames", type=int, metavar="N", help="the boundary alone, from one map of each of N pictures, or from --results")
    add("--results", type=Path, metavar="CSV", help="results.csv of `evaluate`: the boundary of its methods is taken from all its pictures")
    seed(command)


def run(arguments: argparse.Namespace) -> None:
    """Print the table, a line as soon as its method is measured, the fastest first."""
    from ..evaluation import predictability_table as tables
    from ..evaluation.predictability_table import RAW, PictureSample

    device = devices.prepare(arguments.device)
    if min(arguments.limit, arguments.slow, 2 if arguments.frames is None else arguments.frames) < 2 or arguments.seed < 0:
        raise ValueError("--limit, --slow and --frames are at least 2, --seed at least 0.")
    keys = chosen_methods(arguments.methods)
    zoo = network(arguments.model, device)
    dataset = labelled_pictures(arguments, zoo)
    boundaries = {} if arguments.results is None else tables.read_boundaries(arguments.results)
    if arguments.frames is not None:
        sample = PictureSample(zoo, dataset, arguments.frames, arguments.seed)
        measured, refused = tables.measure_boundaries([key for key in (RAW, *keys) if key not in boundaries], sample)
        print(markdown_table(tables.BOUNDARY_HEAD))
        print("\n".join(tables.boundary_lines((RAW, *keys), boundaries | measured, refused, arguments.seed)))
        return
    covered = coverage(zoo.network, (1, len(zoo.mean), zoo.input_size, zoo.input_size))
    print(markdown_table(tables.HEAD), flush=True)
    for key in (RAW, *sorted(keys, key=lambda key: METHODS[key].cost)):
        slow = key != RAW and METHODS[key].cost > arguments.cost
        sample = PictureSample(zoo, dataset, arguments.slow if slow else arguments.limit, arguments.seed)
        print(tables.line(key, sample, covered, boundaries.get(key)), flush=True)
