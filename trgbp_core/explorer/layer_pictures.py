"""A class's maps as the page shows them: all layers' tiles on a few sheets, with their words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ..drawing.render import describe, describe_all, sheet, tile, why_empty
from ..trgbp.explainer import Explanation, Layer

Payload = dict[str, Any]
MOST_ROWS = 16_000
"""Sheets are at most so many pixels high; browsers and JPEG stop at 65,535, some canvases at 16,384."""

PANELS = (
    ("R̃: the reconstruction", "Before classes are compared: all share much of it.", False),
    ("TR-GBP", "The paper's ψ: coarse upper layers count most.", True),
    ("TR-GBP, conserving ψ", "Layers and pixels count by what they contribute: far sharper.", True),
)


@dataclass(frozen=True)
class Maps:
    """The R̃ of an explanation in plain arrays, float32, so that all that follows needs no turn at the processor.

    Attributes:
        classes: those that the arrays hold, K of them. top: the positions in ``classes`` of the network's top 5.
        paper, conserving: R̃ with either ψ, (K, H, W). layers: R̃^l, (K, h, w) for each layer, the picture first.
    """

    classes: tuple[int, ...]
    top: tuple[int, ...]
    paper: np.ndarray
    conserving: np.ndarray
    layers: tuple[np.ndarray, ...]

    @property
    def nbytes(self) -> int:
        return sum(maps.nbytes for maps in (self.paper, self.conserving, *self.layers))

    def specific(self, maps: np.ndarray) -> np.ndarray:
        """R_k = R̃_k − the mean over the top 5 of R̃_i (Eq. 10), for (K, h, w)."""
        return maps - maps[list(self.top)].mean(0)


def gather(e: Explanation) -> Maps:
    """Everything that is shown of the explained classes."""
    return Maps(
        classes=e.classes,
        top=tuple(e.classes.index(k) for k in e.top5),
        paper=_arrays(e.raw(k) for k in e.classes),
        conserving=_arrays(e.raw(k, "conserving") for k in e.classes),
        layers=tuple(_arrays(e.layer_raw(index, k) for k in e.classes) for index in range(len(e.layers) + 1)),
    )


def _arrays(maps: Iterable[Tensor]) -> np.ndarray:
    return np.stack([m[0, 0].cpu().float().numpy() for m in maps])


def class_frames(maps: Maps, k: int, label: str, names: Sequence[str]) -> Payload:
    """What the page shows of class ``k``: the three panels, and R̃^l and R^l of every layer, on ``sheets``.

    Args:
        label: the class's name. names: the layers', the picture's first.

    Returns:
        ``sheets`` are pictures of many tiles; a panel's tile is number ``at`` of the ``of`` tiles of sheet number ``sheet``.
    """
    i = maps.classes.index(k)
    stacks = [np.stack([maps.paper[i], maps.specific(maps.paper)[i], maps.specific(maps.conserving)[i]])]
    sheets, panels = _sheets(stacks[0], [(title, caption, specific, label) for title, caption, specific in PANELS], 0)
    raws: dict[int, Payload] = {}
    owns: dict[int, Payload] = {}
    for indices in _same_size(maps.layers):
        both = [m for index in indices for m in (maps.layers[index][i], maps.specific(maps.layers[index])[i])]
        words = [
            about
            for index in indices
            for about in (
                ("R̃ˡ of this layer", "raw reconstruction", False, names[index]),
                ("Rˡ of this layer", "minus what the top 5 share", True, names[index]),
            )
        ]
        more, found = _sheets(np.stack(both), words, len(sheets))
        sheets += more
        raws |= dict(zip(indices, found[::2], strict=True))
        owns |= dict(zip(indices, found[1::2], strict=True))
    frames = [{"raw": raws[index], "own": owns[index]} for index in range(len(maps.layers))]
    return {"sheets": sheets, "panels": panels, "frames": frames}


def _same_size(layers: Sequence[np.ndarray]) -> list[list[int]]:
    """Indices of layers whose maps are of one size, as many together as a sheet holds."""
    groups: dict[tuple[int, ...], list[list[int]]] = {}
    for index, maps in enumerate(layers):
        found = groups.setdefault(maps.shape[1:], [[]])
        if (2 * len(found[-1]) + 2) * maps.shape[1] > MOST_ROWS:
            found.append([])
        found[-1].append(index)
    return [indices for found in groups.values() for indices in found]


def _sheets(stack: np.ndarray, words: Sequence[tuple[str, str, bool, str]], number: int) -> tuple[list[str], list[Payload]]:
    """One sheet of (n, h, w) maps and their panels; ``words`` are title, caption, whether it is class-specific, and what it is of."""
    empty = [why_empty(m, specific=specific) for m, (_, _, specific, _) in zip(stack, words, strict=True)]
    clean = np.nan_to_num(stack, posinf=0.0, neginf=0.0)
    panels = [
        {"title": title, "caption": caption, "sheet": number, "at": at, "of": len(stack), "alt": f"{title} of {of}: {said}", "empty": why}
        for at, ((title, caption, _, of), said, why) in enumerate(zip(words, describe_all(clean), empty, strict=True))
    ]
    return [sheet(clean)], panels


def panel(map: Tensor, title: str, caption: str, of: str, *, specific: bool = False, signed: bool = False) -> Payload:
    """One map for the page: its tile, its words, and why it is empty if it is. ``signed``: what speaks against the class is shown too."""
    return {
        "title": title,
        "caption": caption,
        "src": tile(map, signed=signed),
        "signed": signed,
        "alt": f"{title} of {of}: {describe(map, signed=signed)}",
        "empty": why_empty(map, specific=specific, signed=signed),
    }


def layer_facts(e: Explanation) -> list[Payload]:
    """What is known of every layer whatever the class, the picture first."""
    picture = {"name": "the picture itself", "kind": "guided gradient R^0", "kernel": "–", "N": "–", "p": "–", "rectified": True}
    first = picture | {"index": 0, "size": f"{e.size[0]}×{e.size[1]}"}
    return [first, *map(_facts, e.layers)]


def _facts(layer: Layer) -> Payload:
    return {
        "index": layer.index,
        "name": layer.name,
        "kind": layer.kind,
        "kernel": f"{layer.kernel[0]}×{layer.kernel[1]}",
        "N": layer.filters,
        "p": layer.taps,
        "rectified": layer.rectified,
        "size": f"{layer.size[0]}×{layer.size[1]}",
    }


__all__ = ["Maps", "class_frames", "gather", "layer_facts", "panel"]
