"""The command line: ``trgbp COMMAND``, or ``python -m trgbp_core COMMAND``. Whatever is wrong is one line on stderr and exit code 2."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from ..data.version import VERSION
from ..engine import devices
from ..explorer.lessons import handouts
from ..page import command as page
from ..serving.memory import keep_freed_memory
from . import bench, cascade, compare, explain, figure, models, patterns, predict
from .data_sets import calibrate, evaluate, predictability, survey
from .grammar import Command, Parser
from .options import check_folder, threads

COMMANDS: dict[str, tuple[Any, str]] = {
    "page": (page, "the page in the browser; also what `trgbp` does without a command"),
    "explain": (explain, "explain one picture: overlays, maps (PNG, .npy) and the top 5"),
    "compare": (compare, "every method on one picture, and one figure of them all"),
    "patterns": (patterns, "learn the patterns of PatternNet and PatternAttribution from a folder of pictures"),
    "cascade": (cascade, "randomise layer by layer; print how the maps follow, and what theory predicted"),
    "evaluate": (
        evaluate,
        "a folder of pictures → the paper's tables and curves, by one process or (torchrun) many; continues where it was stopped",
    ),
    "survey": (survey, "many pictures → where the network looks in them, grouped; groups that ask for a second look are flagged"),
    "calibrate": (calibrate, "labelled pictures → the table that says how often the network errs where the frame of a map is strong"),
    "predict": (predict, "what theory predicts of noise and of randomised weights, and what draws then show, layer by layer and in all"),
    "predictability": (
        predictability,
        "how well every method's maps can be predicted: class change, randomised weights, noise, boundary",
    ),
    "figure": (figure, "one of the paper's figures (3, 4, 5, 7, 8, 9, 10) of any pictures and any network, as PNG and PDF"),
    "handouts": (handouts, "a printable page for every lesson of the tab Learn"),
    "models": (models, "the networks, and which need a download"),
    "bench": (bench, "speed, as ratios within one run"),
}
"""What each command does. Its module has ``options(parser)`` and ``run(arguments)``."""


def main(argv: list[str] | None = None) -> int:
    """Run one command, by default that of this process's own command line; returns the exit code."""
    keep_freed_memory()
    try:
        arguments = _parser().parse_args(with_command(sys.argv[1:] if argv is None else argv))
        count, out = getattr(arguments, "threads", None), getattr(arguments, "out", None)
        if count is not None and count < 1:
            raise ValueError(f"--threads is at least 1, not {count}.")
        if out is not None:
            getattr(arguments, "check_out", check_folder)(out)
        with contextlib.nullcontext() if count is None else devices.threads_of(count):
            arguments.run(arguments)
    except (ValueError, OSError) as error:
        print(f"trgbp: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("trgbp: stopped", file=sys.stderr)
        return 130
    return 0


def with_command(argv: list[str]) -> list[str]:
    """The arguments, with the command ``page`` before them where they name none."""
    unnamed = not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version"))
    return ["page", *argv] if unnamed else argv


def _parser() -> Parser:
    what = "TR-GBP: Theoretical Refinements of Guided BackPropagation. Without a command, the page starts."
    parser = Parser(prog="trgbp", description=what)
    parser.add_argument("--version", action="version", version=f"TR-GBP Explorer {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Command)
    for name, (module, help) in COMMANDS.items():
        # `models` computes nothing, and `bench` compares with what a processor can do.
        bench = name == "bench"
        device = devices.option("cpu" if bench else "auto", mps=name == "explain")
        parents: list[Any] = [] if name == "models" else [device, threads(2 if bench else None)]
        command = commands.add_parser(name, help=help, description=help, parents=parents, allow_abbrev=False)
        module.options(command)
        command.set_defaults(run=module.run)
    return parser
