"""The command ``predictability``: how well every method's maps can be predicted (:mod:`trgbp_core.evaluation.predictability_table`)."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...engine import devices
from ...evaluation.formatting import markdown_table
from ...evaluation.settings import chosen_methods
from ...methods import METHODS
from ...theory.coverage import coverage
from ..inputs import labelled_pictures, network
from ..options import folder_as_well, labels, methods, model, write
from ..options import seed as seed_option


def options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    labels(command)
    model(command)
    methods(command, "all")
    folder_as_well(command)
    add("--limit", type=int, default=24, metavar="N", help="pictures, drawn at random (default 24)")
    add("--slow", type=int, default=6, metavar="N", help="pictures for methods of more than --cost passes (default 6)")
    add("--cost", type=float, default=60, help="see --slow (default 60 forward passes a map)")
    add("--frames", type=int, metavar="N", help="the boundary alone, from one map of each of N pictures, or from --results")
    add("--results", type=Path, metavar="CSV", help="results.csv of `evaluate`: the boundary of its methods is taken from all its pictures")
    seed_option(command)


def run(arguments: argparse.Namespace) -> None:
    """Print the table, a line as soon as its method is measured, the fastest first."""
    from ...evaluation import predictability_table as tables
    from ...evaluation.predictability_table import RAW, PictureSample

    device = devices.prepare(arguments.device)
    if min(arguments.limit, arguments.slow, 2 if arguments.frames is None else arguments.frames) < 2 or arguments.seed < 0:
        raise ValueError("--limit, --slow and --frames are at least 2, --seed at least 0.")
    keys, seed = chosen_methods(arguments.methods, "all"), arguments.seed
    zoo = network(arguments, device)
    dataset = labelled_pictures(arguments, zoo)
    boundaries = {} if arguments.results is None else tables.read_boundaries(arguments.results)
    if arguments.frames is not None:
        sample = PictureSample(zoo, dataset, arguments.frames, seed)
        measured, refused = tables.measure_boundaries([key for key in (RAW, *keys) if key not in boundaries], sample)
        text = "\n".join([markdown_table(tables.BOUNDARY_HEAD), *tables.boundary_lines((RAW, *keys), boundaries | measured, refused, seed)])
        print(text)
        write(arguments.out, "predictability.md", text)
        return
    covered = coverage(zoo.network, (1, len(zoo.mean), zoo.input_size, zoo.input_size))
    lines = [markdown_table(tables.HEAD)]
    print(lines[0], flush=True)
    for key in (RAW, *sorted(keys, key=lambda key: METHODS[key].cost)):
        slow = key != RAW and METHODS[key].cost > arguments.cost
        sample = PictureSample(zoo, dataset, arguments.slow if slow else arguments.limit, seed)
        lines.append(tables.line(key, sample, covered, boundaries.get(key)))
        print(lines[-1], flush=True)
    write(arguments.out, "predictability.md", "\n".join(lines))
