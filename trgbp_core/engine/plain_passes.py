"""Plain passes, forward and backward, for methods and measures that need no more than scores and their ordinary gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from . import devices
from .evaluation_mode import evaluation_copy
from .recording import as_written, forward, logits_of
from .torch_ops import DROPOUTS
from .validation import check

BATCH = 4
"""Pictures that go through a network together: more leave the processor's cache between two layers, fewer leave its cores idle."""


class _AsExplained(TorchFunctionMode):
    """What the tape does to a network, but for its rules: functions of dropout are the identity, parameters are constants."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in DROPOUTS:
            return args[0] if args else kwargs["input"]
        args = [a.detach() if isinstance(a, nn.Parameter) else a for a in args]
        return func(*args, **{k: a.detach() if isinstance(a, nn.Parameter) else a for k, a in kwargs.items()})


@torch.no_grad()
def scores(network: nn.Module, pictures: Callable[[int, int], Tensor], count: int, *, batch: int = BATCH) -> Tensor:
    """Logits of ``count`` pictures, made a batch at a time, without a graph and without any change to the network.

    Args:
        network: maps (N, C, H, W) to (N, classes); evaluated in evaluation mode whatever mode it is in.
        pictures: ``pictures(start, stop)`` makes the pictures of these indices, (stop − start, C, H, W), fresh: the network may work
            in place. It may raise to cancel.
        count: how many pictures there are. batch: how many go through the network at a time.

    Returns:
        (count, classes).
    """
    twin = evaluation_copy(network)
    results = []
    for start in range(0, count, batch):
        chunk = pictures(start, min(start + batch, count))
        chunk = chunk.contiguous(memory_format=devices.layout(chunk.device))
        with _AsExplained():
            results.append(logits_of(twin(chunk)))
    return torch.cat(results)


@torch.no_grad()
def plain_logits(network: nn.Module, x: Tensor) -> Tensor:
    """Logits (N, classes) of ``network(x)`` in evaluation mode by torch alone; buffers that a forward pass writes to are copies."""
    twin = evaluation_copy(network)
    for module in twin.modules():
        module._buffers = {key: None if buffer is None else buffer.clone() for key, buffer in module._buffers.items()}
    with torch.inference_mode(False), _AsExplained(), as_written(x.device):
        return logits_of(forward(twin, x.detach().clone(memory_format=torch.contiguous_format)))


def score_gradient(network: nn.Module, x: Tensor, classes: Callable[[Tensor], Tensor]) -> Tensor:
    """The ordinary gradient ∂f_k/∂x, (N, C, H, W), by torch's own autograd, whatever operations the network is made of.

    Args:
        network: maps (N, C, H, W) to (N, classes); explained in evaluation mode whatever mode it is in, never changed.
        x: (N, C, H, W), normalised.
        classes: from the logits to k, one class a picture, (N,).

    Raises:
        UnsuitableNetwork: a scripted, quantised, exported or in parts compiled network.
        ValueError: the input or the output has not the shape of a classifier's, does not fit the network, or they are not connected.
    """
    check(network, x)
    twin = evaluation_copy(network)
    with torch.inference_mode(False), torch.enable_grad(), as_written(x.device):
        leaf = x.detach().clone(memory_format=devices.layout(x.device)).requires_grad_()
        with _AsExplained():
            logits = logits_of(forward(twin, leaf.clone()))  # the network may write to its input
        score = logits.gather(1, classes(logits.detach())[:, None]).sum()
        gradient = torch.autograd.grad(score, leaf, allow_unused=True)[0] if score.requires_grad else None
    if gradient is None:
        raise ValueError("The network's output does not depend on the picture: there is nothing to explain.")
    return gradient
