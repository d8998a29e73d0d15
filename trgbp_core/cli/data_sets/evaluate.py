"""The command ``evaluate``: a folder of pictures → the paper's tables and curves."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from ...data import datasets
from ...data.datasets import Dataset
from ...engine import devices
from ...engine.devices import EXPLAINED, EXPLAINED_ON_A_CARD
from ...evaluation.settings import TARGETS, Settings, chosen_methods
from ...zoo.custom import loaded
from ...zoo.loading import Zoo
from ..grammar import Listed
from ..inputs import labelled_pictures, networks, reading
from ..options import folder, labels, methods, models, seed, workers


def options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    labels(command)
    add("--boxes", type=Path, metavar="DIR", help="PASCAL-style XML files, named like the pictures")
    folder(command, "evaluation")
    models(command)
    methods(command, "paper")
    add(
        "--target",
        default="protocol",
        choices=TARGETS,
        help="the class to explain; protocol (default) is the label for localisation, the prediction elsewhere",
    )
    add("--limit", type=int, metavar="N", help="measure only N pictures, drawn at random")
    seed(command)
    add("--sample", type=int, default=500, help="EBPG: pictures in each of its repeated draws, all where there are fewer (default 500)")
    add("--repeats", type=int, default=5, help="EBPG: repeats (default 5)")
    add("--perturbed", type=int, metavar="N", help="perturbation curves of only N pictures, drawn at random (default: of all)")
    what = "measure pixel perturbation with these fills too, in every ranking and of either class: black, mean, blur (default none)"
    add("--fills", nargs="+", action=Listed, metavar="FILL", help=what)
    what = "deletion, insertion, infidelity and sensitivity-max of N pictures, drawn at random (default 0: leave them out)"
    add("--faithfulness", type=int, default=0, metavar="N", help=what)
    add("--mosaics", type=int, default=25, help="mosaics of the grid pointing game (default 25; 0 leaves it out)")
    add("--sanity", type=int, default=8, metavar="N", help="pictures of the sanity checks (default 8; 0 leaves them out)")
    add("--stages", type=int, default=12, help="steps of the sanity checks at which maps are compared (default 12)")
    add("--batch", type=int, help=f"pictures that are explained together (default {EXPLAINED}; {EXPLAINED_ON_A_CARD} on a graphics card)")
    workers(command)


def run(arguments: argparse.Namespace) -> None:
    """Run the command. Every process of a run comes through here; the first one writes and prints."""
    from ...evaluation.further.networks import evaluate_networks
    from ...evaluation.report import evaluate
    from ...evaluation.store import team

    device = devices.prepare(arguments.device)
    values = {field.name: getattr(arguments, field.name) for field in fields(Settings) if field.name != "model"}
    values["methods"] = chosen_methods(arguments.methods)
    values["fills"] = tuple(arguments.fills or ())
    values["batch"] = devices.explained_together(device) if arguments.batch is None else arguments.batch
    settings = Settings(**values)
    ahead = reading(arguments, device)
    sources = networks(arguments, devices.CPU)
    with team(device) as processes:
        each = (_with_pictures(source, arguments, processes.leads) for source in sources)
        if len(sources) == 1:
            ((zoo, dataset),) = each
            said = evaluate(zoo, dataset, arguments.out, settings, processes=processes, workers=ahead, shown=True)
        else:
            names = [source if isinstance(source, str) else source.name for source in sources]
            said = evaluate_networks(each, names, arguments.out, settings, processes=processes, workers=ahead, shown=True)
        if processes.leads:
            print(said)


def _with_pictures(source: Zoo | str, arguments: argparse.Namespace, leads: bool) -> tuple[Zoo, Dataset]:
    """A network, loaded now, and the pictures with its labels."""
    zoo = loaded(source)
    try:
        dataset = labelled_pictures(arguments, zoo)
    except ValueError as error:
        raise ValueError(f"{zoo.title}: {error}") from None
    if leads:
        print(
            f"{zoo.title}, {dataset.layout}: {len(dataset.samples)} pictures. {datasets.tally(dataset.problems)}",
            file=sys.stderr,
            flush=True,
        )
    return zoo, dataset
