"""The command ``explain``: overlays, maps and the top 5 of one picture."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ..drawing.render import heat, overlay, to_array
from . import inputs
from .grammar import ListedNumbers
from .options import folder, picture


def options(command: argparse.ArgumentParser) -> None:
    picture(command)
    what = "also write R̃^l and R^l of these layers; 0 is the picture"
    command.add_argument("--layers", "--layer", nargs="+", action=ListedNumbers, metavar="L", help=what)
    folder(command)


def run(arguments: argparse.Namespace) -> None:
    explorer, question, k = inputs.question(arguments, float64=False)
    e = explorer.explanation(question, k)
    maps = {"raw": e.raw(k), "tr_gbp": e.attribution(k), "tr_gbp_conserving": e.attribution(k, "conserving")}
    for layer in arguments.layers or ():
        maps[f"layer{layer}_raw"] = e.layer_raw(layer, k)
        maps[f"layer{layer}_tr_gbp"] = e.layer_attribution(layer, k)
    for name, map in maps.items():
        _write(arguments.out, name, question.picture, map)
    for i in dict.fromkeys((*e.top5, k)):
        print(f"{float(e.probabilities[0, i]):7.2%}  {i:4d}  {question.zoo.labels[i]}{'   <- explained' if i == k else ''}")
    print(f"{len(maps)} maps in {arguments.out}")


def _write(folder: Path, name: str, picture: Image.Image, map: Tensor) -> None:
    """NAME.png (coloured), NAME_overlay.png (over the picture) and NAME.npy (signed numbers, float32)."""
    folder.mkdir(parents=True, exist_ok=True)
    heat(map, picture.size).save(folder / f"{name}.png")
    overlay(picture, map).save(folder / f"{name}_overlay.png")
    np.save(folder / f"{name}.npy", to_array(map))
