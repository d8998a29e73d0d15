"""Small networks for the tests of the activation family, and what a plain hook sees in them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 7


class Residual(nn.Module):
    """Batch norm, one rectifier module in place for all, a residual sum, and a rectifier called as a function at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 12, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(12)
        self.conv2, self.bn2 = nn.Conv2d(12, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.conv3 = nn.Conv2d(12, 24, 3, stride=2, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Identity()
        self.fc = nn.Linear(24, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(x))
        y += x
        y = self.conv3(self.relu(y))
        return self.fc(self.last(F.relu6(y)).mean((2, 3)))


class Branches(nn.Module):
    """Ends, as GoogLeNet does, in a concatenation of rectified maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.left, self.right = nn.Conv2d(8, 6, 1), nn.Conv2d(8, 10, 3, padding=1)
        self.last = nn.Identity()
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).clamp(min=0)
        x = torch.cat([torch.relu(self.left(x)), F.relu(self.right(x))], 1)
        return self.fc(F.adaptive_avg_pool2d(self.last(x), 1).flatten(1))


def deep() -> nn.Sequential:
    """Flattens its last map, and rectifies again behind: neither pooled nor linear."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * 16, 20), nn.ReLU(), nn.Linear(20, CLASSES),
    )  # fmt: skip


def lively(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights and batch norm statistics, in evaluation mode, with gradients about 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if tensor.is_floating_point():
                spread = torch.rand(tensor.shape, generator=generator) if "running_var" in name or name.endswith("bn.weight") else None
                tensor.copy_(spread + 0.5 if spread is not None else torch.randn(tensor.shape, generator=generator) * 0.4)
    return network.double().eval()


def pictures(count: int = 2, size: int = 32, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def final_layer(network: nn.Module) -> nn.Module:
    """The module whose output is the last activation, for the references that must be told."""
    return network[4] if isinstance(network, nn.Sequential) else network.last


def hooked(network: nn.Module, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """A and ∂f_k/∂A by a plain forward hook."""
    kept: list[Tensor] = []
    handle = final_layer(network).register_forward_hook(lambda module, inputs, output: kept.append(output))
    scores = network(x.clone())
    handle.remove()
    return kept[0].detach(), torch.autograd.grad(scores[:, k].sum(), kept[0])[0]


def full_size(maps: Tensor, x: Tensor) -> Tensor:
    return F.interpolate(maps, size=x.shape[2:], mode="bilinear", align_corners=False)


def min_max(maps: Tensor) -> Tensor:
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low)


def largest_difference(ours: Tensor, theirs: Tensor, what: str) -> float:
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    print(f"{what}: largest difference {difference:.1e} of the largest value")
    return difference


networks = pytest.mark.parametrize("build", [Residual, Branches, deep])
