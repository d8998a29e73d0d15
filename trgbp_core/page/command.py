"""The command ``page``: the page in the browser, until it is stopped."""

from __future__ import annotations

import argparse

from .options import options

__all__ = ["options", "run"]


def run(arguments: argparse.Namespace) -> None:
    """Serve the page as the arguments say."""
    from ..serving.server import leave
    from .start import start  # Gradio, which no other command waits for

    start(arguments)
    leave()
