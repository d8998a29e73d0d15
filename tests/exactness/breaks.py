"""Where the picture's trace breaks (detach, no_grad, Python numbers), random numbers, and functions that are not piecewise linear."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cases import Case, after, constant, either, exact, module, refused

TRACE = r"detach|no_grad"
NUMBER = r"item|float|number|tolist|numpy|detach|Python"


def no_grad(z: Tensor) -> Tensor:
    with torch.no_grad():
        return z * 2 + 1


def inference(z: Tensor) -> Tensor:
    with torch.inference_mode():
        y = z * 2
    return y.clone()


@torch.no_grad()
def decorated(z: Tensor) -> Tensor:
    return F.relu(z)


def no_grad_mask(z: Tensor) -> Tensor:
    with torch.no_grad():
        mask = (z.flip(1) > 0).to(z.dtype)
    return z * mask


def off(z: Tensor) -> Tensor:
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    y = 2 * z
    torch.set_grad_enabled(before)
    return y + z


def branch(z: Tensor) -> Tensor:
    return 2 * z + 0.1 if z.mean() > -100 else -z


def checked(z: Tensor) -> Tensor:
    if torch.isnan(z).any():
        raise ValueError("not a number")
    return z


def asserted(z: Tensor) -> Tensor:
    assert bool((z.abs() < 1e6).all())
    return 2 * z


def chosen(z: Tensor) -> Tensor:
    return z[:, [int(z.mean((0, 2, 3)).argmax())] * 6]


def frozen(z: Tensor) -> Tensor:
    weight = nn.Parameter(constant(6, 6, 1, 1), requires_grad=False)
    return F.conv2d(z, weight)


def attend(m: Any, z: Tensor) -> Tensor:
    rows = z.flatten(2).mT
    return m.inner(rows, rows, rows)[0].mT.reshape(z.shape)


def squeeze_excite(gate: Callable[[Tensor], Tensor]) -> type[nn.Module]:
    def forward(m: Any, z: Tensor) -> Tensor:
        return z * gate(m.up(F.relu(m.down(z.mean((2, 3), keepdim=True)))))

    return module(forward, down=partial(nn.Conv2d, 6, 3, 1), up=partial(nn.Conv2d, 3, 6, 1))


def norm(make: Callable[[], nn.Module]) -> type[nn.Module]:
    return module(lambda m, z: m.norm(z), norm=make)


BREAKS: list[Case] = [
    refused("detach", lambda z: z.detach(), TRACE),
    refused("x + x.detach()", lambda z: z + z.detach(), TRACE),
    refused("x * x.detach()", lambda z: z * z.detach(), TRACE),
    refused("x.data", lambda z: z + z.data, r"detach|no_grad|\.data"),
    refused("x.data written to", after(lambda z: z.data.mul_(2)), r"detach|no_grad|\.data"),
    refused("under no_grad", no_grad, TRACE),
    refused("partly under no_grad", lambda z: z + no_grad(z), TRACE),
    refused("a rectifier under no_grad", lambda z: z + decorated(z), TRACE),
    refused("in inference mode", lambda z: z + inference(z), "inference|detach|no_grad"),
    refused("gradients switched off in between", off, "grad"),
    refused("a mask made under no_grad", no_grad_mask, "mask|gt|>|no_grad|mul|compar", linear=True),
    refused("mean().item()", lambda z: z * z.mean().item(), NUMBER),
    refused("float(mean())", lambda z: z + float(z.mean()), NUMBER),
    refused("tolist", lambda z: z + torch.tensor(z.tolist(), dtype=z.dtype), NUMBER),
    refused("numpy", lambda z: z + torch.from_numpy(np.tanh(z.detach().numpy())), NUMBER),
    refused("numpy.asarray", lambda z: z + torch.as_tensor(np.asarray(z.detach().cpu())), NUMBER),
    refused("new tensor of item()", lambda z: z + z.new_tensor(z.mean().item()), NUMBER),
    refused("a fresh leaf", lambda z: z + z.clone().detach().requires_grad_(), TRACE),
    refused("torch.tensor of a tensor", lambda z: z + torch.tensor(z), r"detach|no_grad|tensor"),
    either("if mean > c", branch, lambda z: 2 * z + 0.1, sentence="control flow|if|bool|branch|Python|value"),
    either("assert on values", asserted, lambda z: 2 * z, sentence="control flow|if|bool|branch|Python|value"),
    either("if isnan().any()", checked, lambda z: z, sentence="control flow|if|bool|branch|Python|value"),
    either("index by argmax", chosen, lambda z: chosen(z), sentence="control flow|if|int|branch|Python|value", compared="picture"),
    exact("frozen weights", frozen, lambda z: F.conv2d(z, constant(6, 6, 1, 1))),
    refused("noise: randn_like", lambda z: z + 0.1 * torch.randn_like(z), "random"),
    refused("noise: torch.rand factor", lambda z: z * torch.rand(1, 6, 1, 1, dtype=z.dtype), "random"),
    refused("noise: normal_", lambda z: z + torch.empty_like(z).normal_(), "random"),
    refused("noise: bernoulli", lambda z: z * torch.bernoulli(torch.full_like(z, 0.5)), "random"),
    refused("noise: randperm", lambda z: z[:, torch.randperm(6)], "random"),
    refused("noise: numpy", lambda z: z + torch.from_numpy(np.random.normal(size=z.shape)), "random|from call to call|twice"),
    refused("noise: Python's random", lambda z: z * random.random(), "random|from call to call|twice"),
    refused("rrelu, always on", lambda z: F.rrelu(z, training=True), "rrelu", linear=True),
    refused("gumbel_softmax", lambda z: F.gumbel_softmax(z, dim=1), "random|softmax|gumbel|exponential"),
]
CURVED: list[Case] = [
    refused(name, odd, sentence)
    for name, odd, sentence in [
        ("x ** 2", lambda z: z**2, "pow"),
        ("square", torch.square, "square"),
        ("x * x", lambda z: z * z, "mul"),
        ("x.pow(0.5)", lambda z: (F.relu(z) + 0.1).pow(0.5), "pow"),
        ("exp", lambda z: z.exp(), "exp"),
        ("sin", torch.sin, "sin"),
        ("sqrt of a square", lambda z: (z.square() + 0.1).sqrt(), "square"),
        ("1 / x", lambda z: 1 / (z.abs() + 1), "div|reciprocal|abs"),
        ("c ** x", lambda z: 2**z, "pow"),
        ("x * clamped x", lambda z: z * z.clamp(0, 1), "mul"),
        ("logsumexp", lambda z: z.logsumexp(3, keepdim=True).expand(-1, -1, -1, 4), "logsumexp"),
        ("prod", lambda z: z.unflatten(1, (3, 2)).prod(2).repeat(1, 2, 1, 1), "prod"),
        ("cumprod", lambda z: z.cumprod(1), "cumprod"),
        ("std", lambda z: z - z.std(), "std"),
        ("norm", lambda z: z + z.norm(), "norm"),
        ("F.normalize", lambda z: F.normalize(z), "norm"),
        ("softmax gate", lambda z: z * z.softmax(1), "softmax"),
        ("softmax of the places", lambda z: z + z.flatten(2).softmax(2).view_as(z), "softmax"),
        ("softplus", F.softplus, "softplus"),
        ("mish", F.mish, "mish"),
        ("glu", lambda z: F.glu(z, 1).repeat(1, 2, 1, 1), "glu"),
        ("hardswish by hand", lambda z: z * F.relu6(z + 3) / 6, "mul"),
        ("tanhshrink", F.tanhshrink, "tanh"),
        ("local_response_norm", lambda z: F.local_response_norm(z, 3), "response_norm|div|mul|pow"),
        ("lp_pool", lambda z: F.lp_pool2d(z, 2, 2), "lp_pool|pow"),
        ("cosine_similarity", lambda z: z + F.cosine_similarity(z, z.flip(1), 1)[:, None], "cosine|norm"),
        ("dot product attention", lambda z: F.scaled_dot_product_attention(z, z, z), "attention|softmax"),
        ("x @ x.T", lambda z: z @ z.mT @ constant(12, 10), "matmul"),
        ("einsum of two maps", lambda z: torch.einsum("nchw,ndhw->ncd", z, z)[..., None].expand(-1, -1, -1, 4), "einsum"),
        ("addcmul of two maps", lambda z: torch.addcmul(z, z, z.flip(1)), "addcmul"),
        ("lerp by a map", lambda z: torch.lerp(z, z.flip(1), z.mean()), "lerp"),
        ("conv2d with the picture's own kernel", lambda z: F.conv2d(z, z.mean((2, 3))[..., None, None].expand(6, 6, 1, 1)), "conv2d"),
        (
            "grid_sample by the picture",
            lambda z: F.grid_sample(z, z[:, :2].movedim(1, -1), align_corners=False),
            "grid_sample",
        ),
        ("|fft|", lambda z: torch.fft.fft2(z).abs(), "fft|abs|complex"),
        ("hypot", lambda z: torch.hypot(z, z.flip(1)), "hypot"),
        ("x % 1", lambda z: z % 1, "remainder|%|mod"),
        ("x // 0.5", lambda z: z // 0.5 + 0 * z, "floor"),
        ("cdist", lambda z: torch.cdist(z, z), "cdist"),
        ("x.where(softmax)", lambda z: torch.where(z > 0, z, z.sigmoid()), "where|sigmoid"),
    ]
] + [
    refused("attention", module(attend, inner=partial(nn.MultiheadAttention, 6, 2, batch_first=True)), "softmax|attention"),
    refused(
        "LSTM",
        module(lambda m, z: m.inner(z.flatten(2).mT)[0].mT.reshape(z.shape), inner=partial(nn.LSTM, 6, 6, batch_first=True)),
        "lstm|LSTM|sigmoid",
    ),
    refused("squeeze-excite, sigmoid", squeeze_excite(torch.sigmoid), "sigmoid|mul"),
    refused("squeeze-excite, hardsigmoid", squeeze_excite(F.hardsigmoid), "hardsigmoid|mul"),
    refused("LayerNorm", norm(lambda: nn.LayerNorm([6, 12, 10])), "layer_norm"),
    refused("InstanceNorm", norm(lambda: nn.InstanceNorm2d(6, affine=True)), "instance_norm"),
    refused("GroupNorm", norm(lambda: nn.GroupNorm(2, 6)), "group_norm"),
    refused(
        "BatchNorm without running statistics",
        norm(lambda: nn.BatchNorm2d(6, track_running_stats=False)),
        "batch_norm.*running statistics",
    ),
]
