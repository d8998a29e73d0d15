"""``python -m benchmarks NAME``: a graphics card, the page, many clients, and networks that cheat.

``python -m trgbp_core bench`` measures the processor. Whatever is wrong is one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import sys

from . import gpu, passes, pixels, results, shapes, shortcuts, slow


def _page(arguments: argparse.Namespace) -> None:
    from . import page

    page.run(arguments.repeats)


def _load(arguments: argparse.Namespace) -> None:
    from .load import drive

    drive.run(arguments.clients, arguments.seconds, arguments.alone, arguments.pause, arguments.url)


def main(argv: list[str] | None = None) -> int:
    """Run one benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = parser.add_subparsers(required=True, metavar="NAME")
    gpu.add(names)
    shapes.add(names)
    shortcuts.add(names)
    passes.add(names)
    pixels.add(names)
    slow.add(names)
    results.add(names)
    page = names.add_parser("page", help="how fast the page answers, in a real Chromium")
    page.set_defaults(run=_page)
    page.add_argument("--repeats", type=int, default=3, help="how often the server is started and the page opened (default 3)")
    load = names.add_parser("load", help="many clients at once, with every answer checked, on this machine only")
    load.set_defaults(run=_load)
    load.add_argument("--clients", type=int, default=30)
    load.add_argument("--seconds", type=float, default=180.0, help="how long all clients ask (default 180)")
    load.add_argument("--alone", type=float, default=40.0, help="how long one client asks alone, for comparison (default 40)")
    load.add_argument("--pause", type=float, default=0.0, help="seconds between an answer and a client's next question (default 0)")
    load.add_argument("--url", help="a page that runs already, of `python -m benchmarks.load.server`, one or several behind a proxy")
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except (ImportError, ValueError, OSError) as error:
        print(f"benchmarks: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
