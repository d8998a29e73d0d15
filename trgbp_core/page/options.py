"""The options of the command that starts the page. Reading them needs neither Gradio nor a network."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..explorer.explorer import DEFAULT_MODEL


def options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--host", help="address to listen on (default 127.0.0.1; 0.0.0.0 for everybody on the network)")
    add("--port", type=port, help="port (default: the first free one from 7860)")
    add("--share", action="store_true", help="also serve the page through a public link of Gradio's")
    add("--model", help=f"the network that is selected first (default: that of --network, else {DEFAULT_MODEL})")
    add("--weights", type=Path, metavar="FILE", help="its weights: safetensors, or a checkpoint of plain tensors")
    what = "networks of your own: MODULE:FUNCTION or FILE.py:FUNCTION, which returns a torch module, or what own_model made"
    add("--network", "--networks", nargs="+", action="extend", default=[], metavar="OWN", help=what)
    add("--mcp", action="store_true", help="also serve the endpoints as tools for assistants, at /gradio_api/mcp/")


def port(text: str) -> int:
    """The number of a port."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text}")
    return int(text)
