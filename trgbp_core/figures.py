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
    from matplotlib.figure import Figure

    shown = [panel for panel in panels if panel.get("src")]
    columns = min(6, len(shown) + 1)
    rows = -(-(len(shown) + 1) // columns)
    figure = Figure(figsize=(2.1 * columns, 2.45 * rows + 0.4), layout="constrained")
    figure.suptitle(title)
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in axes:
        axis.set_axis_off()
    axes[0].imshow(picture)
    axes[0].set_title("picture", fontsize=9)
    for axis, panel in zip(axes[1:], shown, strict=False):
        axis.imshow(read_tile(panel["src"]), cmap="inferno", vmin=0, vmax=1, extent=(0, 1, 0, 1))
        axis.set_title(panel["title"], fontsize=9)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "compare.png", folder / "compare.pdf"]
    for file in files:
        figure.savefig(file, dpi=150)
    return files
