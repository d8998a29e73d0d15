"""The command ``calibrate``: labelled pictures → the table that says how often the network errs where the frame of a map is strong."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..engine import devices
from ..evaluation import calibration
from .inputs import labelled_pictures, network
from .options import labels, model, weights


def options(command: argparse.ArgumentParser) -> None:
    labels(command)
    model(command)
    weights(command)
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the table; the page reads assets/calibration/MODEL.json")


def run(arguments: argparse.Namespace) -> None:
    """Measure, write the table, and print what it says."""
    device = devices.prepare(arguments.device)
    if arguments.out.is_dir():
        raise ValueError(f"{arguments.out} is a folder; --out names a file.")
    zoo = network(arguments.model, device, arguments.weights)
    measured = calibration.measure(labelled_pictures(arguments, zoo), zoo, shown=True)
    given = "".join(f" --{name} {name.upper()}" for name in ("images", "annotations", "weights") if getattr(arguments, name) is not None)
    table = calibration.tabulate(measured, zoo, f"python -m trgbp_core calibrate{given} --model {zoo.name} --out FILE")
    table.save(arguments.out)
    print(calibration.describe(table, measured))
