"""Plain forward passes for methods and measures that only ask what the network says about many changed pictures."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .recording import _logits


def evaluation_twin(network: nn.Module) -> nn.Module:
    """``network`` itself if all of it is in evaluation mode, else a copy that is and that shares every tensor with it.

    Raises:
        ValueError: the network is in training mode and cannot be copied.
    """
    if not any(module.training for module in network.modules()):
        return network
    shared: dict[int, object] = {id(t): t for t in [*network.parameters(), *network.buffers()]}
    try:
        return copy.deepcopy(network, shared).eval()
    except Exception:
        raise ValueError("The network is in training mode and cannot be copied; call its eval() first.") from None


@torch.no_grad()
def scores(network: nn.Module, pictures: Callable[[int, int], Tensor], count: int, *, batch: int = 16) -> Tensor:
    """Logits of ``count`` pictures, made a batch at a time, without a graph and without any change to the network.

    Args:
        network: maps (N, C, H, W) to (N, classes); evaluated in evaluation mode whatever mode it is in.
        pictures: ``pictures(start, stop)`` makes the pictures of these indices, (stop − start, C, H, W), fresh: the network may work
            in place. It may raise to cancel.
        count: how many pictures there are. batch: how many go through the network at a time.

    Returns:
        (count, classes).
    """
    twin = evaluation_twin(network)
    chunks = (pictures(start, min(start + batch, count)) for start in range(0, count, batch))
    # Channels last, the layout of the tape too, is the faster one on a processor.
    return torch.cat([_logits(twin(chunk.contiguous(memory_format=torch.channels_last))) for chunk in chunks])
