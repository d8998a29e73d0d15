"""What a case of "exact or refused" is: a small network, and the same function written plainly or the sentence that refuses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..support.nets import picture

Odd = Callable[[Tensor], Tensor] | type[nn.Module]
Make = Callable[[], nn.Module]
Compared = Literal["maps", "mass", "picture"]


def seeded(network: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter and running statistic drawn in its order, so that two spellings of one function get the same weights; float64."""
    generator = torch.Generator().manual_seed(seed)
    network = network.double()

    def normal(t: Tensor, scale: float) -> Tensor:
        return scale * torch.randn(t.shape, generator=generator, dtype=torch.float64)

    with torch.no_grad():
        for module in network.modules():
            for name, p in module.named_parameters(recurse=False):
                scale = (2 / p[0].numel()) ** 0.5 if p.dim() > 1 else 0.3
                p.copy_(normal(p, scale) + (1 if p.dim() == 1 and name != "bias" else 0))
            if getattr(module, "running_mean", None) is not None:
                module.running_mean.copy_(normal(module.running_mean, 0.3))
                module.running_var.copy_(0.5 + normal(module.running_var, 1).abs())
    return network


def constant(*shape: int, seed: int = 7) -> Tensor:
    """A tensor of both signs that does not depend on the picture."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def x_of(height: int = 12, width: int = 10, batch: int = 1) -> Tensor:
    """Pictures whose sides differ and do not divide."""
    return picture(batch, 3, height, width, seed=3)


def relu(z: Tensor) -> Tensor:
    """Looked up when it is called, so that the reference may replace it for a while."""
    return F.relu(z)


def module(forward: Callable[[Any, Tensor], Tensor], **parts: Callable[[], object]) -> type[nn.Module]:
    """Modules with parts of their own, each made by one of ``parts``, that compute ``forward(module, z)``."""

    class Made(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, make in parts.items():
                setattr(self, name, make())

        def forward(self, z: Tensor) -> Tensor:
            return forward(self, z)

    return Made


def parameter(*shape: int) -> Callable[[], nn.Parameter]:
    return lambda: nn.Parameter(torch.empty(shape))


def written(change: Callable[[Tensor, Tensor], object]) -> Callable[[Tensor], Tensor]:
    """A copy of the map, after ``change(copy, map)`` has written to it."""

    def odd(z: Tensor) -> Tensor:
        y = z.clone()
        change(y, z)
        return y

    return odd


def after(change: Callable[[Tensor], object]) -> Callable[[Tensor], Tensor]:
    """The map itself, after ``change`` has written to it."""

    def odd(z: Tensor) -> Tensor:
        change(z)
        return z

    return odd


class Around(nn.Module):
    """conv → the odd thing on (N, 6, 12, 10) → conv → ReLU → mean → linear, seven classes."""

    def __init__(self, odd: Odd, channels: int = 6, classes: int = 7) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.odd = odd() if isinstance(odd, type) else odd
        self.last = nn.Conv2d(channels, 8, (3, 2), stride=(2, 1))
        self.head = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        z = self.odd(self.first(x))
        return self.head(F.relu(self.last(z)).mean((2, 3)))


class Ending(nn.Module):
    """conv → ReLU → mean → linear → the odd thing on (N, 7)."""

    def __init__(self, odd: Odd, classes: int = 7) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3)
        self.head = nn.Linear(6, classes)
        self.odd = odd() if isinstance(odd, type) else odd

    def forward(self, x: Tensor) -> Tensor:
        return self.odd(self.head(F.relu(self.first(x)).mean((2, 3))))


def around(odd: Odd, channels: int = 6) -> Make:
    return lambda: seeded(Around(odd, channels))


def ending(odd: Odd, classes: int = 7) -> Make:
    return lambda: seeded(Ending(odd, classes))


@dataclass(frozen=True)
class Case:
    """One network and what is expected of it.

    Attributes:
        name: the test's id.
        make: the network.
        twins: the same function written plainly with the same weights; the guided map equals one of them (one, unless the theory leaves
            two readings). Empty: the network is to be refused.
        refusal: a pattern of the sentence; with twins, it *may* be refused, with that sentence.
        compared: "maps", R̃^0 and the aggregated map for both ψ; "mass", R̃^0 and what all biases say together, where the two spellings
            hang their biases to different places; "picture", R̃^0 alone.
        linear: with the ordinary gradient it is exact, so ``guided=False`` need not be refused.
        x: the picture.
    """

    name: str
    make: Make
    twins: tuple[Make, ...] = ()
    refusal: str | None = None
    compared: Compared = "maps"
    linear: bool = False
    x: Callable[[], Tensor] = x_of

    @property
    def kind(self) -> str:
        return "refused" if not self.twins else "exact" if self.refusal is None else "either"


ANY = r"\w{3,}.*\w{3,}"  # any sentence


def exact(name: str, odd: Odd, plain: Odd, compared: Compared = "maps", channels: int = 6) -> Case:
    return Case(name, around(odd, channels), (around(plain, channels),), compared=compared)


def either(name: str, odd: Odd, *plain: Odd, sentence: str = ANY, compared: Compared = "maps", channels: int = 6) -> Case:
    """Equal to one of the plain spellings, or refused."""
    return Case(name, around(odd, channels), tuple(around(p, channels) for p in plain), sentence, compared)


def itself(name: str, odd: Odd, sentence: str | None = None, channels: int = 6) -> Case:
    """Written plainly already: R̃^0 equals the independent guided gradient of the network itself, and the sums are complete."""
    return Case(name, around(odd, channels), (around(odd, channels),), sentence, "picture")


def refused(name: str, odd: Odd, sentence: str, *, linear: bool = False, channels: int = 6) -> Case:
    return Case(name, around(odd, channels), (), sentence, linear=linear)
