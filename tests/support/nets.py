"""Small networks that call rectifiers and layers in every way there is, and random weights for them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights of a sane size, and batch-norm statistics and biases drawn at random; evaluation mode, float64."""
    generator = torch.Generator().manual_seed(seed)

    def normal(shape: torch.Size, scale: float) -> Tensor:
        return scale * torch.randn(shape, generator=generator, dtype=torch.float64)

    network = network.double().eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.weight.copy_(1 + normal(module.weight.shape, 0.2))
                module.bias.copy_(normal(module.bias.shape, 0.3))
                module.running_mean.copy_(normal(module.running_mean.shape, 0.3))
                module.running_var.copy_(0.5 + normal(module.running_var.shape, 1).abs())
            elif isinstance(module, (nn.Conv2d, nn.Linear)):
                module.weight.copy_(normal(module.weight.shape, (2 / module.weight[0].numel()) ** 0.5))
                if module.bias is not None:
                    module.bias.copy_(normal(module.bias.shape, 0.3))
    return network


def picture(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers, float64; by default one picture of 3×32×32."""
    return torch.randn(shape or (1, 3, 32, 32), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Plain(nn.Sequential):
    """Convolutions with biases, groups, dilation, stride and every kind of padding, then linear layers behind a flatten."""

    def __init__(self, classes: int = 7) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 12, (3, 5), stride=2, padding=(1, 2), groups=2),
            nn.ReLU(),
            nn.Conv2d(12, 8, 4, padding="same", dilation=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.ZeroPad2d((1, 0, 2, 1)),
            nn.Conv2d(8, 10, 3),
            nn.ReLU6(inplace=True),
            nn.Flatten(),
            nn.LazyLinear(16),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(16, classes),
        )
        self(torch.zeros(1, 3, 32, 32))


class Functional(nn.Module):
    """Reused, functional and method rectifiers, a lone batch norm, a concatenation, a residual sum in place."""

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.lone = nn.BatchNorm2d(16)
        self.third = nn.Conv2d(16, 8, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(F.pad(x, (0, 1, 0, 1)))))
        y = self.second(x)
        F.relu_(y)  # the result is not used: y itself is rectified
        y = torch.cat([x, y.clamp(min=0)], 1)
        y = torch.relu(self.lone(y)) * 0.5
        y = self.norm3(self.third(y))
        y += x
        y = self.relu(y)
        y = self.second(y).relu()  # a layer that runs a second time
        y = F.relu6(y + 1.5)
        return self.last(y.clamp_(min=0).mean((2, 3)))


class Residual(nn.Module):
    """Batch norms, a projection shortcut and ReLU6 behind the addition."""

    def __init__(self, classes: int = 7, ceiling: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(8, 12, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.Conv2d(12, 12, 3, padding=1),
            nn.BatchNorm2d(12),
        )
        self.short = nn.Sequential(nn.Conv2d(8, 12, 1, stride=2, bias=False), nn.BatchNorm2d(12))
        self.act = nn.ReLU6() if ceiling else nn.ReLU()
        self.head = nn.Linear(12, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.act(4 * (self.body(x) + self.short(x)))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


NETS = {
    "plain": Plain,
    "functional": Functional,
    "residual": Residual,
    "residual ReLU6": lambda: Residual(ceiling=True),
}


def small_classifier(hidden: tuple[int, int]) -> nn.Module:
    """Two convolutions and a linear layer, six classes, float32, random weights: three stages of a cascade, computed at once."""
    first, second = hidden
    features = [nn.Conv2d(3, first, 3, stride=2), nn.ReLU(), nn.Conv2d(first, second, 3), nn.ReLU()]
    return randomise(nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(second, 6))).float()
