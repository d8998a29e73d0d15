"""The command ``predict``: what theory predicts of randomised weights, what a number of draws then show, and how well the two agree."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ..data.labels import find_class
from ..engine import devices
from ..engine.recording import record
from ..evaluation.formatting import markdown_row, markdown_table
from ..theory.coverage import coverage
from ..theory.randomised_weights import draw, verdict
from ..zoo.custom import loaded
from . import inputs
from .grammar import ListedNumbers
from .options import crop, draws, folder_as_well, images, models, wanted_class, write

COLUMNS = (
    "network",
    "layers",
    "noise, by moments",
    "noise, by √(p/N)",
    "median cosine",
    "expected by theory",
    "uniform map",
    "cosine of the sum",
    "uniform map",
)
HEAD = markdown_table(COLUMNS)
LAYER_COLUMNS = ("layer", "rectified", "ε predicted", "noise's share, measured", "√(p/N)", "cosine", "expected", "uniform")


def options(command: argparse.ArgumentParser) -> None:
    images(command, "PICTURE", "the picture")
    models(command)
    wanted_class(command)
    crop(command)
    draws(command)
    what = "a table of every layer as well, or of these, from 1 on"
    command.add_argument("--layers", "--layer", nargs="*", action=ListedNumbers, metavar="L", help=what)
    folder_as_well(command)


def run(arguments: argparse.Namespace) -> None:
    """Print the tables; every network is drawn ``--seeds`` times."""
    if arguments.seeds < 2:
        raise ValueError("--seeds is at least 2: one draw has no spread.")
    device = devices.prepare(arguments.device)
    picture, summaries, details = inputs.picture(arguments), [], []
    for source in inputs.networks(arguments, device):
        zoo = loaded(source, device)
        x = zoo.preprocess(picture, arguments.crop)
        k = int(record(zoo.network, x).logits.argmax()) if arguments.wanted is None else find_class(arguments.wanted, zoo.labels)
        summary, layers = tables(zoo.network, x, k, zoo.name, seeds=arguments.seeds, layers=arguments.layers)
        summaries.append(summary)
        details += [] if arguments.layers is None else [f"{zoo.name}\n\n{layers}"]
    head = f"{arguments.seeds} draws; in brackets: layers that a rectifier follows / that none follows."
    text = "\n\n".join([head, "\n".join([HEAD, *summaries]), *details])
    print(text)
    write(arguments.out, "predict.md", text)


def tables(network: nn.Module, x: Tensor, k: int, name: str, *, seeds: int, layers: Sequence[int] | None = None) -> tuple[str, str]:
    """One network's line under :data:`HEAD`, and the table of its layers.

    Args:
        layers: those to list, from 1 on; all if none is named.

    Raises:
        ValueError: there is no such layer.
    """
    predicted = coverage(network, x.shape)
    for index in layers or ():
        if not 1 <= index <= len(predicted):
            raise ValueError(f"{name} has the layers 1 to {len(predicted)}; there is no layer {index}.")
    *_, drawn = draw(network, x, k, seeds=seeds)
    found = verdict(predicted, drawn)

    def three(value: Callable[[bool | None], float]) -> str:
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
    rows = []
    for layer in [found.layers[index - 1] for index in layers] if layers else found.layers:
        numbers = (layer.predicted, layer.noise, layer.rule, layer.cosine, layer.expected, layer.uniform)
        rows.append([layer.name, "yes" if layer.rectified else "no", *map(_number, numbers)])
    return markdown_row(cells), markdown_table(LAYER_COLUMNS, rows, "ll" + "r" * 6)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else "∞" if math.isinf(value) else f"{value:.2f}"
