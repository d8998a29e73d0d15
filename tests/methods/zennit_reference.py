"""Zennit with the rules of the propagation methods, on networks that it is helped to read."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import LayerMapComposite, SpecialFirstLayerMapComposite
from zennit.core import BasicHook, stabilize
from zennit.layer import Sum
from zennit.rules import NoMod, Norm, Pass
from zennit.torchvision import ResNetCanonizer
from zennit.types import Activation, AvgPool, BatchNorm, Convolution, Linear

from .networks import TARGETS


def one_hot(network: nn.Module, x: Tensor, *, score: bool) -> Tensor:
    with torch.no_grad():
        logits = network(x)
    chosen = torch.zeros_like(logits).scatter_(1, torch.tensor(TARGETS)[:, None], 1)
    return chosen * logits if score else chosen


def merged(network: nn.Module) -> nn.Module:
    """A copy whose batch norms zennit has merged into the convolutions before them.

    It leaves their ε where it was, so that each still divides by √(1 + ε): not quite the identity it is meant to be, until ε is 0.
    """
    network = copy.deepcopy(network)
    SequentialMergeBatchNorm().apply(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
    return network


def zennit_relevance(network: nn.Module, x: Tensor, rule: BasicHook, *, sums: BasicHook | None = None, first=None, score=True) -> Tensor:
    """Zennit on a copy, with its canonizers, ``rule`` in layers and its base map (Pass, Norm) elsewhere."""
    network = merged(network)
    canonizer = ResNetCanonizer() if hasattr(network, "layer1") else SequentialMergeBatchNorm()
    layers = [(Activation, Pass()), (Sum, sums or Norm()), (AvgPool, Norm()), (BatchNorm, Pass()), (Linear, rule)]
    if first is None:
        composite = LayerMapComposite(layers, canonizers=[canonizer])
    else:
        composite = SpecialFirstLayerMapComposite(layers, [(Convolution, first)], canonizers=[canonizer])
    start = one_hot(network, x, score=score)
    with Gradient(network, composite) as attributor:
        _, relevance = attributor(x.clone().requires_grad_(), start)
    return relevance.sum(1, keepdim=True)


def same_sign() -> BasicHook:
    """The sum rule of Deep Taylor and Excitation backpropagation, in zennit's own parts."""
    return BasicHook(
        input_modifiers=[lambda a: a.clamp(min=0), lambda a: a.clamp(max=0)],
        param_modifiers=[NoMod(param_keys=[])] * 2,
        output_modifiers=[lambda z: z] * 2,
        gradient_mapper=lambda r, z: [r * (z[0] + z[1] >= 0) / stabilize(z[0]), r * (z[0] + z[1] < 0) / stabilize(z[1])],
        reducer=lambda a, c: a[0] * c[0] + a[1] * c[1],
    )
