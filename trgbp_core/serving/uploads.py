"""The folder of temporary files, of visitors' pictures and of the endpoints' answers: kept small, and removed at the end."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import hashlib
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image

MAX_BYTES = 1_000_000_000
TIDY_SECONDS = 2.0
"""Between two looks at the folder. At a visitor's 40 MB a request the folder stays near its limit."""

GRACE_SECONDS = 20.0
"""A page that is reloaded leaves and comes again, on a slow machine after some seconds."""

_made: list[str] = []


def private_folder(variable: str = "GRADIO_TEMP_DIR") -> Path:
    """A folder for this process alone, named by the environment variable and removed when the process ends; one that is set is taken."""
    if given := os.environ.get(variable):
        return Path(given)
    folder = tempfile.mkdtemp(prefix="trgbp-")
    os.environ[variable] = folder
    _made.append(folder)
    return Path(folder)


@atexit.register
def remove_private_folders() -> None:
    """Remove what :func:`private_folder` has made."""
    while _made:
        shutil.rmtree(_made.pop(), ignore_errors=True)


class Uploads:
    """The files in ``folder``.

    Args:
        folder: where the files are, at any depth.
        max_bytes: beyond this the oldest files are removed.
        grace: seconds for which the files of a visitor who has left stay.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES, grace: float = GRACE_SECONDS) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._grace = grace
        self._stays: set[Path] = set()
        self._visitors: dict[str, set[Path]] = {}
        self._lock = threading.Lock()
        self._looked = 0.0

    def keep_what_is_here(self) -> None:
        """Never remove what is in the folder now, such as the example pictures."""
        self._stays = {path for path, _, _ in _files(self.folder)}

    def remember(self, visitor: str, path: str | Path) -> None:
        """``visitor`` has this file on the page, if it is one of this folder."""
        found = Path(path)
        if self.folder in found.parents:
            with self._lock:
                self._visitors.setdefault(visitor, set()).add(found)

    def holds(self, path: str) -> bool:
        """Whether ``path`` is a file of this folder; no other may be read for a visitor who names it."""
        try:
            found = Path(path).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            return False
        return found.is_file() and self.folder.resolve() in found.parents

    def forget(self, visitor: str) -> None:
        """``visitor`` has left: remove the files that nobody else has on the page, once a reloaded page has had time to ask for its own."""
        with self._lock:
            left = self._visitors.pop(visitor, set())
        waiting = threading.Timer(self._grace, self._remove_unused, [left])
        waiting.daemon = True
        waiting.start()

    def _remove_unused(self, left: set[Path]) -> None:
        with self._lock:
            others = set().union(*self._visitors.values())
        for path in left - others - self._stays:
            _remove(path)

    def tidy(self) -> None:
        """Remove the oldest files beyond the limit."""
        found = sorted((f for f in _files(self.folder) if f[0] not in self._stays), key=lambda f: f[2])
        excess = sum(size for _, size, _ in found) - self._max_bytes
        for path, size, _ in found:
            if excess <= 0:
                break
            _remove(path)
            excess -= size

    async def tidy_now_and_then(self) -> None:
        """:meth:`tidy`, at most every :data:`TIDY_SECONDS`, beside the event loop."""
        now = time.monotonic()
        if now - self._looked >= TIDY_SECONDS:
            self._looked = now
            await asyncio.to_thread(self.tidy)


def written(picture: Image.Image, folder: Path) -> str:
    """The path of ``picture`` as PNG in ``folder``, written once for all who are given the same one.

    It is there whole or not at all: Gradio writes such a file anew for each answer, also while it is being sent to somebody else.
    """
    digest = hashlib.sha256(f"{picture.mode} {picture.size} ".encode() + picture.tobytes()).hexdigest()
    path = folder / digest / "image.png"
    while True:
        with contextlib.suppress(FileNotFoundError):  # or it is the oldest, and just being removed
            if path.exists():
                os.utime(path)
                return str(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
                # Compressed a little less, in a third of the time.
                picture.save(part, "PNG", compress_level=1)
            os.replace(part.name, path)


def _files(folder: Path) -> list[tuple[Path, int, float]]:
    """(path, bytes, time of the last change) of every file."""
    found = []
    for around, _, names in os.walk(folder):
        for name in names:
            path = Path(around, name)
            with contextlib.suppress(OSError):  # it may be gone by now
                about = path.lstat()
                found.append((path, about.st_size, about.st_mtime))
    return found


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # gone already, or its folder holds more
        path.unlink()
        path.parent.rmdir()
