"""TR-GBP (Section 4.1): guided backpropagation with the biases' contributions, less what the top classes share.

One forward pass is recorded (:mod:`trgbp_core.engine.tape`); one backward pass carries every class that is needed, the picked ones and the
network's own top 5, and brings the guided gradient at the picture (R̃^0) and every layer's reconstruction of its map of ones (R̃^l,
Eq. 8). All else is arithmetic: ``R̃ = R̃^0 + Σ_l ψ(R̃^l)`` (Eq. 9) and ``R_k = R̃_k − mean_{i ∈ top 5} R̃_i`` (Eq. 10).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn

from ..engine.geometry import Pixel, Psi
from ..engine.recording import Recording, record, rows
from ..engine.validation import check, unwrapped
from . import axiom
from .batches import GRADIENTS_AT_ONCE, BatchExplanation, Part, explain_part, memory_budget
from .explanation import Explanation
from .layer import Layer
from .recorded import TOP, RecordedPicture, explanations
from .targets import Target, Targets, classes_of_each, one_for_each

__all__ = ["TOP", "TRGBP", "Explanation", "Layer", "RecordedPicture"]


class TRGBP:
    """Explain any rectifier network; see :func:`trgbp_core.engine.recording.record` for what that covers.

    ``target`` is one class a picture, as in captum: one for all, one for each, or None for each picture's best. ``targets`` are any number
    of classes of one picture. ``additional_forward_args``, one value or a tuple, is what the network is called with besides the pictures; a
    tensor among it has a row for each picture, and what it adds on the way counts as a bias.

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

    def record(self, x: Tensor, additional_forward_args: Any = None) -> RecordedPicture:
        """Run the forward pass of one picture, (1, C, H, W); ask the result for explanations.

        Raises:
            UnsupportedOperation: the network holds an operation that the theory does not cover.
            ValueError: ``x`` is not one picture, or does not fit the network.
        """
        check(self.network, x, pictures=False)
        if len(x) != 1:
            raise ValueError(f"explain takes one picture (1, C, H, W), not {len(x)}; explain_each takes batches, and so does attribute.")
        recording = self._record(x, forward_args(additional_forward_args, 1))
        axiom.hold(self.network, recording)
        return RecordedPicture(recording, guided=self.guided, network=ref(unwrapped(self.network)))

    def _record(self, x: Tensor, args: tuple[Any, ...]) -> Recording:
        return record(self.network, x, args=args, pictures=False, guided=self.guided, strict=self.strict)

    def explain(self, x: Tensor, targets: Target = None, additional_forward_args: Any = None) -> Explanation:
        """Explain one picture, (1, C, H, W): one forward and one backward pass for ``targets``, one class or several, and the top 5."""
        return self.record(x, additional_forward_args).explain(targets)

    def explain_each(self, x: Tensor, targets: Targets = None, additional_forward_args: Any = None) -> Iterator[Explanation]:
        """Explain every picture of a batch, (N, C, H, W), one after the other: the same as :meth:`explain` of each, in fewer passes.

        Pictures are taken in parts that fit into :func:`memory_budget`; what is kept of a part is what the caller keeps.

        Args:
            targets: one class for all pictures, a class for each, or a list of classes for each; by default each picture's best.
        """
        check(self.network, x, pictures=False)
        wanted, args = classes_of_each(targets, len(x)), forward_args(additional_forward_args, len(x))

        def each() -> Iterator[Explanation]:
            for part, recording in self._recordings(x, args, TOP + max(map(len, wanted))):
                yield from explanations(recording, wanted[part], guided=self.guided, network=ref(unwrapped(self.network)))

        return each()

    def attribute(
        self, x: Tensor, target: Target = None, additional_forward_args: Any = None, *, psi: Psi = "paper", pixel: Pixel | None = None
    ) -> Tensor:
        """R_k (Eq. 10) in captum's convention, (N, 1, H, W), signed.

        Args:
            x: (N, C, H, W).
            target: one class for all, or one for each picture; by default each picture's best class.
            psi, pixel: see :meth:`Explanation.attribution`.
        """
        check(self.network, x, pictures=False)
        classes: Sequence[int | None] = one_for_each(target, len(x)) or [None] * len(x)
        parts = self._parts(x, [[k] for k in classes], forward_args(additional_forward_args, len(x)))
        return torch.cat([part.attribution(psi, pixel)[0] for part in parts])

    def explain_batch(self, x: Tensor, targets: Targets = None, additional_forward_args: Any = None) -> BatchExplanation:
        """The whole maps of some classes of every picture of a batch, (N, C, H, W), without the layers': faster than :meth:`explain_each`.

        Pictures are taken in parts that fit into :func:`memory_budget`.

        Args:
            targets: one class for all pictures, a class for each, or a list of classes for each, as many for one as for the others; by
                default, and for None in a list, the picture's best.
        """
        check(self.network, x, pictures=False)
        wanted = classes_of_each(targets, len(x))
        return BatchExplanation(tuple(self._parts(x, wanted, forward_args(additional_forward_args, len(x)))))

    def _parts(self, x: Tensor, wanted: Sequence[Sequence[Any]], args: tuple[Any, ...]) -> Iterator[Part]:
        for part, recording in self._recordings(x, args, TOP + max(map(len, wanted))):
            yield explain_part(recording, wanted[part], TOP, guided=self.guided)

    def _recordings(self, x: Tensor, args: tuple[Any, ...], classes: int) -> Iterator[tuple[slice, Recording]]:
        """Recordings of as many pictures at a time as fit into memory, each with its place in the batch."""
        if len(x) > 1 and axiom.held(self.network, x) is None:
            varied = int(x.flatten(2).float().var(2, unbiased=False).sum(1).argmax())  # a picture of one colour would tell little
            two = slice(max(0, varied - 1), max(2, varied + 1))  # to see that they do not mix
            axiom.hold(self.network, self._record(x[two], rows(args, two)))
        at_once = self._at_once(x, classes)
        for start in range(0, len(x), at_once):
            part = slice(start, start + at_once)
            recording = self._record(x[part], rows(args, part))
            axiom.hold(self.network, recording)
            yield part, recording

    def _at_once(self, x: Tensor, classes: int) -> int:
        """How many pictures' gradients for ``classes`` classes fit into :func:`memory_budget`, by the first recording."""
        known = axiom.held(self.network, x)
        if known is None:
            return 1
        gradients = GRADIENTS_AT_ONCE * classes * known.largest * x.element_size()
        return max(1, memory_budget(x.device) // (known.bytes_per_picture + gradients))


def forward_args(additional: Any, pictures: int) -> tuple[Any, ...]:
    """Captum's ``additional_forward_args`` as a tuple.

    Raises:
        ValueError: a tensor among them has another number of rows than there are pictures.
    """
    found = () if additional is None else additional if isinstance(additional, tuple) else (additional,)
    for value in found:
        if isinstance(value, Tensor) and (not value.dim() or len(value) != pictures):
            raise ValueError(
                f"additional_forward_args: a tensor has a row for each picture, {pictures} here; its shape is {tuple(value.shape)}. What "
                "is the same for all pictures can be expanded: t.expand(len(x), …)."
            )
    return tuple(value.detach() if isinstance(value, Tensor) else value for value in found)
