"""Cascading randomisation (Section 5.2.2, appendix B; Adebayo et al. 2018), from the logits down to the first convolution.

Every stage is a network of its own that shares with the caller's all that is not yet randomised; the caller's is never changed, and
neither is the global random state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, SupportsIndex

import torch
from torch import Tensor, nn

from ..engine.evaluation_mode import shared_copy
from ..engine.layer_order import NORM_MODULES, layer_groups
from ..engine.validation import unwrapped
from ..trgbp import axiom

Mode = Literal["gaussian", "reset"]
MODES: tuple[Mode, ...] = ("gaussian", "reset")


@dataclass(frozen=True)
class Stage:
    """``network`` has its last ``index`` of ``total`` layers randomised; ``name`` is the layer that came last."""

    name: str
    index: int
    total: int
    network: nn.Module


def cascade(
    network: nn.Module,
    *,
    seed: int = 0,
    mode: Mode = "gaussian",
    x: Tensor | None = None,
    reuse: int = 0,
) -> Iterator[Stage]:
    """Randomise ``network`` layer by layer, cumulatively.

    Args:
        network: any module; left as it is.
        seed: of all that is drawn; a layer's draw does not depend on the others'.
        mode: ``gaussian`` draws every learnable tensor from N(0, r²), r the trained tensor's root mean square: the zero-mean Gaussian
            weights of Theorem 1. ``reset`` initialises anew as torch does; it sets the biases of batch norms to zero, so that the R^l of
            layers with batch norm are zero.
        x: a picture, (1, C, H, W), for the order in which the layers run; without it, that in which they were defined.
        reuse: only so many networks are made, and randomised further in turn: a stage's network is valid until as many more stages have
            been asked for. With 0 every stage has a network of its own.

    Yields:
        one :class:`Stage` a layer, logits first, ``index`` 1..L.

    Raises:
        ValueError: an unknown mode, a negative seed, a network without parameters, or an ``x`` that it cannot read.
    """
    network = unwrapped(network)
    twins: list[nn.Module] = []
    for index, (total, group, drawn) in enumerate(_drawn(network, seed, mode, x), start=1):
        if reuse and len(twins) == reuse:
            stage = _set_tensors(twins[(index - 1) % reuse], drawn)
        else:
            stage = _with_tensors(network, drawn)
            twins += [stage] if reuse else []
        yield Stage(group[0] or type(network).__name__, index, total, stage)


def randomised(network: nn.Module, *, seed: int = 0, mode: Mode = "gaussian", x: Tensor | None = None) -> nn.Module:
    """The network of :func:`cascade`'s last stage, every layer randomised, without the stages before it. Arguments as there."""
    network = unwrapped(network)
    *_, (_, _, drawn) = _drawn(network, seed, mode, x)
    return _with_tensors(network, drawn)


def _drawn(
    network: nn.Module, seed: int, mode: Mode, x: Tensor | None
) -> Iterator[tuple[int, tuple[str, ...], dict[str, dict[str, Tensor]]]]:
    """Layer after layer: how many there are, the layer's modules, and the tensors drawn so far."""
    if mode not in MODES:
        raise ValueError(f"The mode is one of {', '.join(MODES)}, not {mode!r}.")
    if not isinstance(seed, SupportsIndex) or not 0 <= int(seed) < 2**31:
        raise ValueError(f"A seed is a whole number from 0 to {2**31 - 1}, not {seed}.")
    groups = layer_groups(network, x)
    if not groups:
        raise ValueError("The network has no parameters: there is nothing to randomise.")
    modules = dict(network.named_modules(remove_duplicate=False))
    drawn: dict[str, dict[str, Tensor]] = {}
    for index, group in enumerate(reversed(groups), start=1):
        generator = torch.Generator().manual_seed(seed * 65_537 + index)
        for name in group:
            drawn[name] = _gaussian(modules[name], generator) if mode == "gaussian" else _reset(modules[name], generator)
        yield len(groups), group, drawn


@torch.no_grad()
def _gaussian(module: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    tensors = {}
    for name, parameter in module.named_parameters(recurse=False):
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32).to(parameter)
        tensors[name] = noise * parameter.detach().float().square().mean().sqrt().to(parameter)
    return tensors


@torch.no_grad()
def _reset(module: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """What ``reset_parameters`` of the layer draws, from a generator of our own instead of the global one."""
    tensors = {name: torch.empty_like(p) for name, p in module.named_parameters(recurse=False)}
    if isinstance(module, NORM_MODULES):
        tensors |= {"weight": torch.ones_like(module.weight), "bias": torch.zeros_like(module.bias)}
        if module.running_mean is not None and module.running_var is not None:
            tensors |= {"running_mean": torch.zeros_like(module.running_mean), "running_var": torch.ones_like(module.running_var)}
        return tensors
    if not isinstance(module, (nn.Conv2d, nn.Linear)):
        return _gaussian(module, generator)
    fan_in = module.weight[0].numel()
    for tensor in tensors.values():  # kaiming_uniform_(a=√5) and the bias's bound are both 1/√fan_in
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        tensor.copy_(torch.empty(tensor.shape).uniform_(-bound, bound, generator=generator))
    return tensors


def _with_tensors(network: nn.Module, drawn: dict[str, dict[str, Tensor]]) -> nn.Module:
    """A copy of the module tree that shares every tensor with ``network`` but for the ``drawn`` ones."""
    copy = shared_copy(network)
    axiom.inherit(copy, network)
    return _set_tensors(copy, drawn)


@torch.no_grad()
def _set_tensors(network: nn.Module, drawn: dict[str, dict[str, Tensor]]) -> nn.Module:
    """``network``, in which the ``drawn`` tensors have taken their modules' places; tensors that it shares with others stay as they are."""
    modules = dict(network.named_modules(remove_duplicate=False))
    for name, tensors in drawn.items():
        for key, tensor in tensors.items():
            if key in modules[name]._parameters:
                modules[name]._parameters[key] = nn.Parameter(tensor, requires_grad=False)
            else:
                modules[name]._buffers[key] = tensor
    return network
