"""The command ``predict``: what theory foretells of randomised weights, what a number of draws then show, and how well the two agree."""

from __future__ import annotations

import argparse
import math
from typing import Any

HELP = "what theory foretells of noise and of randomised weights, and what draws then show, layer by layer and in all"


HEAD = (
    "| network | layers | noise, by moments | noise, by √(p/N) | median cosine | expected by theory | uniform map | cosine of the sum "
    "| uniform map |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``predict``."""
    add = command.add_argument
    add("picture", metavar="PICTURE")
    add("--models", nargs="+", default=["efficientnet_lite0"], metavar="MODEL", help="networks (random:NAME needs no weights)")
    add("--class", dest="wanted", default=None, metavar="K|NAME", help="the class to explain (default: the best)")
    add("--seeds", type=int, default=5, help="draws for the fully randomised network (default 5)")
    add("--layers", action="store_true", help="a table of every layer as well")


def run(arguments: argparse.Namespace) -> None:
    """Print the tables; every network is drawn ``--seeds`` times."""
    from ..data import images
    from ..data.labels import find_class
    from ..engine import devices
    from ..engine.recording import record
    from ..zoo.download_progress import on_terminal
    from ..zoo.loading import load_model

    if arguments.seeds < 2:
        raise ValueError("--seeds is at least 2: one draw has no spread.")
    device = devices.prepare(arguments.device)
    picture, summaries, details = images.read(arguments.picture), [], []
    for name in arguments.models:
        with on_terminal(name) as progress:
            zoo = load_model(name, device=device, progress=progress)
        x = zoo.preprocess(picture)
        k = int(record(zoo.network, x).logits.argmax()) if arguments.wanted is None else find_class(arguments.wanted, zoo.labels)
        summary, layers = tables(zoo.network, x, k, zoo.name, seeds=arguments.seeds)
        summaries.append(summary)
        details += [f"{zoo.name}\n\n{layers}"] if arguments.layers else []
    print(f"{arguments.seeds} draws; in brackets: layers that a rectifier follows / that none follows.\n")
    print("\n\n".join(["\n".join([HEAD, *summaries]), *details]))


def tables(network: Any, x: Any, k: int, name: str, *, seeds: int) -> tuple[str, str]:
    """One network's line under :data:`HEAD`, and the table of its layers."""
    from ..theory.coverage import coverage
    from ..theory.randomised_weights import draw, verdict

    predicted = coverage(network, x.shape)
    *_, draws = draw(network, x, k, seeds=seeds)
    found = verdict(predicted, draws)

    def three(value: Any) -> str:
        return f"{_number(value(None))} ({_number(value(True))} / {_number(value(False))})"

    cells = [
        name,
        f"{len(found.layers)} ({len(found.of(True))} / {len(found.of(False))})",
        three(lambda kind: found.correlation("predicted", kind)),
        three(lambda kind: found.correlation("rule", kind)),
        three(lambda kind: found.median("cosine", kind)),
        three(lambda kind: found.median("expected", kind)),
        three(lambda kind: found.median("uniform", kind)),
        f"{found.total:.4f}",
        f"{found.total_uniform:.4f}",
    ]
    lines = [
        "| layer | rectified | ε predicted | noise's share, measured | √(p/N) | cosine | expected | uniform |",
        "|---|---|" + "---:|" * 6,
    ]
    for layer in found.layers:
        numbers = (layer.predicted, layer.noise, layer.rule, layer.cosine, layer.expected, layer.uniform)
        lines.append(f"| {layer.name} | {'yes' if layer.rectified else 'no'} | {' | '.join(map(_number, numbers))} |")
    return f"| {' | '.join(cells)} |", "\n".join(lines)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else "∞" if math.isinf(value) else f"{value:.2f}"
