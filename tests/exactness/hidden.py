"""What hides from the tape: writes through views, other layouts, scripts, threads, masks in disguise, choices against zero."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cases import ANY, Case, after, constant, either, exact, refused, relu, written


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


@torch.jit.script
def _scripted_comparison(z: Tensor) -> Tensor:
    return (z > 0).to(z.dtype)


def _compared_in_a_thread(z: Tensor) -> Tensor:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda a: a > 0, z).result()


def _compared_out_of_sight(z: Tensor) -> Tensor:
    with torch._C.DisableTorchFunction():
        return z > 0


def _halved_out_of_sight(z: Tensor) -> Tensor:
    with torch._C.DisableTorchFunction():
        return 0.5 * z.detach()


def _as_a_subclass(z: Tensor) -> Tensor:
    return Tensor._make_subclass(Tensor, z.detach())


def _mask_under_vmap(z: Tensor) -> Tensor:
    return z * torch.vmap(lambda a: (a.flip(0) > 0).to(a.dtype))(z)


def _zero_padded(z: Tensor) -> Tensor:
    return F.max_pool2d(F.pad(z, (1, 1, 1, 1)), 3, 1)


def _ringed(then: Callable[[Tensor], Tensor] | None) -> Callable[[Tensor], Tensor]:
    """A 1×1 convolution of a padded map, so that constants stand around it, and a maximum."""

    def ringed(z: Tensor) -> Tensor:
        wide = F.conv2d(z, constant(6, 6, 1, 1), constant(6), padding=1)
        return F.max_pool2d(then(wide) if then else wide, 3, 1)

    return ringed


def _normed_padding(z: Tensor) -> Tensor:
    return F.max_pool2d(F.batch_norm(F.pad(z, (1, 1, 1, 1)), constant(6), constant(6) ** 2 + 1), 3, 1)


def _unfolded(z: Tensor) -> Tensor:
    return F.unfold(z, 3, padding=1).view(1, 6, 9, 12, 10).amax(2)


def _pooled(z: Tensor) -> Tensor:
    return F.max_pool2d(z, 3, 1, 1)


def _zero_padded_parts(z: Tensor) -> Tensor:
    return torch.cat([F.max_pool2d(part, 3, 1) for part in F.pad(z, (1, 1, 1, 1)).chunk(2, 1)], 1)


def _with_holes(z: Tensor) -> Tensor:
    return F.max_pool2d(F.conv_transpose2d(z, torch.eye(6, dtype=z.dtype)[:, :, None, None], stride=2), 2, ceil_mode=True)


def _folded_with_holes(z: Tensor) -> Tensor:
    height, width = z.shape[2:]
    return F.max_pool2d(F.fold(z.flatten(2), (2 * height - 1, 2 * width - 1), 1, stride=2), 2, ceil_mode=True)


def _shifted(z: Tensor) -> Tensor:
    grid = F.affine_grid(torch.tensor([[[1.0, 0, 0.5], [0, 1, 0]]], dtype=z.dtype), list(z.shape), align_corners=False)
    return F.grid_sample(z, grid, align_corners=False)


def _through_linear(z: Tensor) -> Tensor:
    both = torch.stack([z, 0 * z], -1).movedim(1, -1)
    return F.linear(both, torch.eye(6, dtype=z.dtype)).amax(-2).movedim(-1, 1)


COLUMNS = torch.arange(10) > 3
HIDDEN: list[Case] = [
    # zeros beside negative numbers, where a maximum rectifies
    refused("a padding by zeros, then max_pool2d", _zero_padded, "choice", linear=True),
    refused(
        "a padding by zeros, then a global amax", lambda z: F.pad(z, (0, 1)).amax((2, 3), True).expand(-1, -1, 3, 3), "choice", linear=True
    ),
    refused("unfold with a padding, then amax", _unfolded, "choice", linear=True),
    refused("a constant mask, then max_pool2d", lambda z: F.max_pool2d(z * COLUMNS, 3, 1), "choice", linear=True),
    exact("a padding by zeros behind a rectifier, then max_pool2d", lambda z: _zero_padded(F.relu(z)), lambda z: _pooled(F.relu(z))),
    exact("unfold with a padding behind a rectifier, then amax", lambda z: _unfolded(F.relu(z)), lambda z: _pooled(F.relu(z))),
    exact("a padding by -inf, then max_pool2d", lambda z: F.max_pool2d(F.pad(z, (1, 1, 1, 1), value=-torch.inf), 3, 1), _pooled),
    exact("a padding that only takes away, then max_pool2d", lambda z: _pooled(F.pad(z, (-1, 0))), lambda z: _pooled(z[..., 1:])),
    exact("a sum with nothing, then max_pool2d", lambda z: _pooled(z + 0 * z.sum()), _pooled),
    either("stack([z, 0·z]).amax", lambda z: torch.stack([z, 0 * z]).amax(0), relu),
    either("stack([z, 0·z]).sort", lambda z: torch.stack([z, 0 * z]).sort(0).values[1], relu),
    either("cat([z, 0·z]), then a maximum of the two", lambda z: torch.cat([z, 0 * z], 1).unflatten(1, (2, 6)).amax(1), relu),
    refused("a padding by zeros in two parts, then max_pool2d", _zero_padded_parts, "choice", linear=True),
    refused("a transposed convolution with holes, then max_pool2d", _with_holes, "choice", linear=True),
    refused("fold with holes, then max_pool2d", _folded_with_holes, "choice", linear=True),
    refused("a triangle, then max_pool2d", lambda z: _pooled(z.tril()), "choice", linear=True),
    refused("a picture that is looked at from aside, then max_pool2d", lambda z: _pooled(_shifted(z)), "choice", linear=True),
    either("cat([z, 0·z]).split, then amax", lambda z: torch.stack(torch.cat([z, 0 * z], 1).split(6, 1)).amax(0), relu),
    either("stack([z, 0·z]), a linear layer, then amax", _through_linear, relu),
    either("copy_ into a part of zeros, then amax", lambda z: after(lambda y: y[0].copy_(z))(z.new_zeros(2, *z.shape)).amax(0), relu),
    either("index_add to zeros, then amax", lambda z: z.new_zeros(2, *z.shape).index_add(0, torch.tensor([0]), z[None]).amax(0), relu),
    either("slice_scatter into zeros, then amax", lambda z: z.new_zeros(2, *z.shape).slice_scatter(z[None], 0, 0, 1).amax(0), relu),
    either("select_scatter into zeros, then amax", lambda z: z.new_zeros(2, *z.shape).select_scatter(z, 0, 0).amax(0), relu),
    # transforms and compiled functions
    refused("another map's mask made under vmap", _mask_under_vmap, "vmap", linear=True),
    refused("a gradient by torch.func", lambda z: torch.func.grad(lambda t: (t.relu() ** 2).sum() / 2)(z), "vmap or the like"),
    exact("a compiled function", torch.compile(lambda z: F.relu(z), backend="eager"), relu),
    refused(
        "a compiled function's mask of another map", torch.compile(lambda z: z * (z.flip(1) > 0), backend="eager"), "gt|mul", linear=True
    ),
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
    refused("a convolution that sees only padding, then max_pool2d", _ringed(None), "choice", linear=True),
    refused("the same with a batch norm", _ringed(lambda z: F.batch_norm(z, constant(6), constant(6) ** 2 + 1)), "choice", linear=True),
    refused("the same with a rectifier", _ringed(F.relu), "choice"),
    refused("a padding by zeros, a batch norm, then max_pool2d", _normed_padding, "choice", linear=True),
    either("stack([z, z - z]).amax", lambda z: torch.stack([z, z - z]).amax(0), relu),
    # what is made out of sight and used in sight, as if it were the network's own
    refused("a mask made in another thread", lambda z: z * _compared_in_a_thread(z.flip(1)), "every picture", linear=True),
    refused("a mask made by a scripted function", lambda z: z * _scripted_comparison(z.flip(1)), ANY, linear=True),
    refused("a mask made out of sight", lambda z: z * _compared_out_of_sight(z.flip(1)), "every picture", linear=True),
    refused("a mask made out of sight, for where", lambda z: torch.where(_compared_out_of_sight(z), z, 2 * z), "every picture"),
    refused("rows picked out of sight", lambda z: z[:, _compared_out_of_sight(z).sum((0, 2, 3)).argsort()], "every picture"),
    refused("a maximum with a parameter made of the map", lambda z: torch.max(z, nn.Parameter(0.5 * z)), "every picture"),
    refused("a clamp at what was made out of sight", lambda z: z.clamp(min=_halved_out_of_sight(z)), "every picture"),
    refused("a parameter made of a map", lambda z: F.relu(z) + nn.Parameter(z), ANY, linear=True),
    refused("a subclass made of a map", lambda z: F.relu(z) + _as_a_subclass(z.flip(1)), ANY, linear=True),
    exact("a rectifier of one number in place", _number_in_place, lambda z: z + F.relu(z.mean((1, 2, 3), True))),
    exact("a rectifier of one number", lambda z: z + F.relu(z.mean()).reshape(1, 1, 1, 1), lambda z: z + F.relu(z.mean((1, 2, 3), True))),
]
