"""``app.py`` with two networks of random weights beside the embedded one, so that no download is needed for several networks.

Every forward pass that is recorded adds a byte to the file that ``TRGBP_COUNT`` names.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import app
from trgbp_core import load_model, own_model
from trgbp_core.trgbp.explainer import TRGBP

OWN = {"noise-squeezenet": "random:squeezenet1_1", "noise-resnet18": "random:resnet18"}


def count(file: Path) -> None:
    """Add a byte to ``file`` whenever a picture's forward pass is recorded."""
    record = TRGBP.record

    def counted(self: TRGBP, x: Any, *further: Any) -> Any:
        with file.open("ab") as out:
            out.write(b".")
        return record(self, x, *further)

    TRGBP.record = counted  # type: ignore[method-assign, assignment]


def main() -> None:
    if "TRGBP_COUNT" in os.environ:
        count(Path(os.environ["TRGBP_COUNT"]))
    models = {}
    for name, source in OWN.items():
        zoo = load_model(source)
        models[name] = own_model(zoo.network, list(zoo.labels), preprocess=zoo.preprocess)
    app.launch(sys.argv[1:], models=models)


if __name__ == "__main__":
    main()
