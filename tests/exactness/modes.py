"""Networks that do something else in training mode, or that write while they run."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torchvision.ops import StochasticDepth

from .cases import Around, Make, seeded


class Tripled(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        if self.training:
            z = z * 3
        return F.relu(z)


class OwnDropout(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z * (torch.rand_like(z) > 0.5) * 2 if self.training else z


class Depth(nn.Module):
    mode = "row"

    def __init__(self) -> None:
        super().__init__()
        self.drop = StochasticDepth(0.5, self.mode)
        self.inner = nn.Conv2d(6, 6, 1)

    def forward(self, z: Tensor) -> Tensor:
        return z + self.drop(F.relu(self.inner(z)))


class DepthBatch(Depth):
    mode = "batch"


class Noise(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return F.relu(z + torch.randn_like(z)) if self.training else F.relu(z)


class TrainingSoftmax(Around):
    """Probabilities in evaluation mode: refused in both modes, in :mod:`.test_modes`."""

    def __init__(self) -> None:
        super().__init__(nn.ReLU)

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if self.training else y.softmax(1)


class EvaluationGate(TrainingSoftmax):
    def forward(self, x: Tensor) -> Tensor:
        y = Around.forward(self, x)
        return y.softmax(1) if self.training else y


class Auxiliary(TrainingSoftmax):
    """Returns a tuple in training mode, like Inception."""

    def forward(self, x: Tensor) -> Tensor:
        y = Around.forward(self, x)
        return (y * 2, y) if self.training else y  # type: ignore[return-value]


class InLists(nn.Module):
    """Its parts are in plain Python containers, where ``modules()`` does not find them."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = [nn.BatchNorm2d(6).double(), nn.Dropout(0.5), Tripled()]
        self.more = {"a": (OwnDropout(),)}
        with torch.no_grad():
            self.parts[0].running_mean.fill_(0.3)

    def forward(self, z: Tensor) -> Tensor:
        for part in self.parts:
            z = part(z)
        return self.more["a"][0](z)


def in_closure() -> nn.Module:
    hidden = nn.Sequential(OwnDropout(), Tripled())
    return seeded(Around(lambda z: hidden(z)))


class Remembers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last, self.calls, self.seen = None, 0, []

    def forward(self, z: Tensor) -> Tensor:
        self.last = z
        self.calls += 1
        self.seen.append(float(self.calls))
        return F.relu(z)


class Counts(nn.Module):
    """Buffers written in forward, in every mode."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.register_buffer("average", torch.zeros(6))

    def forward(self, z: Tensor) -> Tensor:
        self.count += 1
        self.average.mul_(0.9).add_(0.1 * z.detach().mean((0, 2, 3)))
        return F.relu(z)


class Replaces(Counts):
    """A buffer that is put anew at every call."""

    def forward(self, z: Tensor) -> Tensor:
        self.count = self.count + 1
        self.average = z.detach().mean((0, 2, 3))
        return F.relu(z)


class Switches(nn.Module):
    """Changes its own mode while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, z: Tensor) -> Tensor:
        self.drop.train()
        return F.relu(self.drop(z))


class WholeMode(nn.Module):
    """Asks the mode of another module, and of a method of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Identity()

    def active(self) -> bool:
        return self.training or self.inner.training

    def forward(self, z: Tensor) -> Tensor:
        return F.relu(5 * z if self.active() else z)


class Normed(nn.Module):
    """Batch norms that learn: their statistics are not touched, and a functional dropout follows the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.inner = nn.BatchNorm2d(6, momentum=None), nn.Conv2d(6, 6, 1)

    def forward(self, z: Tensor) -> Tensor:
        return F.dropout(F.relu(self.norm(self.inner(z))), 0.5, self.training)


class Hooked(nn.Module):
    """A hook that follows the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(6, 6, 1)
        self.inner.register_forward_hook(lambda module, inputs, output: 4 * output if module.training else output)

    def forward(self, z: Tensor) -> Tensor:
        return F.relu(self.inner(z))


class Warming(nn.Module):
    """A schedule that advances in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.step = 0
        self.register_buffer("weight", torch.ones(()), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        if self.training:
            self.step += 1
            self.weight.mul_(0.5)
        return F.relu(z * self.weight)


def normed(norm: object) -> Make:
    def make() -> nn.Module:
        network = seeded(Around(nn.ReLU))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network.first, network.head = norm(network.first), norm(network.head)  # type: ignore[operator]
        return network

    return make


ODD = [Tripled, OwnDropout, Depth, DepthBatch, Noise, InLists, Remembers, Counts, Replaces, Switches, WholeMode, Normed, Hooked, Warming]
DROPOUTS = [nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout]
MODES: dict[str, Make] = {
    **{kind.__name__: lambda kind=kind: seeded(Around(kind)) for kind in [*ODD, *DROPOUTS]},
    **{kind.__name__: lambda kind=kind: seeded(kind()) for kind in (EvaluationGate, Auxiliary)},
    "modules in a closure": in_closure,
    "spectral_norm, parametrised": normed(parametrizations.spectral_norm),
    "spectral_norm, old": normed(nn.utils.spectral_norm),
    "weight_norm, parametrised": normed(parametrizations.weight_norm),
    "weight_norm, old": normed(nn.utils.weight_norm),
}
