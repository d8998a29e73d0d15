"""The decomposition's own axiom, which every network is held against before its first explanation.

With the ordinary gradient in place of the guided one, the shares of the pixels and of every layer's biases add up to the logit exactly.
They do not where a network computes something that the tape could not follow, whatever it was: then the answer is a sentence, not a map.
A mask made out of the tape's sight adds up all the same, for it looks like a constant; but on another picture it is another one.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..engine.evaluation_mode import shared_copy
from ..engine.plain_passes import plain_logits
from ..engine.recording import Recording, record, rows
from ..engine.torch_ops import mapped
from ..engine.validation import UnsuitableNetwork, UnsupportedOperation
from .targets import one_hot

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}
"""Relative, by precision: what rounding leaves of a sum over some hundred layers, with a margin."""
LOWER_PRECISION = 5e-2
ROUNDINGS = 64
"""How many roundings of every share are granted besides."""


class AxiomFailed(UnsuitableNetwork):
    """The shares of pixels and biases do not add up to the logit: the network does something that the engine could not follow."""


@dataclass(frozen=True)
class Held:
    """What the first recording of a network measured: the bytes that a picture takes, and the size of its largest activation."""

    bytes_per_picture: int
    largest: int


_lock = threading.Lock()
_known: WeakKeyDictionary[nn.Module, dict[Hashable, Held]] = WeakKeyDictionary()


def held(network: nn.Module, x: Tensor) -> Held | None:
    """What is known of ``network`` for one picture like ``x``, or for several; None before its first recording of such."""
    with _lock:
        return _known.get(network, {}).get((_shape(x), len(x) > 1))


def inherit(copy: nn.Module, original: nn.Module) -> None:
    """``copy`` runs the same operations as ``original`` with other numbers, and needs no check of its own."""
    with _lock:
        _known[copy] = _known.setdefault(original, {})


def hold(network: nn.Module, recording: Recording) -> None:
    """Hold a recording of ``network`` against the axiom; once for a shape of input and the operations that ran.

    Args:
        recording: on pictures (N, C, H, W). One that lets operations outside the theory through has no axiom to hold.

    Raises:
        AxiomFailed: the shares do not add up, or the logits are not the network's own; the message says by how much.
    """
    x = recording.input
    checked = (_shape(x), len(x) > 1, recording.graph.signature)
    with _lock:
        known = _known.setdefault(network, {})
        if checked in known:
            return
    if not recording.let_through:
        _check(network, recording)
        if x.dtype not in TOLERANCE:
            _check_in_single_precision(network, recording)
    found = Held(recording.nbytes // len(x), recording.largest // len(x))
    with _lock:
        known[checked[:2]] = found
        if not recording.let_through and not of_one_colour(x):
            known[checked] = found


def of_one_colour(x: Tensor) -> bool:
    """Is each picture, (N, C, H, W), of one colour? Such pictures tell too little of others."""
    flat = x.flatten(2)
    return bool((flat == flat[..., :1]).all())


def _check_in_single_precision(network: nn.Module, recording: Recording) -> None:
    """What a lower precision leaves too much room for, where the network also runs in single precision."""
    wide = shared_copy(network)
    for module in wide.modules():
        own: list[dict[str, Any]] = [module._parameters, module._buffers]
        for of in own:
            of.update({key: t.detach().float() for key, t in of.items() if t is not None and t.is_floating_point()})
    args = mapped(recording.args, lambda t: t.float() if t.is_floating_point() else t)
    try:
        found = record(wide, recording.input.detach().float(), args=args, pictures=False)
    except UnsupportedOperation:
        raise
    except ValueError:  # it is written for the lower one
        return
    _check(wide, found)


def _shape(x: Tensor) -> Hashable:
    return tuple(x.shape[1:]), x.dtype, x.device.type


def _check(network: nn.Module, recording: Recording) -> None:
    x, logits = recording.input.detach(), recording.logits
    tolerance = TOLERANCE.get(x.dtype, LOWER_PRECISION)
    best = logits.argmax(1)[None]
    gradient, maps = recording.backward(one_hot(best, logits), guided=False)
    wide = torch.promote_types(x.dtype, torch.float32)
    shares = [share.flatten(1).to(wide) for share in (x * gradient[0], *(m[0] for m in maps))]
    parts = torch.stack([share.sum(1) for share in shares])
    scale = torch.maximum(logits.abs().amax(1).to(parts), parts.abs().sum(0))
    # Where all of it cancels, what is left is rounding.
    added = x.abs().flatten(1).amax(1) + sum(share.abs().sum(1) for share in shares)
    scale += ROUNDINGS * torch.finfo(x.dtype).eps / tolerance * added
    each = (slice(i, i + 1) for i in range(len(x)))
    alone = torch.cat([plain_logits(network, x[one], rows(recording.args, one)) for one in each])
    off = _relative((alone - logits).abs().amax(1), scale)
    if not off <= tolerance:
        raise AxiomFailed(
            f"Called once more on the same {'pictures, one by one' if len(x) > 1 else 'picture'}, the network returns other logits "
            f"({off:.2g} of them off). It keeps something from call to call, draws random numbers, mixes the pictures of a batch, depends "
            "on how its input lies in memory, or writes to its tensors in a way that cannot be followed; it cannot be explained like this."
        )
    off = _relative(parts.sum(0) - logits.gather(1, best.T)[:, 0], scale)
    if not off <= tolerance:
        raise AxiomFailed(
            f"With the ordinary gradient the shares of pixels and biases add up to the logit; here they miss it by {off:.2g} of it, in "
            f"{x.dtype}. The network does something that the engine could not follow: a value that bypasses autograd (numpy, .data, an "
            "operator of one's own), or a write to a part of a tensor that another name refers to. Write that step with torch's own "
            "operations on whole tensors, and in one precision."
        )

    if not _same_constants(recording, _of_another_picture(recording)):
        raise AxiomFailed(
            "What this network multiplies by, adds or picks by ought to be the same for every picture; with another picture it is not. "
            "It is computed from the picture where the engine cannot see it: in another thread, in a scripted function, or as a parameter "
            "that is made within forward. Write that step with torch's own operations, in forward itself."
        )


def _of_another_picture(recording: Recording) -> Recording | None:
    """The same network's recording of other pictures; None where it refuses them."""
    x = recording.input.detach()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    try:
        return record(recording.network, x.flip(-1) + noise.to(x), args=recording.args, pictures=False)
    except ValueError:
        return None


def _same_constants(recording: Recording, other: Recording | None) -> bool:
    """Do both, as far as they run the same operations, run them with the same constants?"""
    if other is None:
        return True
    here, there = recording.graph.constants(), other.graph.constants()
    if [name for name, _ in here] != [name for name, _ in there]:
        return True
    pairs = (pair for (_, a), (_, b) in zip(here, there, strict=True) for pair in zip(a, b, strict=False))
    return all(a.data_ptr() == b.data_ptr() or _same(a, b) for a, b in pairs)


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())  # what is no number is not equal to itself


def _relative(gap: Tensor, scale: Tensor) -> float:
    return float((gap.detach().abs() / scale.detach().clamp_min(torch.finfo(scale.dtype).tiny)).max())
