"""The command ``evaluate``: a folder of pictures → the paper's tables and curves."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from ...data import datasets
from ...engine import devices
from ...engine.devices import EXPLAINED, EXPLAINED_ON_A_CARD
from ...evaluation.settings import TARGETS, Settings, chosen_methods
from ..inputs import labelled_pictures, network, reading
from ..options import MODEL, folder, labels, methods, model, seed, workers


def options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    labels(command)
    add("--boxes", type=Path, metavar="DIR", help="PASCAL-style XML files, called like the pictures")
    folder(command, "evaluation")
    model(command)
    methods(command, "paper")
    add(
        "--target",
        default="protocol",
        choices=TARGETS,
        help="the class to explain; protocol (default) is the label for localisation, the prediction elsewhere",
    )
    add("--limit", type=int, metavar="N", help="measure only N pictures, drawn at random")
    seed(command)
    add("--sample", type=int, default=500, help="EBPG: pictures in a repeat (default 500)")
    add("--repeats", type=int, default=5, help="EBPG: repeats (default 5)")
    add("--mosaics", type=int, default=25, help="mosaics of the grid pointing game (default 25; 0 leaves it out)")
    add("--sanity", type=int, default=8, metavar="N", help="pictures whose sanity is checked (default 8; 0 leaves it out)")
    add("--stages", type=int, default=12, help="stages of the cascade that are looked at (default 12)")
    add("--batch", type=int, help=f"pictures that are explained together (default {EXPLAINED}; {EXPLAINED_ON_A_CARD} on a graphics card)")
    workers(command)


def run(arguments: argparse.Namespace) -> None:
    """Run the command. Every process of a run comes through here; the first one writes and prints."""
    from ...evaluation.report import evaluate
    from ...evaluation.store import team

    device = devices.prepare(arguments.device)
    values = {field.name: getattr(arguments, field.name) for field in fields(Settings)}
    values["model"] = arguments.model or MODEL
    values["methods"] = chosen_methods(arguments.methods)
    values["batch"] = devices.explained_together(device) if arguments.batch is None else arguments.batch
    settings = Settings(**values)
    ahead = reading(arguments, device)
    zoo = network(arguments)
    dataset = labelled_pictures(arguments, zoo)
    with team(device) as processes:
        if processes.leads:
            print(f"{dataset.layout}: {len(dataset.samples)} pictures. {datasets.tally(dataset.problems)}", file=sys.stderr, flush=True)
        summary = evaluate(zoo, dataset, arguments.out, settings, processes=processes, workers=ahead, shown=True)
        if processes.leads:
            print(summary)
