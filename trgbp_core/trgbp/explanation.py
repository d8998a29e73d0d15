"""What one picture's explanation holds, and the maps and numbers that follow from it by arithmetic (Eqs. 8-10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex
from weakref import ReferenceType

import torch
from torch import Tensor, nn

from ..drawing.overview import Answer, overview
from ..drawing.render import Picture, as_picture, rescaled
from ..engine.geometry import Pixel, Psi, Size, box_axes, upsampled_sums
from . import saving
from .aggregation import aggregate, class_specific, contribution, pixel_term
from .layer import Layer
from .targets import other_class

if TYPE_CHECKING:
    from ..drawing.notebook_figure import NotebookFigure

PSIS: dict[str, Psi] = {"smooth": "paper", "sharp": "conserving"}
LayerKey = int | str | nn.Module
"""A layer: its number l (0 is the picture), its name, or the module of the network that holds its weights."""
Of = Callable[[int, Pixel], Tensor]
"""A layer's map, (1, 1, h, w), by the layer's number and the kind of the pixel term."""


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """What one picture's classes owe to its pixels and to every layer's biases. All maps are signed and detached.

    Attributes:
        logits: (1, C). probabilities: (1, C), their softmax.
        top5: the network's own top classes, best first (fewer where the network has fewer classes).
        classes: every class that can be asked for: the picked ones, then the rest of the top 5.
        layers: the bias-carrying layers; ``layers[l - 1]`` belongs to R^l.
        size: (H, W) of the picture.
        let_through: operations outside the theory, if ``strict=False`` let any through.

    A layer is named by its number, its name, or its module; 0 is the picture. A notebook shows :meth:`plot` of ``classes[0]``.
    """

    logits: Tensor
    classes: tuple[int, ...]
    top5: tuple[int, ...]
    layers: tuple[Layer, ...]
    size: Size
    let_through: tuple[str, ...]
    _gradients: dict[int, Tensor]
    _maps: dict[int, tuple[Tensor, ...]]
    _input: Tensor
    _network: ReferenceType[nn.Module] | None = None

    @property
    def probabilities(self) -> Tensor:
        return self.logits.softmax(1)

    def __repr__(self) -> str:
        k = self.classes[0]
        pixels = "×".join(map(str, self.size))
        about = f"class {k} ({float(self.probabilities[0, k]):.1%}); classes {self.classes}"
        return f"<Explanation of {about}; {len(self.layers)} layers; {pixels}>"

    def gradient(self, k: int) -> Tensor:
        """The guided gradient ∂^g f_k/∂^g x at the picture itself, (1, C, H, W): Eq. 4, guided backpropagation."""
        return self._gradients[self._known(k)]

    # -- one layer -----------------------------------------------------------------------------------------------------------------

    def layer_raw(self, l: LayerKey, k: int) -> Tensor:  # noqa: E741 - the paper's symbol
        """R̃^l_k (Eq. 8), (1, 1, h, w); of the picture, ``l = 0``, the guided gradient, summed over the colours.

        Raises:
            ValueError: no such layer, or ``k`` is not among :attr:`classes`.
        """
        return self._maps[self._known(k)][self._index(l)]

    def layer_contribution(self, l: LayerKey, k: int) -> Tensor:  # noqa: E741
        """What layer l gives to the logit, (1, 1, h, w): R̃^l_k; of the picture, ``l = 0``, x ⊙ R̃^0_k, summed over the colours.

        Raises:
            ValueError: as :meth:`layer_raw` does.
        """
        return self.layer_raw(l, k) if self._index(l) else contribution(self._input, self.gradient(k))

    def layer_attribution(self, l: LayerKey, k: int, pixel: Pixel = "gradient") -> Tensor:  # noqa: E741
        """R^l_k = R̃^l_k − the mean over the top 5 of R̃^l_i, (1, 1, h, w). ``pixel``: what ``l = 0`` is, see :meth:`attribution`."""
        return class_specific(self.logits, self._term(l, k, pixel), torch.stack([self._term(l, i, pixel) for i in self.top5]))

    def layer_contrast(self, l: LayerKey, k: int, *, against: int, pixel: Pixel = "gradient") -> Tensor:  # noqa: E741
        """R̃^l_k − R̃^l_j, (1, 1, h, w): layer l's part of :meth:`contrast`, j being ``against``; raises as that does."""
        j = other_class(self._known(against), self._known(k))
        return self._term(l, k, pixel) - self._term(l, j, pixel)

    # -- all layers ----------------------------------------------------------------------------------------------------------------

    def raw(self, k: int, psi: Psi = "paper", pixel: Pixel | None = None) -> Tensor:
        """R̃_k = R̃^0_k + Σ_l ψ(R̃^l_k) (Eq. 9), (1, 1, H, W); ``psi`` and ``pixel`` as in :meth:`attribution`."""
        return self._over_layers(lambda index, term: self._term(index, k, term), psi, pixel)

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
        return self._over_layers(self._of(k, None), psi, pixel)

    def contrast(self, k: int, *, against: int, psi: Psi = "paper", pixel: Pixel | None = None) -> Tensor:
        """R̃_k − R̃_j, (1, 1, H, W): why class k rather than class j, ``against``. Positive speaks for k, negative for j.

        It is Eq. 10 with the one class j in the place of the top 5, and changes its sign where the two classes change places. ``psi`` and
        ``pixel`` as in :meth:`attribution`.

        Raises:
            ValueError: an option that does not exist, one of the two is not among :attr:`classes`, or they are the same.
        """
        return self._over_layers(self._of(k, self._known(against)), psi, pixel)

    def shares(
        self, k: int, box: Sequence[float] | Tensor, psi: Psi = "conserving", pixel: Pixel | None = None, *, against: int | None = None
    ) -> Tensor:
        """What each layer gives to the sum of a map over a box, (L + 1,), float64, signed: first the picture's own term, then R^1 to R^L.

        The shares add up to the sum of ``attribution(k, psi, pixel)``, or of ``contrast(k, against=against, …)``, over the pixels of the
        box, because a map is the sum of its layers' ψ(R^l).

        Args:
            box: (left, top, right, bottom) in fractions of the picture's width and height. A pixel lies in it if its centre does.

        Raises:
            ValueError: the box has not four edges from 0 to 1, or holds no pixel; an option or a class as in :meth:`attribution`.
        """
        term, of, inside = pixel_term(pixel, psi), self._of(k, against), box_axes(box, self.size)
        return upsampled_sums([of(index, term) for index in range(len(self.layers) + 1)], inside, psi)

    def _of(self, k: int, against: int | None) -> Of:
        """A layer's part of the map of k, less what the top 5 share or less that of the class ``against``."""
        if against is None:
            return lambda index, pixel: self.layer_attribution(index, k, pixel)
        return lambda index, pixel: self.layer_contrast(index, k, against=against, pixel=pixel)

    def _over_layers(self, of: Of, psi: Psi, pixel: Pixel | None) -> Tensor:
        term = pixel_term(pixel, psi)
        return aggregate((of(index, term) for index in range(len(self.layers) + 1)), self.size, psi)

    def _term(self, l: LayerKey, k: int, pixel: Pixel) -> Tensor:  # noqa: E741
        if self._index(l) or pixel_term(pixel, "paper") == "gradient":
            return self.layer_raw(l, k)
        return self.layer_contribution(0, k) if pixel == "contribution" else torch.zeros_like(self.layer_raw(0, k))

    # -- what may be asked for -----------------------------------------------------------------------------------------------------

    def _known(self, k: int) -> int:
        index = int(k) if isinstance(k, SupportsIndex) else k
        if index not in self._maps:
            known = ", ".join(map(str, self.classes))
            raise ValueError(f"Class {k} was not explained (targets=[…] of explain() names further ones); explained classes: {known}.")
        return index

    def _index(self, l: LayerKey) -> int:  # noqa: E741
        if isinstance(l, (str, nn.Module)):
            name = l if isinstance(l, str) else self._name(l)
            found = next((layer.index for layer in self.layers if layer.name == name), None)
            if found is None:
                raise ValueError(f"There is no layer {name!r}; the layers are {', '.join(layer.name for layer in self.layers)}.")
            return found
        index = int(l) if isinstance(l, SupportsIndex) else -1
        if not 0 <= index <= len(self.layers):
            raise ValueError(f"Layers run from 0 (the picture) to {len(self.layers)}; there is no layer {l}.")
        return index

    def _name(self, module: nn.Module) -> str:
        network = None if self._network is None else self._network()
        if network is None:
            raise ValueError("This explanation does not know its network (any more): name the layer by its number or its name.")
        found = next((name for name, other in network.named_modules() if other is module), None)
        if found is None:
            raise ValueError(f"This {type(module).__name__} is no module of the network that was explained.")
        return found

    # -- elsewhere -----------------------------------------------------------------------------------------------------------------

    def to(self, device: torch.device | str) -> Explanation:
        """The same on another device."""
        return replace(
            self,
            logits=self.logits.to(device),
            _gradients={k: gradient.to(device) for k, gradient in self._gradients.items()},
            _maps={k: tuple(m.to(device) for m in maps) for k, maps in self._maps.items()},
            _input=self._input.to(device),
        )

    def save(self, path: str | Path) -> None:
        """Write all of it to one ``.npz`` file, which :meth:`load` reads. No pickle is in it.

        Raises:
            OSError: the file cannot be written.
        """
        maps = {f"maps_{i}": torch.stack([self._maps[k][i] for k in self.classes]) for i in range(len(self.layers) + 1)}
        gradients = torch.stack([self._gradients[k] for k in self.classes])
        facts: dict[str, Any] = {key: getattr(self, key) for key in ("classes", "top5", "size", "let_through")}
        facts["layers"] = [asdict(layer) for layer in self.layers]
        saving.save(path, {"logits": self.logits, "input": self._input, "gradients": gradients, **maps}, facts)

    @classmethod
    def load(cls, path: str | Path) -> Explanation:
        """What :meth:`save` wrote, on the processor. Layers are known by number and name, since no network is saved.

        Raises:
            OSError: the file cannot be read. ValueError: it is no saved explanation.
        """
        tensors, facts = saving.load(path)
        layers = tuple(Layer(**{**layer, "kernel": tuple(layer["kernel"]), "size": tuple(layer["size"])}) for layer in facts["layers"])
        maps = [tensors[f"maps_{i}"] for i in range(len(layers) + 1)]
        return cls(
            logits=tensors["logits"],
            classes=tuple(facts["classes"]),
            top5=tuple(facts["top5"]),
            layers=layers,
            size=tuple(facts["size"]),
            let_through=tuple(facts["let_through"]),
            _gradients=dict(zip(facts["classes"], tensors["gradients"], strict=True)),
            _maps=dict(zip(facts["classes"], zip(*maps, strict=True), strict=True)),
            _input=tensors["input"],
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None}  # a weak reference cannot be pickled

    # -- seen ----------------------------------------------------------------------------------------------------------------------

    def plot(
        self,
        k: int | None = None,
        *,
        against: int | None = None,
        picture: Picture | None = None,
        labels: Sequence[str] | Mapping[int, str] | None = None,
        signed: bool = False,
    ) -> NotebookFigure:
        """A matplotlib figure: the picture, the smooth map (the paper's ψ), the sharp one (conserving ψ), and the network's top 5.

        Args:
            k: the class, by default ``classes[0]``. against: show :meth:`contrast` with this class, in both signs.
            picture: as the network saw it, by default the input, its numbers scaled to 0..1. labels: the names of the classes.
            signed: show negative values too, in blue.

        Raises:
            ValueError: the input is no picture, having one or three axes; ``k`` or ``against`` is not among :attr:`classes`, or they are
                the same; ``labels`` lacks one of the classes.
        """
        if len(self.size) != 2:
            raise ValueError(f"plot draws pictures; this input has {len(self.size)} axes. Draw e.attribution(k)[0, 0] as suits it.")
        k = self.classes[0] if k is None else self._known(k)
        names = {i: f"class {i}" if labels is None else _name_of(i, labels) for i in {*self.top5, *self.classes}}
        maps = [(title, self._shown(k, against, psi)) for title, psi in PSIS.items()]
        chosen = (k,) if against is None else (k, against)
        answers = [Answer(names[i], float(self.probabilities[0, i]), i in chosen) for i in dict.fromkeys([*self.top5, *chosen])]
        seen = rescaled(self._input) if picture is None else as_picture(picture)
        title = names[k] if against is None else f"{names[k]} rather than {names[against]}"
        return overview(seen, maps, answers, title, signed=signed or against is not None)

    def _shown(self, k: int, against: int | None, psi: Psi) -> Tensor:
        if against is not None:
            return self.contrast(k, against=against, psi=psi)
        return self.raw(k, psi) if self.logits.shape[1] == 1 else self.attribution(k, psi)

    def _repr_png_(self) -> bytes | None:
        return self.plot()._repr_png_() if len(self.size) == 2 else None


def _name_of(k: int, labels: Sequence[str] | Mapping[int, str]) -> str:
    try:
        return str(labels[k])
    except (TypeError, LookupError):
        raise ValueError(f"labels holds the name of every class, in a list or by its number; there is none of class {k}.") from None
