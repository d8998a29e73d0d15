"""TR-GBP Explorer: starts the page, as ``python app.py`` and as a Space. The page itself is :mod:`trgbp_core.page.start`."""

from __future__ import annotations

import contextlib
import sys

with contextlib.suppress(ImportError):
    import spaces  # noqa: F401 - a ZeroGPU Space needs it before torch

from trgbp_core.cli.main import main
from trgbp_core.page.start import build, launch, page_theme

__all__ = ["build", "launch", "page_theme"]

if __name__ == "__main__":
    sys.exit(main(["page", *sys.argv[1:]]))
