"""TR-GBP of many pictures: in parts that fit into a budget of memory, whatever the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..engine.geometry import Pixel, Psi, Size
from ..engine.recording import Recording
from .aggregation import aggregate, class_specific, contribution, pixel_term, summed_layer_maps
from .targets import chosen, one_hot

GRADIENTS_AT_ONCE = 4
"""How many gradients of the largest activation a backward pass holds at a time: at a rectifier, behind it, before it, and a branch's."""


def memory_budget(device: torch.device) -> int:
    """How many bytes the pictures of one pass may take: 2 GiB of a processor's memory, on a card 6 GiB, or half of what is free there."""
    if device.type == "cuda":
        return min(6 << 30, torch.cuda.mem_get_info(device)[0] // 2)
    return 2 << 30


@dataclass(frozen=True)
class Part:
    """Some pictures of a batch that went through the network together; their maps are (classes, N, 1, h, w).

    Attributes:
        logits: (N, C). classes: (K, N), the asked ones. size: (H, W) of the pictures. pixels: by its name, the picture's own term.
        sums: the layers' maps, summed by size. own: (K, N), where among the maps' classes the asked ones are. top: how many of the maps'
            classes, the last ones, are the network's own best.
    """

    logits: Tensor
    classes: Tensor
    size: Size
    pixels: dict[Pixel, Tensor]
    sums: tuple[Tensor, ...]
    own: Tensor
    top: int

    def attribution(self, psi: Psi, pixel: Pixel | None) -> Tensor:
        """R_k (Eq. 10) of the asked classes, (K, N, 1, H, W)."""
        term = pixel_term(pixel, psi)
        pixels = self.pixels[term] if term != "none" else torch.zeros_like(self.pixels["gradient"])
        raw = aggregate([pixels, *self.sums], self.size, psi)
        return class_specific(self.logits, self.asked(raw), raw[-self.top :])

    def asked(self, maps: Tensor) -> Tensor:
        """Of ``maps`` those of the asked classes, (K, N, ...)."""
        return maps[self.own, torch.arange(maps.shape[1], device=maps.device)]


@dataclass(frozen=True)
class BatchExplanation:
    """Some classes of every picture of a batch. Maps are (K, N, 1, H, W), signed and detached, K being the targets asked for."""

    parts: tuple[Part, ...] = field(repr=False)

    @property
    def logits(self) -> Tensor:
        """(N, C)."""
        return _joined([part.logits for part in self.parts], 0)

    @property
    def classes(self) -> Tensor:
        """(K, N)."""
        return _joined([part.classes for part in self.parts], 1)

    @property
    def guided(self) -> Tensor:
        """R̃^0: guided backpropagation (Eq. 4), summed over the colours."""
        return _joined([part.asked(part.pixels["gradient"]) for part in self.parts], 1)

    def attribution(self, psi: Psi = "paper", pixel: Pixel | None = None) -> Tensor:
        """R_k (Eq. 10); see :meth:`trgbp_core.trgbp.explainer.Explanation.attribution`."""
        return _joined([part.attribution(psi, pixel) for part in self.parts], 1)


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def explain_part(recording: Recording, wanted: Sequence[Sequence[Any]], top: int, *, guided: bool) -> Part:
    """One backward pass for the classes ``wanted`` of each picture, see :func:`targets.chosen`, and the ``top`` best of every picture."""
    best = recording.logits.topk(min(top, recording.logits.shape[1]), dim=1).indices.T
    asked = chosen(wanted, recording.logits)
    picked = torch.where(asked < 0, best[0], asked)
    further = picked[[i for i in range(len(picked)) if any(classes[i] is not None for classes in wanted)]]
    if len(further) and further.device.type == "cpu":  # elsewhere a class more costs less than waiting for the answer
        further = further[~(further[:, None] == best).any(1).all(1)]
    slots = torch.cat([further, best])
    own = (slots == picked[:, None]).int().argmax(1)
    gradients, bias_maps = recording.backward(one_hot(slots, recording.logits), guided=guided)
    x = recording.input.detach()
    pixels: dict[Pixel, Tensor] = {"gradient": gradients.sum(2, keepdim=True), "contribution": contribution(x, gradients)}
    sums = tuple(summed_layer_maps(recording, bias_maps))
    recording.check_numbers()
    return Part(recording.logits, picked, tuple(x.shape[2:]), pixels, sums, own, len(best))
