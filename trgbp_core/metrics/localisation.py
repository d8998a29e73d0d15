"""Where a map's relevance lies: inside a box (EBPG, pointing games), or in the frame at the border (IBD).

Maps are (N, 1, H, W); all measures of energy look at relu(R), and return one number a map, (N,), float64. They compute no gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..engine.geometry import Pair
from .similarity import ranks

Unit = Literal["pixels", "fractions"]
Box = Sequence[float] | Tensor

FRAME = 16 / 224  # Eq. 12's boundary as a share of the side


def box_mask(box: Box, size: Pair, unit: Unit = "pixels") -> Tensor:
    """The pixels whose centres lie in ``box``: (H, W) bool for one box (4,), (N, H, W) for a box a picture (N, 4).

    Args:
        box: (left, top, right, bottom), right and bottom exclusive; in pixels of the map, or in fractions of its width and height.
        size: (H, W).

    Raises:
        ValueError: the box has not four edges, or holds no pixel.
    """
    edges = torch.as_tensor(box, dtype=torch.float64)
    if edges.dim() not in (1, 2) or edges.shape[-1] != 4 or unit not in ("pixels", "fractions"):
        raise ValueError("A box is (left, top, right, bottom), in pixels or in fractions.")
    height, width = size
    if unit == "fractions":
        edges = edges * torch.tensor([width, height, width, height], device=edges.device)
    left, top, right, bottom = (edge.unsqueeze(-1) for edge in edges.unbind(-1))
    columns = torch.arange(width, device=edges.device) + 0.5
    rows = torch.arange(height, device=edges.device) + 0.5
    mask = ((rows >= top) & (rows < bottom)).unsqueeze(-1) & ((columns >= left) & (columns < right)).unsqueeze(-2)
    if not bool(mask.flatten(-2).any(-1).all()):
        raise ValueError(f"The box {edges.tolist()} holds no pixel of a {height}×{width} map.")
    return mask


def ebpg(maps: Tensor, box: Box, unit: Unit = "pixels") -> Tensor:
    """The energy-based pointing game (Eq. 11; Wang et al. 2020): relu(R) inside the box over relu(R) everywhere.

    A map without positive relevance points at nothing: 0. ``box`` as in :func:`box_mask`, one for all maps or one a map.
    """
    return _share(maps, _masks(maps, box, unit))


def pointing_game(maps: Tensor, box: Box, unit: Unit = "pixels", *, tolerance: float = 0) -> Tensor:
    """The pointing game (Zhang et al. 2018): 1 where the map's maximum lies in the box, else 0; their mean is the hit rate.

    Args:
        tolerance: pixels that the maximum may lie beside the box; Zhang et al. allow 15.

    A constant map points nowhere: 0. Of several equal maxima one in the box suffices.
    """
    masks, values = _masks(maps, box, unit).to(maps.device), _checked(maps)
    highest = values.amax((1, 2), keepdim=True)
    points = (values == highest) & (highest > values.amin((1, 2), keepdim=True))
    rows, columns = _distance(masks.any(2)), _distance(masks.any(1))
    near = rows[:, :, None] ** 2 + columns[:, None, :] ** 2 <= tolerance**2
    return (points & near).flatten(1).any(1).double()


def mosaic(pictures: Tensor) -> Tensor:
    """Four pictures (4, C, h, w) as one of 2×2 cells, (1, C, 2h, 2w), row by row: the picture of the grid pointing game."""
    if pictures.dim() != 4 or len(pictures) != 4:
        raise ValueError(f"A mosaic is made of four pictures (4, C, h, w), not {tuple(pictures.shape)}.")
    upper, lower = torch.cat([*pictures[:2]], 2), torch.cat([*pictures[2:]], 2)
    return torch.cat([upper, lower], 1).unsqueeze(0)


def grid_pointing_game(maps: Tensor, cell: int | Sequence[int]) -> Tensor:
    """The grid pointing game (Böhle et al. 2021): relu(R) in the explained class's own cell of a 2×2 :func:`mosaic`, over all of it.

    Args:
        cell: 0 to 3, row by row: where the explained class's picture is; one for all maps or one a map. Chance is 1/4.

    A map without positive relevance points at nothing: 0.
    """
    cells = torch.as_tensor(cell)
    if cells.dim() > 1 or bool(((cells < 0) | (cells > 3)).any()):
        raise ValueError(f"The cells of a 2×2 mosaic are 0 to 3, not {cell}.")
    left, top = cells % 2 / 2, cells // 2 / 2
    return ebpg(maps, torch.stack([left, top, left + 0.5, top + 0.5], -1), "fractions")


def ibd(maps: Tensor) -> Tensor:
    """The intensity of boundary dependency (Eq. 12): the share of relu(R) in the map's frame.

    The frame is 16 pixels wide on every side of a 224×224 map, and as wide in proportion on others (at least one pixel). A map without
    positive relevance depends on no boundary: 0.
    """
    height, width = maps.shape[-2:]
    down, across = max(1, round(FRAME * height)), max(1, round(FRAME * width))
    frame = torch.ones(height, width, dtype=torch.bool, device=maps.device)
    frame[down : height - down, across : width - across] = False
    return _share(maps, frame)


@dataclass(frozen=True)
class BoundaryAUC:
    """How well IBD tells wrong predictions from right ones, 0.5 being chance; NaN where all predictions are alike.

    Attributes:
        kept: the paper's protocol (Section 5.4, Table 2), without the half of the images with the smaller IBD.
        everything: on all images.
    """

    kept: float
    everything: float


def boundary_auc(values: Tensor, wrong: Tensor) -> BoundaryAUC:
    """The ROC AUC of IBD against 'prediction wrong' (Table 2).

    Args:
        values: :func:`ibd` of each image, (N,). wrong: whether the prediction is wrong, (N,).
    """
    order = values.argsort(stable=True)
    kept = order[len(values) // 2 :]
    return BoundaryAUC(roc_auc(values[kept], wrong[kept]), roc_auc(values, wrong))


def roc_auc(values: Tensor, positive: Tensor) -> float:
    """The area under the ROC curve: how often a positive's value is above a negative's, a tie counting half (Mann & Whitney 1947).

    Args:
        values: (N,). positive: (N,) bool.

    Returns:
        0 to 1; NaN where there are only positives or only negatives.
    """
    if values.shape != positive.shape or values.dim() != 1:
        raise ValueError(f"Values and labels are two vectors of one length, not {tuple(values.shape)} and {tuple(positive.shape)}.")
    if not bool(torch.isfinite(values).all()):
        raise ValueError("The values hold NaN or infinite numbers.")
    positive = positive.bool()
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if positives == 0 or negatives == 0:
        return float("nan")
    above = float(ranks(values)[positive].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def _share(maps: Tensor, mask: Tensor) -> Tensor:
    energy = _checked(maps).relu()
    inside, everywhere = (energy * mask.to(energy)).sum((1, 2)), energy.sum((1, 2))
    return torch.where(everywhere > 0, inside / everywhere, 0)


def _masks(maps: Tensor, box: Box, unit: Unit) -> Tensor:
    mask = box_mask(box, (maps.shape[-2], maps.shape[-1]), unit)
    if mask.dim() == 3 and len(mask) not in (1, len(maps)):
        raise ValueError(f"{len(mask)} boxes for {len(maps)} maps: give one for all, or one for each.")
    return mask if mask.dim() == 3 else mask.unsqueeze(0)


def _checked(maps: Tensor) -> Tensor:
    if maps.dim() != 4 or maps.shape[1] != 1:
        raise ValueError(f"Maps are (N, 1, H, W), not {tuple(maps.shape)}.")
    if not bool(torch.isfinite(maps).all()):
        raise ValueError("A map holds NaN or infinite numbers.")
    return maps.detach()[:, 0].double()


def _distance(occupied: Tensor) -> Tensor:
    """How far each position of a line is from the occupied ones, (N, length) from (N, length) bool with one run each."""
    position = torch.arange(occupied.shape[1], device=occupied.device)
    first, last = occupied.int().argmax(1, keepdim=True), occupied.shape[1] - 1 - occupied.flip(1).int().argmax(1, keepdim=True)
    return torch.maximum(first - position, position - last).clamp(min=0)
