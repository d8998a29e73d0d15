"""A user's own network, made into what the page and the explorer take for a network of the zoo."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from ..data.preprocessing import Preprocess
from ..engine.recording import record
from ..trgbp import axiom
from . import catalogue
from .catalogue import Entry, ModelError
from .checkpoints import adopt, read
from .download_progress import on_terminal
from .loading import Zoo, in_memory, load_model


def own_model(
    network: nn.Module, labels: Sequence[str] | int | None = None, *, preprocess: Preprocess | None = None, name: str = "mine"
) -> Zoo:
    """Any rectifier network with its labels and its preprocessing: what :func:`trgbp_core.page.start.launch` takes.

    The network is tried once on a picture of noise, so that whatever is wrong with it is reported here and not on the page. It is neither
    copied nor changed.

    Args:
        network: (N, C, size, size) → logits (N, classes); float32, all of it on one device, where it is explained.
        labels: a name for every class, or their number, which the network itself tells where it is left out.
        preprocess: from a picture to the network's input; by default ImageNet's, 224×224. One number in ``mean`` and ``std`` reads grey.
        name: what the picker shows.

    Raises:
        ModelError: a network that the theory does not cover, or of another form or shape than described; the message says which.

    Example:
        >>> zoo = own_model(network, ["cat", "dog"], preprocess=Preprocess(size=32, resize=None, mean=(0.5,), std=(0.5,)))
    """
    preprocess = preprocess or Preprocess()
    _check_numbers(network)
    try:
        noise = torch.randn(1, len(preprocess.mean), preprocess.size, preprocess.size, generator=torch.Generator().manual_seed(0))
        recording = record(network, (preprocess.black + noise).to(_device(network)))
        axiom.hold(network, recording)
    except ValueError as error:
        raise ModelError(f"This network cannot be explained. {str(error).partition(' strict=')[0]}") from error
    classes = recording.logits.shape[1]
    labels = classes if labels is None else labels
    names = [f"class {k}" for k in range(labels)] if isinstance(labels, int) else [str(label) for label in labels]
    if isinstance(labels, str) or len(names) != classes:
        raise ModelError(f"The network has {classes} classes; give a list of as many labels, or their number, not {len(names)}.")
    entry = Entry(
        name=name,
        title=name,
        source="given when the page was started",
        licence="its owner's",
        parameters=sum(p.numel() for p in network.parameters()),
        accuracy=None,
        download_size=0,
        preprocess=preprocess,
    )
    return Zoo(entry, network, names)


def _check_numbers(network: nn.Module) -> None:
    """The page and the command line turn pictures into float32, on one device; from Python, :class:`TRGBP` takes any type."""
    for parameter in network.parameters() if isinstance(network, nn.Module) else ():
        elsewhere = parameter.is_meta or parameter.device != _device(network)
        if parameter.is_floating_point() and (parameter.dtype != torch.float32 or elsewhere):
            raise ModelError(
                f"This network is {parameter.dtype} on {parameter.device}; the page and the command line compute in float32 on "
                "one device: give network.float().cpu()."
            )


def _device(network: nn.Module) -> torch.device:
    tensors = [*network.parameters(), *network.buffers()] if isinstance(network, nn.Module) else []
    return tensors[0].device if tensors else torch.device("cpu")


def from_code(spec: str, weights: str | os.PathLike[str] | None = None) -> Zoo:
    """The network that ``MODULE:NAME`` or ``FILE.py:NAME`` names: what that function returns, or that object.

    It is a torch module (explained with ImageNet's preprocessing, its classes numbered), or what :func:`own_model` made of one. Its module
    is imported, from the working folder too: this is for code of one's own.

    Args:
        weights: a file of weights for it.

    Raises:
        ModelError: there is no such thing, it fails, or it is no such network. WeightsError: the file does not fit it.
    """
    place, _, name = spec.rpartition(":")
    if not place or not name:
        raise ModelError(f"A network of your own is MODULE:FUNCTION or FILE.py:FUNCTION, not {spec!r}.")
    try:
        found: Any = getattr(_module(place), name)
        found = found if isinstance(found, (nn.Module, Zoo)) else found()
    except Exception as error:  # whatever a stranger's code raises
        raise ModelError(f"The network {spec} cannot be had: {type(error).__name__}: {error}") from error
    if not isinstance(found, (nn.Module, Zoo)):
        raise ModelError(f"{spec} gave {type(found).__name__}; it returns a torch module, or own_model(network, labels).")
    if weights is not None:
        network = copy.deepcopy(found.network if isinstance(found, Zoo) else found)
        adopt(network, read(weights), os.path.basename(weights))
        found = own_model(network, found.labels, preprocess=found.preprocess, name=found.name) if isinstance(found, Zoo) else network
    if isinstance(found, nn.Module):
        found = own_model(found, name=name)
    found.network.eval()
    return found


def working_folder_first() -> None:
    """Modules of the working folder can be imported, as by ``python -m``; what they import later, too."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def _module(place: str) -> ModuleType:
    """A module by its name, or the file of one."""
    if not place.endswith(".py"):
        working_folder_first()
        return importlib.import_module(place)
    made = importlib.util.spec_from_file_location(Path(place).stem, place)
    assert made is not None
    assert made.loader is not None
    module = importlib.util.module_from_spec(made)
    made.loader.exec_module(module)
    return module


def loaded(source: Zoo | str, device: torch.device | str = "cpu", weights: str | os.PathLike[str] | None = None) -> Zoo:
    """A network on ``device``: one that is there already, or one by its name; a download shows its progress on the terminal.

    Raises:
        ModelError, WeightsError, DeviceError: as :func:`load_model`.
    """
    if isinstance(source, Zoo):
        return source.to(device)
    with on_terminal(source) as progress:
        return load_model(source, weights=weights, device=device, progress=progress)


def preloaded(
    name: str, weights: str | os.PathLike[str] | None, own: Mapping[str, Zoo] | None = None, device: torch.device | str = "cpu"
) -> dict[str, Zoo]:
    """The network to begin with, by name, if a :class:`ModelCache` does not load it by itself: one with a weights file, of timm, or random.

    Args:
        own: the networks that were given, which are loaded already.

    Raises:
        ModelError, WeightsError: as :func:`load_model`; a file of weights for a network that was given with its own.
    """
    if name in (own or {}):
        if weights is not None:
            raise ModelError(f"{name} has its weights already: a file of weights goes with a network of the zoo.")
        return {}
    if weights is None and name in catalogue.entries():
        return {}
    return {name: loaded(name, device, weights)}


def named(models: Mapping[str, Zoo] | None) -> dict[str, Zoo]:
    """The networks under the names that the caller gave them.

    Raises:
        ModelError: a name that is empty or the zoo's own, or a network that :func:`own_model` has not made.
    """
    result = {}
    for name, zoo in (models or {}).items():
        if not isinstance(name, str) or not name.strip() or name in catalogue.entries():
            raise ModelError(f"{str(name)[:60]!r} cannot be the name of your network: give one that is not empty, and not in the zoo.")
        if not isinstance(zoo, Zoo):
            raise ModelError(f"{name} is {type(zoo).__name__}; make it ready with own_model(network, labels).")
        result[name] = replace(zoo, entry=in_memory(zoo.entry, name=name, title=name))
    return result
