"""What commands write: checked before anything is computed."""

from __future__ import annotations

import os
from pathlib import Path


def check_folder(path: Path) -> None:
    """Raises ValueError: nothing can be written into that folder, which need not exist yet."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise ValueError(f"--out {path}: {there} is a file, not a folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"--out {path}: nothing can be written into {there}.")


def check_file(path: Path) -> None:
    """Raises ValueError: that file cannot be written; its folder need not exist yet."""
    if path.is_dir():
        raise ValueError(f"--out {path} is a folder; here it names a file.")
    check_folder(path.absolute().parent)
    if path.exists() and not os.access(path, os.W_OK):
        raise ValueError(f"--out {path}: the file cannot be written.")


def write(folder: Path | None, name: str, text: str) -> None:
    """A file of text in ``--out``, if that was given; its path is printed."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
        print(folder / name)
