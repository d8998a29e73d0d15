"""Options that several commands share, each defined once; docs/commands.md has the table of them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..data.crop import CENTRE
from .grammar import Listed, ListedClasses, ListedPaths

MODEL = "efficientnet_lite0"
OWN = "a network of your own: MODULE:FUNCTION or FILE.py:FUNCTION, which returns a torch module, or what own_model made"
WEIGHTS = "the network's weights: safetensors, or a checkpoint of plain tensors"


def model(command: argparse.ArgumentParser) -> None:
    """``--model``, ``--weights`` and ``--network``, of a command for one network."""
    command.add_argument("--model", help=f"a network of `models` (default {MODEL}; random:NAME needs no weights)")
    _weights_and_network(command)


def models(command: argparse.ArgumentParser, default: str = MODEL) -> None:
    """The same, of a command for several."""
    what = f"networks of `models` (default {default}; random:NAME needs no weights)"
    command.add_argument("--models", "--model", nargs="+", action=Listed, metavar="MODEL", help=what)
    _weights_and_network(command)


def _weights_and_network(command: argparse.ArgumentParser) -> None:
    command.add_argument("--weights", type=Path, metavar="FILE", help=WEIGHTS)
    command.add_argument("--network", nargs="+", action=Listed, metavar="OWN", help=OWN)


def wanted_class(command: argparse.ArgumentParser) -> None:
    command.add_argument("--class", dest="wanted", metavar="K|NAME", help="the class to explain (default: the best)")


def classes(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--class", "--classes", dest="classes", nargs="+", action=ListedClasses, metavar="K|NAME", help=what)


def _path(name: str) -> Path:
    """An empty name would be the current folder."""
    if not name.strip():
        raise argparse.ArgumentTypeError("an empty name is no file or folder (the current folder is called .)")
    return Path(name)


def images(command: argparse.ArgumentParser, metavar: str, what: str) -> None:
    """Pictures, or a folder of them: on their own or after ``--images``. :func:`trgbp_core.cli.inputs.images` reads both."""
    command.add_argument("images", nargs="*", type=_path, metavar=metavar, help=what)
    same = f"the same as {metavar} on its own"
    command.add_argument("--images", "--image", dest="named_images", nargs="+", action=ListedPaths, metavar=metavar, help=same)


def crop(command: argparse.ArgumentParser) -> None:
    """``--crop``, see :meth:`trgbp_core.data.crop.Crop.read`."""
    usual = (
        "centre (default): what the network's own preprocessing takes, mostly the middle; whole: the whole picture, squeezed into a square"
    )
    square = "x,y,size: a square; where it lies, from 0 (left, top) to 1, and its side as a share of the picture's shorter side"
    command.add_argument("--crop", default=CENTRE, metavar="PART", help=f"what the network sees of the picture: {usual}; {square}")


def picture(command: argparse.ArgumentParser) -> None:
    """What :func:`trgbp_core.cli.inputs.question` reads."""
    images(command, "PICTURE", "the picture")
    model(command)
    wanted_class(command)
    crop(command)


def compared_picture(command: argparse.ArgumentParser) -> None:
    """The same for one network or several: :func:`trgbp_core.cli.inputs.several` reads those."""
    images(command, "PICTURE", "the picture")
    models(command)
    wanted_class(command)
    crop(command)


def methods(command: argparse.ArgumentParser, default: str, what: str = "") -> None:
    usual = " (default)"
    paper = f"paper{usual * (default == 'paper')}: the paper's, TR-GBP with both ψ"
    text = f"{what}keys of methods; {paper}; or all{usual * (default == 'all')}"
    command.add_argument("--methods", "--method", nargs="+", action=Listed, metavar="KEY", help=text)


def labels(command: argparse.ArgumentParser) -> None:
    """A folder of pictures, and ``--annotations``."""
    images(command, "DIR", "the folder of pictures")
    command.add_argument(
        "--annotations",
        type=_path,
        metavar="FILE",
        help="a CSV (image,class_index,x0,y0,x1,y1; boxes in fractions), or ImageNet's devkit; not needed for class folders",
    )


def workers(command: argparse.ArgumentParser) -> None:
    """``--workers``; :func:`trgbp_core.cli.inputs.reading` says how many that is."""
    what = "processes that read pictures ahead (default 0; up to 8 with a graphics card)"
    command.add_argument("--workers", type=int, metavar="N", help=what)


def threads(default: int | None = None) -> argparse.ArgumentParser:
    """``--threads``, which :func:`trgbp_core.cli.main.main` follows, as a parent of every command that computes."""
    parent, usual = argparse.ArgumentParser(add_help=False), "torch's" if default is None else default
    parent.add_argument("--threads", type=int, default=default, metavar="N", help=f"threads to compute with (default: {usual})")
    return parent


def seed(command: argparse.ArgumentParser, what: str = "seed of all random draws") -> None:
    command.add_argument("--seed", type=int, default=0, help=f"{what} (default 0)")


def draws(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seeds", type=int, default=5, help="draws for the fully randomised network (default 5)")


def folder(command: argparse.ArgumentParser, default: str = "out", what: str = "folder to write to") -> None:
    """``--out DIR``."""
    command.add_argument("--out", type=_path, default=Path(default), metavar="DIR", help=f"{what} (default {default})")
    command.set_defaults(check_out=check_folder)


def folder_as_well(command: argparse.ArgumentParser) -> None:
    """``--out DIR`` of a command that prints its tables anyway."""
    command.add_argument("--out", type=_path, metavar="DIR", help="folder to write the tables to as well (default: they are only printed)")
    command.set_defaults(check_out=check_folder)


def file(command: argparse.ArgumentParser, what: str) -> None:
    """``--out FILE``."""
    command.add_argument("--out", type=_path, required=True, metavar="FILE", help=what)
    command.set_defaults(check_out=check_file)


def check_folder(path: Path) -> None:
    """Raises ValueError: nothing can be written into that folder, which need not exist yet."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise ValueError(f"--out {path}: {there} is a file, not a folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"--out {path}: nothing can be written into {there}.")


def check_file(path: Path) -> None:
    """Raises ValueError: that file cannot be written; its folder need not exist yet."""
    if path.is_dir():
        raise ValueError(f"--out {path} is a folder; here it names a file.")
    check_folder(path.absolute().parent)
    if path.exists() and not os.access(path, os.W_OK):
        raise ValueError(f"--out {path}: the file cannot be written.")


def write(folder: Path | None, name: str, text: str) -> None:
    """A file of text in ``--out``, if that was given; its path is printed."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
        print(folder / name)
