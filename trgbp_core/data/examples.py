"""The example pictures that come with the project, by name; links and lessons know a picture by nothing else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from . import assets, images

FOLDER = assets.folder("examples")
FIRST = "cheetah_and_lion.jpg"
DRAWN = {"circle.png": 191, "square.png": 13, "star.png": 34, "star_with_tag.png": 34}
"""The number of each drawn example: ``shapes.draw(label, f"example:{number}")``."""


@dataclass(frozen=True)
class Box:
    """Where a ``thing`` is on an example: ``edges`` are left, top, right, bottom in fractions of the picture. ``classes``: what it may be
    called; a picture's first box is that of every class that no other box names."""

    thing: str
    edges: tuple[float, float, float, float]
    classes: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def boxes() -> dict[str, tuple[Box, ...]]:
    """The boxes of every example, drawn by hand (``boxes.json`` beside the pictures)."""
    given = json.loads((FOLDER / "boxes.json").read_text(encoding="utf-8"))
    return {
        name: tuple(Box(one["thing"], tuple(one["box"]), tuple(one.get("classes", ()))) for one in found) for name, found in given.items()
    }


def box_of(name: str, label: str) -> Box | None:
    """The box of what the example ``name`` shows of the class ``label``; None where ``name`` is no example."""
    found = boxes().get(name, ())
    return next((box for box in found if label in box.classes), found[0] if found else None)


def pictures() -> dict[str, Path]:
    """File name → path of every example: the photographs by name, then the drawings (:mod:`shapes`), whose every pixel counts."""
    return {path.name: path for kind in ("*.jpg", "*.png") for path in sorted(FOLDER.glob(kind))}


def name_of(picture: Image.Image) -> str:
    """The name of the example that shows exactly what ``picture`` shows; empty if none does."""
    wanted = _fingerprint(picture)
    return next((name for name, path in pictures().items() if _of_file(path) == wanted), "")


@lru_cache(maxsize=256)
def _of_file(path: Path) -> str:
    return _fingerprint(images.read(path))


def _fingerprint(picture: Image.Image) -> str:
    return f"{picture.size} {hashlib.sha256(picture.tobytes()).hexdigest()}"
