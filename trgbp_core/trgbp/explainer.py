"""TR-GBP (Section 4.1): guided backpropagation with the biases' contributions, less what the top classes share.

One forward pass is recorded (:mod:`trgbp_core.engine.tape`); one backward pass carries every class that is needed, the picked ones and the
network's own top 5, and brings the guided gradient at the picture (R̃^0) and every layer's reconstruction of its map of ones (R̃^l,
Eq. 8). All else is arithmetic: ``R̃ = R̃^0 + Σ_l ψ(R̃^l)`` (Eq. 9) and ``R_k = R̃_k − mean_{i ∈ top 5} R̃_i`` (Eq. 10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import SupportsIndex

import torch
from torch import Tensor, nn

from ..engine.geometry import Pair, Pixel, Psi
from ..engine.recording import Recording, record
from ..engine.validation import check
from . import axiom
from .aggregation import aggregate, class_specific, contribution, layer_maps, pixel_term
from .batches import GRADIENTS_AT_ONCE, BatchExplanation, Part, explain_part, memory_budget
from .targets import Target, as_list, class_index, one_for_each, one_hot

TOP = 5


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

    def layer_raw(self, l: int | str, k: int) -> Tensor:  # noqa: E741 - the paper's symbol
        """R̃^l_k (Eq. 8), (1, 1, h, w), by the layer's number or name; 0 is the guided gradient at the picture, summed over the colours.

        Raises:
            ValueError: no such layer, or ``k`` is not among :attr:`classes`.
        """
        return self._maps[self._known(k)][self._index(l)]

    def _index(self, l: int | str) -> int:  # noqa: E741
        if isinstance(l, str):
            found = next((layer.index for layer in self.layers if layer.name == l), None)
            if found is None:
                raise ValueError(f"There is no layer {l!r}; the layers are {', '.join(layer.name for layer in self.layers)}.")
            return found
        index = int(l) if isinstance(l, SupportsIndex) else -1
        if not 0 <= index <= len(self.layers):
            raise ValueError(f"Layers run from 0 (the picture) to {len(self.layers)}; there is no layer {l}.")
        return index

    def layer_contribution(self, l: int | str, k: int) -> Tensor:  # noqa: E741
        """What layer l gives to the logit, (1, 1, h, w): R̃^l_k; of the picture, ``l = 0``, x ⊙ R̃^0_k, summed over the colours.

        Raises:
            ValueError: as :meth:`layer_raw` does.
        """
        return self.layer_raw(l, k) if self._index(l) else contribution(self._input, self.gradient(k))

    def layer_attribution(self, l: int | str, k: int, pixel: Pixel = "gradient") -> Tensor:  # noqa: E741
        """R^l_k = R̃^l_k − the mean over the top 5 of R̃^l_i, (1, 1, h, w). ``pixel``: what ``l = 0`` is, see :meth:`attribution`."""
        return class_specific(self.logits, self._term(l, k, pixel), torch.stack([self._term(l, i, pixel) for i in self.top5]))

    def raw(self, k: int, psi: Psi = "paper", pixel: Pixel | None = None) -> Tensor:
        """R̃_k = R̃^0_k + Σ_l ψ(R̃^l_k) (Eq. 9), (1, 1, H, W); ``psi`` and ``pixel`` as in :meth:`attribution`."""
        return self._over_layers(self._term, k, psi, pixel)

    def attribution(self, k: int, psi: Psi = "paper", pixel: Pixel | None = None) -> Tensor:
        """R_k = R̃_k − the mean over the top 5 of R̃_i (Eq. 10), (1, 1, H, W). Shown maps are ``relu(R_k)`` over their maximum.

        Args:
            psi: ``"paper"`` upsamples plainly, as the paper does; ``"conserving"`` keeps the mass of every layer's map, so that every layer
                counts by what it contributes to the logit.
            pixel: the picture's own term: the guided ``"gradient"`` R̃^0, as in the paper; the pixels' ``"contribution"`` x ⊙ R̃^0, in the
                unit of the layers' maps, whatever the picture is measured in; or ``"none"``. By default the paper's with the
                paper's ψ, the contribution with the conserving one.

        Raises:
            ValueError: an option that does not exist, or ``k`` is not among :attr:`classes`.
        """
        # ψ is linear: summing the class-specific maps of the layers is the same, and one sum for all classes less.
        return self._over_layers(self.layer_attribution, k, psi, pixel)

    def _over_layers(self, of: Callable[[int, int, Pixel], Tensor], k: int, psi: Psi, pixel: Pixel | None) -> Tensor:
        term = pixel_term(pixel, psi)
        return aggregate((of(index, k, term) for index in range(len(self.layers) + 1)), self.size, psi)

    def _term(self, l: int | str, k: int, pixel: Pixel) -> Tensor:  # noqa: E741
        if self._index(l) or pixel_term(pixel, "paper") == "gradient":
            return self.layer_raw(l, k)
        return self.layer_contribution(0, k) if pixel == "contribution" else torch.zeros_like(self.layer_raw(0, k))

    def _known(self, k: int) -> int:
        if k not in self._maps:
            raise ValueError(f"Class {k} was not explained; explained classes: {', '.join(map(str, self.classes))}.")
        return k


class RecordedPicture:
    """One picture's recorded forward pass. Every further class costs one backward pass and no forward pass."""

    def __init__(self, recording: Recording, *, guided: bool = True) -> None:
        recording.check_numbers()
        self._recording, self._guided = recording, guided
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

    def explain(self, targets: Target = None) -> Explanation:
        """Explain the classes ``targets`` (default: the best class), in one backward pass for all that were not asked for before."""
        picked = [self.top5[0]] if targets is None else [class_index(k, self.logits.shape[1]) for k in as_list(targets)]
        classes = tuple(dict.fromkeys([*picked, *self.top5]))
        missing, recording = [k for k in classes if k not in self._maps], self._recording
        if missing:
            gradients, bias_maps = recording.backward(one_hot(torch.tensor(missing)[:, None], self.logits), guided=self._guided)
            maps = [gradients.sum(2, keepdim=True), *layer_maps(recording, bias_maps)]
            self._gradients.update(zip(missing, gradients, strict=True))
            self._maps.update(zip(missing, zip(*maps, strict=True), strict=True))
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
    """Explain any rectifier network; see :func:`trgbp_core.engine.recording.record` for what that covers.

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
        recording = self._record(x)
        axiom.hold(self.network, recording)
        return RecordedPicture(recording, guided=self.guided)

    def _record(self, x: Tensor) -> Recording:
        return record(self.network, x, guided=self.guided, strict=self.strict)

    def explain(self, x: Tensor, targets: Target = None) -> Explanation:
        """Explain one picture, (1, C, H, W): one forward and one backward pass for ``targets``, one class or several, and the top 5."""
        return self.record(x).explain(targets)

    def attribute(self, x: Tensor, target: Target = None, *, psi: Psi = "paper", pixel: Pixel | None = None) -> Tensor:
        """R_k (Eq. 10) in captum's convention, (N, 1, H, W), signed.

        Args:
            x: (N, C, H, W).
            target: one class for all, or one for each picture; by default each picture's best class.
            psi, pixel: see :meth:`Explanation.attribution`.
        """
        return torch.cat([part.attribution(psi, pixel)[0] for part in self._parts(x, [target])])

    def explain_batch(self, x: Tensor, targets: Target | Sequence[Target]) -> BatchExplanation:
        """Several classes of every picture of a batch, (N, C, H, W), from one forward and one backward pass.

        Pictures are taken in parts that fit into :func:`memory_budget`.

        Args:
            targets: each one class for all, or one for each picture, or None for each picture's best class; one class alone is one target.
        """
        asked: list[Target] = list(targets) if isinstance(targets, (list, tuple, range)) else [targets]  # type: ignore[list-item]
        if not asked:
            raise ValueError("No targets: give at least one class, or None for each picture's best.")
        return BatchExplanation(tuple(self._parts(x, asked)))

    def _parts(self, x: Tensor, targets: Sequence[Target]) -> Iterator[Part]:
        check(self.network, x)
        wanted = [one_for_each(target, len(x)) for target in targets]
        if len(x) > 1 and axiom.held(self.network, x) is None:
            axiom.hold(self.network, self._record(x[:2]))  # two, to see that they do not mix
        at_once = self._at_once(x, len(wanted) + TOP)
        for start in range(0, len(x), at_once):
            part = slice(start, start + at_once)
            recording = self._record(x[part])
            axiom.hold(self.network, recording)
            yield explain_part(recording, [None if target is None else target[part] for target in wanted], TOP, guided=self.guided)

    def _at_once(self, x: Tensor, classes: int) -> int:
        """How many pictures' gradients for ``classes`` classes fit into :func:`memory_budget`, by the first recording."""
        known = axiom.held(self.network, x)
        if known is None:
            return 1
        gradients = GRADIENTS_AT_ONCE * classes * known.largest * x.element_size()
        return max(1, memory_budget(x.device) // (known.bytes_per_picture + gradients))


def _layers(recording: Recording) -> tuple[Layer, ...]:
    found = []
    for i, r in enumerate(recording.layers, start=1):
        height, width = r.window.input_size
        size = (width, height) if r.transposed else (height, width)
        found.append(Layer(i, r.name, r.kind, r.window.kernel, r.filters, r.taps, size, r.name in recording.rectified))
    return tuple(found)
