"""TR-GBP of many pictures: in parts that fit into a budget of memory, whatever the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..engine.geometry import Pair, Pixel, Psi
from ..engine.recording import Recording
from .aggregation import aggregate, check_classes, contribution, pixel_term, summed_layer_maps
from .targets import one_hot, per_picture

GRADIENTS_AT_ONCE = 4
"""How many gradients of the largest activation a backward pass holds at a time: at a rectifier, behind it, before it, and a branch's."""


def memory_budget(device: torch.device) -> int:
    """How many bytes the pictures of one pass may take: 2 GiB of a processor's memory, on a card 6 GiB, or half of what is free there."""
    if device.type == "cuda":
        return min(6 << 30, torch.cuda.mem_get_info(device)[0] // 2)
    return 2 << 30


@dataclass(frozen=True)
class BatchExplanation:
    """Some classes of every picture of a batch. Maps are (K, N, 1, H, W), signed and detached, K being the targets asked for.

    Attributes:
        logits: (N, C). classes: (K, N). size: (H, W) of the pictures.
    """

    logits: Tensor
    classes: Tensor
    size: Pair
    _pixels: dict[Pixel, Tensor] = field(repr=False)
    _sums: tuple[Tensor, ...] = field(repr=False)
    _own: Tensor = field(repr=False)
    _top: int = field(repr=False)

    @property
    def guided(self) -> Tensor:
        """R̃^0: guided backpropagation (Eq. 4), summed over the colours."""
        return self._pick(self._pixels["gradient"])

    def attribution(self, psi: Psi = "paper", pixel: Pixel | None = None) -> Tensor:
        """R_k (Eq. 10); see :meth:`trgbp_core.trgbp.explainer.Explanation.attribution`."""
        check_classes(self.logits)
        term = pixel_term(pixel, psi)
        pixels = self._pixels[term] if term != "none" else torch.zeros_like(self._pixels["gradient"])
        raw = aggregate([pixels, *self._sums], self.size, psi)
        return self._pick(raw) - raw[-self._top :].mean(0)

    def _pick(self, maps: Tensor) -> Tensor:
        return maps[self._own, torch.arange(maps.shape[1], device=maps.device)]


def explain_part(recording: Recording, targets: Sequence[list[int] | None], top: int, *, guided: bool) -> BatchExplanation:
    """One backward pass for ``targets``, a class for each picture or None for its best, and the ``top`` best classes of every picture."""
    best = recording.logits.topk(min(top, recording.logits.shape[1]), dim=1).indices.T
    picked = torch.stack([best[0] if target is None else per_picture(target, recording.logits) for target in targets])
    further = picked[[i for i, target in enumerate(targets) if target is not None]]
    if len(further) and further.device.type == "cpu":  # elsewhere a class more costs less than waiting for the answer
        further = further[~(further[:, None] == best).any(1).all(1)]
    slots = torch.cat([further, best])
    own = (slots == picked[:, None]).int().argmax(1)
    gradients, bias_maps = recording.backward(one_hot(slots, recording.logits), guided=guided)
    x = recording.input.detach()
    pixels: dict[Pixel, Tensor] = {"gradient": gradients.sum(2, keepdim=True), "contribution": contribution(x, gradients)}
    sums = tuple(summed_layer_maps(recording, bias_maps))
    recording.check_numbers()
    return BatchExplanation(recording.logits, picked, (x.shape[2], x.shape[3]), pixels, sums, own, len(best))


def joined(parts: Sequence[BatchExplanation]) -> BatchExplanation:
    """The explanation of all pictures, from those of its parts."""
    if len(parts) == 1:
        return parts[0]
    slots = max(len(part._pixels["gradient"]) for part in parts)
    found = [_with_slots(part, slots) for part in parts]
    return BatchExplanation(
        torch.cat([part.logits for part in found]),
        torch.cat([part.classes for part in found], 1),
        found[0].size,
        {term: torch.cat([part._pixels[term] for part in found], 1) for term in found[0]._pixels},
        tuple(torch.cat(of_size, 1) for of_size in zip(*(part._sums for part in found), strict=True)),
        torch.cat([part._own for part in found], 1),
        found[0]._top,
    )


def _with_slots(part: BatchExplanation, count: int) -> BatchExplanation:
    """The same, with unused classes in front, so that there are ``count`` classes of every picture."""
    missing = count - len(part._pixels["gradient"])

    def padded(m: Tensor) -> Tensor:
        return torch.cat([m.new_zeros(missing, *m.shape[1:]), m])

    pixels = {term: padded(m) for term, m in part._pixels.items()}
    return replace(part, _pixels=pixels, _sums=tuple(map(padded, part._sums)), _own=part._own + missing)
