"""Maps to pictures: colours, overlays, grey tiles for the page, and words for those who do not see them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

COLOUR_MAPS = ("inferno", "viridis", "cividis", "gray", "jet")
"""The first is the default: perceptually uniform and safe for colour-blind eyes; jet is the paper's."""

DIVERGING = "diverging"
"""For maps of both signs: blue speaks against the class, black is nothing, red speaks for it, each as bright as it is strong."""

_ENDS = ((0.62, 0.80, 1.0), (0.10, 0.45, 0.95), (0.0, 0.0, 0.0), (0.90, 0.20, 0.08), (1.0, 0.78, 0.60))
"""RGB at −1, −½, 0, ½ and 1: like inferno, dark where there is nothing, and distinct to eyes without red or green cones."""

EXACT_SIDE = 64
"""Maps of at most this many pixels a side are sent to the page as they are."""

FULL_COVER = 0.3
"""On the page zero is transparent in every colour map: from zero to this share of full brightness a map covers more and more."""

PERCENTILE = 99.9
"""What counts as full brightness. A lone outlier would otherwise turn a fine-grained map black; 50 pixels of 224×224 lie above."""


Picture = Image.Image | np.ndarray | Tensor
"""A PIL image; or integers up to 255 or numbers up to 1, as an array (H, W) or (H, W, 3) or a tensor ([1,] 3, H, W)."""


def to_array(map: Tensor | np.ndarray) -> np.ndarray:
    """A map of any leading shape (..., h, w) with one element as float32 (h, w).

    Raises:
        ValueError: it is several maps, or none.
    """
    array = map.detach().cpu().float().numpy() if isinstance(map, Tensor) else np.asarray(map, dtype=np.float32)
    if array.ndim < 2 or not array.size or array.size != array.shape[-1] * array.shape[-2]:
        raise ValueError(f"One map (h, w) at a time, its colours added up: this has the shape {tuple(array.shape)}.")
    return np.nan_to_num(array.reshape(array.shape[-2:]), posinf=0.0, neginf=0.0)


def peak(map: Tensor | np.ndarray, *, signed: bool = False) -> float:
    """What counts as full brightness of ``relu(R)``, or of ``|R|``: its :data:`PERCENTILE`, or its maximum where that is 0."""
    return float(_peaks(to_array(map)[None], signed)[0])


def _peaks(maps: np.ndarray, signed: bool) -> np.ndarray:
    strength = (np.abs(maps) if signed else np.maximum(maps, 0)).reshape(len(maps), -1)
    top = np.percentile(strength, PERCENTILE, axis=1)
    return np.where(top > 0, top, strength.max(1))


def shown(map: Tensor | np.ndarray, *, signed: bool = False) -> np.ndarray:
    """``relu(R)`` scaled to 0..1, or R to −1..1: full brightness at its :func:`peak`; (h, w), all 0 where there is nothing to scale."""
    return shown_all(to_array(map)[None], signed=signed)[0]


def shown_all(maps: np.ndarray, *, signed: bool = False) -> np.ndarray:
    """:func:`shown` of each of (n, h, w) float32 maps."""
    top = _peaks(maps, signed)
    values = maps if signed else np.maximum(maps, 0)
    return np.clip(values / np.where(top > 0, top, 1)[:, None, None].astype(np.float32), -1, 1)


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


def _grey(maps: np.ndarray, signed: bool) -> Image.Image:
    """Maps (n, h, w) in 256 steps, one below the other: 0 is black; of signed ones 128 is, 1 stands for −1."""
    values = shown_all(maps, signed=signed)
    return Image.fromarray((128 + 127 * values if signed else 255 * values).round().astype(np.uint8).reshape(-1, maps.shape[2]))


def heat(map: Tensor | np.ndarray, size: tuple[int, int], colours: str = "inferno", *, signed: bool = False) -> Image.Image:
    """A map as a coloured picture of ``size`` (width, height), bilinear; a signed one in :data:`DIVERGING` colours."""
    grey = _grey(to_array(map)[None], signed).resize(size, Image.Resampling.BILINEAR)
    return Image.fromarray(lookup(DIVERGING if signed else colours)[np.asarray(grey)])


def as_picture(picture: Picture) -> Image.Image:
    """Any kind of :data:`Picture` as an RGB image.

    Raises:
        ValueError: it is none.
    """
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    values = picture.detach().cpu().numpy() if isinstance(picture, Tensor) else np.asarray(picture)
    if isinstance(picture, Tensor):
        values = values[0] if values.ndim == 4 and len(values) == 1 else values
        values = values.transpose(1, 2, 0) if values.ndim == 3 else values
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.ndim not in (2, 3) or values.shape[2:] not in ((), (3,)) or not values.size:
        raise ValueError(f"A picture is an image, an array (H, W, 3) or a tensor (3, H, W); this has the shape {values.shape}.")
    most = 255 if values.dtype.kind in "ui" else 1
    if not (values.min() >= 0 and values.max() <= most):
        raise ValueError(f"A picture's numbers lie between 0 and {most}: give it as it was before it was normalised.")
    return Image.fromarray((values * (255 / most)).round().astype(np.uint8)).convert("RGB")


def rescaled(x: Tensor) -> Image.Image:
    """A network's input (1, C, H, W) as a picture: its numbers scaled to 0..1, grey where it has not three channels."""
    values = x[0].float() if x.shape[1] == 3 else x[0].float().mean(0)
    low, high = values.min(), values.max()
    return as_picture(((values - low) / (high - low).clamp(min=1e-12)).clamp(0, 1))


@dataclass(frozen=True)
class Look:
    """How the page shows its maps: ``colours``, one of :data:`COLOUR_MAPS`, and ``opacity`` from 0 to 1.

    Raises:
        ValueError: another colour map or opacity.
    """

    colours: str = COLOUR_MAPS[0]
    opacity: float = 0.65

    def __post_init__(self) -> None:
        lookup(self.colours)
        if not 0 <= self.opacity <= 1:
            raise ValueError("The opacity is a number from 0 to 1.")


def overlay(
    picture: Picture, map: Tensor | np.ndarray, *, opacity: float = 0.6, colours: str = "inferno", signed: bool = False
) -> Image.Image:
    """The coloured map over the picture that the network saw, in the picture's size.

    Args:
        picture: see :data:`Picture`. map: one map of any size, (..., h, w).
        opacity: of the map, 0 to 1. colours: one of :data:`COLOUR_MAPS`. signed: draw both signs, blue against and red for the class.

    Raises:
        ValueError: it is no picture, not one map, or there is no such colour map.
    """
    seen = as_picture(picture)
    return Image.blend(seen, heat(map, seen.size, colours, signed=signed), opacity)


def page_overlay(picture: Image.Image, map: Tensor | np.ndarray, look: Look, *, signed: bool = False) -> Image.Image:
    """The map over the picture as the page shows it: transparent where it is zero."""
    grey = _grey(to_array(map)[None], signed).resize(picture.size, Image.Resampling.BILINEAR)
    cover = Image.fromarray((255 * look.opacity * covers(signed))[np.asarray(grey)].round().astype(np.uint8))
    coloured = Image.fromarray(lookup(DIVERGING if signed else look.colours)[np.asarray(grey)])
    return Image.composite(coloured, picture.convert("RGB"), cover)


def covers(signed: bool) -> np.ndarray:
    """For each of the 256 steps of a tile, how much it covers the picture at full opacity, 0 to 1."""
    steps = np.arange(256)
    return np.minimum(1, (np.abs(steps - 128) / 127 if signed else steps / 255) / FULL_COVER)


def tile(map: Tensor | np.ndarray, *, signed: bool = False) -> str:
    """A map as a grey picture in a ``data:`` URI, at its own size; the page upsamples and colours it in the browser.

    Maps up to :data:`EXACT_SIDE` are kept exactly (PNG), larger ones as JPEG, whose error is below what the eye sees.
    """
    return sheet(to_array(map)[None], signed=signed)


def sheet(maps: np.ndarray, *, signed: bool = False) -> str:
    """The tiles of (n, h, w) float32 maps in one picture, one below the other: encoding each alone takes ten times as long."""
    grey = _grey(maps, signed)
    exact = max(maps.shape[1:]) <= EXACT_SIDE
    return data_uri(grey, "PNG", compress_level=1) if exact else data_uri(grey, "JPEG", quality=85)


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
    values = to_array(map)
    (words,) = describe_all(values[None])
    against, total = np.maximum(-values.astype(np.float64), 0).sum(), np.maximum(values.astype(np.float64), 0).sum()
    if signed and against > 0:
        part = f"; {against / (total + against):.0%} speaks against the class"
        return (words if total > 0 else "no positive value anywhere") + part
    return words


def describe_all(maps: np.ndarray) -> list[str]:
    """:func:`describe` of each of (n, h, w) float32 maps."""
    positive = np.maximum(maps, 0).astype(np.float64)
    count, height, width = positive.shape
    rows, columns = np.unravel_index(positive.reshape(count, -1).argmax(1), (height, width))
    total = positive.sum((1, 2))
    edge_y, edge_x = max(1, round(height * 16 / 224)), max(1, round(width * 16 / 224))
    inner = positive[:, edge_y : height - edge_y, edge_x : width - edge_x].sum((1, 2))
    parts = {
        f"{up} {side}": positive[:, down, across].sum((1, 2))
        for up, down in (("upper", slice(None, height // 2)), ("lower", slice(height // 2, None)))
        for side, across in (("left", slice(None, width // 2)), ("right", slice(width // 2, None)))
    }
    words = []
    for i in range(count):
        if total[i] <= 0:
            words.append("empty: no positive value anywhere")
            continue
        vertical = ("top", "middle", "bottom")[min(2, int(3 * rows[i] / height))]
        horizontal = ("left", "centre", "right")[min(2, int(3 * columns[i] / width))]
        shares = ", ".join(f"{part[i] / total[i]:.0%} {where}" for where, part in parts.items())
        words.append(f"peak {vertical} {horizontal}; {shares}; {1 - inner[i] / total[i]:.0%} in the frame")
    return words


SCARCE = 1000
"""Where fewer than one place in so many is above zero, nobody sees it."""


def why_empty(map: Tensor | np.ndarray, *, specific: bool = False, signed: bool = False) -> str:
    """Why there is nothing to see on a map, in a sentence; nothing where there is.

    Args:
        map: any shape. specific: the map is class-specific, R_k: what is empty lies below the mean of the top 5.
        signed: negative values are shown too.
    """
    values = map.detach().cpu().float().numpy() if isinstance(map, Tensor) else map
    least, most = values.min(), values.max()
    if not np.isfinite(least) or not np.isfinite(most):
        return "Not a number: this network's activations overflow."
    if signed and not values.any():
        return "Empty: zero everywhere."
    if not signed and most <= 0:
        return "Empty: this class lies below the mean of the best classes everywhere." if specific else "Empty: no positive value anywhere."
    above = np.count_nonzero(values > 0)
    if not signed and above < values.size / SCARCE:
        return f"Nearly empty: above zero at {above} of {values.size} places only."
    if values.size > 1 and least == most:
        return "Uniform: the same value everywhere, no place before another."
    return ""
