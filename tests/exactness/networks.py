"""Whole networks: channels-last linear layers, shared and wrapped modules, in-place normalisation, other precisions inside."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils import parametrizations

from .cases import Around, Case, constant, exact, seeded, x_of


class ChannelsLast(nn.Module):
    """A biased linear layer on (N, H, W, C), and a LayerScale behind it."""

    plain = False

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.scale = nn.Linear(6, 6), nn.Parameter(torch.empty(6))

    def forward(self, z: Tensor) -> Tensor:
        if self.plain:
            return F.conv2d(z, self.inner.weight[:, :, None, None], self.inner.bias) * self.scale[:, None, None]
        return (self.inner(z.permute(0, 2, 3, 1)) * self.scale).permute(0, 3, 1, 2)


class ChannelsFirst(ChannelsLast):
    plain = True


class Tokens(ChannelsLast):
    """The same on (N, H·W, C)."""

    def forward(self, z: Tensor) -> Tensor:
        return (self.inner(z.flatten(2).mT) * self.scale).mT.reshape(z.shape)


class Mixer(nn.Module):
    """A biased linear layer along the places, (N, C, 120)."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(120, 120)

    def forward(self, z: Tensor) -> Tensor:
        return z + self.inner(z.flatten(2)).view_as(z)


class MixerPlain(Mixer):
    def forward(self, z: Tensor) -> Tensor:
        return z + ((z.flatten(2) @ self.inner.weight.T) + self.inner.bias).view_as(z)


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(12, 6)

    def forward(self, z: Tensor) -> Tensor:
        return z + self.table(torch.arange(12)).T[:, :, None]


class EmbeddedPlain(Embedded):
    def forward(self, z: Tensor) -> Tensor:
        return z + self.table.weight.T[None, :, :, None]


class Shared(nn.Module):
    """One layer, three times, one of them by its weights alone."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        return F.relu(F.conv2d(F.relu(self.inner(F.relu(self.inner(z)))), self.inner.weight, self.inner.bias, padding=1))


class Tied(nn.Module):
    """The decoder is the encoder's weight, transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(6, 6, 1)

    def forward(self, z: Tensor) -> Tensor:
        return F.conv2d(F.relu(self.inner(z)), self.inner.weight.transpose(0, 1), self.inner.bias)


class TiedPlain(Tied):
    def forward(self, z: Tensor) -> Tensor:
        weight = self.inner.weight[:, :, 0, 0].T.contiguous()
        return F.conv2d(F.relu(self.inner(z)), weight[:, :, None, None]) + 0 + self.inner.bias[:, None, None]


class Normalising(Around):
    """Writes to its input: (x − m) / s in place."""

    def __init__(self) -> None:
        super().__init__(nn.Identity)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.sub_(constant(3, 1, 1)).div_(constant(3, 1, 1) + 3))


class NormalisingPlain(Normalising):
    def forward(self, x: Tensor) -> Tensor:
        return Around.forward(self, (x - constant(3, 1, 1)) / (constant(3, 1, 1) + 3))


class NormalisingChannels(Normalising):
    def forward(self, x: Tensor) -> Tensor:
        for c in range(3):
            x[:, c].sub_(constant(3)[c]).div_(constant(3)[c] + 3)
        return Around.forward(self, x)


class Precise(nn.Module):
    """Float32 inside of a float64 network would round; float64 said twice does not."""

    def forward(self, z: Tensor) -> Tensor:
        return z.double().to(torch.float64).type_as(z)


def wrapped(wrap: object) -> nn.Module:
    network = Around(lambda z: F.relu(z))
    network.last = wrap(network.last)  # type: ignore[operator]
    return network


def normed(norm: object) -> nn.Module:
    network = seeded(Around(lambda z: F.relu(z)))
    with torch.random.fork_rng():
        torch.manual_seed(0)  # spectral norms begin with random vectors
        network.first, network.head = norm(network.first), norm(network.head)  # type: ignore[operator]
    return network


def folded(norm: object) -> nn.Module:
    """The same layers with their weights written out."""
    source, network = normed(norm).eval(), seeded(Around(lambda z: F.relu(z)))
    for name in ("first", "head"):
        theirs = getattr(source, name)
        if hasattr(theirs, "weight_u"):  # the old spectral norm makes its weight when it is called
            theirs(torch.zeros(1, *((3, 4, 4) if name == "first" else (8,))).double())
        network.get_submodule(name).weight.data = theirs.weight.detach().clone()
    return network


NORMS = {
    "weight_norm, parametrised": parametrizations.weight_norm,
    "weight_norm, old": nn.utils.weight_norm,
    "spectral_norm, parametrised": parametrizations.spectral_norm,
    "spectral_norm, old": nn.utils.spectral_norm,
}


def hooked() -> nn.Module:
    network = seeded(Around(lambda z: z))
    network.first.register_forward_hook(lambda module, inputs, output: F.relu(2 * output))
    network.last.register_forward_pre_hook(lambda module, inputs: (inputs[0] + 0.1,))
    return network


def traced() -> nn.Module:
    return fx.symbolic_trace(seeded(Around(ChannelsLast)))


def whole(name: str, make: object, plain: object, **options: object) -> Case:
    return Case(name, make, (plain,), **options)  # type: ignore[arg-type]


SIDES = {"12x10": x_of, "square": lambda: x_of(11, 11), "a side of six": lambda: x_of(6, 9), "7x6": lambda: x_of(7, 6)}
NETWORKS: list[Case] = [
    *(
        Case(f"Linear on NHWC maps, {sides}", lambda: seeded(Around(ChannelsLast)), (lambda: seeded(Around(ChannelsFirst)),), x=x)
        for sides, x in SIDES.items()
    ),
    exact("Linear on tokens", Tokens, ChannelsFirst, "mass"),
    exact("Linear along the places", Mixer, MixerPlain, "mass"),
    exact("an embedding of constants", Embedded, EmbeddedPlain),
    exact("one layer three times", Shared, Shared),
    exact("tied weights", Tied, TiedPlain, "mass"),
    exact("double inside of double", Precise, lambda z: z),
    whole("input normalised in place", lambda: seeded(Normalising()), lambda: seeded(NormalisingPlain())),
    whole("input normalised in place, channel by channel", lambda: seeded(NormalisingChannels()), lambda: seeded(NormalisingPlain()),
          compared="picture", refusal="view"),
    whole("forward hooks that change outputs", hooked, lambda: seeded(Around(lambda z: F.relu(2 * z) + 0.1))),
    whole("an FX-traced network", traced, lambda: seeded(Around(ChannelsFirst))),
    whole("DataParallel inside", lambda: seeded(wrapped(nn.DataParallel)), lambda: seeded(Around(lambda z: F.relu(z))),
          refusal="wrapped|DataParallel"),
    whole("torch.compile inside", lambda: seeded(wrapped(torch.compile)), lambda: seeded(Around(lambda z: F.relu(z))), refusal="compiled"),
    *(whole(name, lambda n=n: normed(n), lambda n=n: folded(n)) for name, n in NORMS.items()),
]  # fmt: skip
