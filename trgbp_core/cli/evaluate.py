"""The command ``evaluate``: its options, and the run from the first picture to the report."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..engine.devices import EXPLAINED, EXPLAINED_ON_A_CARD

HELP = "a folder of pictures → the paper's tables and curves, by one process or (torchrun) many; continues where it was stopped"


def options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``evaluate``."""
    add = command.add_argument
    add("--images", type=Path, required=True, metavar="DIR", help="the folder of pictures")
    add(
        "--annotations",
        type=Path,
        metavar="FILE",
        help="a CSV (image,class_index,x0,y0,x1,y1; boxes in fractions), or ImageNet's devkit; none for class folders",
    )
    add("--boxes", type=Path, metavar="DIR", help="PASCAL-style XML files, called like the pictures")
    add("--out", type=Path, default=Path("evaluation"), metavar="DIR", help="folder to write to (default evaluation)")
    add("--model", default="efficientnet_lite0", help="a network of `models` (default efficientnet_lite0)")
    add("--methods", default="paper", help="comma-separated keys, paper (default: the paper's, TR-GBP with both ψ) or all")
    add(
        "--target",
        default="protocol",
        choices=("protocol", "label", "prediction"),
        help="the class to explain; protocol (default) is the label for localisation, the prediction elsewhere",
    )
    add("--limit", type=int, metavar="N", help="measure only N pictures, drawn at random")
    add("--seed", type=int, default=0, help="of every draw (default 0)")
    add("--sample", type=int, default=500, help="EBPG: pictures in a repeat (default 500)")
    add("--repeats", type=int, default=5, help="EBPG: repeats (default 5)")
    add("--mosaics", type=int, default=25, help="mosaics of the grid pointing game (default 25; 0 leaves it out)")
    add("--sanity", type=int, default=8, metavar="N", help="pictures whose sanity is checked (default 8; 0 leaves it out)")
    add("--stages", type=int, default=12, help="stages of the cascade that are looked at (default 12)")
    add("--batch", type=int, help=f"pictures that are explained together (default {EXPLAINED}; {EXPLAINED_ON_A_CARD} on a graphics card)")
    add(
        "--workers",
        type=int,
        metavar="N",
        help="processes that read pictures ahead (default 0; up to 8 with a graphics card)",
    )
    add("--threads", type=int, help="threads of each process (default: torch's)")


def evaluate(arguments: argparse.Namespace) -> None:
    """Run the command. Every process of a run comes through here; the first one writes and prints."""
    import torch

    from ..data import datasets
    from ..engine import devices
    from ..evaluation.parallel import team
    from ..evaluation.report import write_report
    from ..evaluation.run import run, write_tables
    from ..evaluation.settings import Settings, chosen_methods
    from ..evaluation.store import Store
    from ..serving.memory import keep_freed_memory
    from ..zoo.download_progress import on_terminal
    from ..zoo.loading import load_model

    keep_freed_memory()
    values: dict[str, Any] = {f.name: getattr(arguments, f.name) for f in fields(Settings)}
    device = devices.prepare(arguments.device)
    batch = devices.explained_together(device) if arguments.batch is None else arguments.batch
    settings = Settings(**values | {"methods": chosen_methods(arguments.methods), "batch": batch})
    workers = devices.reading_processes(device) if arguments.workers is None else arguments.workers
    if workers < 0:
        raise ValueError(f"--workers is at least 0, not {workers}.")
    if arguments.threads is not None:
        if arguments.threads < 1:
            raise ValueError(f"--threads is at least 1, not {arguments.threads}.")
        torch.set_num_threads(arguments.threads)
    with on_terminal(settings.model) as progress:
        zoo = load_model(settings.model, progress=progress)
    dataset = datasets.load(arguments.images, arguments.annotations, boxes=arguments.boxes, labels=zoo.labels)
    with team(device) as here:
        store = Store(arguments.out)
        if here.leads:
            print(f"{dataset.layout}: {len(dataset.samples)} pictures. {datasets.tally(dataset.problems)}", file=sys.stderr, flush=True)
        store.open(settings.fingerprint(dataset, device.type))
        finished = run(dataset, zoo, settings, store, here, workers=workers)
        if here.leads:
            write_tables(store, finished, dataset)
            print(write_report(store, finished, dataset, zoo, settings, here))
