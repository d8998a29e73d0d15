"""Where the project's own files lie: pictures, lessons, formulas, tables, and the browser's part of the page."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def folder(name: str) -> Path:
    """The folder ``name`` of ``assets``: inside the package where it was installed, beside it in a checkout of the repository."""
    package = Path(str(resources.files("trgbp_core")))
    installed = package / "assets"
    return (installed if installed.is_dir() else package.parent / "assets") / name
