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

PERCENTILE = 99.9
"""What counts as full brightness. A lone outlier would otherwise turn a fine-grained map black; 50 pixels of 224×224 lie above."""


def to_array(map: Tensor | np.ndarray) -> np.ndarray:
    """A map of any leading shape (..., h, w) with one element as float32 (h, w)."""
    array = map.detach().cpu().float().numpy() if isinstance(map, Tensor) else np.asarray(map, dtype=np.float32)
    return np.nan_to_num(array.reshape(array.shape[-2:]), posinf=0.0, neginf=0.0)


def peak(map: Tensor | np.ndarray) -> float:
    """What counts as full brightness of ``relu(R)``: its :data:`PERCENTILE`, or its maximum where that is 0."""
    positive = np.maximum(to_array(map), 0)
    return float(np.percentile(positive, PERCENTILE)) or float(positive.max())


def shown(map: Tensor | np.ndarray) -> np.ndarray:
    """``relu(R)`` scaled to 0..1: full brightness at its :func:`peak`; (h, w), all 0 for a map without positive values."""
    positive, top = np.maximum(to_array(map), 0), peak(map)
    return np.clip(positive / top, 0, 1) if top > 0 else positive


@lru_cache(maxsize=16)
def lookup(name: str) -> np.ndarray:
    """A colour map of matplotlib as (256, 3) uint8.

    Raises:
        ValueError: not one of :data:`COLOUR_MAPS`.
    """
    if name not in COLOUR_MAPS:
        raise ValueError(f"Colour maps: {', '.join(COLOUR_MAPS)}; there is no {name!r}.")
    from matplotlib import colormaps

    return (colormaps[name](np.arange(256))[:, :3] * 255).round().astype(np.uint8)


def heat(map: Tensor | np.ndarray, size: tuple[int, int], colours: str = "inferno") -> Image.Image:
    """A map as a coloured picture of ``size`` (width, height), bilinear."""
    grey = Image.fromarray((shown(map) * 255).round().astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    return Image.fromarray(lookup(colours)[np.asarray(grey)])


def overlay(picture: Image.Image, map: Tensor | np.ndarray, *, opacity: float = 0.6, colours: str = "inferno") -> Image.Image:
    """The coloured map over the picture that the network saw."""
    return Image.blend(picture.convert("RGB"), heat(map, picture.size, colours), opacity)


def tile(map: Tensor | np.ndarray) -> str:
    """A map as a grey picture in a ``data:`` URI, at its own size; the page upsamples and colours it in the browser.

    Maps up to 64 pixels wide are kept exactly (PNG), larger ones as WebP, whose error is below what the eye sees.
    """
    grey = Image.fromarray((shown(map) * 255).round().astype(np.uint8))
    small = max(grey.size) <= 64
    return data_uri(grey, "PNG") if small else data_uri(grey, "WEBP", quality=70, method=1)


def read_tile(uri: str) -> np.ndarray:
    """What :func:`tile` made, as float32 (h, w) between 0 and 1."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L"), dtype=np.float32) / 255


def data_uri(picture: Image.Image, format: str, **options: Any) -> str:
    """A picture as a ``data:`` URI."""
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return f"data:image/{format.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def describe(map: Tensor | np.ndarray) -> str:
    """A map in words, for a screen reader: where its peak lies, and how the positive part is shared out."""
    positive = np.maximum(to_array(map), 0).astype(np.float64)
    total = positive.sum()
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


def why_empty(map: Tensor, *, specific: bool = False) -> str:
    """Why there is nothing to see on a map, in a sentence; nothing where there is.

    Args:
        map: any shape. specific: the map is class-specific, R_k: what is empty lies below the mean of the top 5.
    """
    if not bool(torch.isfinite(map).all()):
        return "Not a number: this network's activations overflow."
    if not bool((map > 0).any()):
        below = "Empty: this class lies below the mean of the top 5 everywhere."
        return below if specific else "Empty: no positive value anywhere."
    if map.numel() > 1 and bool((map == map.flatten()[0]).all()):
        return "Uniform: the same value everywhere, no place before another."
    return ""
