"""What the theory foretells (Section 4.2), computed without running what it foretells, and how well it came true.

The prediction for randomised weights is Theorem 1 carried through a deep network by second moments. Write v for the mean square of the
guided gradient. On zero-mean Gaussian weights of mean square r² the gradient at a layer's input is a sum of independent terms, so that
mean squares add, ``v_in = r² Σ_{o, taps} E[h_o²]``, and a rectifier lets a quarter of them pass, ``E[h²] = v/4`` (half by the guided rule,
half by its gate). Both are linear: one backward pass through the network's *skeleton*, whose weights are the positive constants r², gives
v at every place. At a layer that a rectifier follows ``E[relu(g)] = √(v/2π)``, and a bias is correlated with the gate that it helps to
open; so E[Σ_o b'_o g_o] is proportional to √v, and spreading it (Eq. 8) gives the shape of the map. Where no rectifier follows, bias and
gradient are independent: the expectation is zero, and the prediction 'noise around zero'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backward import per_channel
from .cascade import cascade
from .geometry import Pair, spread, upsample
from .recording import record
from .tape import LayerRecord, Origin, Tape
from .trgbp import TRGBP


@dataclass(frozen=True)
class Coverage:
    """What randomised weights are predicted to draw at one layer.

    Attributes:
        name: the layer. rectified: a rectifier follows; where none does the prediction is noise around zero.
        map: (1, 1, h, w), not negative, mean 1: the shape of the expected R̃^l.
    """

    name: str
    rectified: bool
    map: Tensor


@dataclass
class _Skeleton(Tape):
    """The network with positive constant weights and open rectifiers; its backward pass carries mean squares of the guided gradient."""

    __hash__ = object.__hash__

    def affine(self, x: Tensor, forward: Callable[[], Tensor], record: LayerRecord) -> Tensor:
        affine = record.affine
        if affine.weight is None:
            out = x
        else:
            weight = torch.full_like(affine.weight, float(affine.weight.square().mean()))
            if weight.dim() == 2:
                out = x @ weight.T
            else:
                out = F.conv2d(x, weight, None, affine.stride, affine.padding, affine.dilation, affine.groups)
        return self._tapped(x, out, record)

    def _tapped(self, x: Tensor, out: Tensor, record: LayerRecord) -> Tensor:
        """Note a layer; its tap's gradient will be Σ_o v_o."""
        if record.tap is not None:
            out = out + (record.tap if out.dim() == 4 else record.tap.flatten(1))
        self.layers.append(record)
        self._origins[out] = Origin(layers=(len(self.layers) - 1,), source=x)
        return out

    def batch_norm(self, func: Any, input: Tensor, mean: Any, var: Any, weight: Any = None, *rest: Any, **named: Any) -> Tensor:  # type: ignore[override]
        """γ²/σ² for every channel: γ's mean square, since γ is drawn anew, and the running variance, which is kept."""
        origin = self._origins.get(input)
        if origin is None or origin.source is None or origin.padding is not None:
            return super().batch_norm(func, input, mean, var, weight, *rest, **named)
        gamma2 = 1.0 if weight is None else float(weight.detach().square().mean())
        record = self.layers[origin.layers[0]]
        tap = None if record.tap is None else torch.zeros_like(record.tap, requires_grad=True)
        out = input * per_channel(gamma2 / var.detach().clamp_min(1e-12), input)
        return self._tapped(origin.source, out, replace(record, has_bias=True, tap=tap))

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        origin = self._origins.get(z)
        if origin is not None:
            self.rectified.update(origin.layers)
            if origin.source is not None and not math.isinf(ceiling):
                self.saturating.add(origin.layers[0])
        return z * 0.25

    def _ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        if getattr(func, "__name__", "") in ("max_pool2d", "max_pool2d_with_indices", "_max_pool2d"):
            return _average_pool(*args, **kwargs)
        return super()._ordinary(func, args, kwargs)


def _average_pool(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """Which unit a maximum takes is chance on random weights: on average it takes each of its window alike."""
    return F.avg_pool2d(input, kernel_size, stride, padding, ceil_mode, count_include_pad=False)


def coverage(network: nn.Module, input_shape: torch.Size | tuple[int, ...]) -> list[Coverage]:
    """Predict R̃^l of randomised weights for every layer (Section 4.2, question 2), from shapes and the weights' mean squares.

    No picture and no randomised network enters: pixels count as numbers of mean square 1, which is what normalisation makes of them.

    Args:
        input_shape: (1, C, H, W).
    """
    parameter = next(network.parameters(), torch.zeros(()))
    x = torch.ones(input_shape, dtype=parameter.dtype, device=parameter.device)
    recording = record(network, x, tape=_Skeleton(network))
    cotangent = torch.zeros(1, *recording.logits.shape)
    cotangent[..., 0] = 1
    _, maps = recording.backward(cotangent)
    result = []
    for layer, total in zip(recording.layers, maps, strict=True):
        amplitude = spread(total[0].clamp_min(0).sqrt(), layer.window)
        mean = amplitude.mean()
        result.append(Coverage(layer.name, layer.name in recording.rectified, amplitude / mean if mean > 0 else torch.ones_like(amplitude)))
    return result


def predicted_sum(layers: Iterable[Coverage], size: Pair) -> Tensor:
    """The prediction for Σ_l ψ(R̃^l) of a fully randomised network, (1, 1, H, W).

    Every layer counts alike (its map has mean 1): how loud a layer speaks depends on the draw, where it speaks does not.
    """
    return torch.stack([upsample(layer.map, size) for layer in layers]).sum(0)


def cosine(a: Tensor, b: Tensor) -> float:
    """The cosine of two maps taken as vectors; 0 where one of them is empty."""
    return float(F.cosine_similarity(a.flatten().double(), b.flatten().double(), dim=0))


def sanity_table(network: nn.Module, x: Tensor, k: int, *, seeds: int = 5) -> str:
    """R̃ (without R̃^0) of the fully randomised network, mean of ``seeds`` draws, against its prediction and a uniform map.

    Args:
        x: (1, C, H, W). k: the class that is explained.
    """
    predicted = predicted_sum(coverage(network, x.shape), (x.shape[2], x.shape[3]))
    lines = ["| seeds | cosine with the predicted map | cosine with a uniform map |", "|---:|---:|---:|"]
    mean = torch.zeros_like(predicted)
    for seed in range(seeds):
        *_, last = cascade(network, seed=seed, x=x)
        e = TRGBP(last.network).explain(x, [k])
        mean += (e.raw(k) - e.layer_raw(0, k)).to(mean) / seeds
    lines.append(f"| {seeds} | {cosine(mean, predicted):.4f} | {cosine(mean, torch.ones_like(mean)):.4f} |")
    return "\n".join(lines)
