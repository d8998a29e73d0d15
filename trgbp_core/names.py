"""What the tape calls a layer: the name of the module that holds its parameters, or of the one whose ``forward`` is running."""

from __future__ import annotations

import sys
from collections import Counter

from torch import Tensor, nn


class Names:
    """The names of one network's parameters and modules, and how often each has been used in one forward pass."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._parameters: dict[int, str] = {}
        self._modules: dict[int, str] = {}
        self._own: set[int] = set()
        for name, module in network.named_modules():
            self._modules[id(module)] = name
            self._own.update(id(t) for t in module._buffers.values())
            for key, parameter in module._parameters.items():
                self._parameters.setdefault(id(parameter), f"{name}.{key}" if name else key)
        self._own.update(self._parameters)
        self._uses: Counter[str] = Counter()

    def owns(self, value: object) -> bool:
        """Is it one of the network's parameters or buffers?"""
        return id(value) in self._own

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
