"""Every architecture of the zoo, each with the smallest picture that it takes, for tests that go through all of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trgbp_core import available_models, load_model

ARCHITECTURES = [entry.name for entry in available_models() if "@" not in entry.name]
"""One name an architecture; further weights of the same (``resnet50@IMAGENET1K_V2``) are the same network."""

SIDE = 64
SIDES = {"inception_v3": 96}
"""Sides of the pictures. Five halvings leave 2×2 of 64; Inception's unpadded stem needs more."""

DEPTHS = {
    "alexnet": 8,
    **{f"vgg{depth}{norm}": depth for depth in (11, 13, 16, 19) for norm in ("", "_bn")},
    **{f"resnet{depth}": depth for depth in (18, 34, 50, 101, 152)},
    **{"wide_resnet50_2": 50, "wide_resnet101_2": 101, "resnext50_32x4d": 50, "resnext101_32x8d": 101, "resnext101_64x4d": 101},
    **{f"densenet{depth}": depth for depth in (121, 161, 169, 201)},
}
"""The depth that the authors publish: convolutions and linear layers, projections of shortcuts not counted."""


def network(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The architecture with seeded noise for weights, in evaluation mode."""
    return load_model(f"random:{name}").network.to(dtype)


def picture(name: str, count: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal numbers, (count, 3, side, side)."""
    side = SIDES.get(name, SIDE)
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0), dtype=dtype)
