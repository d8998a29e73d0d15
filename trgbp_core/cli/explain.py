"""The command ``explain``: overlays, maps and the top 5 of one picture."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ..data.labels import find_class
from ..drawing.render import Look, heat, overlay, to_array
from ..explorer import contrast, export, shares
from ..explorer.explorer import Payload
from ..explorer.measure import edges_of
from . import inputs
from .grammar import ListedNumbers
from .options import folder, picture


def options(command: argparse.ArgumentParser) -> None:
    picture(command)
    command.add_argument("--against", metavar="K|NAME", help="also write the contrast: why the class rather than this one")
    what = "also write R̃^l and R^l of these layers; 0 is the picture"
    command.add_argument("--layers", "--layer", nargs="+", action=ListedNumbers, metavar="L", help=what)
    what = "also write shares.csv and .png: what each layer gives to the maps' sums in this box (fractions of the picture as it is seen)"
    command.add_argument("--box", nargs="+", metavar="EDGE", help=f"LEFT,TOP,RIGHT,BOTTOM: {what}")
    folder(command)


def run(arguments: argparse.Namespace) -> None:
    explorer, question, k = inputs.question(arguments, float64=False)
    other = None if arguments.against is None else contrast.other_class(find_class(arguments.against, question.zoo.labels), k)
    e = explorer.explanation(question, k, against=other)
    maps = {"raw": e.raw(k), "tr_gbp": e.attribution(k), "tr_gbp_conserving": e.attribution(k, "conserving")}
    for layer in arguments.layers or ():
        maps[f"layer{layer}_raw"] = e.layer_raw(layer, k)
        maps[f"layer{layer}_tr_gbp"] = e.layer_attribution(layer, k)
    if other is not None:
        maps |= contrast.maps(e, k, other)
    box = None if arguments.box is None else edges_of(" ".join(arguments.box).replace(",", " ").split())
    rows = [] if box is None else shares.table(e, k, box, other)
    for name, map in maps.items():
        _write(arguments.out, name, question.picture, map, signed=name in contrast.NAMES)
    marks = {other: "   <- rather than this", k: "   <- explained"}
    for i in dict.fromkeys((*e.top5, *e.classes)):
        print(f"{float(e.probabilities[0, i]):7.2%}  {i:4d}  {question.zoo.labels[i]}{marks.get(i, '')}")
    if rows:
        _tell(rows, arguments.out)
        shown = export.collect(explorer, question, k, "explain", {"against": other, "box": box})
        (arguments.out / "shares.png").write_bytes(export.figure(shown, "PNG", Look()))
    print(f"{len(maps)} maps in {arguments.out}")


def _tell(rows: list[Payload], folder: Path) -> None:
    """The shares of a box as a table, and in shares.csv."""
    _, _, *maps = rows[0]
    print(f"{'':>4s}  {'in the box, from':32s}" + "".join(f"{name:>22s}" for name in maps))
    for row in rows:
        print(f"{row['layer']:4d}  {row['name']:32s}" + "".join(f"{row[name]:22.5f}" for name in maps))
    print(f"{'':>4s}  {'all':32s}" + "".join(f"{sum(row[name] for row in rows):22.5f}" for name in maps))
    with (folder / "shares.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def _write(folder: Path, name: str, picture: Image.Image, map: Tensor, *, signed: bool) -> None:
    """NAME.png (coloured), NAME_overlay.png (over the picture) and NAME.npy (signed numbers, float32)."""
    folder.mkdir(parents=True, exist_ok=True)
    heat(map, picture.size, signed=signed).save(folder / f"{name}.png")
    overlay(picture, map, signed=signed).save(folder / f"{name}_overlay.png")
    np.save(folder / f"{name}.npy", to_array(map))
