"""The command ``figure``: one of the paper's figures of any pictures and any network, as PNG and PDF."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..drawing.render import COLOUR_MAPS
from ..engine import devices
from ..evaluation.settings import chosen_methods
from ..methods import METHODS
from ..paper_figures import FIGURES, Options, draw
from ..paper_figures.subject import read_all
from .options import MODEL, folder, methods, models, seed


def options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("number", type=int, metavar="N", help="3, 4, 5, 7, 8, 9 or 10")
    add("--images", type=Path, nargs="+", metavar="FILE|DIR", help="pictures, or folders of them (default: the examples)")
    drawn_with = "the paper drew 3, 5, 8, 10 with resnet50, 7, 9 with vgg16, 4 with both"
    models(command, "--model", default=[MODEL], help=f"networks of `models` (default {MODEL}; {drawn_with})")
    add("--class", dest="classes", action="append", default=[], metavar="K|NAME", help="the class to explain; several for 3, 7, 8")
    methods(command, "paper", "Figure 4: ")
    add("--layers", type=int, nargs="+", default=[], metavar="L", help="Figures 9, 10: these layers instead of blocks; 0 is the picture")
    add("--specific", action="store_true", help="Figures 9, 10: R^l, what the class has over the top 5, instead of R̃^l")
    seed(command, "Figures 5, 9, 10: of the random weights")
    add("--colours", default=COLOUR_MAPS[0], choices=COLOUR_MAPS, help=f"default {COLOUR_MAPS[0]}; jet is the paper's")
    add("--opacity", type=float, default=1.0, help="of a map over its picture, 0 to 1 (default 1)")
    add("--dpi", type=int, default=150, help="of the PNG (default 150; a panel is 1.5 inches wide)")
    folder(command, "figures")


def run(arguments: argparse.Namespace) -> None:
    """Draw the figure.

    Raises:
        ValueError: an option that makes no sense, in a sentence.
    """
    number = arguments.number
    if number not in FIGURES:
        elsewhere = "1 and 2 are drawings, 6 is measured by `evaluate`"
        raise ValueError(f"There is no figure {number}; there are {', '.join(map(str, FIGURES))} ({elsewhere}).")
    if not 0 <= arguments.opacity <= 1 or not 20 <= arguments.dpi <= 600:
        raise ValueError("--opacity lies between 0 and 1, --dpi between 20 and 600.")
    chosen = Options(
        tuple(arguments.classes),
        chosen_methods(arguments.methods, every=list(METHODS)),
        tuple(arguments.layers),
        arguments.specific,
        arguments.seed,
        arguments.colours,
        arguments.opacity,
    )
    device = devices.prepare(arguments.device)
    pictures = read_all(arguments.images or FIGURES[number].example_files)

    def report(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    for file in draw(number, pictures, arguments.model, chosen, arguments.out, device=device, dpi=arguments.dpi, report=report):
        print(file, flush=True)
