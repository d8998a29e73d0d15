"""Maps to pictures: colours, overlays, grey tiles for the page, and words for those who do not see them."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

COLOUR_MAPS = ("inferno", "viridis", "cividis", "gray", "jet")
"""The first is the default: perceptually uniform and safe for colour-blind eyes; jet is the paper's."""

DIVERGING = "diverging"
"""For maps of both signs: blue speaks against the class, black is nothing, red speaks for it, each as bright as it is strong."""

_ENDS = ((0.62, 0.80, 1.0), (0.10, 0.45, 0.95), (0.0, 0.0, 0.0), (0.90, 0.20, 0.08), (1.0, 0.78, 0.60))
"""RGB at −1, −½, 0, ½ and 1: like inferno, dark where there is nothing, and told apart by eyes without red or green cones."""

PERCENTILE = 99.9
"""What counts as full brightness. A lone outlier would otherwise turn a fine-grained map black; 50 pixels of 224×224 lie above."""


def to_array(map: Tensor | np.ndarray) -> np.ndarray:
    """A map of any leading shape (..., h, w) with one element as float32 (h, w)."""
    array = map.detach().cpu().float().numpy() if isinstance(map, Tensor) else np.asarray(map, dtype=np.float32)
    return np.nan_to_num(array.reshape(array.shape[-2:]), posinf=0.0, neginf=0.0)


def peak(map: Tensor | np.ndarray, *, signed: bool = False) -> float:
    """What counts as full brightness of ``relu(R)``, or of ``|R|``: its :data:`PERCENTILE`, or its maximum where that is 0."""
    strength = np.abs(to_array(map)) if signed else np.maximum(to_array(map), 0)
    return float(np.percentile(strength, PERCENTILE)) or float(strength.max())


def shown(map: Tensor | np.ndarray, *, signed: bool = False) -> np.ndarray:
    """``relu(R)`` scaled to 0..1, or R to −1..1: full brightness at its :func:`peak`; (h, w), all 0 where there is nothing to scale."""
    values, top = to_array(map), peak(map, signed=signed)
    values = values if signed else np.maximum(values, 0)
    return np.clip(values / top, -1, 1) if top > 0 else np.zeros_like(values)


@lru_cache(maxsize=16)
def lookup(name: str) -> np.ndarray:
    """A colour map of matplotlib as (256, 3) uint8.

    Raises:
        ValueError: not one of :data:`COLOUR_MAPS`.
    """
    if name == DIVERGING:
        at, ends = np.linspace(-1, 1, 256), np.array(_ENDS)
        return (np.stack([np.interp(at, np.linspace(-1, 1, 5), ends[:, c]) for c in range(3)], 1) * 255).round().astype(np.uint8)
    if name not in COLOUR_MAPS:
        raise ValueError(f"Colour maps: {', '.join(COLOUR_MAPS)}; there is no {name!r}.")
    from matplotlib import colormaps

    return (colormaps[name](np.arange(256))[:, :3] * 255).round().astype(np.uint8)


def _grey(map: Tensor | np.ndarray, signed: bool) -> Image.Image:
    """A map in 256 steps: 0 is black; of a signed one 128 is, 1 stands for −1."""
    values = shown(map, signed=signed)
    return Image.fromarray((128 + 127 * values if signed else 255 * values).round().astype(np.uint8))


def heat(map: Tensor | np.ndarray, size: tuple[int, int], colours: str = "inferno", *, signed: bool = False) -> Image.Image:
    """A map as a coloured picture of ``size`` (width, height), bilinear; a signed one in :data:`DIVERGING` colours."""
    grey = _grey(map, signed).resize(size, Image.Resampling.BILINEAR)
    return Image.fromarray(lookup(DIVERGING if signed else colours)[np.asarray(grey)])


def overlay(
    picture: Image.Image, map: Tensor | np.ndarray, *, opacity: float = 0.6, colours: str = "inferno", signed: bool = False
) -> Image.Image:
    """The coloured map over the picture that the network saw."""
    return Image.blend(picture.convert("RGB"), heat(map, picture.size, colours, signed=signed), opacity)


def tile(map: Tensor | np.ndarray, *, signed: bool = False) -> str:
    """A map as a grey picture in a ``data:`` URI, at its own size; the page upsamples and colours it in the browser.

    Maps up to 64 pixels wide are kept exactly (PNG), larger ones as WebP, whose error is below what the eye sees.
    """
    grey = _grey(map, signed)
    small = max(grey.size) <= 64
    return data_uri(grey, "PNG") if small else data_uri(grey, "WEBP", quality=70, method=1)


def read_tile(uri: str, *, signed: bool = False) -> np.ndarray:
    """What :func:`tile` made, as float32 (h, w) between 0 and 1, or −1 and 1."""
    grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L"), dtype=np.float32)
    return np.clip((grey - 128) / 127, -1, 1) if signed else grey / 255


def data_uri(picture: Image.Image, format: str, **options: Any) -> str:
    """A picture as a ``data:`` URI."""
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return f"data:image/{format.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def describe(map: Tensor | np.ndarray, *, signed: bool = False) -> str:
    """A map in words, for a screen reader: where its peak lies, how the positive part is shared out, and how much is negative."""
    values = to_array(map).astype(np.float64)
    positive, against = np.maximum(values, 0), np.maximum(-values, 0).sum()
    total = positive.sum()
    if signed and against > 0:
        part = f"; {against / (total + against):.0%} speaks against the class"
        return (describe(positive) if total > 0 else "no positive value anywhere") + part
    if total <= 0:
        return "empty: no positive value anywhere"
    height, width = positive.shape
    row, column = np.unravel_index(int(positive.argmax()), positive.shape)
    vertical = ("top", "middle", "bottom")[min(2, int(3 * row / height))]
    horizontal = ("left", "centre", "right")[min(2, int(3 * column / width))]
    parts = {
        f"{up} {side}": positive[rows, columns].sum() / total
        for up, rows in (("upper", slice(None, height // 2)), ("lower", slice(height // 2, None)))
        for side, columns in (("left", slice(None, width // 2)), ("right", slice(width // 2, None)))
    }
    edge_y, edge_x = max(1, round(height * 16 / 224)), max(1, round(width * 16 / 224))
    frame = 1 - positive[edge_y : height - edge_y, edge_x : width - edge_x].sum() / total
    shares = ", ".join(f"{share:.0%} {where}" for where, share in parts.items())
    return f"peak {vertical} {horizontal}; {shares}; {frame:.0%} in the frame"


def why_empty(map: Tensor, *, specific: bool = False, signed: bool = False) -> str:
    """Why there is nothing to see on a map, in a sentence; nothing where there is.

    Args:
        map: any shape. specific: the map is class-specific, R_k: what is empty lies below the mean of the top 5.
        signed: negative values are shown too.
    """
    if not bool(torch.isfinite(map).all()):
        return "Not a number: this network's activations overflow."
    if signed and not bool(map.any()):
        return "Empty: zero everywhere."
    if not signed and not bool((map > 0).any()):
        below = "Empty: this class lies below the mean of the top 5 everywhere."
        return below if specific else "Empty: no positive value anywhere."
    if map.numel() > 1 and bool((map == map.flatten()[0]).all()):
        return "Uniform: the same value everywhere, no place before another."
    return ""
