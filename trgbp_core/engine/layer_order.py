"""In which order a network's layers run, whatever the order in which its modules were defined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from .recording import record
from .tape import Tape
from .torch_ops import tensors
from .validation import unwrapped

_LAYERS = (torch.conv2d, F.linear)
_NORMS = (F.batch_norm, torch.batch_norm)
NORM_MODULES = (nn.BatchNorm1d, nn.BatchNorm2d)


def layer_groups(network: nn.Module, x: Tensor | None = None) -> list[tuple[str, ...]]:
    """The layers to randomise, first to last, as module names: a convolution or linear layer with the batch norm behind it.

    Args:
        network: any module; with ``x`` called once on the tape, in evaluation mode, and left as it is.
        x: a picture, (1, C, H, W). With it the order is that of execution, and modules that do not run (training's auxiliary heads) are
            left out; one that runs several times stands where it runs last, the first place on the way down from the logits.
            Without it the order is the one in which the modules were defined; in every network of the zoo the two are one.

    Returns:
        names of modules; ``""`` is the network itself.

    Raises:
        ValueError: see :func:`recording.record`; operations outside the theory are let through.
    """
    return _defined_layers(network) if x is None else _executed_layers(unwrapped(network), x)


def _defined_layers(network: nn.Module) -> list[tuple[str, ...]]:
    groups: list[tuple[str, ...]] = []
    previous: nn.Module | None = None
    for name, module in network.named_modules():
        if not any(True for _ in module.parameters(recurse=False)):
            continue
        layer = holder(name)
        if layer != name:  # the tensors of a parametrization belong to its layer
            if groups and groups[-1][0] == layer:
                groups[-1] += (name,)
            else:
                groups.append((layer, name))
                previous = network.get_submodule(layer)
            continue
        width = getattr(previous, "out_channels", getattr(previous, "out_features", None))
        if isinstance(module, NORM_MODULES) and groups and width == module.num_features:
            groups[-1] += (name,)
        else:
            groups.append((name,))
        previous = module
    return groups


@dataclass
class _Order(Tape):
    """Notes which module's parameters each operation takes, and whose output a batch norm reads."""

    __hash__ = object.__hash__

    def __post_init__(self) -> None:
        super().__post_init__()
        self.used: dict[str, None] = {}
        self.normed: dict[str, str] = {}
        self._makers: Any = WeakTensorKeyDictionary()
        self._owners: dict[int, list[str]] = {}
        for name, parameter in self.network.named_parameters(remove_duplicate=False):
            self._owners.setdefault(id(parameter), []).append(name.rpartition(".")[0])

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_function__(func, types, args, kwargs)
        # Whoever asks a parameter for its shape or its device does not compute with it.
        if isinstance(result, Tensor):
            for owner in [owner for t in tensors(args, kwargs or {}) for owner in self._owners.get(id(t), ())]:
                self._note(owner, func, args, result)
        return result

    def _note(self, owner: str, func: Any, args: Any, result: Tensor) -> None:
        self.used.pop(owner, None)
        self.used[owner] = None
        if func in _LAYERS:
            self._makers[result] = owner
        elif func in _NORMS and (maker := self._makers.get(self.current(args[0]))) is not None:
            self.normed[owner] = maker


def _executed_layers(network: nn.Module, x: Tensor) -> list[tuple[str, ...]]:
    order = _Order(network, guided=False, layer_maps=False, strict=False)
    record(network, x, tape=order)
    groups: dict[str, tuple[str, ...]] = {}
    for name in order.used:
        layer = holder(order.normed.get(name, name))
        groups[layer] = (*groups.get(layer, (layer,) if layer != name else ()), name)
    return list(groups.values())


def holder(name: str) -> str:
    """The layer that the module ``name`` belongs to: of a parametrised weight (weight norm, spectral norm), the layer that it is for."""
    return name.partition(".parametrizations.")[0]
