"""Networks that do something else in training mode, or that write while they run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from .cases import Around, Make, around, module, seeded
from .networks import NORMS, normed


def depth(mode: str) -> type[nn.Module]:
    parts = {"drop": partial(StochasticDepth, 0.5, mode), "inner": partial(nn.Conv2d, 6, 6, 1)}
    return module(lambda m, z: z + m.drop(F.relu(m.inner(z))), **parts)


Tripled = module(lambda m, z: F.relu(z * 3 if m.training else z))
OwnDropout = module(lambda m, z: z * (torch.rand_like(z) > 0.5) * 2 if m.training else z)
Noise = module(lambda m, z: F.relu(z + torch.randn_like(z) if m.training else z))


class Answers(Around):
    """Returns one function of its logits in training mode, and another in evaluation mode."""

    def __init__(self, training: Callable[[Tensor], Any], evaluation: Callable[[Tensor], Any]) -> None:
        super().__init__(nn.ReLU)
        self.answers = evaluation, training

    def forward(self, x: Tensor) -> Any:
        return self.answers[self.training](super().forward(x))


def logits(y: Tensor) -> Tensor:
    return y


def softmax(y: Tensor) -> Tensor:
    return y.softmax(1)


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


def normed_and_dropped(m: Any, z: Tensor) -> Tensor:
    """Batch norms that learn: their statistics are not touched, and a functional dropout follows the mode."""
    return F.dropout(F.relu(m.norm(m.inner(z))), 0.5, m.training)


ODD: dict[str, type[nn.Module]] = {
    "tripled in training": Tripled,
    "a dropout of its own": OwnDropout,
    "stochastic depth, rows": depth("row"),
    "stochastic depth, batches": depth("batch"),
    "noise in training": Noise,
    "batch norms that learn": module(normed_and_dropped, norm=partial(nn.BatchNorm2d, 6, momentum=None), inner=partial(nn.Conv2d, 6, 6, 1)),
    **{kind.__name__: kind for kind in (InLists, Remembers, Counts, Replaces, Switches, WholeMode, Hooked, Warming)},
    **{kind.__name__: kind for kind in (nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout)},
}
MODES: dict[str, Make] = {
    **{name: around(kind) for name, kind in ODD.items()},
    "softmax in training": lambda: seeded(Answers(softmax, logits)),
    "a tuple in training, like Inception": lambda: seeded(Answers(lambda y: (y * 2, y), logits)),
    "modules in a closure": in_closure,
    **{name: lambda norm=norm: normed(norm) for name, norm in NORMS.items()},
}
