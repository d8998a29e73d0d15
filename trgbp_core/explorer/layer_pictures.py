"""A class's maps as the page shows them: all layers' tiles on a few sheets, with their words."""

from __future__ import annotations

from collections.abc import Sequence
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
"""Title, caption, and whether the map is class-specific."""

LAYER_PANELS = (
    ("R̃ˡ: this layer’s part", "before classes are compared", False),
    ("Rˡ: this layer’s part", "without what the best classes share", True),
)


@dataclass(frozen=True)
class ClassMaps:
    """A class's maps in plain arrays, float32, so that all that follows needs no turn in the queue.

    Attributes:
        panels: (3, H, W), of :data:`PANELS`. layers: (2, h, w) for each layer, the picture first: R̃^l and R^l.
    """

    panels: np.ndarray
    layers: tuple[np.ndarray, ...]

    @property
    def nbytes(self) -> int:
        return sum(maps.nbytes for maps in (self.panels, *self.layers))


def class_maps(e: Explanation, k: int) -> ClassMaps:
    """Everything that is shown of class ``k``; of a network's only class nothing is left by Eq. 10."""
    only = e.logits.shape[1] == 1
    raw, layers = e.raw(k), range(len(e.layers) + 1)
    both = [raw * 0, raw * 0] if only else [e.attribution(k), e.attribution(k, "conserving")]
    raws = [e.layer_raw(index, k) for index in layers]
    owns = [m * 0 for m in raws] if only else [e.layer_attribution(index, k) for index in layers]
    return ClassMaps(_arrays(raw, *both), tuple(map(_arrays, raws, owns)))


def _arrays(*maps: Tensor) -> np.ndarray:
    return np.stack([m[0, 0].cpu().float().numpy() for m in maps])


def class_pictures(maps: ClassMaps, label: str, names: Sequence[str]) -> Payload:
    """What the page shows of a class: the three panels, and R̃^l and R^l of every layer, on ``sheets``.

    Args:
        label: the class's name. names: the layers', the picture's first.

    Returns:
        ``sheets`` are pictures of many tiles; a panel's tile is number ``at`` of the ``of`` tiles of sheet number ``sheet``.
    """
    sheets, panels = _sheets(maps.panels, [(*words, label) for words in PANELS], 0)
    frames: dict[int, Payload] = {}
    for indices in _same_size(maps.layers):
        words = [(*words, names[index]) for index in indices for words in LAYER_PANELS]
        more, found = _sheets(np.concatenate([maps.layers[index] for index in indices]), words, len(sheets))
        sheets += more
        frames |= {index: {"raw": raw, "own": own} for index, raw, own in zip(indices, found[::2], found[1::2], strict=True)}
    return {"sheets": sheets, "panels": panels, "frames": [frames[index] for index in range(len(maps.layers))]}


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
    picture = {"name": "the picture itself", "kind": "guided gradient (R⁰)", "kernel": "–", "N": "–", "p": "–", "rectified": None}
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
