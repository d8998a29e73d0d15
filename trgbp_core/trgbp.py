"""TR-GBP (Section 4.1): guided backpropagation that hears the biases and forgets what the top classes share.

One forward pass is recorded (:mod:`trgbp_core.tape`); one backward pass carries every class that is needed, the picked ones and the
network's own top 5, and brings the guided gradient at the picture (R̃^0) and every layer's reconstruction of its map of ones (R̃^l,
Eq. 8). All else is arithmetic: ``R̃ = R̃^0 + Σ_l ψ(R̃^l)`` (Eq. 9) and ``R_k = R̃_k − mean_{i ∈ top 5} R̃_i`` (Eq. 10).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import get_args

import torch
from torch import Tensor, nn

from .geometry import Pair, Pixel, Psi, spread, upsample
from .recording import Recording, as_written, record
from .targets import Target, class_index, one_hot, per_picture

TOP = 5
PIXEL: dict[Psi, Pixel] = {"paper": "gradient", "conserving": "contribution"}
"""The pixel term that goes with each ψ. R̃^0 is a gradient, per unit of a pixel, and so depends on how pictures are normalised; every R̃^l
is a contribution to the logit. The paper adds the two (Eq. 9). ``x ⊙ R̃^0``, the pixels' contribution, has the unit of the others: with the
ordinary gradient and a ψ that keeps masses, the whole picture's sum is the logit."""


@dataclass(frozen=True)
class Layer:
    """A bias-carrying layer, l = 1..L from input to output.

    Attributes:
        index: l.
        name: the module's qualified name; ``name#2`` where a module runs a second time.
        kind: ``conv``, ``linear``, ``batch_norm`` (alone), ``rectifier`` (saturating, behind an addition) or ``constant``.
        kernel: (vertical, horizontal), pixels of the layer's input.
        filters: N of Section 4.2, the number of filters.
        taps: p of Section 4.2, the filter size: input channels of a group × kernel taps.
        size: (h, w) of R̃^l, the layer's spatial input.
        rectified: a rectifier follows, directly or after an addition; where none does, Theorem 1 promises nothing.
    """

    index: int
    name: str
    kind: str
    kernel: Pair
    filters: int
    taps: int
    size: Pair
    rectified: bool


@dataclass(frozen=True)
class Explanation:
    """What one picture's classes owe to its pixels and to every layer's biases. All maps are signed and detached.

    Attributes:
        logits: (1, C). probabilities: (1, C), their softmax.
        top5: the network's own top classes, best first (fewer where the network has fewer classes).
        classes: every class that can be asked for: the picked ones, then the rest of the top 5.
        layers: the bias-carrying layers; ``layers[l - 1]`` belongs to R^l.
        size: (H, W) of the picture.
        let_through: operations outside the theory, if ``strict=False`` let any through.
    """

    logits: Tensor
    classes: tuple[int, ...]
    top5: tuple[int, ...]
    layers: tuple[Layer, ...]
    size: Pair
    let_through: tuple[str, ...]
    _gradients: dict[int, Tensor] = field(repr=False)
    _maps: dict[int, tuple[Tensor, ...]] = field(repr=False)
    _input: Tensor = field(repr=False)

    @property
    def probabilities(self) -> Tensor:
        return self.logits.softmax(1)

    def gradient(self, k: int) -> Tensor:
        """The guided gradient ∂^g f_k/∂^g x at the picture itself, (1, C, H, W): Eq. 4, guided backpropagation."""
        return self._gradients[self._known(k)]

    def layer_raw(self, l: int, k: int) -> Tensor:  # noqa: E741 - the paper's symbol
        """R̃^l_k (Eq. 8), (1, 1, h, w); ``l = 0`` is the guided gradient at the picture, summed over the colours.

        Raises:
            ValueError: no such layer, or ``k`` is not among :attr:`classes`.
        """
        if not 0 <= l <= len(self.layers):
            raise ValueError(f"Layers run from 0 (the picture) to {len(self.layers)}; there is no layer {l}.")
        return self._maps[self._known(k)][l]

    def layer_contribution(self, l: int, k: int) -> Tensor:  # noqa: E741
        """What layer l gives to the logit, (1, 1, h, w): R̃^l_k; of the picture, ``l = 0``, x ⊙ R̃^0_k, summed over the colours.

        Raises:
            ValueError: as :meth:`layer_raw` does.
        """
        return self.layer_raw(l, k) if l else _contribution(self._input, self.gradient(k))

    def layer_attribution(self, l: int, k: int, pixel: Pixel = "gradient") -> Tensor:  # noqa: E741
        """R^l_k = R̃^l_k − the mean over the top 5 of R̃^l_i, (1, 1, h, w). ``pixel``: what ``l = 0`` is, see :meth:`attribution`."""
        return self._term(l, k, pixel) - torch.stack([self._term(l, i, pixel) for i in self.top5]).mean(0)

    def raw(self, k: int, psi: Psi = "paper", pixel: Pixel | None = None) -> Tensor:
        """R̃_k = R̃^0_k + Σ_l ψ(R̃^l_k) (Eq. 9), (1, 1, H, W); ``psi`` and ``pixel`` as in :meth:`attribution`."""
        terms = pixel or PIXEL.get(psi, "gradient")
        return _aggregate((self._term(index, k, terms) for index in range(len(self.layers) + 1)), self.size, psi)

    def attribution(self, k: int, psi: Psi = "paper", pixel: Pixel | None = None) -> Tensor:
        """R_k = R̃_k − the mean over the top 5 of R̃_i (Eq. 10), (1, 1, H, W). Shown maps are ``relu(R_k)`` over their maximum.

        Args:
            psi: ``"paper"`` upsamples plainly, as the paper does; ``"conserving"`` keeps the mass of every layer's map, so that every layer
                counts by what it contributes to the logit.
            pixel: the picture's own term: the guided ``"gradient"`` R̃^0, as in the paper; the pixels' ``"contribution"`` x ⊙ R̃^0, in the
                unit of the layers' maps, whatever the picture is measured in; or ``"none"``. By default what :data:`PIXEL` says.

        Raises:
            ValueError: an option that does not exist, or ``k`` is not among :attr:`classes`.
        """
        # ψ is linear: summing the class-specific maps of the layers is the same, and one sum for all classes less.
        terms = pixel or PIXEL.get(psi, "gradient")
        return _aggregate((self.layer_attribution(index, k, terms) for index in range(len(self.layers) + 1)), self.size, psi)

    def _term(self, l: int, k: int, pixel: Pixel) -> Tensor:  # noqa: E741
        if l or _known_pixel(pixel) == "gradient":
            return self.layer_raw(l, k)
        return self.layer_contribution(0, k) if pixel == "contribution" else torch.zeros_like(self.layer_raw(0, k))

    def _known(self, k: int) -> int:
        if k not in self._maps:
            raise ValueError(f"Class {k} was not explained; explained classes: {', '.join(map(str, self.classes))}.")
        return k


class RecordedPicture:
    """One picture's recorded forward pass. Every further class costs one backward pass and no forward pass."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._gradients: dict[int, Tensor] = {}
        self._maps: dict[int, tuple[Tensor, ...]] = {}
        self.logits = recording.logits
        self.top5 = tuple(recording.logits[0].topk(min(TOP, recording.logits.shape[1])).indices.tolist())

    @property
    def nbytes(self) -> int:
        """What keeping this recording takes in memory, the maps of its classes included."""
        maps = [m for k, gradient in self._gradients.items() for m in (gradient, *self._maps[k])]
        return self._recording.nbytes + sum(m.nbytes for m in maps)

    def pack(self) -> None:
        """Keep it in far less memory; see :meth:`Recording.pack`."""
        self._recording.pack()

    def explain(self, targets: Iterable[int] | None = None) -> Explanation:
        """Explain the classes ``targets`` (default: the best class), in one backward pass for all that were not asked for before."""
        picked = [self.top5[0]] if targets is None else [class_index(k, self.logits.shape[1]) for k in targets]
        classes = tuple(dict.fromkeys([*picked, *self.top5]))
        missing = [k for k in classes if k not in self._maps]
        if missing:
            gradients, maps = _class_maps(self._recording, torch.tensor(missing)[:, None])
            self._gradients.update(zip(missing, gradients, strict=True))
            self._maps.update(zip(missing, zip(*maps, strict=True), strict=True))
        recording = self._recording
        return Explanation(
            logits=self.logits,
            classes=classes,
            top5=self.top5,
            layers=_layers(recording),
            size=(recording.input.shape[2], recording.input.shape[3]),
            let_through=recording.let_through,
            _gradients={k: self._gradients[k] for k in classes},
            _maps={k: self._maps[k] for k in classes},
            _input=recording.input.detach(),
        )


class TRGBP:
    """Explain any rectifier network; see :func:`trgbp_core.recording.record` for what that covers.

    Args:
        network: maps (N, C, H, W) to logits (N, classes). Neither its mode nor anything else of it is changed; what is explained is
            its evaluation mode. Any number of threads may share it.
        guided: the guided rule (Eq. 4). ``False`` gives the ordinary gradient, for which Σ x·∂f_k/∂x + Σ_l Σ R^l_k = f_k exactly.
        strict: refuse operations that the theory does not cover. ``False`` lets them through with their ordinary gradient and lists
            them in :attr:`Explanation.let_through`.

    Example:
        >>> zoo = load_model("efficientnet_lite0")
        >>> e = TRGBP(zoo.network).explain(zoo.preprocess(picture))
        >>> heat = e.attribution(e.top5[0]).relu()
    """

    def __init__(self, network: nn.Module, *, guided: bool = True, strict: bool = True) -> None:
        self.network = network
        self.guided = guided
        self.strict = strict

    def record(self, x: Tensor) -> RecordedPicture:
        """Run the forward pass of one picture, (1, C, H, W); ask the result for explanations.

        Raises:
            UnsupportedOperation: the network holds an operation that the theory does not cover.
            ValueError: ``x`` is not one picture, or does not fit the network.
        """
        if isinstance(x, Tensor) and x.dim() == 4 and len(x) != 1:
            raise ValueError(f"explain takes one picture (1, C, H, W), not {len(x)}; attribute takes batches.")
        return RecordedPicture(record(self.network, x, guided=self.guided, strict=self.strict))

    def explain(self, x: Tensor, targets: Iterable[int] | None = None) -> Explanation:
        """Explain one picture, (1, C, H, W): one forward and one backward pass for ``targets`` and the top 5 together."""
        return self.record(x).explain(targets)

    def attribute(self, x: Tensor, target: Target = None, *, psi: Psi = "paper", pixel: Pixel | None = None) -> Tensor:
        """R_k (Eq. 10) in captum's convention, (N, 1, H, W), signed.

        Args:
            x: (N, C, H, W).
            target: one class for all, or one for each picture; by default each picture's best class.
            psi, pixel: see :meth:`Explanation.attribution`.
        """
        return self.explain_batch(x, [target]).attribution(psi, pixel)[0]

    def explain_batch(self, x: Tensor, targets: Sequence[Target]) -> BatchExplanation:
        """Several classes of every picture of a batch, (N, C, H, W), from one forward and one backward pass.

        Args:
            targets: each one class for all, or one for each picture, or None for each picture's best class.
        """
        recording = record(self.network, x, guided=self.guided, strict=self.strict)
        top = recording.logits.topk(min(TOP, recording.logits.shape[1]), dim=1).indices.T
        picked = torch.stack([per_picture(target, recording.logits) for target in targets])
        extra = [classes for classes in picked.unique(dim=0) if not bool((top == classes).any(0).all())]
        slots = torch.cat([torch.stack(extra), top]) if extra else top
        gradients, maps = _class_maps(recording, slots)
        own = (slots[None] == picked[:, None]).int().argmax(1)
        contribution = _contribution(recording.input.detach(), gradients)
        return BatchExplanation(recording.logits, picked, (x.shape[2], x.shape[3]), tuple(maps), own, len(top), contribution)


@dataclass(frozen=True)
class BatchExplanation:
    """Some classes of every picture of a batch. Maps are (K, N, 1, H, W), signed and detached, K being the targets asked for.

    Attributes:
        logits: (N, C). classes: (K, N). size: (H, W) of the pictures.
    """

    logits: Tensor
    classes: Tensor
    size: Pair
    _maps: tuple[Tensor, ...] = field(repr=False)
    _own: Tensor = field(repr=False)
    _top: int = field(repr=False)
    _contribution: Tensor = field(repr=False)

    @property
    def guided(self) -> Tensor:
        """R̃^0: guided backpropagation (Eq. 4), summed over the colours."""
        return self._pick(self._maps[0])

    def attribution(self, psi: Psi = "paper", pixel: Pixel | None = None) -> Tensor:
        """R_k (Eq. 10); see :meth:`Explanation.attribution`."""
        gradient, *layers = self._maps
        terms = {"gradient": gradient, "contribution": self._contribution, "none": torch.zeros_like(gradient)}
        raw = _aggregate([terms[_known_pixel(pixel or PIXEL.get(psi, "gradient"))], *layers], self.size, psi)
        return self._pick(raw) - raw[-self._top :].mean(0)

    def _pick(self, maps: Tensor) -> Tensor:
        return maps[self._own, torch.arange(maps.shape[1], device=maps.device)]


def _class_maps(recording: Recording, classes: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Guided gradients (K, N, C, H, W) and the maps R̃^0, R̃^1 ... R̃^L, each (K, N, 1, h, w), of classes (K, N) or (K, 1)."""
    gradients, bias_maps = recording.backward(one_hot(classes, recording.logits))
    with as_written(recording.input.device):
        maps = [spread(m, layer.window) for m, layer in zip(bias_maps, recording.layers, strict=True)]
    return gradients, [gradients.sum(2, keepdim=True), *maps]


def _contribution(x: Tensor, gradients: Tensor) -> Tensor:
    """x ⊙ R̃^0 (..., N, 1, H, W), summed over the colours, of pictures (N, C, H, W) and gradients (..., N, C, H, W)."""
    return (x * gradients).sum(-3, keepdim=True)


def _known_pixel(pixel: Pixel) -> Pixel:
    if pixel not in get_args(Pixel):
        raise ValueError(f"pixel is {', '.join(map(repr, get_args(Pixel)))} or None, not {pixel!r}.")
    return pixel


def _aggregate(maps: Iterable[Tensor], size: Pair, psi: Psi) -> Tensor:
    """Σ ψ(maps) (Eq. 9); maps of one size are summed before they are upsampled, ψ being linear."""
    by_size: dict[Pair, Tensor] = {}
    for m in maps:
        key = (m.shape[-2], m.shape[-1])
        by_size[key] = by_size[key] + m if key in by_size else m
    with as_written(m.device):
        whole = [upsample(m.flatten(0, -4), size, psi).unflatten(0, m.shape[:-3]) for m in by_size.values()]
    return sum(whole, start=torch.zeros((), dtype=m.dtype))


def _layers(recording: Recording) -> tuple[Layer, ...]:
    return tuple(
        Layer(i, r.name, r.kind, r.window.kernel, r.filters, r.taps, r.window.input_size, r.name in recording.rectified)
        for i, r in enumerate(recording.layers, start=1)
    )
