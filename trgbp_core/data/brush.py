"""Parts of a picture covered, or copied to another place: what does the network say then?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

Box = tuple[float, float, float, float]
"""(left, top, width, height) in fractions of a picture, as a box keeps its size in pixels wherever it is moved."""

COVERS = ("mean", "blur")


def read_box(given: Any) -> Box:
    """``given`` as a box that lies in the picture. Raises ValueError with a sentence if it is none."""
    numbers = isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 4
    if numbers and all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in given):
        left, top, width, height = map(float, given)
        if left >= 0 and top >= 0 and width > 0 and height > 0 and left + width <= 1 + 1e-6 and top + height <= 1 + 1e-6:
            return left, top, width, height
    raise ValueError("A box is its left and top edge, its width and its height, in fractions of the picture.")


def pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of ``box`` in a picture of ``size``, at least one pixel."""
    left, top, width, height = (round(share * side) for share, side in zip(box, (*size, *size), strict=True))
    width, height = max(1, width), max(1, height)
    left, top = min(left, size[0] - width), min(top, size[1] - height)
    return left, top, left + width, top + height


def covered(picture: Image.Image, box: Box, how: str = COVERS[0]) -> Image.Image:
    """An RGB ``picture`` with a part that tells nothing any more.

    Args:
        how: ``"mean"``: the part has the mean colour of the whole picture. ``"blur"``: it is blurred by half of its longer side.

    Raises:
        ValueError: another ``how``.
    """
    if how not in COVERS:
        raise ValueError("A part is covered with the picture's mean colour, or blurred.")
    left, top, right, bottom = region = pixels(box, picture.size)
    out = picture.copy()
    if how == "mean":
        mean = np.asarray(picture, np.float64).reshape(-1, 3).mean(0).round().astype(int)
        out.paste(tuple(int(value) for value in mean), region)
        return out
    radius = max(right - left, bottom - top) / 2
    room = math.ceil(3 * radius)
    around = max(0, left - room), max(0, top - room), min(picture.width, right + room), min(picture.height, bottom + room)
    blurred = picture.crop(around).filter(ImageFilter.GaussianBlur(radius))
    part = blurred.crop((left - around[0], top - around[1], right - around[0], bottom - around[1]))
    out.paste(part, (left, top))
    return out


def copied(source: Image.Image, part: Box, picture: Image.Image, box: Box) -> Image.Image:
    """``picture`` with the ``part`` of ``source`` in ``box``: pixel by pixel where both are as large, else resized to fill it."""
    patch = source.crop(pixels(part, source.size))
    left, top, right, bottom = pixels(box, picture.size)
    if patch.size != (right - left, bottom - top):
        patch = patch.resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    out = picture.copy()
    out.paste(patch, (left, top))
    return out
