"""The command ``calibrate``: labelled pictures → the table that says how often the network errs where the frame of a map is strong."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..data import datasets
from ..engine import devices
from ..serving.memory import keep_freed_memory
from ..zoo.download_progress import on_terminal
from ..zoo.loading import load_model
from .options import labelled_pictures, model, weights


def options(command: argparse.ArgumentParser) -> None:
    labelled_pictures(command)
    model(command)
    weights(command)
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the table; the page reads assets/calibration/MODEL.json")


def run(arguments: argparse.Namespace) -> None:
    """Measure, write the table, and print what it says."""
    from ..evaluation import calibration

    keep_freed_memory()
    device = devices.prepare(arguments.device)
    if arguments.out.is_dir():
        raise ValueError(f"{arguments.out} is a folder; --out names a file.")
    with on_terminal(arguments.model) as progress:
        zoo = load_model(arguments.model, weights=arguments.weights, device=device, progress=progress)
    dataset = datasets.load(arguments.images, arguments.annotations, labels=zoo.labels)
    measured = calibration.measure(dataset, zoo, shown=True)
    given = "".join(f" --{name} {name.upper()}" for name in ("images", "annotations", "weights") if getattr(arguments, name) is not None)
    table = calibration.tabulate(measured, zoo, f"python -m trgbp_core calibrate{given} --model {zoo.name} --out FILE")
    table.save(arguments.out)
    print(calibration.describe(table, measured))
