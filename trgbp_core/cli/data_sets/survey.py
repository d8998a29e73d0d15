"""The command ``survey``: many pictures → where the network looks in them, and which groups ask for a second look."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ...engine import devices
from ...evaluation.settings import chosen_methods
from ...evaluation.survey.pictures import collected
from ...evaluation.survey.report import write_report
from ...evaluation.survey.run import METHOD
from ...evaluation.survey.run import run as look_at
from ...methods import METHODS
from ..grammar import only
from ..inputs import images, network, reading
from ..options import folder, labels, model, workers


def options(command: argparse.ArgumentParser) -> None:
    labels(command)
    folder(command, "survey")
    model(command)
    command.add_argument("--method", default=METHOD, metavar="KEY", help=f"the method whose maps are grouped (default {METHOD})")
    workers(command)


def run(arguments: argparse.Namespace) -> None:
    """Run the command. Every process of a run comes through here; the first one writes and prints."""
    from ...evaluation.store import team

    device = devices.prepare(arguments.device)
    ahead = reading(arguments, device)
    method = only(chosen_methods([arguments.method]), "method", "--method")
    if METHODS[method].family == "patterns":
        raise ValueError(
            f"{METHODS[method].title} needs patterns that are learnt first, which this command cannot be given. `compare` can."
        )
    given = images(arguments)
    if not given:
        raise ValueError("Which pictures? Name a folder of them before the options, or after --images.")
    zoo = network(arguments)
    dataset = collected(given, arguments.annotations, zoo.labels)
    with team(device) as processes:
        found = look_at(zoo, dataset, arguments.out, method, team=processes, workers=ahead, shown=True)
        if processes.leads:
            print(write_report(found))
            print(Path(arguments.out) / "index.html", file=sys.stderr)
