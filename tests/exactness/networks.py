"""Whole networks: channels-last linear layers, shared and wrapped modules, in-place normalisation, other precisions inside."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils import parametrizations

from .cases import Around, Case, constant, exact, module, parameter, relu, seeded, x_of


def channels_last(m: Any, z: Tensor) -> Tensor:
    """A biased linear layer on (N, H, W, C), and a LayerScale behind it."""
    return (m.inner(z.permute(0, 2, 3, 1)) * m.scale).permute(0, 3, 1, 2)


def on_tokens(m: Any, z: Tensor) -> Tensor:
    """The same on (N, H·W, C)."""
    return (m.inner(z.flatten(2).mT) * m.scale).mT.reshape(z.shape)


def channels_first(m: Any, z: Tensor) -> Tensor:
    return F.conv2d(z, m.inner.weight[:, :, None, None], m.inner.bias) * m.scale[:, None, None]


def shared(m: Any, z: Tensor) -> Tensor:
    """One layer, three times, one of them by its weights alone."""
    return F.relu(F.conv2d(F.relu(m.inner(F.relu(m.inner(z)))), m.inner.weight, m.inner.bias, padding=1))


def tied(m: Any, z: Tensor) -> Tensor:
    """The decoder is the encoder's weight, transposed."""
    return F.conv2d(F.relu(m.inner(z)), m.inner.weight.transpose(0, 1), m.inner.bias)


def tied_plain(m: Any, z: Tensor) -> Tensor:
    weight = m.inner.weight[:, :, 0, 0].T.contiguous()
    return F.conv2d(F.relu(m.inner(z)), weight[:, :, None, None]) + 0 + m.inner.bias[:, None, None]


SCALED = {"inner": partial(nn.Linear, 6, 6), "scale": parameter(6)}
ChannelsLast, ChannelsFirst, Tokens = (module(forward, **SCALED) for forward in (channels_last, channels_first, on_tokens))
ALONG = {"inner": partial(nn.Linear, 120, 120)}
TABLE = {"table": partial(nn.Embedding, 12, 6)}
SQUARE = {"inner": partial(nn.Conv2d, 6, 6, 1)}
Shared = module(shared, inner=partial(nn.Conv2d, 6, 6, 3, padding=1))


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


def wrapped(wrap: object) -> nn.Module:
    network = Around(relu)
    network.last = wrap(network.last)  # type: ignore[operator]
    return network


compiled = partial(torch.compile, backend="eager")  # the default backend's own code gives NaN under some ATEN_CPU_CAPABILITY


def normed(norm: object) -> nn.Module:
    network = seeded(Around(relu))
    with torch.random.fork_rng():
        torch.manual_seed(0)  # spectral norms begin with random vectors
        network.first, network.head = norm(network.first), norm(network.head)  # type: ignore[operator]
    return network


def folded(norm: object) -> nn.Module:
    """The same layers with their weights written out."""
    source, network = normed(norm).eval(), seeded(Around(relu))
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
    exact(
        "Linear along the places, (N, C, 120)",
        module(lambda m, z: z + m.inner(z.flatten(2)).view_as(z), **ALONG),
        module(lambda m, z: z + ((z.flatten(2) @ m.inner.weight.T) + m.inner.bias).view_as(z), **ALONG),
        "mass",
    ),
    exact(
        "an embedding of constants",
        module(lambda m, z: z + m.table(torch.arange(12)).T[:, :, None], **TABLE),
        module(lambda m, z: z + m.table.weight.T[None, :, :, None], **TABLE),
    ),
    exact("one layer three times", Shared, Shared),
    exact("tied weights", module(tied, **SQUARE), module(tied_plain, **SQUARE), "mass"),
    exact("double inside of double, which does not round", lambda z: z.double().to(torch.float64).type_as(z), lambda z: z),
    whole("input normalised in place", lambda: seeded(Normalising()), lambda: seeded(NormalisingPlain())),
    whole("input normalised in place, channel by channel", lambda: seeded(NormalisingChannels()), lambda: seeded(NormalisingPlain()),
          compared="picture", refusal="view"),
    whole("forward hooks that change outputs", hooked, lambda: seeded(Around(lambda z: F.relu(2 * z) + 0.1))),
    whole("an FX-traced network", traced, lambda: seeded(Around(ChannelsFirst))),
    whole("DataParallel inside", lambda: seeded(wrapped(nn.DataParallel)), lambda: seeded(Around(relu)),
          refusal="wrapped|DataParallel"),
    whole("torch.compile inside", lambda: seeded(wrapped(compiled)), lambda: seeded(Around(relu)), refusal="compiled"),
    *(whole(name, lambda n=n: normed(n), lambda n=n: folded(n)) for name, n in NORMS.items()),
]  # fmt: skip
