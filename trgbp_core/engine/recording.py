"""The way in: call a network once under a tape, then go backward as often as there are classes to ask about."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from . import devices
from .evaluation_mode import uncompiled
from .graph_walk import Graph
from .layers import LayerRecord
from .rectifiers import Gate
from .tape import Tape
from .tensor_notes import Untracked
from .torch_ops import mapped
from .validation import check


@dataclass(frozen=True)
class Recording:
    """A recorded forward pass, ready for any number of backward passes.

    Attributes:
        network: the copy that was called. logits: (N, classes), detached.
        layers: bias-carrying layers from input to output; only those whose bias (or saturated rectifier) the logits depend on.
        rectified: names of the layers that a rectifier follows, directly or after an addition.
        gates: the rectifiers' states.
        let_through: operations outside the theory that ``strict=False`` let through, as ``module: operation``.
        args: what the network was called with besides the input; a tensor among it has a row for each picture.
    """

    network: nn.Module
    input: Tensor
    output: Tensor
    graph: Graph
    logits: Tensor
    layers: tuple[LayerRecord, ...]
    rectified: frozenset[str]
    gates: tuple[Gate, ...]
    let_through: tuple[str, ...]
    args: tuple[Any, ...] = ()

    @property
    def largest(self) -> int:
        """How many numbers the largest activation behind a rectifier holds, all pictures together."""
        return max((gate.numel for gate in self.gates), default=self.input.numel())

    @property
    def nbytes(self) -> int:
        """What is kept for the backward passes, but for the network's own tensors."""
        return self.graph.nbytes + sum(gate.nbytes for gate in self.gates)

    def pack(self) -> None:
        """Keep the rectifiers' states as bits: far less memory, the same results, a little more time for each backward pass."""
        for gate in self.gates:
            gate.pack()

    def check_numbers(self) -> None:
        """Raises ValueError where the logits hold NaN or infinite numbers. Waits for a card, and so comes last."""
        if not bool(self.logits.isfinite().all()):
            raise ValueError(_no_numbers(self.network, self.logits.dtype))

    def backward(self, cotangents: Tensor, *, guided: bool = True) -> tuple[Tensor, list[Tensor]]:
        """One backward pass for ``cotangents``, (K, N, classes), one-hot for a class; by Eq. 4 if ``guided``, else ordinary.

        Returns:
            the gradient at the input (K, N, C, H, W), and each layer's bias map Σ_o b'_o g_o (K, N, 1, h_out, w_out), not yet spread.
        """
        leaves = [self.input, *(layer.tap for layer in self.layers if layer.tap is not None)]
        with without_autocast(self.input.device):
            gradient, *maps = self.graph.backward(cotangents.to(self.output), leaves, guided=guided)
        return gradient, maps


def record(
    network: nn.Module, x: Tensor, *, args: tuple[Any, ...] = (), tape: Tape | None = None, pictures: bool = True, **options: Any
) -> Recording:
    """Call ``network(x, *args)`` once under ``tape``, by default ``Tape(network, **options)``.

    Args:
        network: any module that maps (N, C, H, W) to (N, classes); explained in evaluation mode whatever mode it is in, never changed.
            What ``torch.compile`` or ``nn.DataParallel`` has wrapped is taken out of its wrapper.
        x: (N, C, H, W), normalised; or, unless they are to be ``pictures``, signals (N, C, T) or volumes (N, C, D, H, W).

    Raises:
        UnsupportedOperation: an operation outside the theory, named.
        UnsuitableNetwork: a scripted, quantised, exported or in parts compiled network.
        ValueError: the input or the output has not the shape of a classifier's, or does not fit the network.
    """
    check(network, x, pictures=pictures)
    tape = tape or Tape(network, **options)
    leaf, output = _called(tape, x, args)
    graph = Graph(output)
    tape.verify(graph.nodes, output)
    # A layer whose batch norm was folded in, or an unused branch, is not on the way.
    has_bias = [(i, layer) for i, layer in enumerate(tape.layers) if layer.has_bias or i in tape.saturating]
    kept = [(i, layer) for i, layer in has_bias if graph.reaches(layer.tap)]
    recording = Recording(
        network=tape.network,
        input=leaf,
        output=output,
        graph=graph,
        logits=output.detach(),
        layers=tuple(layer for _, layer in kept),
        rectified=frozenset(layer.name for i, layer in kept if i in tape.rectified),
        gates=tuple(tape.gates),
        let_through=tuple(dict.fromkeys(tape.outside)),
        args=args,
    )
    if x.device.type == "cpu":
        recording.check_numbers()
    return recording


def rows(args: tuple[Any, ...], part: slice) -> tuple[Any, ...]:
    """What the network is called with besides the pictures of ``part``: of every tensor those rows."""
    return tuple(value[part] if isinstance(value, Tensor) else value for value in args)


def own(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copies of the tensors among ``args``, which the network may write to, as constants."""
    return mapped(args, lambda t: t.detach().clone())  # type: ignore[no-any-return]


def _called(tape: Tape, x: Tensor, args: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
    """The leaf that the picture ``x`` was for the tape's network, and what it made of it, connected to the leaf."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = x.detach().clone(memory_format=devices.layout(x.device, x.dim())).requires_grad_()
        tape.picture = leaf.clone()  # the network may write to its input
        tape.notes.pictures, tape.notes.axes = len(x), tuple(range(2, x.dim()))
        with tape, without_autocast(x.device):
            output = logits_of(forward(tape.network, tape.picture, own(args)))
        tape.unfold_checkpoint(output)
        output = tape.current(output)
    if len(output) != len(x):
        raise ValueError(f"The network returned {len(output)} rows of logits for {len(x)} pictures: return one for each.")
    if not output.requires_grad:
        raise ValueError(_independent(tape.notes.untracked(output)))
    return leaf, output


def forward(network: nn.Module, x: Tensor, args: tuple[Any, ...] = ()) -> Any:
    try:
        with uncompiled():
            return network(x, *args)
    except (torch.OutOfMemoryError, ValueError):
        raise
    except Exception as error:  # whatever the network itself raises
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"The network cannot read an input of {tuple(x.shape)}: {reason}") from error


def without_autocast(device: torch.device) -> Any:
    """Both directions run in the network's own precision, whatever the caller has switched on."""
    return torch.autocast(device.type, enabled=False) if torch.amp.is_autocast_available(device.type) else nullcontext()


def logits_of(output: Any) -> Tensor:
    if isinstance(output, dict):
        output = output.get("logits", output.get("out", next(iter(output.values()), None)))
    elif not isinstance(output, Tensor):
        output = getattr(output, "logits", output[0] if isinstance(output, (tuple, list)) and output else output)
    if isinstance(output, Tensor) and output.dim() == 1:
        raise ValueError(
            f"The network must return logits of shape (N, classes); it returned {tuple(output.shape)}: return (N, 1), "
            "as logits[:, None] does."
        )
    if not isinstance(output, Tensor) or output.dim() != 2 or not output.shape[1]:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"The network must return logits of shape (N, classes); it returned {shape}.")
    return output


def _no_numbers(network: nn.Module, dtype: torch.dtype) -> str:
    broken = [name for name, t in [*network.named_parameters(), *network.named_buffers()] if not bool(t.isfinite().all())]
    if broken:
        others = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        return f"The network's logits hold NaN or infinite numbers: so do its own tensors, {broken[0]!r}{others}. Load sound weights."
    return (
        f"The network's logits hold NaN or infinite numbers, though its weights are finite: it overflows in {dtype}, or is called with "
        "such numbers besides the picture."
    )


def _independent(untracked: Untracked | None) -> str:
    if untracked is None:
        return "The network's output does not depend on the picture: there is nothing to explain."
    return (
        f"The network's output is computed from the picture, but without its gradient, by {untracked.by!r}: nothing can be carried back. "
        "A frozen part needs neither torch.no_grad() nor detach(): requires_grad_(False) on its parameters does the same for training."
    )
