"""Small networks of every kind that the methods must cover, float64, in evaluation mode, and what other libraries need to read them."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from tests.support import nets
from tests.support.nets import randomise

CLASSES = 5
TARGETS = [1, 3]
"""The classes of the two pictures that a test explains."""

ROUNDING = 1e-12
"""The same float64 sums in another order."""

EXACT = 1e-9
"""float64 where denominators may come close to zero, which magnifies rounding, but far below anything that a wrong rule does."""


def picture(count: int = 2, seed: int = 0, size: tuple[int, int] = (24, 24)) -> Tensor:
    return nets.picture(count, 3, *size, seed=seed)


def plain(*, bias: bool = True) -> nn.Sequential:
    """Convolutions, max pooling, two linear layers."""
    return randomise(
        nn.Sequential(
            *(nn.Conv2d(3, 8, 3, padding=1, bias=bias), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 12, 3, stride=2, padding=1, bias=bias), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(12 * 6 * 6, 20, bias=bias), nn.ReLU(), nn.Linear(20, CLASSES, bias=bias)),
        )
    )  # type: ignore[return-value]


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))) + x)


class _AwkwardBlock(_Block):
    """The same function, its rectifiers reused, in place, and called as functions; its sum in place."""

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(self.conv1(x))
        out = self.bn2(self.conv2(F.relu(out, inplace=True)))
        out += x
        return out.relu_()


class Residual(nn.Module):
    """Batch norms, residual sums, average pooling: every rectifier a module of its own, as other libraries need it.

    Captum (0.9) hands a rectifier that touches a pooling the gradient from before the pooling's rule: hence the clone.
    """

    block: type[_Block] = _Block

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.relu = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.blocks = nn.Sequential(self.block(8), self.block(8))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.pool(self.relu(self.bn(self.conv(x))).clone())).mean((2, 3)))


class AwkwardResidual(Residual):
    """The same function again, with every rectifier in a form that hooks do not see."""

    block = _AwkwardBlock

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn(self.conv(x)))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(self.blocks(self.pool(out)), 1), 1))


def residual() -> nn.Module:
    return randomise(Residual())


def awkward(like: nn.Module) -> nn.Module:
    """:class:`AwkwardResidual` with the weights of ``like``."""
    network = AwkwardResidual().double().eval()
    network.load_state_dict(like.state_dict())
    return network


class Inverted(nn.Module):
    """ReLU6 that saturates often, depthwise convolutions, a convolution with a bias before its batch norm, a linear bottleneck."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU6())
        self.expand = nn.Sequential(nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.project = nn.Sequential(nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.last = nn.ReLU6()
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(self.last(x + self.project(self.depthwise(self.expand(x)))).mean((2, 3)))


def relu6() -> nn.Module:
    network = randomise(Inverted())
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.mul_(4)
    return network


KINDS = {"plain": plain, "residual": residual, "relu6": relu6}


class Branches(nn.Module):
    """Ends, as GoogLeNet does, in a concatenation of rectified maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.left, self.right = nn.Conv2d(8, 6, 1), nn.Conv2d(8, 10, 3, padding=1)
        self.last = nn.Identity()
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).clamp(min=0)
        x = torch.cat([torch.relu(self.left(x)), F.relu(self.right(x))], 1)
        return self.head(F.adaptive_avg_pool2d(self.last(x), 1).flatten(1))


def resnet() -> ResNet:
    """torchvision's ResNet, one block a stage: additions in place, reused rectifiers, projections."""
    return randomise(ResNet(BasicBlock, [1, 1, 1, 1], num_classes=CLASSES))  # type: ignore[return-value]


def saturating() -> nn.Sequential:
    """A sequence of ReLU6 behind batch norms, with many saturated units; depthwise convolution, average pooling."""
    network = randomise(
        nn.Sequential(
            *(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
            *(nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
            *(nn.Conv2d(8, 12, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU6()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, CLASSES)),
        )
    )
    with torch.no_grad():
        network[1].weight.mul_(6)
        network[4].weight.mul_(3)
    return network  # type: ignore[return-value]


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
        self.head = nn.Linear(12, CLASSES)
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
    return randomise(Functional())


ALL = {"plain": plain, "resnet": resnet, "saturating": saturating, "relu6": relu6, "functional": functional}
"""For what needs no other library."""


class _ByHand(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, ceiling: float, masked: bool) -> Tensor:
        ctx.open, ctx.masked = (z > 0) & (z < ceiling), masked
        return z.clamp(0, ceiling)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return g.clamp_min(0) * (ctx.open if ctx.masked else 1), None, None


class _Rectifier(nn.Module):
    def __init__(self, ceiling: float, masked: bool) -> None:
        super().__init__()
        self.ceiling, self.masked = ceiling, masked

    def forward(self, z: Tensor) -> Tensor:
        return _ByHand.apply(z, self.ceiling, self.masked)


def rewritten(network: nn.Module, *, masked: bool) -> nn.Module:
    """A copy whose ReLU6 modules carry the rule themselves: captum changes ReLU modules only."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(module, name, _Rectifier(6.0, masked))
    return network


def last_map(network: nn.Module) -> nn.Module:
    """The module whose output is the last activation that is still a map."""
    if isinstance(network, nn.Sequential):
        return network[4]
    return network.blocks[1].relu2 if isinstance(network, Residual) else network.last  # type: ignore[return-value]


def hooked(network: nn.Module, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """A and ∂f_k/∂A by a plain forward hook."""
    kept: list[Tensor] = []
    handle = last_map(network).register_forward_hook(lambda module, inputs, output: kept.append(output))
    scores = network(x.clone())
    handle.remove()
    return kept[0].detach(), torch.autograd.grad(scores[:, k].sum(), kept[0])[0]


def picked_scores(network: nn.Module, x: Tensor) -> Tensor:
    """f_k of each picture for its class in :data:`TARGETS`, (2,)."""
    with torch.no_grad():
        return network(x)[range(2), TARGETS]


def without_biases(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(getattr(module, "bias", None), nn.Parameter):
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return network


def full_size(maps: Tensor, x: Tensor) -> Tensor:
    return F.interpolate(maps, size=x.shape[2:], mode="bilinear", align_corners=False)


def largest_difference(ours: Tensor, theirs: Tensor, what: str = "") -> float:
    """The largest difference as a share of the largest value; printed, so that a run shows how close it was."""
    difference = float(((ours - theirs).abs().max() / theirs.abs().max()).detach())
    print(f"{what}: largest difference {difference:.1e}")
    return difference
