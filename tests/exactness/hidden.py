"""What hides from the tape: writes through views, other layouts, scripts, threads, masks in disguise, choices against zero."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F
from torch import Tensor

from .cases import ANY, Case, after, either, exact, refused, relu, written


def _pooled_then_rectified(z: Tensor) -> Tensor:
    q = F.max_pool2d(z, 3, 1, 1)
    z.relu_()
    return q + z


def _contiguous_write(z: Tensor) -> Tensor:
    y = z.contiguous()
    y.relu_()
    return z + y


def _number_in_place(z: Tensor) -> Tensor:
    mean = 5 * z.mean()
    mean.relu_()
    return z + mean / 5


@torch.jit.script
def _scripted_mask(z: Tensor) -> Tensor:
    m = z > 0
    return z * m


def _in_a_thread(z: Tensor) -> Tensor:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda a: a * (a > 0), z).result()


def _out_of_sight(z: Tensor) -> Tensor:
    with torch._C.DisableTorchFunction():
        return z * (z > 0)


HIDDEN: list[Case] = [
    exact("a rectifier in place behind a maximum", _pooled_then_rectified, lambda z: F.max_pool2d(z, 3, 1, 1) + F.relu(z)),
    either("a write to what contiguous() gave", _contiguous_write, lambda z: 2 * F.relu(z)),
    either("a write to what flatten() gave", after(lambda z: z.flatten(1).relu_()), relu),
    either("relu_ through permute", after(lambda z: z.permute(0, 2, 3, 1).relu_()), relu),
    refused("a layout as a gate", lambda z: F.relu(z) if z.is_contiguous() else z, ANY),
    refused("leaky_relu_ on a part", written(lambda y, z: F.leaky_relu_(y[:, :3], 0.1)), "leaky_relu_"),
    refused("abs_ on a part", written(lambda y, z: y[:, :3].abs_()), "abs_"),
    refused("mul_ of a part by another", written(lambda y, z: y[:, 0].mul_(z[:, 1])), "mul_"),
    refused("torch.ops.aten.relu_ on a part", written(lambda y, z: torch.ops.aten.relu_.default(y[:, :3])), "relu_"),
    either("torch.ops.aten.relu_", after(lambda z: torch.ops.aten.relu_.default(z)), relu),
    either("maximum(z, 0·z)", lambda z: torch.maximum(z, 0 * z), relu),
    either("maximum(z, z - z)", lambda z: torch.maximum(z, z - z), relu),
    either("a padding of a new axis, then amax", lambda z: F.pad(z[..., None], (0, 1)).amax(-1), relu),
    either("isnan(sqrt) as a mask", lambda z: z.masked_fill(torch.isnan(z.sqrt()), 0), relu),
    refused("isfinite(sqrt) as a gate", lambda z: z * torch.isfinite(z.flip(1).sqrt()).to(z.dtype), ANY),
    refused("a value through new_tensor", lambda z: z * z.new_tensor(z.detach().mean()), ANY),
    refused("a value through full_like", lambda z: z * torch.full_like(z, z.detach().mean()), ANY),
    either("a scripted mask", _scripted_mask, relu),
    either("a mask under vmap", lambda z: torch.vmap(lambda a: a * (a > 0))(z), relu),
    either("a mask in another thread", _in_a_thread, relu),
    either("a mask out of the tape's sight", _out_of_sight, relu),
    refused("a value through the storage", lambda z: z * z.detach().untyped_storage()[0], ANY),
    exact("a rectifier of one number in place", _number_in_place, lambda z: z + F.relu(z.mean((1, 2, 3), True))),
    exact("a rectifier of one number", lambda z: z + F.relu(z.mean()).reshape(1, 1, 1, 1), lambda z: z + F.relu(z.mean((1, 2, 3), True))),
]
