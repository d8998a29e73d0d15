"""Is this a network that can be explained, and a picture that fits it? The answers, each a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from .torch_ops import LEAKY

CONVOLUTIONS: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
QUANTISED = ("torch.ao.nn", "torch.ao.quantization", "torchao")


class NotApplicable(ValueError):
    """A method's own assumptions exclude this network; the message says which."""


class UnsupportedOperation(NotApplicable):
    """The network holds an operation that the theory does not cover: not a rectifier, and not linear."""


@dataclass(frozen=True)
class Doubt:
    """An operation that the theory does not cover, unless a later one turns its result into a rectifier's."""

    where: str
    name: str
    reason: str

    def error(self, ending: str | None = None) -> UnsupportedOperation:
        """The refusal. ``ending``: what the network ends in, if the operation is its last one."""
        if ending is not None:
            return UnsupportedOperation(
                f"The network ends in {ending} ({self.where} applies {self.name!r}). The theory explains logits: take it off and return "
                "the logits (for an nn.Sequential, net[:-1]; in a module, return what its forward gives to it)."
            )
        exact = ", and with guided=False the shares of pixels and biases still add up exactly" if self.name in LEAKY else ""
        return UnsupportedOperation(
            f"{self.where} applies {self.name!r}, which is {self.reason}: the theory of guided backpropagation does not cover this "
            f"network. strict=False lets it through with its ordinary gradient{exact}."
        )


class UnsuitableNetwork(ValueError):
    """The object given cannot be explained in this form; the message says which form can."""


def unwrapped(network: nn.Module) -> nn.Module:
    """The module inside ``nn.DataParallel``, ``DistributedDataParallel`` and ``torch.compile``, which computes the same."""
    while True:
        if isinstance(network, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            network = network.module
        elif "_orig_mod" in getattr(network, "_modules", ()):
            network = network._orig_mod  # type: ignore[assignment]
        else:
            return network


SHAPES = {1: "signals (N, C, T)", 2: "pictures (N, C, H, W)", 3: "volumes (N, C, D, H, W)"}


def spatial_axes(network: nn.Module) -> int:
    """Over how many axes the network convolves: 3 if any of its layers does, 1 if all do, else 2."""
    kinds = {axes for module in network.modules() for axes, kind in CONVOLUTIONS.items() if isinstance(module, kind)}
    return 3 if 3 in kinds else 1 if kinds == {1} else 2


def check(network: Any, x: Any, *, pictures: bool = True) -> None:
    """Raises :class:`UnsuitableNetwork`, or a ValueError that says what is wrong with ``x``, (N, C, H, W).

    ``pictures``: it must be pictures; otherwise signals or volumes are right, too, for a network that convolves over one or three axes.
    """
    _check_form(network)
    axes = 2 if pictures else spatial_axes(network)
    if not isinstance(x, Tensor) or x.dim() - 2 not in (2, axes):
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"The input must be a batch of {SHAPES[axes]}; got {shape}.")
    if not x.numel():
        raise ValueError(f"The batch is empty: its shape is {tuple(x.shape)}.")
    if x.layout != torch.strided:
        raise ValueError(f"The input must be an ordinary tensor, not a {x.layout} one: give x.to_dense().")
    if not torch.is_floating_point(x):
        raise ValueError(f"The input must be normalised floating-point numbers, not {x.dtype}.")
    parameter = next((p for p in network.parameters() if p.is_floating_point()), None)
    if parameter is not None and (parameter.dtype != x.dtype or parameter.device != x.device):
        there = f"The network is {parameter.dtype} on {parameter.device}, the input {x.dtype} on {x.device}"
        raise ValueError(f"{there}: give both the same type and device.")
    if x.is_meta:
        raise ValueError("The input is on the device 'meta', which holds no numbers: load the weights, and move both to a real device.")
    if not bool(torch.isfinite(x).all()):
        raise ValueError("The input holds NaN or infinite numbers.")


def _check_form(network: Any) -> None:
    if not isinstance(network, nn.Module):
        way = "give its .network" if isinstance(getattr(network, "network", None), nn.Module) else "wrap it in one"
        raise UnsuitableNetwork(f"The network must be a torch.nn.Module, not {type(network).__name__}; {way}.")
    if isinstance(network, torch.jit.ScriptModule):
        raise UnsuitableNetwork("A scripted network hides its operations; explain the module it was scripted from.")
    for module in network.modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise UnsuitableNetwork("A part of the network is scripted and hides its operations; explain the module it was scripted from.")
        kinds = {type(p) for p in module._parameters.values()}
        if type(module).__module__.startswith(QUANTISED) or any(kind.__module__.startswith("torchao") for kind in kinds):
            raise UnsuitableNetwork("A quantised network computes with integers, which have no gradient; explain the one it was made from.")
        if isinstance(module, fx.GraphModule) and any(isinstance(node.target, torch._ops.OpOverload) for node in module.graph.nodes):
            raise UnsuitableNetwork("An exported network has lost its modules; explain the module it was exported from.")
