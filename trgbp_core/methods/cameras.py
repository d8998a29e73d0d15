"""CAMERAS (Jalwana et al. 2021): Grad-CAM's ingredients gathered over many sizes of the picture, so that the map becomes fine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..engine.geometry import Pair
from ..trgbp.targets import Target, per_picture
from .activation import Activation, record_activation
from .registry import NotApplicable, Progress, register

STEP, END = 100, 1000
CHANNELS = 64  # channels that are brought to full size together: bounds memory, changes nothing else


def resolutions(size: Pair) -> list[Pair]:
    """The sizes at which CAMERAS shows a picture of ``size`` (H, W): its own, then in steps of 100 up to less than 1000 pixels.

    For 224×224 these are the authors' 224, 324, …, 924. The longer side takes the steps, the shorter one keeps the proportion.
    """
    longer = max(size)
    sides = range(longer, max(END, longer + 1), STEP)
    return [(round(size[0] * side / longer), round(size[1] * side / longer)) for side in sides]


@register(
    "cameras",
    title="CAMERAS",
    family="activations",
    citation="Jalwana et al. 2021",
    what="The last activation times its gradient, each averaged over many sizes of the picture.",
    promise="Class evidence at the resolution of the picture.",
    failure="Explains the network on enlarged pictures, for which it was not trained; takes many forward passes.",
    cost=250,
)
def cameras(
    network: nn.Module,
    x: Tensor,
    target: Target = None,
    *,
    progress: Progress | None = None,
    sizes: Sequence[Pair] | None = None,
    every_size: bool = False,
) -> Tensor:
    """relu(Σ_c mean_t(ψ(A^t_c)) · mean_t(ψ(∂f_k/∂A^t_c))) over the sizes t of the picture (Jalwana et al. 2021, Algorithm 1).

    The enlarged pictures are bicubic, ψ is bilinear to the picture's own size. A size counts if the network's best class there is that at
    the picture's own size, or ``target``: as in the authors' code with no class given. The map is not scaled to [0, 1].

    Args:
        every_size: all sizes count, as in the authors' code with a class given (``python -m benchmarks slow`` measures both).
        sizes: (H, W) of the enlarged pictures, the picture's own size first; by default :func:`resolutions`.

    Returns:
        (N, 1, H, W), not negative.

    Raises:
        NotApplicable: the network accepts one input size only.
    """
    own = (x.shape[2], x.shape[3])
    sizes = list(sizes or resolutions(own))
    if tuple(sizes[0]) != own:
        raise ValueError(f"CAMERAS starts at the picture's own size {own}, not at {tuple(sizes[0])}.")
    report = progress or (lambda share: None)
    pixels = [height * width for height, width in sizes]
    done, total = 0, len(x) * sum(pixels)
    maps = []
    for i in range(len(x)):
        samples: list[tuple[Tensor, Tensor]] = []
        for size, cost in zip(sizes, pixels, strict=True):
            activation = _at_size(network, x[i : i + 1], size)
            best = int(activation.logits.argmax())
            if not samples:
                classes = best, int(per_picture(target, activation.logits.expand(len(x), -1))[i])
            if every_size or best in classes:
                samples.append((activation.maps, activation.gradient(classes[1])))
            done += cost
            report(done / total)
        maps.append(_combined(samples, own))
    return torch.cat(maps)


def _at_size(network: nn.Module, picture: Tensor, size: Pair) -> Activation:
    own = (picture.shape[2], picture.shape[3])
    if size == own:
        return record_activation(network, picture)
    enlarged = F.interpolate(picture.detach(), size=size, mode="bicubic", align_corners=False)
    try:
        return record_activation(network, enlarged)
    except (RuntimeError, AssertionError, ValueError) as error:
        if "alloc" in str(error) or "memory" in str(error):
            raise
        raise NotApplicable(
            f"CAMERAS shows the picture at several sizes; this network, made for {own[0]}×{own[1]}, does not accept {size[0]}×{size[1]}."
        ) from error


def _combined(samples: list[tuple[Tensor, Tensor]], size: Pair) -> Tensor:
    """relu(Σ_c mean_t ψ(A^t_c) · mean_t ψ(G^t_c)), (1, 1, H, W), from (A^t, G^t), each (1, C, h_t, w_t)."""

    def mean(maps: list[Tensor], start: int) -> Tensor:
        chunks = (m[:, start : start + CHANNELS] for m in maps)
        total = sum(F.interpolate(m, size=size, mode="bilinear", align_corners=False) for m in chunks)
        return torch.as_tensor(total) / len(maps)

    features, gradients = [a for a, _ in samples], [g for _, g in samples]
    result = features[0].new_zeros(1, 1, *size)
    for start in range(0, features[0].shape[1], CHANNELS):
        result += (mean(features, start) * mean(gradients, start)).sum(1, keepdim=True)
    return result.relu()
