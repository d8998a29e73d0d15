"""Which part of a picture a network sees: what its own preprocessing takes, the whole picture, or a square of one's own."""

from __future__ import annotations

import re
from dataclasses import dataclass

CENTRE, WHOLE = "centre", "whole"
SMALLEST = 0.05
_SQUARE = re.compile(r"([01](?:\.[0-9]{1,6})?),([01](?:\.[0-9]{1,6})?),([01](?:\.[0-9]{1,6})?)")


@dataclass(frozen=True)
class Crop:
    """A part of a picture, of any picture: nothing of it is in pixels.

    Attributes:
        kind: ``"centre"``: what the network's own preprocessing takes, mostly the middle. ``"whole"``: the whole picture,
            squeezed into a square. ``"square"``: a square.
        x, y: where the square lies in the room that the picture leaves it: 0 at the left (upper) edge, 0.5 in the middle, 1 at the other.
        size: the square's side as a share of the picture's shorter side, from 0.05 to 1.
    """

    kind: str = CENTRE
    x: float = 0.5
    y: float = 0.5
    size: float = 1.0

    @classmethod
    def read(cls, text: object) -> Crop:
        """``centre``, ``whole`` or ``x,y,size``. Raises ValueError: it is something else."""
        if text in (CENTRE, WHOLE):
            return cls(str(text))
        found = _SQUARE.fullmatch(text) if isinstance(text, str) else None
        if found is not None:
            x, y, size = map(float, found.groups())
            if x <= 1 and y <= 1 and SMALLEST <= size <= 1:
                return cls("square", x, y, size)
        raise ValueError(
            f"A crop is centre, whole, or x,y,size: where a square lies, from 0 to 1, and its side, from {SMALLEST} to 1, as in 0.5,0,0.8."
        )

    def __str__(self) -> str:
        return self.kind if self.kind != "square" else f"{self.x:g},{self.y:g},{self.size:g}"

    def region(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in whole pixels of a picture of that size; not of ``centre``, which each network places itself."""
        if self.kind == WHOLE:
            return 0, 0, width, height
        side = max(1, round(self.size * min(width, height)))
        left, top = round(self.x * (width - side)), round(self.y * (height - side))
        return left, top, left + side, top + side
