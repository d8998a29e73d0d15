"""The evaluation mode of a network, without a change to the network: a copy of its modules that shares all of its tensors."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

from .validation import unwrapped


def evaluation_copy(network: nn.Module) -> nn.Module:
    """A copy of the module tree of ``network`` in which every module reads ``self.training`` as False.

    Parameters and buffers are the caller's own tensors; what a forward pass sets on a module stays with the copy. Modules in plain lists,
    tuples and dictionaries are copied too, and so are methods bound to one of the modules, ``forward`` among them, and functions that close
    over one. What ``torch.compile`` or ``nn.DataParallel`` has wrapped, whole or in part, is taken out of its wrapper; hooks of backward
    passes are left out.
    """
    return _Copy(evaluation=True).module(network)


def shared_copy(network: nn.Module) -> nn.Module:
    """The same, in the mode that ``network`` is in, for putting other tensors into it."""
    return _Copy(evaluation=False).module(network)


_eager = threading.Lock(), ExitStack(), [0]


@contextmanager
def uncompiled() -> Iterator[None]:
    """Functions that ``torch.compile`` has wrapped run as they were written, as long as one thread is in here."""
    lock, stance, inside = _eager
    with lock:
        inside[0] += 1
        if inside[0] == 1 and "torch._dynamo" in sys.modules:
            stance.enter_context(torch.compiler.set_stance("force_eager"))
    try:
        yield
    finally:
        with lock:
            inside[0] -= 1
            if not inside[0]:
                stance.close()


class _Copy:
    def __init__(self, *, evaluation: bool) -> None:
        self._evaluation = evaluation
        self._copies: dict[int, nn.Module] = {}

    def module(self, original: nn.Module) -> nn.Module:
        original = unwrapped(original)
        known = self._copies.get(id(original))
        if known is not None:
            return known
        copy: nn.Module = object.__new__(original.__class__)  # torch.fx would make a class of its own for each
        self._copies[id(original)] = copy
        own = {
            "training": original.training and not self._evaluation,
            "_parameters": dict(original._parameters),
            "_buffers": dict(original._buffers),
            "_modules": {key: None if m is None else self.module(m) for key, m in original._modules.items()},
            "_backward_hooks": OrderedDict(),
            "_backward_pre_hooks": OrderedDict(),
            "_compiled_call_impl": None,
        }
        copy.__dict__.update({key: own[key] if key in own else self.value(value) for key, value in original.__dict__.items()})
        return copy

    def value(self, value: Any) -> Any:
        """An attribute's value, with copies in the place of modules; a tensor that carries a gradient of its own is a constant here."""
        if isinstance(value, nn.Module):
            return value if isinstance(value, torch.jit.ScriptModule) else self.module(value)
        if type(value) in (list, tuple):
            found = [self.value(v) for v in value]
            return value if all(a is b for a, b in zip(found, value, strict=True)) and isinstance(value, tuple) else type(value)(found)
        if type(value) in (dict, OrderedDict):
            return type(value)((key, self.value(v)) for key, v in value.items())
        if isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
            return MethodType(value.__func__, self.module(value.__self__))
        if isinstance(value, partial):
            return partial(self.value(value.func), *map(self.value, value.args), **{k: self.value(v) for k, v in value.keywords.items()})
        if isinstance(value, FunctionType) and (value.__closure__ or value.__defaults__ or value.__kwdefaults__):
            return self.function(value)
        if type(value) is deque:
            return deque(map(self.value, value), value.maxlen)
        if not isinstance(value, type) and any(map(_holds_module, getattr(value, "__dict__", {}).values())):
            holder = object.__new__(type(value))
            holder.__dict__.update({key: self.value(v) for key, v in value.__dict__.items()})
            return holder
        if isinstance(value, Tensor) and value.requires_grad and not isinstance(value, nn.Parameter):
            return value.detach()
        return value

    def function(self, function: FunctionType) -> FunctionType:
        """``function``, with copies in the place of modules that it closes over."""
        cells = []
        for cell in function.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:  # not filled yet
                held = None
            found = self.value(held) if _holds_module(held) else held
            cells.append(cell if found is held else CellType(found))
        defaults = tuple(self.value(v) if _holds_module(v) else v for v in function.__defaults__ or ())
        named = {key: self.value(v) if _holds_module(v) else v for key, v in (function.__kwdefaults__ or {}).items()}
        before = [*(function.__closure__ or ()), *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        if all(new is old for new, old in zip([*cells, *defaults, *named.values()], before, strict=True)):
            return function
        copy = FunctionType(function.__code__, function.__globals__, function.__name__, defaults or None, tuple(cells) or None)
        copy.__kwdefaults__, copy.__dict__ = named or None, dict(function.__dict__)  # type: ignore[assignment]
        return copy


def _holds_module(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_module, value))
    if isinstance(value, dict):
        return any(map(_holds_module, value.values()))
    return isinstance(value.__self__ if isinstance(value, MethodType) else value, nn.Module)
