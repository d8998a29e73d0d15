"""The command ``figure``: its options, and the way from them to the files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..drawing.render import COLOUR_MAPS

HELP = "one of the paper's figures (3, 4, 5, 7, 8, 9, 10) of any pictures and any network, as PNG and PDF"


def options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``figure``."""
    add = command.add_argument
    add("number", type=int, metavar="N", help="3, 4, 5, 7, 8, 9 or 10")
    add("--images", type=Path, nargs="+", metavar="FILE|DIR", help="pictures, or folders of them (default: the examples)")
    add(
        "--model",
        nargs="+",
        default=["efficientnet_lite0"],
        metavar="MODEL",
        help="networks of `models` (default efficientnet_lite0; the paper drew 3, 5, 8, 10 with resnet50, 7, 9 with vgg16, 4 with both)",
    )
    add("--class", dest="classes", action="append", default=[], metavar="K|NAME", help="the class to explain; several for 3, 7, 8")
    add("--methods", default="paper", help="Figure 4: comma-separated keys, paper (default: the paper's, and the conserving ψ) or all")
    add("--layers", type=int, nargs="+", default=[], metavar="L", help="Figures 9, 10: these layers instead of blocks; 0 is the picture")
    add("--specific", action="store_true", help="Figures 9, 10: R^l, what the class has over the top 5, instead of R̃^l")
    add("--seed", type=int, default=0, help="Figures 5, 9, 10: of the random weights (default 0)")
    add("--colours", default=COLOUR_MAPS[0], choices=COLOUR_MAPS, help=f"default {COLOUR_MAPS[0]}; jet is the paper's")
    add("--opacity", type=float, default=1.0, help="of a map over its picture, 0 to 1 (default 1)")
    add("--dpi", type=int, default=150, help="of the PNG (default 150; a panel is 1.5 inches wide)")
    add("--out", type=Path, default=Path("figures"), metavar="DIR", help="folder to write to (default figures)")


def run(arguments: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        ValueError: an option that makes no sense, in a sentence.
    """
    from ..engine import devices
    from ..paper_figures import FIGURES, Options, draw
    from ..paper_figures.subject import read_all
    from ..serving.memory import keep_freed_memory

    if arguments.number not in FIGURES:
        elsewhere = "1 and 2 are drawings, 6 is measured by `evaluate`"
        raise ValueError(f"There is no figure {arguments.number}; there are {', '.join(map(str, FIGURES))} ({elsewhere}).")
    if not 0 <= arguments.opacity <= 1 or not 20 <= arguments.dpi <= 600:
        raise ValueError("--opacity lies between 0 and 1, --dpi between 20 and 600.")
    figure = FIGURES[arguments.number]
    chosen = Options(
        tuple(arguments.classes),
        chosen_methods(arguments.methods),
        tuple(arguments.layers),
        arguments.specific,
        arguments.seed,
        arguments.colours,
        arguments.opacity,
    )
    keep_freed_memory()
    device = devices.prepare(arguments.device)
    pictures = read_all(arguments.images or figure.example_files)
    for file in draw(arguments.number, pictures, arguments.model, chosen, arguments.out, device=device, dpi=arguments.dpi, tell=_tell):
        print(file, flush=True)


def chosen_methods(text: str) -> tuple[str, ...]:
    """Keys of METHODS from what was given on the command line.

    Raises:
        ValueError: there is no such method.
    """
    from ..methods import METHODS
    from ..paper_figures.methods import PAPER

    if text in ("paper", "all"):
        return PAPER if text == "paper" else tuple(METHODS)
    keys = tuple(key.strip() for key in text.split(","))
    unknown = [key for key in keys if key not in METHODS]
    if unknown:
        raise ValueError(f"There is no method {unknown[0]!r}; there are {', '.join(METHODS)}.")
    return keys


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
