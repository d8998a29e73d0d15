"""The evaluation mode of a network, without a change to the network: a copy of its modules that shares all of its tensors."""

from __future__ import annotations

from collections import OrderedDict
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from .validation import unwrapped


def evaluation_copy(network: nn.Module) -> nn.Module:
    """A copy of the module tree of ``network`` in which every module reads ``self.training`` as False.

    Parameters and buffers are the caller's own tensors; what a forward pass sets on a module stays with the copy. Modules in plain lists,
    tuples and dictionaries are copied too, and so are methods bound to one of the modules, ``forward`` among them. What
    ``torch.compile`` or ``nn.DataParallel`` has wrapped, whole or in part, is taken out of its wrapper; hooks of backward passes are left out.
    """
    return _Copy().module(network)


class _Copy:
    def __init__(self) -> None:
        self._copies: dict[int, nn.Module] = {}

    def module(self, original: nn.Module) -> nn.Module:
        original = unwrapped(original)
        known = self._copies.get(id(original))
        if known is not None:
            return known
        copy = original.__class__.__new__(original.__class__)
        self._copies[id(original)] = copy
        attributes = {key: self.value(value) for key, value in original.__dict__.items()}
        attributes |= {
            "training": False,
            "_parameters": dict(original._parameters),
            "_buffers": dict(original._buffers),
            "_modules": {key: None if m is None else self.module(m) for key, m in original._modules.items()},
            "_backward_hooks": OrderedDict(),
            "_backward_pre_hooks": OrderedDict(),
        }
        if "_compiled_call_impl" in attributes:
            attributes["_compiled_call_impl"] = None
        copy.__dict__.update(attributes)
        return copy

    def value(self, value: Any) -> Any:
        """An attribute's value, with copies in the place of modules; a tensor that carries a gradient of its own is a constant here."""
        if isinstance(value, nn.Module):
            return value if isinstance(value, torch.jit.ScriptModule) else self.module(value)
        if type(value) in (list, tuple):
            return type(value)(self.value(v) for v in value)
        if type(value) in (dict, OrderedDict):
            return type(value)((key, self.value(v)) for key, v in value.items())
        if isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
            return MethodType(value.__func__, self.module(value.__self__))
        if isinstance(value, Tensor) and value.requires_grad and not isinstance(value, nn.Parameter):
            return value.detach()
        return value
