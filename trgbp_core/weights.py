"""Weights on this machine, checked before they are used."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import torch


class WeightsError(ValueError):
    """The weights cannot be had or cannot be trusted; the message names the remedy."""


def directory() -> Path:
    """torch's own cache, so that what torchvision has downloaded is found, and the other way round."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def find(filename: str) -> Path | None:
    """The file in ``TRGBP_MODEL_DIR`` (offline weights, looked at first) or in torch's cache; ``None`` where it is in neither."""
    folders = [Path(folder) for folder in [os.environ.get("TRGBP_MODEL_DIR")] if folder]
    return next((folder / filename for folder in [*folders, directory()] if (folder / filename).is_file()), None)


def hash_prefix(filename: str) -> str:
    """The start of the SHA-256 that torch's file names carry: ``resnet50-0676ba61.pth`` → ``0676ba61``."""
    match = re.search(r"-([0-9a-f]{8,64})\.[a-z]+$", filename)
    return match[1] if match else ""


def check(path: Path, prefix: str) -> None:
    """Raises :class:`WeightsError` unless the file's SHA-256 begins with ``prefix``."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    if not digest.hexdigest().startswith(prefix):
        raise WeightsError(f"The weights file {path.name} is damaged: its SHA-256 is not {prefix}… Delete it and fetch it again.")


def load(path: Path, prefix: str = "") -> dict[str, Any]:
    """The state dict of a checked file, as plain float32 tensors on the CPU; nothing in the file is executed."""
    check(path, prefix)
    state = torch.load(path, map_location="cpu", weights_only=True)
    for key, value in state.items():
        if value.is_floating_point():
            state[key] = value.float()
    return state


def fetch(url: str) -> Path:
    """The file behind ``url`` on this machine, downloaded into torch's cache if it is not there yet."""
    filename = url.rpartition("/")[2]
    path = find(filename)
    if path is None:
        path = directory() / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix(filename) or None, progress=False)
        except OSError as error:
            raise WeightsError(
                f"The weights {filename} cannot be downloaded. Without network use the embedded network efficientnet_lite0, "
                "or put the file into the folder that TRGBP_MODEL_DIR names."
            ) from error
    return path
