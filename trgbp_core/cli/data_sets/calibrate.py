"""The command ``calibrate``: labelled pictures → the table that says how often the network errs where the frame of a map is strong."""

from __future__ import annotations

import argparse

from ...engine import devices
from ...evaluation import calibration
from ..inputs import labelled_pictures, network
from ..options import file, labels, model


def options(command: argparse.ArgumentParser) -> None:
    labels(command)
    model(command)
    file(command, "the table; the page reads assets/calibration/MODEL.json")


def run(arguments: argparse.Namespace) -> None:
    """Measure, write the table, and print what it says."""
    device = devices.prepare(arguments.device)
    zoo = network(arguments, device)
    measured = calibration.measure(labelled_pictures(arguments, zoo), zoo, shown=True)
    given = "".join(f" --{name} {name.upper()}" for name in ("annotations", "weights") if getattr(arguments, name) is not None)
    which = f"--network {arguments.network[0]}" if arguments.network else f"--model {zoo.name}"
    table = calibration.tabulate(measured, zoo, f"trgbp calibrate --images IMAGES{given} {which} --out FILE")
    table.save(arguments.out)
    print(calibration.describe(table, measured))
