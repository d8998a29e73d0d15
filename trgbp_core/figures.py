"""Figures for paper and screen (matplotlib, without its global state)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .render import read_tile


def comparison(picture: Image.Image, panels: Sequence[dict[str, Any]], folder: Path, title: str) -> list[Path]:
    """All methods' maps beside the picture, one scale and size, as ``compare.png`` and ``compare.pdf`` in ``folder``."""
    figure = grid(picture, [(panel["title"], read_tile(panel["src"])) for panel in panels if panel.get("src")], title)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "compare.png", folder / "compare.pdf"]
    for file in files:
        figure.savefig(file, dpi=150)
    return files


def grid(picture: Image.Image, maps: Sequence[tuple[str, np.ndarray]], title: str) -> Any:
    """A matplotlib figure: the picture and every (title, map (h, w) between 0 and 1), all of one size and on one scale."""
    from matplotlib.figure import Figure

    columns = min(6, len(maps) + 1)
    rows = -(-(len(maps) + 1) // columns)
    figure = Figure(figsize=(2.1 * columns, 2.45 * rows + 0.4), layout="constrained")
    figure.suptitle(title)
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in axes:
        axis.set_axis_off()
    axes[0].imshow(picture)
    axes[0].set_title("picture", fontsize=9)
    for axis, (name, map) in zip(axes[1:], maps, strict=False):
        axis.imshow(map, cmap="inferno", vmin=0, vmax=1, extent=(0, 1, 0, 1))
        axis.set_title(name, fontsize=9)
    return figure
