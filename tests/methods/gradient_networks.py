"""Small networks of every kind that the gradient methods must cover, float64, in evaluation mode, with statistics that are not trivial."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.support import nets
from tests.support.nets import randomise

CLASSES = 5


def plain() -> nn.Module:
    """Convolutions with biases, max pooling, two linear layers."""
    return randomise(
        nn.Sequential(
            *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(12 * 6 * 6, 20), nn.ReLU(), nn.Linear(20, CLASSES)),
        )
    )


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
    """Batch norms, residual sums, average pooling: every rectifier a module of its own, as other libraries need it."""

    block: type[_Block] = _Block

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.relu = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.blocks = nn.Sequential(self.block(8), self.block(8))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.pool(self.relu(self.bn(self.conv(x))))).mean((2, 3)))


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


def picture(count: int = 2, seed: int = 0, size: tuple[int, int] = (24, 24)) -> Tensor:
    return nets.picture(count, 3, *size, seed=seed)


def largest_difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference as a share of the largest value; printed, so that a run shows how close it was."""
    difference = float(((ours - theirs).abs().max() / theirs.abs().max()).detach())
    print(f"largest difference {difference:.1e}")
    return difference


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
    """The module whose output Grad-CAM weighs: the last rectifier that is still a map."""
    return {"Sequential": lambda: network[4], "Residual": lambda: network.blocks[1].relu2, "Inverted": lambda: network.last}[
        type(network).__name__
    ]()
