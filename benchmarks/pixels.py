"""``python -m benchmarks pixels``: ``trgbp evaluate`` with TR-GBP in both ψ and every pixel term, all from one recording."""

from __future__ import annotations

import argparse
from functools import partial
from itertools import product
from typing import get_args

from torch import Tensor, nn

from trgbp_core import METHODS, TRGBP
from trgbp_core.cli.main import main
from trgbp_core.engine.geometry import Pixel, Psi
from trgbp_core.evaluation.attributions import SHARED
from trgbp_core.methods import register
from trgbp_core.methods.registry import Progress
from trgbp_core.trgbp.aggregation import PIXEL
from trgbp_core.trgbp.targets import Target

VARIANTS: dict[str, tuple[Psi, Pixel]] = {
    f"{'tr_gbp' if psi == 'paper' else 'tr_gbp_conserving'}_{pixel}": (psi, pixel)
    for psi, pixel in product(get_args(Psi), get_args(Pixel))
    if pixel != PIXEL[psi]
}
"""The pixel terms that are not the default of their ψ, by the keys that they have here as methods."""


def add(names: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = names.add_parser("pixels", help="`trgbp evaluate` with every pixel term of TR-GBP beside the named methods")
    command.set_defaults(run=run)
    command.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="of `trgbp evaluate`, the folder of pictures first"
    )


def run(arguments: argparse.Namespace) -> None:
    """The command ``evaluate``, with those methods beside the ones that it is given."""
    known()
    if code := main(["evaluate", *arguments.arguments, "--methods", *VARIANTS]):
        raise SystemExit(code)


def known() -> None:
    """Make the variants methods of this process."""
    what = "TR-GBP with another pixel term, for comparison."
    for key, variant in VARIANTS.items():
        SHARED[key] = variant
        if key not in METHODS:
            named = register(key, title=_title(*variant), family="biases", citation="this project", what=what, promise=what, failure=what)
            named(partial(_map, variant))


def _title(psi: Psi, pixel: Pixel) -> str:
    return f"TR-GBP, {psi} ψ, pixels: {pixel}"


def _map(variant: tuple[Psi, Pixel], network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    psi, pixel = variant
    return TRGBP(network).attribute(x, target, psi=psi, pixel=pixel)
