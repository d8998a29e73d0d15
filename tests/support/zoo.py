"""Every architecture of the zoo, each with the smallest picture that it takes, and its refusals, for tests that go through all of them."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn

from trgbp_core import ModelError, available_models, load_model
from trgbp_core.zoo.loading import Zoo

ARCHITECTURES = [entry.name for entry in available_models() if "@" not in entry.name]
"""One name an architecture; further weights of the same (``resnet50@IMAGENET1K_V2``) are the same network."""

SIDE = 64
SIDES = {"inception_v3": 96}
"""Sides of the pictures. Five halvings leave 2×2 of 64; Inception's unpadded stem needs more."""

REGNET_X_BLOCKS = {"400mf": 22, "800mf": 16, "1_6gf": 18, "3_2gf": 25, "8gf": 23, "16gf": 22, "32gf": 23}

DEPTHS = {
    "alexnet": 8,
    **{f"vgg{depth}{norm}": depth for depth in (11, 13, 16, 19) for norm in ("", "_bn")},
    **{f"resnet{depth}": depth for depth in (18, 34, 50, 101, 152)},
    **{"wide_resnet50_2": 50, "wide_resnet101_2": 101, "resnext50_32x4d": 50, "resnext101_32x8d": 101, "resnext101_64x4d": 101},
    **{f"densenet{depth}": depth for depth in (121, 161, 169, 201)},
    # Those whose authors publish tables of blocks instead: (layers a block, blocks), ..., and what stands before and behind them.
    **dict.fromkeys(("squeezenet1_0", "squeezenet1_1"), 8 * 3 + 2),  # fire modules
    "googlenet": 9 * 6 + 4,
    # Inception A, B, C, D, E, with the reductions between them
    "inception_v3": 5 + 3 * 7 + 4 + 4 * 10 + 6 + 2 * 9 + 1,
    "mobilenet_v2": 2 + 16 * 3 + 3,
    **dict.fromkeys(("mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"), 2 + 16 * 3 + 3),
    # three units halve the resolution, with a second branch of two layers
    **{f"shufflenet_v2_x{width}": 16 * 3 + 3 * 2 + 3 for width in ("0_5", "1_0", "1_5", "2_0")},
    **{f"regnet_x_{flops}": 3 * blocks + 2 for flops, blocks in REGNET_X_BLOCKS.items()},
    # B0's sixteen blocks; the depth of the first and the last stage is not scaled
    "efficientnet_lite0": 2 + 15 * 3 + 3,
    **dict.fromkeys(("shapes", "shapes_cheat"), 4 + 1),
    **dict.fromkeys(("efficientnet_lite1", "efficientnet_lite2"), 2 + 20 * 3 + 3),
}
"""Convolutions and linear layers as the authors publish them, projections of shortcuts not counted."""

PROJECTIONS = ("downsample", ".proj.")


def network(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The architecture with seeded noise for weights, in evaluation mode."""
    return load_model(f"random:{name}").network.to(dtype)


def picture(name: str, count: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal numbers, (count, 3, side, side)."""
    side = SIDES.get(name, SIDE)
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0), dtype=dtype)


@functools.cache
def embedded() -> Zoo:
    return load_model("efficientnet_lite0")


def refused(name: object, error: type[Exception] = ModelError, **options: object) -> str:
    """The sentence with which ``load_model`` refuses."""
    with pytest.raises(error) as caught:
        load_model(name, **options)  # type: ignore[arg-type]
    print(caught.value)
    assert str(caught.value).endswith((".", "?"))
    return str(caught.value)
