"""What the tape notes of a forward pass: layers, their names, and where a tensor comes from."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from .geometry import Size, Window
from .rectifiers import zero_padding
from .rules import Affine
from .torch_ops import ADDITIVE, PADS, same_memory, tensors


@dataclass(frozen=True)
class LayerRecord:
    """A bias-carrying layer as the forward pass met it. ``tap`` is the leaf whose gradient is the layer's bias map.

    ``transposed``: the layer sees rows for columns, so that its maps are to be transposed to lie as the picture does.
    """

    name: str
    kind: str
    affine: Affine
    window: Window
    tap: Tensor | None
    has_bias: bool
    filters: int
    taps: int
    transposed: bool = False


@dataclass(frozen=True)
class Origin:
    """Where a tensor comes from, as far as the next operation may need to know."""

    layers: tuple[int, ...] = ()
    source: Tensor | None = None
    padding: tuple[int, ...] | None = None
    flattened: Size | None = None


class Origins:
    """The origin of tensors, forgotten as soon as an operation in place changes the tensor, or what it comes from."""

    def __init__(self) -> None:
        self._known: Any = WeakTensorKeyDictionary()

    def __setitem__(self, tensor: Tensor, origin: Origin) -> None:
        self._known[tensor] = tensor.grad_fn, origin, None if origin.source is None else origin.source.grad_fn

    def get(self, tensor: Tensor) -> Origin | None:
        found = self._known.get(tensor)
        if found is None or found[0] is not tensor.grad_fn:
            return None
        origin: Origin = found[1]
        if origin.source is not None and origin.source.grad_fn is not found[2]:
            return replace(origin, source=None)
        return origin

    def follow(self, result: Tensor, x: Tensor, spatial: Size | None, name: str, args: Any, kwargs: Any) -> None:
        """Note the origin of ``result``, a sum, a flattened map or a padding of ``x``, whose map lies along the axes ``spatial``."""
        if name in ADDITIVE:
            # Of a sum in place its first operand's origin, from before it was written to, counts.
            known = [self._known.get(t, (None, None))[1] if t is result else self.get(t) for t in tensors(args, kwargs)]
            self[result] = Origin(layers=tuple(dict.fromkeys(i for origin in known if origin is not None for i in origin.layers)))
        elif spatial != tuple(range(2, x.dim())):
            return
        elif name in ("flatten", "reshape", "squeeze") and result.dim() == 2 and len(result) == len(x):
            self[result] = Origin(flattened=tuple(x.shape[2:]))
        elif name in PADS and (padding := zero_padding(*args, **kwargs)) is not None:
            self[result] = Origin(source=x, padding=padding)

    def forget(self, tensor: Tensor) -> None:
        self._known.pop(tensor, None)


class Names:
    """The names of one network's parameters and modules, and how often each has been used in one forward pass.

    A layer is called after the module that holds its parameters, or else after the one whose ``forward`` is running.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._parameters: dict[int, str] = {}
        self._modules: dict[int, str] = {}
        self._own: list[Tensor] = []
        for name, module in network.named_modules():
            self._modules[id(module)] = name
            self._own += [t for t in (*module._parameters.values(), *module._buffers.values()) if t is not None]
            for key, parameter in module._parameters.items():
                self._parameters.setdefault(id(parameter), f"{name}.{key}" if name else key)
        self._uses: Counter[str] = Counter()

    def owner_of_memory(self, value: Tensor) -> str | None:
        """What of the network's own ``value`` shares its memory with: ``parameter``, ``buffer`` or None."""
        own = next((own for own in self._own if value is own or same_memory(value, own)), None)
        return None if own is None else "parameter" if isinstance(own, nn.Parameter) else "buffer"

    def holder(self, parameter: Tensor, fallback: str) -> str:
        """The module that holds ``parameter``; one that no module holds is called after the running module and ``fallback``."""
        name = self._parameters.get(id(parameter))
        return name.rpartition(".")[0] or name if name is not None else f"{self.running()}.{fallback}"

    def unique(self, name: str) -> str:
        """A layer that runs again (a reused module) is another layer: ``name#2``."""
        self._uses[name] += 1
        return name if self._uses[name] == 1 else f"{name}#{self._uses[name]}"

    def running(self) -> str:
        """The innermost module whose ``forward`` is running, for layers and errors that no parameter names."""
        frame = sys._getframe(1)
        while frame is not None:
            owner = frame.f_locals.get("self") if frame.f_code.co_name == "forward" else None
            if isinstance(owner, nn.Module) and id(owner) in self._modules:
                return self._modules[id(owner)] or type(owner).__name__
            frame = frame.f_back  # type: ignore[assignment]
        return type(self._network).__name__
