"""Weights files on this machine: found, checked, read. Nothing in a file is executed."""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import safetensors_file

SUFFIXES = (".safetensors", ".pth", ".pt")
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")


class WeightsError(ValueError):
    """The weights are not available or cannot be trusted; the message names the remedy."""


class UnreachableError(WeightsError):
    """No server was reached: at present nothing can be downloaded."""


def directory() -> Path:
    """torch's own cache, so that what torchvision has downloaded is found here, and the other way round."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def find(filename: str, name: str = "") -> Path | None:
    """Where the weights lie on this machine, unchecked.

    Args:
        filename: as torch's cache names it. name: the network's: ``TRGBP_MODEL_DIR`` may also hold ``NAME.safetensors`` or ``NAME.pth``.

    Returns:
        the file in the folder of offline weights that the environment variable ``TRGBP_MODEL_DIR`` names, else in torch's cache, else None.
    """
    offline = os.environ.get("TRGBP_MODEL_DIR")
    names = [filename, *(name + suffix for suffix in SUFFIXES if name)]
    candidates = [Path(offline) / n for n in names] if offline else []
    return next((path for path in [*candidates, directory() / filename] if path.is_file()), None)


def hash_prefix(filename: str) -> str:
    """The start of the SHA-256 that torch's file names carry: ``resnet50-0676ba61.pth`` → ``0676ba61``; empty where there is none."""
    match = re.search(r"-([0-9a-f]{8,64})\.[a-z]+$", filename)
    return match[1] if match else ""


def is_sound(path: Path, prefix: str) -> bool:
    """Does the file's SHA-256 begin with ``prefix``?"""
    if not prefix:
        return True
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest().startswith(prefix)


def read(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """A state dict from a file: safetensors, or torch's format as far as it holds nothing but tensors.

    A dict under ``state_dict`` or ``model`` is unwrapped and a ``module.`` before every name removed. Half-precision numbers, in which some
    files are stored, become float32.

    Raises:
        WeightsError: no such file, not a checkpoint, or numbers that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path.name}.")
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for key in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    metadata = getattr(state, "_metadata", None)
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path.name} is not a dict of named tensors; save network.state_dict().")
    if all(key.startswith("module.") for key in state):
        state, metadata = {key[len("module.") :]: value for key, value in state.items()}, None
    for key, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(f"{path.name} holds NaN or infinite numbers in {key}; fetch it again.")
    result = OrderedDict((key, value.float() if value.is_floating_point() else value) for key, value in state.items())
    if metadata is not None:
        # Networks that have changed since (MNASNet) read their version from it.
        result._metadata = metadata  # type: ignore[attr-defined]
    return result


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path.name} is no checkpoint of plain tensors, or it is damaged; fetch it again, or save it anew.") from error


def _read_safetensors(path: Path) -> Any:
    try:
        return safetensors_file.read(path)
    except Exception as error:
        raise WeightsError(f"{path.name} is no safetensors file, or it is damaged; fetch it again.") from error


def adopt(network: nn.Module, state: dict[str, Tensor], filename: str) -> None:
    """Give a freshly built network its weights, all or none.

    Training's auxiliary heads are left out, and DenseNet's old names (``norm.1``) read as today's (``norm1``).

    Raises:
        WeightsError: the file belongs to another architecture, or another number of classes.
    """
    metadata = getattr(state, "_metadata", None) or {"": {"version": 2}}
    fitting: OrderedDict[str, Tensor] = OrderedDict()
    wanted = network.state_dict()
    for key, value in state.items():
        key = re.sub(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$", r"\1\2", key)
        if key in wanted or not key.startswith(("aux1.", "aux2.", "AuxLogits.")):
            fitting[key] = value
    counted = {key for key in wanted if key.endswith("num_batches_tracked")}
    missing, extra = set(wanted) - set(fitting) - counted, set(fitting) - set(wanted)
    shapes = {key for key in set(wanted) & set(fitting) if wanted[key].shape != fitting[key].shape}
    for wrong, what in ((missing, "lacks"), (extra, "also has"), (shapes, "has in another shape")):
        if wrong:
            example, others = sorted(wrong)[0], len(wrong) - 1
            raise WeightsError(
                f"{filename} does not fit this network: it {what} {example}{f' and {others} more' if others else ''}. "
                "Give the weights of the same architecture with as many classes; a network with other classes is put in with own_model."
            )
    fitting._metadata = metadata  # type: ignore[attr-defined]
    network.load_state_dict(fitting, assign=True)
