"""Rectifiers in other words, units that saturate, masks, item assignment, Functions of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cases import Case, after, constant, either, exact, itself, refused, relu

INF = float("inf")
zeros = torch.zeros_like


def assigned(z: Tensor, mask: Tensor, value: Any) -> Tensor:
    y = z.clone()
    y[mask] = value
    return y


def scaled(z: Tensor) -> Tensor:
    y = z.clone()
    y[y < 0] *= 0
    return y


def function(value: Callable[[Tensor], Tensor], gradient: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A Function of one's own: its value at z, and the gradient that it claims, of z and the gradient at its output."""

    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Tensor) -> Tensor:
            ctx.save_for_backward(z)
            return value(z)

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return gradient(ctx.saved_tensors[0], g)

    return Own.apply


def swish_gradient(z: Tensor, g: Tensor) -> Tensor:
    s = z.sigmoid()
    return g * s * (1 + z * (1 - s))


@torch.jit.script
def scripted_relu(z: Tensor) -> Tensor:
    return torch.relu(z)


@torch.jit.script
def scripted_gate(z: Tensor) -> Tensor:
    return z * torch.sigmoid(z)


CHANNEL = constant(6, 1, 1)
RELUS: list[Case] = [
    # linear, or a rectifier in other words
    exact("where(x > 0, x, 0)", lambda z: torch.where(z > 0, z, 0.0), relu),
    exact("where(x > 0, x, zeros)", lambda z: torch.where(z > 0, z, torch.zeros_like(z)), relu),
    exact("(x + |x|) / 2", lambda z: (z + z.abs()) / 2, relu),
    exact("0.5 * (x + abs(x))", lambda z: 0.5 * (z + torch.abs(z)), relu),
    exact("clamp(min=0)", lambda z: z.clamp(min=0), relu),
    exact("relu(-(-x))", lambda z: F.relu(z.neg().neg()), relu),
    exact("relu twice", lambda z: z.relu().relu(), relu),
    exact("threshold(0, 0)", lambda z: F.threshold(z, 0.0, 0.0), relu),
    exact("clamp(min=tensor zero)", lambda z: torch.clamp(z, min=torch.zeros((), dtype=z.dtype)), relu),
    exact("relu of the negative", lambda z: F.relu(-z), lambda z: nn.ReLU()(z.neg())),
    exact("crelu", lambda z: torch.cat([z, -z], 1).relu(), lambda z: torch.cat([F.relu(z), F.relu(-z)], 1), channels=12),
    # a rectifier, or refused
    either("where(x < 0, 0, x)", lambda z: torch.where(z < 0, 0.0, z), relu),
    either("where(0 < x, x, 0 * x)", lambda z: torch.where(z > 0, z, 0 * z), relu),
    either("maximum(x, zeros)", lambda z: torch.maximum(z, zeros(z)), relu),
    either("maximum(zeros, x)", lambda z: torch.maximum(zeros(z), z), relu),
    either("max(x, zeros)", lambda z: torch.max(z, zeros(z)), relu),
    either("fmax(x, zeros)", lambda z: torch.fmax(z, zeros(z)), relu),
    either("stack([x, zeros]).amax", lambda z: torch.stack([z, zeros(z)]).amax(0), relu),
    either("stack([x, zeros]).max(0).values", lambda z: torch.stack([z, zeros(z)]).max(0).values, relu),
    either("max_pool over x and zeros", lambda z: F.max_pool3d(torch.stack([z, zeros(z)], 2), (2, 1, 1)).squeeze(2), relu),
    either("x * (x > 0)", lambda z: z * (z > 0), relu),
    either("x.mul((x > 0).to(dtype))", lambda z: z.mul((z > 0).to(z.dtype)), relu),
    either("(x > 0).double() * x", lambda z: (z > 0).double() * z, relu),
    either("x * x.gt(0)", lambda z: z * z.gt(0), relu),
    either("x * ~(x <= 0)", lambda z: z * ~(z <= 0), relu),
    either("x * heaviside(x)", lambda z: torch.heaviside(z, torch.zeros((), dtype=z.dtype)) * z, relu),
    either("x * sign(x.clamp(min=0))", lambda z: z * torch.sign(z.clamp(min=0)), relu),
    either("x * (sign(x) + 1) / 2", lambda z: z * (torch.sign(z) + 1) / 2, relu),
    either("x - x.clamp(max=0)", lambda z: z - z.clamp(max=0), relu, lambda z: z + F.relu(-z)),
    either("-(-x).clamp(max=0)", lambda z: -(-z).clamp(max=0), relu),
    either("-minimum(-x, 0)", lambda z: -torch.minimum(-z, zeros(z)), relu),
    either("masked_fill(x < 0, 0)", lambda z: z.masked_fill(z < 0, 0), relu),
    either("masked_fill_(x < 0, 0)", lambda z: z.clone().masked_fill_(z < 0, 0), relu),
    either("y[y < 0] = 0", lambda z: assigned(z, z < 0, 0), relu),
    either("y[y < 0] *= 0", scaled, relu),
    either("index_put((x < 0,), 0)", lambda z: z.index_put((z < 0,), torch.zeros((), dtype=z.dtype)), relu),
    either("leaky_relu(slope 0)", lambda z: F.leaky_relu(z, 0.0), relu),
    either("a Function of its own: ReLU", function(lambda z: z.clamp(min=0), lambda z, g: g * (z > 0)), relu, sentence="autograd.Function"),
    either("a scripted function: ReLU", scripted_relu, relu, sentence="script"),
    either("|x|", lambda z: z.abs(), lambda z: F.relu(z) + F.relu(-z)),
    either("x * sign(x)", lambda z: z * z.sign(), lambda z: F.relu(z) + F.relu(-z)),
    either("where(x > 0, x, -x)", lambda z: torch.where(z > 0, z, -z), lambda z: F.relu(z) + F.relu(-z)),
    itself("relu(x) - relu(x - 6)", lambda z: F.relu(z) - F.relu(z - 6)),
    exact("relu in place on a view", after(lambda z: z[:, :3].relu_()), lambda z: torch.cat([F.relu(z[:, :3]), z[:, 3:]], 1)),
]
SATURATING: list[Case] = [
    exact("nn.Hardtanh()", lambda z: nn.Hardtanh()(z), lambda z: F.hardtanh(z, -1.0, 1.0), "picture"),
    exact("hardtanh(-0.5, 0.7)", lambda z: F.hardtanh(z, -0.5, 0.7), lambda z: F.hardtanh(z, -0.5, 0.7), "picture"),
    exact("hardtanh_(-0.5, 0.7)", lambda z: F.hardtanh_(z, -0.5, 0.7), lambda z: F.hardtanh(z, -0.5, 0.7), "picture"),
    exact("hardtanh(0.2, 0.9)", lambda z: F.hardtanh(z, 0.2, 0.9), lambda z: F.hardtanh(z, 0.2, 0.9), "picture"),
    exact("clamp(-0.5, 0.7)", lambda z: z.clamp(-0.5, 0.7), lambda z: F.hardtanh(z, -0.5, 0.7), "picture"),
    exact("clip(-0.5, 0.7)", lambda z: torch.clip(z, -0.5, 0.7), lambda z: F.hardtanh(z, -0.5, 0.7), "picture"),
    exact("clamp(0, 0.7)", lambda z: z.clamp(0, 0.7), lambda z: F.hardtanh(z, 0.0, 0.7)),
    exact("relu6", F.relu6, lambda z: F.hardtanh(z, 0.0, 6.0)),
    exact("relu6 of 6x", lambda z: F.relu6(6 * z), lambda z: F.hardtanh(6 * z, 0.0, 6.0)),
    exact("clamp(min=0.3)", lambda z: z.clamp(min=0.3), lambda z: F.hardtanh(z, 0.3, INF), "picture"),
    exact("clamp(min=-0.3)", lambda z: z.clamp(min=-0.3), lambda z: F.relu(z + 0.3) - 0.3, "picture"),
    exact("clamp_min_(0.3)", lambda z: z.clamp_min_(0.3), lambda z: F.hardtanh(z, 0.3, INF), "picture"),
    exact("threshold(0.2, 0.5)", lambda z: F.threshold(z, 0.2, 0.5), lambda z: F.relu(z - 0.2) + 0.5 - 0.3 * (z > 0.2).double(), "picture"),
    exact("threshold(0.2, 0)", lambda z: F.threshold(z, 0.2, 0.0), lambda z: F.relu(z - 0.2) + 0.2 * (z > 0.2).double(), "picture"),
    either("clamp(min=tensor)", lambda z: z.clamp(min=CHANNEL), lambda z: F.relu(z - CHANNEL) + CHANNEL, compared="picture"),
    either(
        "clamp(tensors)", lambda z: z.clamp(CHANNEL, CHANNEL + 1), lambda z: F.hardtanh(z - CHANNEL, 0.0, 1.0) + CHANNEL, compared="picture"
    ),
    either("maximum(x, constant)", lambda z: torch.maximum(z, CHANNEL), lambda z: F.relu(z - CHANNEL) + CHANNEL, compared="picture"),
    either(
        "maximum(x, 0.3)",
        lambda z: torch.maximum(z, torch.tensor(0.3, dtype=torch.float64)),
        lambda z: F.hardtanh(z, 0.3, INF),
        compared="picture",
    ),
    either("where(x > 0.3, x, 0.3)", lambda z: torch.where(z > 0.3, z, 0.3), lambda z: F.hardtanh(z, 0.3, INF), compared="picture"),
    either("y[y < 0.3] = 0.3", lambda z: assigned(z, z < 0.3, 0.3), lambda z: F.hardtanh(z, 0.3, INF), compared="picture"),
    # a ceiling alone: half a ReLU6, or a rectifier upside down
    *(
        either(name, odd, lambda z: F.hardtanh(z, -INF, 0.3), lambda z: 0.3 - F.relu(0.3 - z), compared="picture")
        for name, odd in {
            "clamp(max=0.3)": lambda z: z.clamp(max=0.3),
            "minimum(x, 0.3)": lambda z: torch.minimum(z, torch.tensor(0.3, dtype=torch.float64)),
            "y[y > 0.3] = 0.3": lambda z: assigned(z, z > 0.3, 0.3),
        }.items()
    ),
    either("clamp(min=0).clamp(max=0.7)", lambda z: z.clamp(min=0).clamp(max=0.7), lambda z: F.hardtanh(z, 0.0, 0.7), compared="picture"),
    either(
        "min(max(x, 0), 0.7)",
        lambda z: F.relu(z).minimum(torch.tensor(0.7, dtype=torch.float64)),
        lambda z: F.hardtanh(z, 0.0, 0.7),
        compared="picture",
    ),
    either("relu6 by hand: x * mask", lambda z: z * ((z > 0) & (z < 0.7)) + 0.7 * (z >= 0.7).double(), lambda z: F.hardtanh(z, 0.0, 0.7)),
]
NO_RECTIFIERS: list[Case] = [
    refused("leaky_relu", lambda z: F.leaky_relu(z, 0.1), "leaky_relu", linear=True),
    refused("nn.PReLU", nn.PReLU, "prelu", linear=True),
    refused("nn.RReLU", nn.RReLU, "rrelu", linear=True),
    refused("where(x > 0, x, 0.1 x)", lambda z: torch.where(z > 0, z, 0.1 * z), "where|gt|>", linear=True),
    itself("maximum(x, 0.1 x)", lambda z: torch.maximum(z, 0.1 * z), sentence="maximum"),
    itself("maxout", lambda z: z.unflatten(1, (3, 2)).amax(2), channels=3),
    itself("maximum of two maps", lambda z: torch.maximum(z[:, :3], z[:, 3:]), sentence="maximum", channels=3),
    refused("hardshrink", lambda z: F.hardshrink(z, 0.3), "hardshrink", linear=True),
    refused("softshrink", lambda z: F.softshrink(z, 0.3), "softshrink", linear=True),
    refused("mask of another map", lambda z: z * (z.flip(1) > 0), "mask|gt|>|mul|compar", linear=True),
    refused("mask of the mean", lambda z: z * (z.mean((2, 3), keepdim=True) > 0), "mask|gt|>|mul|compar", linear=True),
    refused("x * (x > 0.3)", lambda z: z * (z > 0.3), "mask|gt|>|mul|compar", linear=True),
    refused("y[other < 0] = 0", lambda z: assigned(z, z.flip(1) < 0, 0), "setitem|index_put|assign|mask|lt|<|compar", linear=True),
    refused("y[y < 0] = 1", lambda z: assigned(z, z < 0, 1.0) * 1.5, "setitem|index_put|assign|mask|lt|<|compar", linear=True),
    refused("where by another map", lambda z: torch.where(z.flip(1) > 0, z, 0.0), "where|gt|>|mask|compar", linear=True),
    refused("the best k only", lambda z: z * (z >= z.topk(2, 1).values[:, -1:]), "mask|ge|>|mul|compar|topk", linear=True),
    refused("one_hot of argmax", lambda z: z * F.one_hot(z.argmax(1), 6).movedim(-1, 1), "one_hot|argmax|mul|mask", linear=True),
    refused("sign(x)", lambda z: z.sign(), "sign"),
    refused("x * sign of another", lambda z: z * z.flip(1).sign(), "sign|mul", linear=True),
    refused("round", lambda z: z.round(), "round"),
    refused("straight-through round", lambda z: z + (z.round() - z).detach(), "detach|round"),
    refused("(x > 0) as numbers", lambda z: (z > 0).to(z.dtype) + 0 * z, "mask|gt|>|compar|add"),
    refused("through integers", lambda z: z.long().to(z.dtype) + 0 * z, "integer|long|int|add"),
    refused("a Function of its own: swish", function(lambda z: z * z.sigmoid(), swish_gradient), "autograd.Function"),
    refused("a Function of its own: sign, straight through", function(torch.sign, lambda z, g: g), "autograd.Function"),
    either("a Function of its own: identity", function(torch.clone, lambda z, g: g), lambda z: z, sentence="autograd.Function"),
    either(
        "a Function of its own: 2x + 0.5",
        function(lambda z: 2 * z + 0.5, lambda z, g: 2 * g),
        lambda z: 2 * z + 0.5,
        sentence="autograd.Function",
    ),
    refused("a scripted function: swish", scripted_gate, "script|sigmoid|mul"),
]
