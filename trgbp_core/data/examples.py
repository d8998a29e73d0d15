"""The example pictures that come with the project, by name; links and lessons know a picture by nothing else."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from PIL import Image

from . import assets, images

FOLDER = assets.folder("examples")
FIRST = "cheetah_and_lion.jpg"


def pictures() -> dict[str, Path]:
    """File name → path of every example, by name."""
    return {path.name: path for path in sorted(FOLDER.glob("*.jpg"))}


def name_of(picture: Image.Image) -> str:
    """The name of the example that shows exactly what ``picture`` shows; empty if none does."""
    wanted = _fingerprint(picture)
    return next((name for name, path in pictures().items() if _of_file(path) == wanted), "")


@lru_cache(maxsize=256)
def _of_file(path: Path) -> str:
    return _fingerprint(images.read(path))


def _fingerprint(picture: Image.Image) -> str:
    return f"{picture.size} {hashlib.sha256(picture.tobytes()).hexdigest()}"
