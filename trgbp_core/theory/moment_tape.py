"""A tape that carries means and variances through a network in place of numbers.

Every tensor has three rows in place of pictures. Forward they are mean, variance and nothing; backward the guided gradient's slope, offset
and variance (:mod:`.moment_operations`). Of the network it reads shapes, the weights' mean squares and the batch norms' statistics; no
picture enters: pixels count as numbers of mean 0 and mean square 1, which is what normalisation makes of them, and neighbours as alike,
which they are in pictures: so pooling keeps the moments.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from ..engine.geometry import Window, pair
from ..engine.layers import LayerRecord, Origin
from ..engine.rules import Affine
from ..engine.tape import Tape
from ..engine.torch_ops import ADDITIVE, MULTIPLICATIVE, depends, operands, tensors
from .moment_operations import ROWS, Constant, Layer, RectifiedLayer, Rectifier, Scaled, Sum
from .random_layer import Norm, RandomLayer

MAXIMA = frozenset("max_pool2d max_pool2d_with_indices _max_pool2d".split())
AVERAGES = frozenset("avg_pool2d adaptive_avg_pool2d mean".split())


@dataclass
class MomentTape(Tape):
    """The tape that records moments: call it with :func:`start`'s rows."""

    randomised: dict[int, RandomLayer] = field(default_factory=dict)

    __hash__ = object.__hash__

    def __post_init__(self) -> None:
        super().__post_init__()
        self._taken: Any = WeakTensorKeyDictionary()

    def affine(self, x: Tensor, forward: Callable[[], Tensor], record: LayerRecord) -> Tensor:
        affine = record.affine
        assert affine.weight is not None
        bias = 0.0 if affine.bias is None else _mean_square(affine.bias)
        return self._layer(x, record, RandomLayer(affine, _mean_square(affine.weight), bias))

    def _layer(self, x: Tensor, record: LayerRecord, layer: RandomLayer) -> Tensor:
        if record.tap is None:  # the tape's own rules wait until a rectifier saturates
            record = replace(record, tap=self._tap(x, record.window.output_size))
        out = Layer.apply(x, record.tap, layer)
        index = len(self.layers)
        self.layers.append(record)
        self.randomised[index] = layer
        self._origins[out] = Origin(layers=(index,), source=x)
        return out

    def batch_norm(  # type: ignore[override]
        self,
        func: Any,
        input: Tensor,
        running_mean: Any,
        running_var: Any,
        weight: Any = None,
        bias: Any = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if running_mean is None or running_var is None:
            return super().batch_norm(func, input, running_mean, running_var, weight, bias, training, momentum, eps)
        mean, var = running_mean.detach(), running_var.detach()
        norm = Norm(1.0 if weight is None else _mean_square(weight), 0.0 if bias is None else _mean_square(bias), mean, (var + eps).sqrt())
        origin = self._origins.get(input)
        if origin is not None and origin.source is not None and origin.padding is None:
            record, layer = self.layers[origin.layers[0]], self.randomised[origin.layers[0]]
            if layer.norm is None and record.affine.weight is not None:
                return self._layer(origin.source, replace(record, has_bias=True, tap=None), replace(layer, norm=norm))
        size = self.notes.map_size(input)
        name = self.names.unique(self.names.holder(weight, "batch_norm") if weight is not None else self.names.running())
        affine = Affine(None, mean, input.shape)
        record = LayerRecord(name, "batch_norm", affine, Window.pointwise(size), self._tap(input, size), True, len(mean), 1)
        return self._layer(input, record, RandomLayer(affine, 1.0, norm=norm))

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        origin = self._origins.get(z) or Origin()
        self.rectified.update(origin.layers)
        taken = [1.0]
        if origin.source is not None and origin.padding is None:
            index = origin.layers[0]
            out = RectifiedLayer.apply(origin.source, self.layers[index].tap, self.randomised[index], ceiling, taken)
        else:
            index, tap = len(self.layers), None
            if not math.isinf(ceiling):
                tap = self._layer_alone("rectifier", z).tap
            out = Rectifier.apply(z, tap, ceiling, taken)
        if not math.isinf(ceiling):
            self.saturating.add(index)
        self._taken[out] = taken
        if inplace:
            self._successors[z] = out
        return out

    def _ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(func, "__name__", "")
        inputs = [a for a in tensors(args, kwargs) if depends(a)]
        if inputs and name in MAXIMA:
            return self._maximum(*args, **kwargs)
        if name in ADDITIVE and "add" in name and len(inputs) == 2 and inputs[0].shape == inputs[1].shape:
            return self._add(name, *inputs)
        result = super()._ordinary(func, args, kwargs)
        if not inputs or not isinstance(result, Tensor):
            return result
        if name in AVERAGES:
            # Each unit gets its n-th of the gradient: of its variance a further n-th.
            kernel = args[1] if len(args) > 1 else kwargs.get("kernel_size")
            n = math.prod(pair(kernel)) if name == "avg_pool2d" else inputs[0].numel() / result.numel()
            return self._scaled(result, (1, 1, 1), (1, 1, 1 / n))
        if name in MULTIPLICATIVE and len(inputs) == 1:
            factors = [float(a) for a in operands(args, kwargs) if not depends(a) and (not isinstance(a, Tensor) or a.numel() == 1)]
            if len(factors) == 1 and factors[0]:
                c = 1 / factors[0] if "div" in name else factors[0]
                return self._scaled(result, (1, c, 1), (c, 1, c))
        return result

    def _scaled(self, x: Tensor, forward: tuple[float, ...], backward: tuple[float, ...]) -> Tensor:
        out = Scaled.apply(x, forward, backward)
        origin = self._origins.get(x)
        if origin is not None:
            self._origins[out] = origin
        return out

    def _add(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        out = Sum.apply(x, y)
        self._origins.follow(out, x, self.notes.spatial(x), name, (x, y), {})
        if name in ("add_", "__iadd__"):
            self._successors[x] = out
        return out

    def _maximum(
        self,
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Tensor:
        """Which unit a maximum takes is chance on random weights: every unit of its window with the same probability."""
        taken = self._taken.get(input)
        if taken is not None:
            taken[0] = 1 / math.prod(pair(kernel_size if stride is None else stride))
        pooling = input, kernel_size, stride, padding, ceil_mode, False
        return super()._ordinary(F.avg_pool2d, pooling, {})  # type: ignore[no-any-return]

    def _constant(self, x: Tensor, value: Tensor) -> Tensor:
        size = self.notes.map_size(x)
        name = self.names.unique(self.names.running() + ".constant")
        affine = Affine(None, None, x.shape)
        record = LayerRecord(name, "constant", affine, Window.pointwise(size), self._tap(x, size), True, x.shape[1], x.shape[1])
        out = Constant.apply(x, record.tap, value[0:1])
        self._origins[out] = Origin(layers=(len(self.layers),))
        self.layers.append(record)
        return out


def start(size: tuple[int, int, int], like: Tensor) -> Tensor:
    """The rows of the input, (3, C, H, W): pixels of mean 0 and mean square 1. ``like`` gives type and device."""
    rows = torch.zeros(ROWS, *size, dtype=like.dtype, device=like.device)
    rows[1] = 1
    return rows


def _mean_square(parameter: Tensor) -> float:
    return float(parameter.detach().square().mean())
