"""Small networks that cover what the relevance rules must treat, in float64 with batch-norm statistics that matter."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import MobileNetV2
from torchvision.models.resnet import BasicBlock, ResNet

RULES = ["lrp_epsilon", "lrp_alpha_beta", "deep_taylor", "excitation_backprop"]
"""The methods that carry relevance by rules."""

EXACT = 1e-9
"""float64, a few layers, denominators that may come close to zero: rounding is magnified, but far below anything a wrong rule does."""


def settled(network: nn.Module, seed: int = 0) -> nn.Module:
    """``network`` in float64 and evaluation mode, its weights drawn anew, its batch norms far from the identity."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(t: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(t.shape, generator=generator, dtype=torch.float64) * (high - low) + low

    network = network.double().eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                fan_in = module.weight[0].numel()
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator, dtype=torch.float64) * (2 / fan_in) ** 0.5)
                if module.bias is not None:
                    module.bias.copy_(drawn(module.bias, -0.1, 0.1))
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.copy_(drawn(module.weight, 0.5, 1.5))
                module.bias.copy_(drawn(module.bias, -0.3, 0.3))
                module.running_mean.copy_(drawn(module.running_mean, -0.5, 0.5))
                module.running_var.copy_(drawn(module.running_var, 0.5, 1.5))
    return network


def plain(*, bias: bool = True) -> nn.Module:
    """Convolutions, max-pooling and linear layers, in VGG's order."""
    return settled(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=bias),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, stride=2, padding=1, bias=bias),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(12 * 16, 24, bias=bias),
            nn.ReLU(),
            nn.Linear(24, 5, bias=bias),
        )
    )


def residual() -> ResNet:
    """torchvision's ResNet, one block a stage: batch norms, additions in place, reused rectifiers, average pooling."""
    return settled(ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5))


def saturating() -> nn.Module:
    """ReLU6 behind batch norms, with many saturated units; depthwise convolution, average pooling."""
    network = settled(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(inplace=True),
            nn.Conv2d(8, 12, 1, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(12, 5),
        )
    )
    with torch.no_grad():
        network[1].weight.mul_(6)
        network[4].weight.mul_(3)
    return network


def mobile() -> nn.Module:
    """MobileNetV2, narrow and short: linear bottlenecks with additions of signed maps."""
    setting = [[1, 8, 1, 1], [4, 8, 2, 2], [4, 16, 2, 2]]
    return settled(MobileNetV2(num_classes=5, width_mult=0.5, inverted_residual_setting=setting))


class Functional(nn.Module):
    """Everything by hand: functional, reused and in-place rectifiers, concatenation, a lone batch norm, explicit and 'same' padding,
    means, overlapping max-pooling, a normalisation inside the network."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 8, 4, padding="same")
        self.two = nn.Conv2d(8, 8, 3, stride=2)
        self.lone = nn.BatchNorm2d(16)
        self.three = nn.Conv2d(16, 12, 1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(12, 5)
        self.ceiling = 6.0

    def forward(self, x: Tensor) -> Tensor:
        x = (x - 0.1) / 0.8
        x = self.relu(self.one(x))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        y = self.two(F.pad(x, (0, 1, 0, 1))).clamp(min=0)
        x = torch.cat([F.avg_pool2d(x, 2), y], 1)
        x = torch.relu_(self.lone(x))
        y = self.three(x)
        y += self.three(x.flip(3)) * 0.5
        y = F.hardtanh(y.clamp_(min=0), 0, self.ceiling)
        return self.head(y.mean((2, 3)))


def functional() -> nn.Module:
    return settled(Functional())


def pictures(count: int = 2, size: int = 32, seed: int = 1) -> Tensor:
    """(count, 3, size, size) float64, smooth enough to be pictures."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, size // 4, size // 4, generator=generator, dtype=torch.float64)
    fine = torch.randn(count, 3, size, size, generator=generator, dtype=torch.float64)
    return F.interpolate(coarse, size=(size, size), mode="bilinear") + 0.2 * fine


def report(claim: str, ours: Tensor, theirs: Tensor) -> float:
    """Prints and returns the largest difference, relative to the largest value of the reference."""
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    print(f"{claim}: largest difference {difference:.2e} of the largest value")
    return difference
