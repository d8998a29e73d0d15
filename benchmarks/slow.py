"""``python -m benchmarks slow``: ``trgbp evaluate`` with the methods that take 40 forward passes or more, and TR-GBP beside them.

CAMERAS stands there twice: with the sizes of the picture that agree on the class, and with every size, as its authors' code has it where a
class is given.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from trgbp_core import METHODS
from trgbp_core.cli.main import main
from trgbp_core.methods import register
from trgbp_core.methods.cameras import cameras
from trgbp_core.methods.registry import SLOW

OURS = ("tr_gbp", "tr_gbp_conserving")
EVERY_SIZE = "cameras_every_size"


def add(names: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = names.add_parser("slow", help=f"`trgbp evaluate` with the methods that take {SLOW} forward passes or more")
    command.set_defaults(run=run)
    command.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="ARGUMENT",
        help="of `trgbp evaluate` (its --help lists them), the folder of pictures first; --methods KEY … replaces the slow methods, "
        f"{EVERY_SIZE} among them",
    )


def run(arguments: argparse.Namespace) -> None:
    """The command ``evaluate`` with TR-GBP, the slow methods, and both readings of CAMERAS; or with the methods that it is given."""
    known()
    slow = [key for key, method in METHODS.items() if method.cost >= SLOW]
    chosen = [] if "--methods" in arguments.arguments else ["--methods", *OURS, *slow]
    if code := main(["evaluate", *arguments.arguments, *chosen]):
        raise SystemExit(code)


def known() -> None:
    """Make the second reading of CAMERAS a method of this process."""
    if EVERY_SIZE not in METHODS:
        what = "CAMERAS with every size of the picture, as in its authors' code with a class given; for comparison."
        title, cost = "CAMERAS, every size", METHODS["cameras"].cost
        named = register(
            EVERY_SIZE, title=title, family="activations", citation="Jalwana et al. 2021", what=what, promise=what, failure=what, cost=cost
        )
        given: Any = cameras  # `register` knows the arguments that all methods have
        named(partial(given, every_size=True))
