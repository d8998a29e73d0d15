"""From a recorded forward pass to explanations: of one picture, class after class, or of each picture of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import ReferenceType

import torch
from torch import Tensor, nn

from ..engine.recording import Recording
from .aggregation import layer_maps
from .explanation import Explanation
from .layer import Layer
from .targets import Target, as_list, class_index, one_hot

TOP = 5


class RecordedPicture:
    """One picture's recorded forward pass. Every further class costs one backward pass and no forward pass."""

    def __init__(self, recording: Recording, *, guided: bool = True, network: ReferenceType[nn.Module] | None = None) -> None:
        recording.check_numbers()
        self._recording, self._guided, self._network = recording, guided, network
        self._gradients: dict[int, Tensor] = {}
        self._maps: dict[int, tuple[Tensor, ...]] = {}
        self.logits = recording.logits
        self.top5 = tuple(_best(self.logits)[0].tolist())

    @property
    def nbytes(self) -> int:
        """What keeping this recording takes in memory, the maps of its classes included."""
        maps = [m for k, gradient in self._gradients.items() for m in (gradient, *self._maps[k])]
        return self._recording.nbytes + sum(m.nbytes for m in maps)

    def pack(self) -> None:
        """Keep it in far less memory; see :meth:`Recording.pack`."""
        self._recording.pack()

    def explain(self, targets: Target = None) -> Explanation:
        """Explain the classes ``targets`` (default: the best class), in one backward pass for all that were not asked for before."""
        picked = [self.top5[0]] if targets is None else [class_index(k, self.logits.shape[1]) for k in as_list(targets)]
        classes = tuple(dict.fromkeys([*picked, *self.top5]))
        missing = [k for k in classes if k not in self._maps]
        if missing:
            gradients, maps = _back(self._recording, torch.tensor(missing)[:, None], guided=self._guided)
            self._gradients.update(zip(missing, gradients, strict=True))
            self._maps.update(zip(missing, zip(*maps, strict=True), strict=True))
        gradients_here, maps_here = {k: self._gradients[k] for k in classes}, {k: self._maps[k] for k in classes}
        return _explanation(self._recording, 0, self.top5, gradients_here, maps_here, self._network)


def explanations(
    recording: Recording, wanted: Sequence[Sequence[Any]], *, guided: bool, network: ReferenceType[nn.Module]
) -> Iterator[Explanation]:
    """Each picture's explanation for its ``wanted`` classes (None for its best) and its own top 5, from one backward pass for all."""
    recording.check_numbers()
    logits = recording.logits
    top = _best(logits).tolist()
    picked = [[best[0] if k is None else class_index(k, logits.shape[1]) for k in ks] for ks, best in zip(wanted, top, strict=True)]
    classes = [list(dict.fromkeys([*ks, *best])) for ks, best in zip(picked, top, strict=True)]
    most = max(map(len, classes))
    slots = torch.tensor([[*ks, *ks[:1] * (most - len(ks))] for ks in classes]).T
    gradients, maps = _back(recording, slots, guided=guided)
    for row, ks in enumerate(classes):
        # Copies: a view would keep the maps of all other pictures in memory.
        own = {k: gradients[i, row : row + 1].clone() for i, k in enumerate(ks)}
        own_maps = {k: tuple(m[i, row : row + 1].clone() for m in maps) for i, k in enumerate(ks)}
        yield _explanation(recording, row, tuple(top[row]), own, own_maps, network)


def _best(logits: Tensor) -> Tensor:
    """The network's own top classes of every picture, (N, 5), best first."""
    return logits.topk(min(TOP, logits.shape[1])).indices


def _back(recording: Recording, classes: Tensor, *, guided: bool) -> tuple[Tensor, list[Tensor]]:
    """The gradients at the pictures (K, N, C, H, W) and R̃^0 to R̃^L (K, N, 1, h, w) of ``classes``, (K, N) or (K, 1)."""
    gradients, bias_maps = recording.backward(one_hot(classes, recording.logits), guided=guided)
    return gradients, [gradients.sum(2, keepdim=True), *layer_maps(recording, bias_maps)]


def _explanation(
    recording: Recording,
    row: int,
    top5: tuple[int, ...],
    gradients: dict[int, Tensor],
    maps: dict[int, tuple[Tensor, ...]],
    network: ReferenceType[nn.Module] | None,
) -> Explanation:
    here = slice(row, row + 1)
    x = recording.input.detach()
    return Explanation(
        logits=recording.logits[here],
        classes=tuple(maps),
        top5=top5,
        layers=_layers(recording),
        size=tuple(x.shape[2:]),
        let_through=recording.let_through,
        _gradients=gradients,
        _maps=maps,
        _input=x if len(x) == 1 else x[here].clone(),
        _network=network,
    )


def _layers(recording: Recording) -> tuple[Layer, ...]:
    found = []
    for i, r in enumerate(recording.layers, start=1):
        size = r.window.input_size[::-1] if r.transposed else r.window.input_size
        found.append(Layer(i, r.name, r.kind, r.window.kernel, r.filters, r.taps, size, r.name in recording.rectified))
    return tuple(found)
