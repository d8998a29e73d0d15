"""Learning what a unit's input looks like when the unit is active: the patterns of PatternNet and PatternAttribution.

A weight vector w says what a unit filters out as much as what it looks for; the *pattern* a says what the signal looks like that comes
with the unit's output y = wᵀx (Kindermans et al. 2017). Patterns are learnt from pictures (:func:`fit_patterns`) and kept in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from os import PathLike
from typing import BinaryIO

import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from ..engine.geometry import per_channel
from ..engine.layers import LayerRecord
from ..engine.recording import record
from ..engine.rules import Affine
from ..engine.tape import Tape
from .relevance_rules import folded_weight
from .rule_tape import Back, RuleTape

COMMAND = "python -m trgbp_core patterns IMAGES --out FILE"
FORMAT = "trgbp patterns 1"


@dataclass(frozen=True)
class Patterns:
    """The patterns of one network's layers.

    Attributes:
        layers: by place in the forward pass and name (``003:features.3``), a pattern of the shape of the layer's weight.
        pictures: how many pictures they were learnt from.
    """

    layers: dict[str, Tensor]
    pictures: int

    def save(self, file: str | PathLike[str] | BinaryIO) -> None:
        """Write the patterns; :meth:`load` reads them back."""
        torch.save({"format": FORMAT, "pictures": self.pictures, "layers": {k: v.cpu() for k, v in self.layers.items()}}, file)

    @classmethod
    def load(cls, file: str | PathLike[str] | BinaryIO) -> Patterns:
        """Read what :meth:`save` wrote. Nothing in the file is executed (``weights_only``).

        Raises:
            ValueError: the file does not hold patterns. OSError: it cannot be read.
        """
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception:  # torch.load fails in as many ways as there are broken files
            content = None
        known = isinstance(content, dict) and content.get("format") == FORMAT and isinstance(content.get("pictures"), int)
        layers = content.get("layers") if known else None
        if not isinstance(layers, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in layers.items()):
            raise ValueError(f"This file does not hold patterns as {COMMAND!r} writes them.")
        return cls(layers, content["pictures"])


def layer_key(index: int, name: str) -> str:
    return f"{index:03d}:{name}"


class _Statistics:
    """Running sums of one layer over its regime: the places with y > 0 if a rectifier follows, else all.

    All in float64; their size is twice the layer's weight, whatever the number of pictures.
    """

    def __init__(self, affine: Affine, *, rectified: bool) -> None:
        self.affine, self.rectified = affine, rectified
        self.weight = folded_weight(affine)
        self.x = torch.zeros_like(self.weight, dtype=torch.float64)  # Σ x: what each unit saw
        self.xy = torch.zeros_like(self.x)  # Σ x y
        self.count = self.x.new_zeros(len(self.weight))  # places in the regime
        self.y = torch.zeros_like(self.count)  # Σ y over all places
        self.places = 0.0  # all places

    def add(self, x: Tensor, y: Tensor) -> None:
        """One batch: the layer's input and its output before the rectifier."""
        in_regime = (y > 0).to(y) if self.rectified else torch.ones_like(y)
        if self.affine.bias is not None:  # a covariance does not depend on the bias, but rounding does
            y = y - (per_channel(self.affine.bias, y) if y.dim() == 4 else self.affine.bias)
        self.x += self._inputs(x, in_regime)
        self.xy += self._inputs(x, in_regime * y)
        self.count += _over_places(in_regime)
        self.y += _over_places(y)
        self.places += y.numel() / len(self.weight)

    def _inputs(self, x: Tensor, share: Tensor) -> Tensor:
        """Σ over pictures and places of share_o · (the inputs that unit o saw there), of the weight's shape."""
        affine = self.affine
        if self.weight.dim() == 2:
            return share.flatten(0, -2).T @ x.flatten(0, -2)
        return conv2d_weight(x, self.weight.shape, share, affine.stride, affine.padding, affine.dilation, affine.groups)

    def pattern(self) -> Tensor:
        """a = (E₊[xy] − E₊[x]E[y]) / wᵀ(E₊[xy] − E₊[x]E[y]) (the two-component estimator), 0 for a unit that was never active.

        E₊ is the mean over the places with y > 0. Without a rectifier it is E, and a the linear estimator cov(x, y) / var(y).
        """

        def per_unit(t: Tensor) -> Tensor:
            return t.reshape(-1, *[1] * (self.weight.dim() - 1))

        weight, count = self.weight.double(), per_unit(self.count.clamp(min=1))
        covariance = (self.xy - self.x * per_unit(self.y / self.places)) / count
        size = (weight * covariance).flatten(1).sum(1)
        # The covariance of a constant or never active unit is rounding.
        rounding = torch.finfo(self.weight.dtype).eps * (weight * self.xy / count).flatten(1).abs().sum(1)
        active = per_unit(size > rounding)
        return torch.where(active, covariance / torch.where(active, per_unit(size), 1.0), 0.0).to(self.weight)


def _over_places(t: Tensor) -> Tensor:
    """Σ over pictures and places, (O,), float64."""
    return t.double().sum((0, 2, 3)) if t.dim() == 4 else t.double().flatten(0, -2).sum(0)


@dataclass
class _PlanTape(RuleTape):
    """Finds out which layers the logits depend on (``reached``), and which of them a rectifier follows directly."""

    reached: set[int] = field(default_factory=set)
    directly: set[int] = field(default_factory=set)
    method: str = "PatternNet"

    __hash__ = object.__hash__

    def layer_back(self, x: Tensor, index: int, record: LayerRecord) -> Back:
        def back(g: Tensor) -> tuple[Tensor]:
            self.reached.add(index)
            return (record.affine.input_gradient(g),)

        return back

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        origin = self._origins.get(z)
        if origin is not None and origin.source is not None and origin.padding is None:
            self.directly.update(origin.layers)
        return super().rectify(z, ceiling, inplace)


@dataclass
class _FitTape(Tape):
    """Adds every planned layer's input and output to its statistics."""

    layer_maps: bool = False
    plan: dict[int, bool] = field(default_factory=dict)
    statistics: dict[str, _Statistics] = field(default_factory=dict)

    __hash__ = object.__hash__

    def affine(self, x: Tensor, forward: Callable[[], Tensor], record: LayerRecord) -> Tensor:
        index = len(self.layers)
        out = super().affine(x, forward, record)
        if index in self.plan and record.affine.weight is not None:
            key = layer_key(index, record.name)
            if key not in self.statistics:
                self.statistics[key] = _Statistics(record.affine, rectified=self.plan[index])
            self.statistics[key].add(x.detach(), out.detach())
        return out


@torch.inference_mode(False)
def fit_patterns(network: nn.Module, batches: Iterable[Tensor], *, seen: Callable[[int], None] | None = None) -> Patterns:
    """Learn the patterns of ``network`` from pictures, in one pass and in memory that does not grow with their number.

    The two-component estimator (Kindermans et al. 2017) where a rectifier follows a layer directly, their linear one elsewhere; batch
    norms are folded in, and every place of a convolution is a sample. Thousands of pictures are better than hundreds.

    Args:
        batches: pictures (N, C, H, W), preprocessed as the network expects them.
        seen: called after each batch with the number of pictures so far; it may raise to cancel.

    Raises:
        NotApplicable: the network holds something that is neither linear nor a rectifier.
        ValueError: there are no pictures.
    """
    plan: dict[int, bool] | None = None
    statistics: dict[str, _Statistics] = {}
    pictures = 0
    for batch in batches:
        if not len(batch):
            continue
        if plan is None:
            planning = _PlanTape(network)
            recording = record(network, batch[:1], tape=planning)
            torch.autograd.grad(recording.output.sum(), recording.input)
            plan = {index: index in planning.directly for index in planning.reached}
        record(network, batch, tape=_FitTape(network, plan=plan, statistics=statistics))
        pictures += len(batch)
        if seen is not None:
            seen(pictures)
    if not pictures:
        raise ValueError("There are no pictures to learn patterns from.")
    return Patterns({key: found.pattern() for key, found in statistics.items()}, pictures)
