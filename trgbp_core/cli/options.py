"""Options that several commands share, each defined once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.crop import CENTRE

MODEL = "efficientnet_lite0"


class _Names(argparse.Action):
    """A list of names with spaces or commas between them."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, [name for value in values for name in value.split(",") if name])


def models(command: argparse.ArgumentParser, flag: str, *, help: str, default: Sequence[str] | None = None) -> None:
    """``flag MODEL …``."""
    command.add_argument(flag, nargs="+", action=_Names, default=default, metavar="MODEL", help=help)


def model(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", default=MODEL, help=f"a network of `models` (default {MODEL})")


def weights(command: argparse.ArgumentParser) -> None:
    command.add_argument("--weights", type=Path, metavar="FILE", help="its weights: safetensors, or a checkpoint of plain tensors")


def wanted_class(command: argparse.ArgumentParser) -> None:
    command.add_argument("--class", dest="wanted", metavar="K|NAME", help="the class to explain (default: the best)")


def crop(command: argparse.ArgumentParser) -> None:
    """``--crop``, see :meth:`trgbp_core.data.crop.Crop.read`."""
    usual = (
        "centre (default): what the network's own preprocessing takes, mostly the middle; whole: the whole picture, squeezed into a square"
    )
    square = "x,y,size: a square; where it lies, from 0 (left, top) to 1, and its side as a share of the picture's shorter side"
    command.add_argument("--crop", default=CENTRE, metavar="PART", help=f"what the network sees of the picture: {usual}; {square}")


def picture(command: argparse.ArgumentParser) -> None:
    """What :func:`trgbp_core.cli.inputs.question` reads, and ``--out``."""
    command.add_argument("picture", metavar="PICTURE")
    model(command)
    weights(command)
    wanted_class(command)
    crop(command)
    threads(command)
    folder(command)


def methods(command: argparse.ArgumentParser, default: str, what: str = "") -> None:
    usual = " (default)"
    paper = f"paper{usual * (default == 'paper')}: the paper's, TR-GBP with both ψ"
    command.add_argument("--methods", default=default, help=f"{what}comma-separated keys; {paper}; or all{usual * (default == 'all')}")


def labels(command: argparse.ArgumentParser) -> None:
    """``--images`` and ``--annotations``."""
    command.add_argument("--images", type=Path, required=True, metavar="DIR", help="the folder of pictures")
    command.add_argument(
        "--annotations",
        type=Path,
        metavar="FILE",
        help="a CSV (image,class_index,x0,y0,x1,y1; boxes in fractions), or ImageNet's devkit; none for class folders",
    )


def threads(command: argparse.ArgumentParser, default: int | None = None) -> None:
    """``--threads``, which :func:`trgbp_core.cli.main.main` follows."""
    usual = "torch's" if default is None else default
    command.add_argument("--threads", type=int, default=default, metavar="N", help=f"threads to compute with (default: {usual})")


def seed(command: argparse.ArgumentParser, what: str = "of every draw") -> None:
    command.add_argument("--seed", type=int, default=0, help=f"{what} (default 0)")


def draws(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seeds", type=int, default=5, help="draws for the fully randomised network (default 5)")


def folder(command: argparse.ArgumentParser, default: str = "out", what: str = "folder to write to") -> None:
    """``--out DIR``."""
    command.add_argument("--out", type=Path, default=Path(default), metavar="DIR", help=f"{what} (default {default})")
