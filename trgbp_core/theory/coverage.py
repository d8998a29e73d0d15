"""What the theory predicts of a network (Section 4.2), from its shapes and its weights' mean squares alone.

Nothing that is predicted is run: no picture, no draw, no randomised network. Predicted of a layer's R̃^l on randomised weights are its
expected map and its noise, by carrying Theorem 1's moments through the network (:mod:`.moment_tape`), and the paper's ε ∝ √(p/N) from
shapes alone. :mod:`.randomised_weights` compares them with drawn networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..engine.geometry import Pair, Psi, Window, spread, upsample
from ..engine.recording import record
from .moment_tape import MomentTape, start


@dataclass(frozen=True)
class Coverage:
    """What is predicted of one layer's map on randomised weights.

    Theorem 1 needs a rectifier behind the layer. Where none follows, its prediction is noise around zero; what the moments find there,
    the share of this layer's bias in what the *next* layers reconstruct, is weak against the noise (:attr:`noise` well above 1) or not
    weak, and then the map says so.

    Attributes:
        name: the layer. rectified: a rectifier follows, directly or behind a sum.
        map: (1, 1, h, w), mean 1 (all ones where nothing is expected): the shape of the expected R̃^l.
        amplitude: the mean of the expected R̃^l, in logits; 0 where it is noise alone.
        noise: ε, the root mean square of R̃^l's spread over draws, over that of the expected map; ∞ where nothing is expected.
        rule: √(p/N), the paper's own prediction of the noise, from shapes alone, up to a factor that all layers share.
        window: where the layer's kernel looks.
    """

    name: str
    rectified: bool
    map: Tensor
    amplitude: float
    noise: float
    rule: float
    window: Window

    @property
    def signal(self) -> bool:
        """Is more than noise around zero predicted for a single draw?"""
        return self.noise < 1

    def expected_cosine(self, draws: int) -> float:
        """The cosine with :attr:`map` that is to be expected of a mean over ``draws`` draws, if theory is right: 1/√(1 + ε²/n)."""
        return 1 / math.sqrt(1 + self.noise**2 / draws)


def coverage(
    network: nn.Module, input_shape: torch.Size | tuple[int, ...], progress: Callable[[float], None] | None = None
) -> list[Coverage]:
    """Predict R̃^l of randomised weights for every layer (Section 4.2, questions 1 and 2).

    Randomised as :func:`cascade.cascade` does: every learnable tensor from N(0, r²), running statistics kept. What limits the
    prediction is what it leaves out: the picture (its dark places open other rectifiers than its bright ones), depthwise layers, where one
    filter alone makes a channel and nothing averages out, and the chance of a finite number of draws.

    Args:
        input_shape: (1, C, H, W).
        progress: told, layer by layer, how much is done.
    """
    parameter = next(network.parameters(), torch.zeros(()))
    tape = MomentTape(network)
    recording = record(network, start((input_shape[1], input_shape[2], input_shape[3]), parameter), tape=tape)
    one_class = torch.zeros_like(recording.output)
    one_class[1, 0] = 1  # the gradient of a logit at itself is 1, whatever the logit is: all offset
    taps = [layer.tap for layer in recording.layers if layer.tap is not None]
    if progress is not None:
        for left, tap in enumerate(taps):  # from the last layer to the first
            share = 1 - left / len(taps)
            tap.register_hook(lambda gradient, share=share: progress(share))
    found = torch.autograd.grad(recording.output, taps, one_class)
    result = []
    for layer, (expected, square, _) in zip(recording.layers, found, strict=True):
        # Neighbours in a window have their noise from the same filters: spreading adds up deviations, not variances.
        shape, deviation = (spread(m.unsqueeze(0), layer.window).detach() for m in (expected, square.clamp_min(0).sqrt()))
        mean, strength = float(shape.mean()), float(shape.square().mean().sqrt())
        noise = float(deviation.square().mean().sqrt()) / strength if strength > 0 else math.inf
        unit = shape / mean if mean > 0 else torch.ones_like(shape)
        rule = math.sqrt(layer.taps / layer.filters)
        result.append(Coverage(layer.name, layer.name in recording.rectified, unit, max(mean, 0.0), noise, rule, layer.window))
    return result


def predicted_sum(layers: Iterable[Coverage], size: Pair, psi: Psi = "paper") -> Tensor:
    """The prediction for Σ_l ψ(R̃^l) of a fully randomised network, (1, 1, H, W): every layer as strong as theory expects it."""
    return torch.stack([layer.amplitude * upsample(layer.map, size, psi) for layer in layers]).sum(0)


def cosine(a: Tensor, b: Tensor) -> float:
    """The cosine of two maps taken as vectors; 0 where one of them is empty."""
    return float(F.cosine_similarity(a.flatten().double(), b.flatten().double(), dim=0))


RINGS = 8


def profile(maps: Tensor, rings: int = RINGS) -> Tensor:
    """The mean of each map over each of its rings, from the border to the centre: (N, rings) float64 from (N, 1, h, w).

    Rings are equally wide in fractions of the side; a map has no more of them than it has places from border to centre.
    """
    size = maps.shape[2:]
    rings = max(1, min(rings, (min(size) + 1) // 2))
    rows, columns = ((torch.arange(n) + 0.5) / n for n in size)
    depth = torch.minimum(torch.minimum(rows, 1 - rows)[:, None], torch.minimum(columns, 1 - columns)[None])
    ring = (2 * rings * depth).long().clamp(max=rings - 1).flatten()
    places = F.one_hot(ring.to(maps.device)).double()
    return maps.flatten(1).double() @ (places / places.sum(0))
