"""The same network in fewer sweeps over memory, for the thousands of plain forward passes of pixel perturbation."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .cascade import layer_groups
from .recording import _logits
from .scoring import evaluation_twin

TOLERANCE = 1e-4
"""Of the largest logit. Folding rounds every weight once more, which moves logits by some 1e-6; a wrong fold moves them by far more."""


@torch.no_grad()
def folded(network: nn.Module, x: Tensor) -> nn.Module:
    """A copy of ``network`` whose batch norms are folded into the convolutions before them; for evaluation only.

    Args:
        network: left as it is. x: some pictures (N, C, H, W), to compare the two.

    Returns:
        the copy; ``network`` in evaluation mode where the two do not agree up to rounding (a norm may follow another layer than the order
        of definition says).
    """
    plain = evaluation_twin(network)
    twin = copy.deepcopy(plain)
    modules = dict(twin.named_modules())
    for group in layer_groups(plain):
        layer, norm = modules[group[0]], modules[group[-1]]
        if len(group) == 2 and isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            _fold(layer, norm)
            parent, _, name = group[1].rpartition(".")
            setattr(twin.get_submodule(parent), name, nn.Identity())
    expected, found = (_logits(each(x.clone())) for each in (plain, twin))
    gap = (found - expected).abs().max()
    return twin if float(gap) <= TOLERANCE * float(expected.abs().max()) else plain


def _fold(layer: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    if norm.running_mean is None or norm.running_var is None:
        return
    layer.weight, layer.bias = fuse_conv_bn_weights(
        layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
