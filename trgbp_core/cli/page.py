"""The command ``page``: the page in the browser, until it is stopped."""

from __future__ import annotations

import argparse

from ..page.options import options

__all__ = ["options", "run"]


def run(arguments: argparse.Namespace) -> None:
    from ..page.start import start  # Gradio, which no other command waits for
    from ..serving.server import leave

    start(arguments)
    leave()
