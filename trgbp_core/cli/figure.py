"""The command ``figure``: one of the paper's figures of any pictures and any network, as PNG and PDF."""

from __future__ import annotations

import argparse
import sys

from ..drawing.render import COLOUR_MAPS
from ..engine import devices
from ..evaluation.settings import chosen_methods
from ..methods import METHODS
from ..paper_figures import FIGURES, Options, draw
from ..paper_figures.subject import read_all
from . import inputs
from .grammar import ListedNumbers
from .options import MODEL, classes, folder, images, methods, models, seed


def options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("number", nargs="?", type=int, metavar="N", help="3, 4, 5, 7, 8, 9 or 10")
    images(command, "PICTURES", "pictures, or folders of them (default: the examples)")
    models(command, f"{MODEL}; the paper drew 3, 5, 8, 10 with resnet50, 7, 9 with vgg16, 4 with both")
    classes(command, "the class to explain; several for 3, 7, 8")
    methods(command, "paper", "Figure 4: ")
    what = "Figures 9, 10: these layers instead of blocks; 0 is the picture"
    add("--layers", "--layer", nargs="+", action=ListedNumbers, metavar="L", help=what)
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
    if number is None:
        raise ValueError("Which figure? Put its number before the options. (A list ends where the next option begins.)")
    if number not in FIGURES:
        elsewhere = "1 and 2 are drawings, 6 is measured by `evaluate`"
        raise ValueError(f"There is no figure {number}; there are {', '.join(map(str, FIGURES))} ({elsewhere}).")
    if not 0 <= arguments.opacity <= 1 or not 20 <= arguments.dpi <= 600:
        raise ValueError("--opacity lies between 0 and 1, --dpi between 20 and 600.")
    chosen = Options(
        tuple(arguments.classes or ()),
        chosen_methods(arguments.methods, every=list(METHODS)),
        tuple(arguments.layers or ()),
        arguments.specific,
        arguments.seed,
        arguments.colours,
        arguments.opacity,
    )
    device = devices.prepare(arguments.device)
    pictures = read_all(inputs.images(arguments) or FIGURES[number].example_files)
    networks = inputs.networks(arguments, device)

    def report(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    for file in draw(number, pictures, networks, chosen, arguments.out, device=device, dpi=arguments.dpi, report=report):
        print(file, flush=True)
