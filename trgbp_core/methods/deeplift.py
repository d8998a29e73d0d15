"""DeepLIFT: how the change of the score against a reference picture is shared among the pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..engine.recording import record
from ..engine.torch_ops import detached
from ..trgbp.targets import Target, one_hot, per_picture
from .gradients import baseline_for
from .registry import Progress, register
from .rule_tape import RuleTape, call, dependent, substitute

CHOICES = frozenset(
    """max_pool1d max_pool2d max_pool2d_with_indices _max_pool2d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool2d_with_indices
    _adaptive_max_pool2d amax max maximum""".split()
)


@dataclass
class _MultiplierTape(RuleTape):
    """Runs pictures and references as one batch, [x; x0], and carries multipliers back in the rows of the pictures.

    Linear operations have their ordinary gradient for a multiplier (Shrikumar et al. 2017, Section 3.5.1).
    """

    method: str = "DeepLIFT"

    __hash__ = object.__hash__

    def rectifier_back(self, z: Tensor, ceiling: float) -> Callable[[Tensor], Tensor]:
        """The rescale rule (Section 3.5.2): Δout / Δz, the ordinary gradient where Δz = 0."""
        change, effect = _difference(z), _difference(z.clamp(0, ceiling))
        here = z[: len(change)]
        slope = torch.where(change == 0, ((here > 0) & (here < ceiling)).to(z), effect / torch.where(change == 0, 1.0, change))
        return lambda multiplier: _pictures_only(multiplier[: len(slope)] * slope)

    def _ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        inputs = dependent(args, kwargs)
        if not inputs or getattr(func, "__name__", "") not in CHOICES:
            return super()._ordinary(func, args, kwargs)
        kept = [t.detach().clone() for t in inputs]
        args, kwargs = detached(args), {k: detached(v) for k, v in kwargs.items()}
        result = call(func, args, kwargs, inputs, [t.detach() for t in inputs])
        chosen = result if isinstance(result, Tensor) else result[0]

        def back(multiplier: Tensor) -> list[Tensor]:
            with torch.enable_grad():
                leaves = [t.requires_grad_() for t in kept]
                again = call(func, args, kwargs, inputs, [t.clone() for t in leaves])
                again = again if isinstance(again, Tensor) else again[0]
                # A rise goes to the largest input in the picture, a fall to the largest in the reference.
                shares = torch.autograd.grad(again, leaves, _rise_and_fall(multiplier, again.detach()))
            return [_per_change(share, t.detach()) for share, t in zip(shares, kept, strict=True)]

        out = substitute(back, lambda: chosen, inputs)
        return out if isinstance(result, Tensor) else type(result)([out, *result[1:]])


def _difference(both: Tensor) -> Tensor:
    """Picture minus reference, from [pictures; references]."""
    half = len(both) // 2
    return both[:half] - both[half:]


def _pictures_only(rows: Tensor) -> Tensor:
    return torch.cat([rows, torch.zeros_like(rows)])


def _rise_and_fall(multiplier: Tensor, out: Tensor) -> Tensor:
    """What a maximum's change is worth: its rise to the common height in the pictures' rows, its fall from there in the references'."""
    half = len(out) // 2
    here, there = out[:half], out[half:]
    height = torch.maximum(here, there)
    return torch.cat([(height - there) * multiplier[:half], (here - height) * multiplier[:half]])


def _per_change(share: Tensor, x: Tensor) -> Tensor:
    """Multipliers from contributions: an input's share over its own change, which is not 0 where the share is not."""
    change = _difference(x)
    half = len(change)
    total = share[:half] + share[half:]
    return _pictures_only(torch.where(change == 0, 0.0, total / torch.where(change == 0, 1.0, change)))


@register(
    "deep_lift",
    title="DeepLIFT",
    family="references",
    citation="Shrikumar et al. 2017",
    what="The change of the class score against a reference picture (the mean colour), shared among the units by how much each changed.",
    promise="The shares add up to the change of the score, even where the gradient is zero.",
    failure="A pixel that equals the reference gets no share; another reference gives another map.",
    signed=True,
    cost=10,
)
@torch.inference_mode(False)
def deep_lift(
    network: nn.Module, x: Tensor, target: Target = None, *, reference: Tensor | None = None, progress: Progress | None = None
) -> Tensor:
    """DeepLIFT with the rescale rule (Shrikumar et al. 2017, Section 3.5.2): contributions m_i Δx_i, summed over the colours.

    (N, 1, H, W), signed.

    ``Σ m_i Δx_i = f_k(x) − f_k(x0)`` exactly: also with functional, reused and in-place rectifiers, with ReLU6, and with max-pooling,
    overlapping or not. There a maximum's change from o0 to o is shared as in captum: the rise ``max(o, o0) − o0`` goes to the largest
    input in the picture, the fall ``o − max(o, o0)`` to the largest in the reference; of several equal ones, as a constant reference
    makes them, to one. Batch norms and averages are linear.

    Args:
        reference: x0, broadcast to the pictures. By default zeros in normalised space, the picture of the data set's mean colour.

    Raises:
        NotApplicable: the network holds something that is neither linear, nor a maximum, nor a rectifier.
        ValueError: ``reference`` does not fit the pictures.
    """
    start = baseline_for(x, 0.0 if reference is None else reference)
    recording = record(network, torch.cat([x, start]), tape=_MultiplierTape(network))
    logits = recording.logits[: len(x)]
    cotangent = one_hot(per_picture(target, logits)[None], logits)[0]
    (multiplier,) = torch.autograd.grad(recording.output, recording.input, _pictures_only(cotangent))
    return (multiplier[: len(x)] * (x - start)).detach().sum(1, keepdim=True)
