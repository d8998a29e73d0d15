"""Score-CAM: the last convolutional activation, weighed without gradients by what the network says about masked pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..engine.geometry import upsample
from ..engine.plain_passes import BATCH, folded, scores
from ..trgbp.targets import Target, per_picture
from .activation import record_activation
from .cam import weighted
from .registry import Progress, register


@register(
    "score_cam",
    title="Score-CAM",
    family="activations",
    citation="Wang et al. 2020",
    what="The last convolutional activation, each channel weighed by the class score of the picture seen through it.",
    promise="No gradients: free of their noise and saturation.",
    failure="One forward pass for every channel; the masks are as coarse as the last layer.",
    cost=1300,
)
def score_cam(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None, batch: int = BATCH) -> Tensor:
    """relu(Σ_c softmax_c(f_k(x ∘ H_c) − f_k(0)) A_c), H_c = A_c upsampled, then scaled to [0, 1] (Wang et al. 2020, Eqs. 3-6, Algorithm 1).

    f_k is the class score before the softmax over classes, and the zero picture is one that is zero after normalisation; it falls out
    of the softmax over channels. A channel that is constant masks everything away.

    Args:
        batch: masked pictures that go through the network at a time.

    Returns:
        (N, 1, H, W), not negative.
    """
    activation = record_activation(network, x)
    classes, network = per_picture(target, activation.logits), folded(network, x[:1].detach())
    report = progress or (lambda share: None)
    maps = []
    for i, (picture, features) in enumerate(zip(x, activation.maps, strict=True)):

        def done(share: float, before: int = i) -> None:
            report((before + share) / len(x))

        increase = _masked_scores(network, picture, features, batch, done)[:, classes[i]]
        maps.append(weighted(features[None], increase.softmax(0)[None], x))
    report(1.0)
    return torch.cat(maps)


def _masked_scores(network: nn.Module, picture: Tensor, features: Tensor, batch: int, progress: Progress) -> Tensor:
    """The logits (C, classes) of ``picture`` (3, H, W) seen through each of the C channels of ``features`` (C, h, w)."""
    alive = (features.amax((1, 2)) > features.amin((1, 2))).nonzero().flatten()
    size = (picture.shape[1], picture.shape[2])

    def masked(start: int, stop: int) -> Tensor:
        progress(start / (len(alive) + 1))
        masks = upsample(features[alive[start:stop]].unsqueeze(1), size)
        low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
        masks = torch.where(high > low, (masks - low) / (high - low), 0)
        nothing = masks.new_zeros(max(0, stop - max(start, len(alive))), 1, *size)  # the last picture: what a constant channel shows
        return picture.detach() * torch.cat([masks, nothing])

    logits = scores(network, masked, len(alive) + 1, batch=batch)
    result = logits[-1:].repeat(len(features), 1)
    result[alive] = logits[:-1]
    return result
