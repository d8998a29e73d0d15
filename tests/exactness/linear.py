"""Linear operations under their many names: exact, wherever their constants come from."""

from __future__ import annotations

from functools import partial
from operator import setitem
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .cases import Case, Odd, constant, either, exact, itself, module, parameter, written

C = constant(6, 1, 1)  # one number a channel
MAP = constant(6, 12, 10)  # one for each place
PLACES = constant(12, 10)
MIX = constant(6, 6) / 3
FLAG = constant(12, 10) > 0
ROW = constant(10)


def mixed(z: Tensor) -> Tensor:
    """What every spelling of "channels times a matrix" says."""
    return F.conv2d(z, MIX[:, :, None, None])


def rows(z: Tensor) -> Tensor:
    """(N, 6, 12, 10) as 12·10 rows of six."""
    return z.flatten(2).mT.flatten(0, 1)


def unrows(y: Tensor) -> Tensor:
    return y.reshape(1, 12, 10, 6).permute(0, 3, 1, 2)


def put(index: Any, value: Any) -> Odd:
    """``y[index] = value`` in a copy of the map; ``value`` may be computed from the map."""
    return written(lambda y, z: setitem(y, index, value(z) if callable(value) else value))


def _add(y: Tensor, z: Tensor) -> None:
    y[:, 0] += 0.3


def _times(y: Tensor, z: Tensor) -> None:
    y[:, 0] *= 2.5


def second_constant(z: Tensor) -> Tensor:
    return torch.cat([z[:, :1], torch.full_like(z[:, :1], 0.3), z[:, 2:]], 1)


def filled(z: Tensor) -> Tensor:
    y = torch.zeros_like(z)
    y[:, :3] = z[:, 3:]
    y[:, 3:] = z[:, :3]
    return y


def rectified(m: Any, z: Tensor) -> Tensor:
    return F.relu(m.inner(z))


def checkpointed(*, use_reentrant: bool) -> type[nn.Module]:
    def forward(m: Any, z: Tensor) -> Tensor:
        return checkpoint(lambda part: rectified(m, part), z, use_reentrant=use_reentrant)

    return module(forward, inner=CONV)


CONV = partial(nn.Conv2d, 6, 6, 3, padding=1)
ROWS = {"weight": parameter(6, 6, 3), "bias": parameter(6)}
VOLUME = {"weight": parameter(6, 6, 1, 3, 3), "bias": parameter(6)}
UPSAMPLING = {"up": partial(nn.ConvTranspose2d, 6, 6, 3, stride=2)}
UP = constant(6, 1, 1) + 3


def _filled(z: Tensor, empty: Any = torch.empty) -> Tensor:
    y = empty(*z.shape, dtype=z.dtype)
    y[:, :3] = z[:, 3:]
    y[:, 3:] = z[:, :3]
    return y  # type: ignore[no-any-return]


LINEAR: list[Case] = [
    exact("torch.empty, filled in pieces", _filled, lambda z: torch.cat([z[:, 3:], z[:, :3]], 1)),
    exact("new_empty, filled in pieces", lambda z: _filled(z, z.new_empty), lambda z: torch.cat([z[:, 3:], z[:, :3]], 1)),
    # everything by keyword
    exact("add(input=, other=constant)", lambda z: torch.add(input=z, other=C), lambda z: z + C),
    exact(
        "cat(tensors=[z, constant])",
        lambda z: torch.cat(tensors=[z[:, :3], MAP[None, 3:]], dim=1),
        lambda z: torch.cat([z[:, :3], MAP[None, 3:]], 1),
    ),
    exact("view(size=)", lambda z: z.view(size=(1, 6, 12, 10)), lambda z: z),
    exact("cat with an empty vector", lambda z: torch.cat([z.flatten()[:0], z], 1), lambda z: z),
    exact("einsum", lambda z: torch.einsum("oc,nchw->nohw", MIX, z), mixed),
    exact("einsum, picture first", lambda z: torch.einsum("nchw,oc->nohw", z, MIX), mixed),
    exact("tensordot", lambda z: torch.tensordot(z, MIX, dims=([1], [1])).movedim(-1, 1), mixed),
    exact("matmul, constant left", lambda z: (MIX @ z.flatten(2)).view(1, 6, 12, 10), mixed),
    exact("matmul, constant right", lambda z: (z.movedim(1, -1) @ MIX.T).movedim(-1, 1), mixed),
    exact("mm", lambda z: unrows(torch.mm(rows(z), MIX.T)), mixed),
    exact("bmm", lambda z: torch.bmm(MIX[None], z.flatten(2)).view(1, 6, 12, 10), mixed),
    exact(
        "mv",
        lambda z: (z.movedim(3, 0).reshape(10, -1).T.mv(ROW)).view(1, 6, 12, 1).expand(-1, -1, -1, 4),
        lambda z: (z * ROW).sum(3, keepdim=True).expand(-1, -1, -1, 4),
    ),
    exact("addmm", lambda z: unrows(torch.addmm(C.flatten(), rows(z), MIX.T)), lambda z: mixed(z) + C, "mass"),
    exact("baddbmm", lambda z: torch.baddbmm(C[None, :, :, 0], MIX[None], z.flatten(2)).view(1, 6, 12, 10), lambda z: mixed(z) + C, "mass"),
    exact("addcmul", lambda z: torch.addcmul(C, z, MAP, value=0.5), lambda z: z * MAP * 0.5 + C),
    exact("addcdiv", lambda z: torch.addcdiv(C, z, UP, value=0.5), lambda z: z / UP * 0.5 + C),
    exact("lerp to a constant", lambda z: torch.lerp(z, MAP, 0.25), lambda z: 0.75 * z + 0.25 * MAP),
    exact("lerp from a constant", lambda z: torch.lerp(MAP, z, 0.25), lambda z: 0.75 * MAP + 0.25 * z),
    exact("where by a constant mask, 0", lambda z: torch.where(FLAG, z, 0.0), lambda z: z * FLAG.double()),
    exact("where by a constant mask, map", lambda z: torch.where(FLAG, z, MAP), lambda z: z * FLAG.double() + MAP * (~FLAG).double()),
    exact("where by a constant mask, two maps", lambda z: torch.where(FLAG, z, z.flip(1)), lambda z: z * FLAG + z.flip(1) * ~FLAG),
    exact("masked_fill by a constant mask", lambda z: z.masked_fill(FLAG, 0.2), lambda z: z * ~FLAG + 0.2 * FLAG.double()),
    exact("cumsum", lambda z: z.cumsum(2), lambda z: torch.tril(torch.ones(12, 12).double()) @ z),
    exact("rot90", lambda z: z.rot90(1, (2, 3)), lambda z: z.transpose(2, 3).flip(2)),
    exact("flip", lambda z: z.flip(3), lambda z: z[..., list(range(9, -1, -1))]),
    exact("roll", lambda z: z.roll(1, 2), lambda z: torch.cat([z[:, :, -1:], z[:, :, :-1]], 2)),
    exact("diff", lambda z: z.diff(dim=3), lambda z: z[..., 1:] - z[..., :-1]),
    exact(
        "conv1d",
        module(lambda m, z: F.conv1d(z.flatten(2), m.weight, m.bias, padding=1).reshape(z.shape), **ROWS),
        module(lambda m, z: F.conv2d(z.flatten(2)[:, :, None], m.weight[:, :, None], m.bias, padding=(0, 1)).reshape(z.shape), **ROWS),
        "mass",
    ),
    exact(
        "conv_transpose2d with a bias",
        module(lambda m, z: m.up(z), **UPSAMPLING),
        module(lambda m, z: F.conv_transpose2d(z, m.up.weight, None, stride=2) + m.up.bias[:, None, None], **UPSAMPLING),
    ),
    exact("batch of one broadcast", lambda z: z + constant(1, 1, 12, 1), lambda z: z + constant(12, 1).expand(12, 10)),
    exact("a bias of one number", lambda z: z + torch.tensor(0.3, dtype=torch.float64), lambda z: z + 0.3),
    exact("a bias for every place", lambda z: z + MAP, lambda z: z.clone().add_(MAP)),
    exact("a bias for every row", lambda z: z.add(ROW), lambda z: z + ROW.expand(6, 12, 10)),
    exact("rsub", lambda z: torch.rsub(z, MAP), lambda z: MAP - z),
    exact("x * map", lambda z: z * MAP, lambda z: MAP.mul(z)),
    exact("x / map", lambda z: z / UP, lambda z: z * (1 / UP)),
    exact("div_ and sub_", lambda z: z.sub_(C).div_(UP), lambda z: (z - C) / UP),
    exact("x ** 1", lambda z: z**1, lambda z: z),
    exact(
        "dot with a constant by sum", lambda z: z + (z * MAP).sum((2, 3), keepdim=True), lambda z: z + (MAP * z).sum(3, True).sum(2, True)
    ),
    exact("x[:, 0] = 0.3", put(np.s_[:, 0], 0.3), lambda z: torch.cat([torch.full_like(z[:, :1], 0.3), z[:, 1:]], 1)),
    exact("x[:, 1:3] = constant", put(np.s_[:, 1:3], MAP[1:3]), lambda z: torch.cat([z[:, :1], MAP[None, 1:3], z[:, 3:]], 1)),
    exact("x[:, :3] = x[:, 3:]", put(np.s_[:, :3], lambda z: z[:, 3:]), lambda z: torch.cat([z[:, 3:], z[:, 3:]], 1)),
    exact("x[:, 0] += 0.3", written(_add), lambda z: z + 0.3 * torch.eye(6)[0].double()[:, None, None]),
    exact("x[:, 0] *= 2.5", written(_times), lambda z: torch.cat([2.5 * z[:, :1], z[:, 1:]], 1)),
    exact("x[..., ::2] = 0", put(np.s_[..., ::2], 0), lambda z: z * (torch.arange(10) % 2).double()),
    exact("x[..., constant mask] = 0.4", put((..., FLAG), 0.4), lambda z: z * ~FLAG + 0.4 * FLAG.double()),
    exact("zeros filled piece by piece", filled, lambda z: torch.cat([z[:, 3:], z[:, :3]], 1)),
    exact("checkpoint", checkpointed(use_reentrant=False), module(rectified, inner=CONV)),
    exact("checkpoint, reentrant", checkpointed(use_reentrant=True), module(rectified, inner=CONV)),
    exact("dropout always on", lambda z: F.dropout(z, 0.5, training=True), lambda z: z),
    exact("dropout2d always on", lambda z: F.dropout2d(z, 0.5, training=True), lambda z: z),
    exact("constant padding", lambda z: F.pad(z, (1, 0, 2, 0), value=0.7), lambda z: F.pad(z - 0.7, (1, 0, 2, 0)) + 0.7, "picture"),
    exact(
        "constant_pad_nd", lambda z: torch.constant_pad_nd(z, (1, 0, 2, 0), 0.7), lambda z: F.pad(z - 0.7, (1, 0, 2, 0)) + 0.7, "picture"
    ),
    *(
        exact(f"{mode} padding", lambda z, m=mode: F.pad(z, (2, 1, 1, 2), mode=m), lambda z, m=mode: F.pad(z, (2, 1, 1, 2), mode=m))
        for mode in ("reflect", "replicate", "circular")
    ),
    exact("nearest interpolation", lambda z: F.interpolate(z, scale_factor=2), lambda z: z.repeat_interleave(2, 2).repeat_interleave(2, 3)),
    *(
        itself(f"{mode} interpolation", lambda z, m=mode: F.interpolate(z, size=(17, 9), mode=m))
        for mode in ("bilinear", "bicubic", "area", "nearest-exact")
    ),
    exact(
        "pixel_shuffle", lambda z: F.pixel_shuffle(z.repeat(1, 2, 1, 1), 2), lambda z: nn.PixelShuffle(2)(torch.cat([z, z], 1)), channels=3
    ),
    exact(
        "unfold",
        lambda z: F.unfold(z, 3, padding=1).view(1, 54, 12, 10),
        lambda z: F.conv2d(z, torch.eye(54).double().view(54, 6, 3, 3), padding=1),
        channels=54,
    ),
    itself("unfold and fold", lambda z: F.fold(F.unfold(z, 3, padding=1), (12, 10), 3, padding=1)),
    itself("sorted along the channels", lambda z: z.sort(1).values),
    itself("msort of the rows", lambda z: z.flatten(2).sort(-1, descending=True)[0].view_as(z)),
    itself("top-k pooling", lambda z: z.flatten(2).topk(5, 2).values.mean(2)[:, :, None, None].expand(-1, -1, 3, 3)),
    itself("kthvalue", lambda z: z.kthvalue(4, 3, keepdim=True).values.expand(-1, -1, -1, 4), sentence="kthvalue"),
    itself("median", lambda z: z.median(3, keepdim=True).values.expand(-1, -1, -1, 4), sentence="median"),
    itself("amin", lambda z: z.amin(3, keepdim=True).expand(-1, -1, -1, 4), sentence="amin"),
    itself("max(dim)", lambda z: z.max(3, keepdim=True).values.expand(-1, -1, -1, 4)),
    itself("max pool, ceil_mode", lambda z: F.max_pool2d(z, 3, 2, ceil_mode=True)),
    itself("max pool, dilation", lambda z: F.max_pool2d(z, 2, 1, dilation=2)),
    itself("max pool, padding", lambda z: F.max_pool2d(z, 3, 2, padding=1)),
    itself("max pool, indices", lambda z: F.max_pool2d(z, 2, return_indices=True)[0]),
    itself("max_unpool", lambda z: F.max_unpool2d(*F.max_pool2d(z, 2, return_indices=True), 2), sentence="max_unpool"),
    itself("adaptive max pool", lambda z: F.adaptive_max_pool2d(z, (5, 3))),
    itself(
        "fractional max pool",
        lambda z: F.fractional_max_pool2d(z, 3, (5, 4), _random_samples=torch.full((1, 6, 2), 0.5).double()),
        sentence="fractional",
    ),
    itself("-inf padding before a max pool", lambda z: F.max_pool2d(F.pad(z, (1, 1, 1, 1), value=float("-inf")), 3, 2)),
    itself("average pool, ceil_mode, padding", lambda z: F.avg_pool2d(z, 3, 2, 1, ceil_mode=True, count_include_pad=False)),
    itself("adaptive average pool", lambda z: F.adaptive_avg_pool2d(z, (5, 3))),
    either("fft and back", lambda z: torch.fft.ifft2(torch.fft.fft2(z)).real, lambda z: z, sentence="fft|complex"),
    either(
        "conv3d",
        module(lambda m, z: F.conv3d(z[:, :, None], m.weight, m.bias, padding=(0, 1, 1))[:, :, 0], **VOLUME),
        module(lambda m, z: F.conv2d(z, m.weight[:, :, 0], m.bias, padding=1), **VOLUME),
        compared="mass",
        sentence="conv3d",
    ),
    either("complex and back", lambda z: torch.view_as_real(torch.complex(z, z))[..., 0], lambda z: z, sentence="complex"),
    either(
        "index_put by constants",
        lambda z: z.index_put((torch.tensor([0]), torch.tensor([1])), torch.tensor(0.3, dtype=torch.float64)),
        second_constant,
    ),
    either("scatter a constant", lambda z: z.scatter(1, torch.ones(1, 1, 12, 10).long(), 0.3), second_constant),
    either("index_fill", lambda z: z.index_fill(1, torch.tensor([1]), 0.3), second_constant),
    either("select_scatter", lambda z: z.select_scatter(MAP[None, 1], 1, 1), lambda z: torch.cat([z[:, :1], MAP[None, 1:2], z[:, 2:]], 1)),
    either(
        "index_add of a constant",
        lambda z: z.index_add(1, torch.tensor([1]), MAP[None, 1:2]),
        lambda z: torch.cat([z[:, :1], z[:, 1:2] + MAP[None, 1:2], z[:, 2:]], 1),
    ),
    either("index_copy", lambda z: z.index_copy(1, torch.tensor([1]), z[:, :1]), lambda z: torch.cat([z[:, :1], z[:, :1], z[:, 2:]], 1)),
    either(
        "take_along_dim",
        lambda z: z.take_along_dim(torch.zeros(1, 1, 12, 10).long().expand_as(z), 1),
        lambda z: z[:, :1].expand(-1, 6, -1, -1),
    ),
    either(
        "diagonal",
        lambda z: z.diagonal(0, 2, 3)[..., None].expand(-1, -1, -1, 4),
        lambda z: z[:, :, range(10), range(10)][..., None].expand(-1, -1, -1, 4),
    ),
    either("tril", lambda z: z.tril(), lambda z: z * torch.ones(12, 10).double().tril()),
    either("vander-free outer product", lambda z: z.mean(3)[..., None] * ROW, lambda z: z.mean(3, keepdim=True) * ROW),
    either(
        "nanmean of finite numbers",
        lambda z: z.nanmean(3, keepdim=True).expand(-1, -1, -1, 4),
        lambda z: z.mean(3, keepdim=True).expand(-1, -1, -1, 4),
    ),
    either("nan_to_num of finite numbers", lambda z: z.nan_to_num(), lambda z: z),
    either(
        "grid_sample by a constant grid",
        lambda z: F.grid_sample(z, F.affine_grid(torch.eye(2, 3)[None].double(), [1, 6, 9, 7], False), align_corners=False),
        lambda z: F.interpolate(z, (9, 7), mode="bilinear"),
        compared="picture",
    ),
    either("x ** ones", lambda z: z ** torch.ones(1).double(), lambda z: z, sentence="pow"),
    either("vmap", lambda z: torch.vmap(lambda one: 2 * one + 0.1)(z), lambda z: 2 * z + 0.1),
    either(
        "bilinear with a constant",
        lambda z: F.bilinear(z.movedim(1, -1), constant(1, 1, 1, 2).expand(1, 12, 10, 2).contiguous(), constant(6, 6, 2)).movedim(-1, 1),
        lambda z: F.conv2d(z, (constant(6, 6, 2) @ constant(2))[..., None, None]),
    ),
]
