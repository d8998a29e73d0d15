"""A machine where things go wrong: short timeouts, weights that a test has made, and a disk that is full on demand.

``python -m tests.support.hostile_machine ARGUMENTS`` is ``python -m trgbp_core ARGUMENTS`` there. The environment variable
``TRGBP_TEST_WEIGHTS`` is a folder of ``NAME-HASH.pth``: the networks NAME have these files for their published weights. While it also holds
a file ``full``, there is no room left on the disk.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch

from trgbp_core import load_model
from trgbp_core.cli.main import main
from trgbp_core.zoo import catalogue, downloads
from trgbp_core.zoo.checkpoints import hash_prefix


def make_weights(folder: Path, names: Iterable[str]) -> None:
    """Weights of noise, named as torch names files: NAME-HASH.pth."""
    for name in names:
        buffer = io.BytesIO()
        torch.save(load_model(f"random:{name}").network.state_dict(), buffer)
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        (folder / f"{name}-{digest[:8]}.pth").write_bytes(buffer.getvalue())


def environment(address: str, folder: Path, home: Path) -> dict[str, str]:
    """What a process needs to be on this machine, with ``address`` for the server of all weights."""
    return {
        "TRGBP_WEIGHTS_URL": address,
        "TRGBP_TEST_WEIGHTS": str(folder),
        "TORCH_HOME": str(home),
        "TRGBP_MODEL_DIR": "",
        "no_proxy": "127.0.0.1",
    }


def prepare() -> None:
    """Make this process's machine such a one."""
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
    downloads.TIMEOUT_SECONDS = 0.7


if __name__ == "__main__":
    prepare()
    sys.exit(main(sys.argv[1:]))
