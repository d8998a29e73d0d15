"""Networks without weights of their own: built without touching the caller's random numbers, and filled with seeded noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

CALIBRATION_SIZE = 128
"""Big enough for every network of torchvision to have more than one value a channel at its end, small enough to take little time."""


class _ZeroInitialisation(TorchFunctionMode):
    """Zeros instead of random numbers, which take seconds, are overwritten anyway, and would advance the global random state."""

    INITS = (nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_, nn.init.trunc_normal_)
    REPLACED = frozenset((*INITS, Tensor.uniform_, Tensor.normal_, Tensor.random_, Tensor.erfinv_))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in self.REPLACED:
            return func(*args, **kwargs)
        tensor = args[0] if args else kwargs["tensor"]
        tensor.detach().zero_()
        return tensor


def uninitialised(build: Callable[[], nn.Module]) -> nn.Module:
    """``build()`` with zeros in the place of random weights."""
    with _ZeroInitialisation():
        return build()


def randomise(network: nn.Module, *, size: int = CALIBRATION_SIZE) -> None:
    """Fill a freshly built network with seeded noise, on scales at which all of it is alive.

    Convolution and linear weights are N(0, 2/fan-in) (He et al. 2015), biases N(0, 0.1²), batch norms' γ N(1, 0.1²) and β N(0, 0.1²), so
    that every bias contributes. Batch norms' statistics are those of one batch of noise: without them deep networks vanish or explode.

    Args:
        network: changed in place. size: side of the noise pictures.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (_ConvNd, nn.Linear)):
                module.weight.normal_(0, math.sqrt(2 / module.weight[0].numel()), generator=generator)
            elif isinstance(module, _BatchNorm):
                module.weight.normal_(1, 0.1, generator=generator)
                module.reset_running_stats()
            if isinstance(module, (_ConvNd, nn.Linear, _BatchNorm)) and module.bias is not None:
                module.bias.normal_(0, 0.1, generator=generator)
        _calibrate(network, torch.randn(3, 3, size, size, generator=generator))


def _calibrate(network: nn.Module, x: Tensor) -> None:
    """Set every batch norm's running statistics to those of ``x``. Only batch norms train: dropout would draw random numbers."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    network.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    if norms:
        network(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.eval()
        norm.momentum = momentum
