"""``app.py`` on a machine where things go wrong: short patience, weights that a test has made, and a disk that is full when told.

``TRGBP_TEST_WEIGHTS`` is a folder of ``NAME-HASH.pth``: the networks NAME have these files for their published weights. While it also
holds a file ``full``, there is no room left on the disk.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import app
from trgbp_core import catalogue, downloads, own_model
from trgbp_core.models import Zoo
from trgbp_core.preprocessing import Preprocess
from trgbp_core.weights import hash_prefix


def main() -> None:
    folder = Path(os.environ["TRGBP_TEST_WEIGHTS"])
    known = catalogue.entries()
    for file in folder.glob("*.pth"):
        name = file.name.rpartition("-")[0]
        url = f"https://weights.invalid/{file.name}"
        known[name] = replace(known[name], url=url, sha256=hash_prefix(file.name), download_size=file.stat().st_size)
    usage = shutil.disk_usage
    room = SimpleNamespace(disk_usage=lambda path: SimpleNamespace(free=100) if (folder / "full").exists() else usage(path))
    downloads.shutil = room  # type: ignore[assignment]
    downloads.PAUSE_SECONDS = 0.01
    downloads.fetch.__kwdefaults__["timeout"] = 0.7
    app.launch(sys.argv[1:], models={"tiny": tiny()})


def tiny() -> Zoo:
    """A network of the owner's own: three classes, 32 pixels."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    return own_model(network, ["apple", "banana", "cherry"], preprocess=Preprocess(size=32, resize=None))


if __name__ == "__main__":
    main()
