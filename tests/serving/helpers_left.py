"""Whose threads OpenMP's helpers belong to, after everything that the page can be asked: ``python -m tests.serving.helpers_left``.

Prints what leaves helpers behind in the thread that asked, a line each, and last of all ``sees`` if the count sees them at all.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from trgbp_core.data import images
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.page import comparing, handlers
from trgbp_core.serving.server import leave

EXAMPLE = Path(__file__).parents[2] / "assets" / "examples" / "lion.jpg"
MODEL = "efficientnet_lite0"
METHODS = ["tr_gbp", "saliency", "grad_cam"]


class Asker:
    """A thread that stays, as those of a web server do."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._thread.submit(int).result()

    def leaves(self, call: Callable[[], Any]) -> int:
        """How many helpers more there are after ``call`` than before."""
        before = helpers()
        self._thread.submit(call).result()
        return helpers() - before


def helpers() -> int:
    """Threads of this process that are not Python's, once those have ended that were about to."""
    time.sleep(0.3)
    return len(os.listdir("/proc/self/task")) - threading.active_count()


def main() -> None:
    explorer, picture, asker = Explorer(), images.read(EXAMPLE), Asker()
    question = explorer.ask(picture, MODEL)
    explorer.explanation(question)  # whose helpers stay, and are the only ones that do
    asked = (explorer, picture, MODEL, "lion")
    calls: dict[str, Callable[[], Any]] = {
        "asking": lambda: explorer.ask(picture, MODEL),
        "another network": lambda: explorer.network("random:resnet18"),
        "explain": lambda: list(explorer.explain_at_once(question, 7)),
        "another class": lambda: explorer.further_class(question, 8),
        "compare": lambda: list(comparing.compare(*asked, METHODS)),
        "measure": lambda: list(handlers.measure(*asked, METHODS)),
        "perturb": lambda: list(handlers.perturb(*asked, ["saliency"])),
        "predict": lambda: list(handlers.predict(*asked)),
        "check prediction": lambda: list(handlers.check_prediction(*asked, 2)),
        "cascade": lambda: list(itertools.islice(handlers.cascade(*asked, "saliency", "gaussian", 0), 3)),
    }
    for name, call in calls.items():
        if asker.leaves(call) > 0:
            print(name)
    print("sees" if asker.leaves(lambda: torch.ones(1 << 20).mul(2)) == 1 else "blind")


if __name__ == "__main__":
    main()
    leave()
