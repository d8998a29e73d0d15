"""The evaluation mode of a network, without a change to the network: a copy of its modules that shares all of its tensors."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, CellType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any
from weakref import ReferenceType, ref

import torch
from torch import Tensor, nn

from .validation import UnsuitableNetwork, unwrapped


def evaluation_copy(network: nn.Module) -> nn.Module:
    """A copy of the module tree of ``network`` in which every module reads ``self.training`` as False.

    Parameters and buffers are the caller's own tensors, unless a module in training mode has a ``train`` of its own, which then runs on
    copies of them; what a forward pass sets on a module stays with the copy. Modules in plain lists, tuples and dictionaries are copied
    too, and so are methods bound to one of the modules, ``forward`` among them, functions that close over one, and objects that lead to
    one. What several of them share, their copies share too. What ``torch.compile`` or ``nn.DataParallel`` has wrapped, whole or in part, is
    taken out of its wrapper; hooks of backward passes are left out.

    Raises:
        UnsuitableNetwork: a module in training mode has a ``train`` of its own, and cannot be copied or is not a submodule; or functions
            or objects lead back to themselves too deeply.
    """
    return _copied(network, evaluation=True)


def shared_copy(network: nn.Module) -> nn.Module:
    """The same, in the mode that ``network`` is in, for putting other tensors into it."""
    return _copied(network, evaluation=False)


def _copied(network: nn.Module, *, evaluation: bool) -> nn.Module:
    own = next((m for m in network.modules() if m.training and _has_own_train(m)), None) if evaluation else None
    if own is not None:
        try:
            network = deepcopy(network).eval()  # which may do more than set the mode, to tensors too
        except Exception:  # torch copies no tensor that was computed, Python no lock
            raise _own_train(own) from None
    try:
        return _Copy(network, evaluation=evaluation).module(network)
    except RecursionError:
        raise UnsuitableNetwork("The network holds functions or objects that lead back to themselves too deeply to be copied.") from None


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


def _has_own_train(module: nn.Module) -> bool:
    """Not those of these libraries, which choose kernels or cache constants, and compute the same."""
    train = getattr(type(module), "train", nn.Module.train)  # a proxy's type has none
    return train is not nn.Module.train and train.__module__.partition(".")[0] not in ("transformers", "timm", "lightning")


def _own_train(module: nn.Module) -> UnsuitableNetwork:
    return UnsuitableNetwork(
        f"{type(module).__name__} has a train() of its own, which may do more than set the mode: call eval() first, on the network or, "
        "where this module is not a submodule of it, on the module."
    )


class _Copy:
    """One copy of a module tree: whatever several modules share, their copies share one copy of."""

    def __init__(self, network: nn.Module, *, evaluation: bool) -> None:
        self._evaluation = evaluation
        self._held = _held(network)
        self._copies: dict[int, tuple[Any, Any]] = {}  # id → the original, kept alive, and its copy
        self._barren: set[int] = set()  # of objects through which no module is reached

    def module(self, original: nn.Module) -> nn.Module:
        original = unwrapped(original)
        if (known := self._copies.get(id(original))) is not None:
            return known[1]  # type: ignore[no-any-return]
        if self._evaluation and original.training and _has_own_train(original):
            raise _own_train(original)
        new: nn.Module = object.__new__(original.__class__)  # torch.fx would make a class of its own for each
        self._copies[id(original)] = original, new
        own = {
            "training": original.training and not self._evaluation,
            "_parameters": dict(original._parameters),
            "_buffers": dict(original._buffers),
            "_modules": {key: None if m is None else self.module(m) for key, m in original._modules.items()},
            "_backward_hooks": OrderedDict(),
            "_backward_pre_hooks": OrderedDict(),
            "_compiled_call_impl": None,
        }
        new.__dict__.update({key: own[key] if key in own else self.value(value) for key, value in original.__dict__.items()})
        for name, value in _slots(original):
            object.__setattr__(new, name, self.value(value))
        return new

    def value(self, value: Any) -> Any:
        """An attribute's value, with copies in the place of modules, of lists, dictionaries and sets, and of objects that hold modules.

        A tensor that carries a gradient of its own is a constant here.
        """
        if type(value) in SIMPLE or isinstance(value, PLAIN):
            return value
        if (known := self._copies.get(id(value))) is not None:
            return known[1]
        if isinstance(value, nn.Module):
            return value if isinstance(value, torch.jit.ScriptModule) else self.module(value)
        if isinstance(value, Tensor):
            return value.detach() if value.requires_grad and not isinstance(value, nn.Parameter) else value
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, tuple) or type(value) is frozenset:
            found = [self.value(v) for v in value]
            if all(a is b for a, b in zip(found, value, strict=True)):
                return value
            return frozenset(found) if isinstance(value, frozenset) else tuple.__new__(type(value), found)
        if type(value) in CONTAINERS or (isinstance(value, (list, dict)) and _parts_hold_module(value)):
            return self._container(value)
        if isinstance(value, MethodType):
            owner = self._captured(value.__self__)
            return value if owner is value.__self__ else MethodType(value.__func__, owner)
        if isinstance(value, partial):
            named = {k: self._captured(v) for k, v in value.keywords.items()}
            return partial(self.value(value.func), *map(self._captured, value.args), **named)
        if type(value) is ReferenceType:
            target = value()
            return ref(self.module(target)) if isinstance(target, nn.Module) else value
        return self._holder(value) if self._leads_to_module(value) else value

    def _container(self, value: Any) -> Any:
        kind: Any = type(value)
        exact = kind in CONTAINERS
        new = value.copy() if exact else kind.__new__(kind)
        self._copies[id(value)] = value, new
        if not exact:
            own = getattr(value, "__dict__", {})  # an "attribute dictionary" is its own
            if own:
                new.__dict__ = new if own is value else {key: self.value(one) for key, one in own.items()}
        if not value:
            return new
        if isinstance(value, dict):
            put = kind.__setitem__ if exact else dict.__setitem__
            new.clear()
            for key, one in value.items():
                put(new, self.value(key), self.value(one))
        else:
            list.clear(new) if isinstance(value, list) else new.clear()
            add = list.extend if isinstance(value, list) else kind.update if isinstance(value, set) else kind.extend
            add(new, [self.value(one) for one in value])
        return new

    def _holder(self, value: Any) -> Any:
        """Another object of the same class, whatever making or deleting one does; ``value`` where Python knows no way to make one."""
        kind: Any = type(value)
        if hasattr(kind, "__del__"):
            kind = type(kind.__name__, (kind,), {"__del__": lambda self: None, "__slots__": (), "__module__": kind.__module__})
        try:
            new = object.__new__(kind)
        except TypeError:  # a class with a memory of its own, such as types.SimpleNamespace
            try:
                new = kind.__new__(kind)
            except Exception:
                return value
        self._copies[id(value)] = value, new
        if attributes := getattr(value, "__dict__", None):
            new.__dict__.update({name: self.value(one) for name, one in attributes.items()})
        for name, one in _slots(value):
            object.__setattr__(new, name, self.value(one))
        return new

    def _function(self, function: FunctionType) -> FunctionType:
        """``function``, with copies in the place of what it closes over and of its defaults."""
        cells = []
        for cell in function.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:  # not filled yet
                cells.append(cell)
                continue
            found = self._captured(held)
            cells.append(cell if found is held else CellType(found))
        defaults = tuple(map(self._captured, function.__defaults__ or ()))
        named = {key: self._captured(v) for key, v in (function.__kwdefaults__ or {}).items()}
        before = [*(function.__closure__ or ()), *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        if all(new is old for new, old in zip([*cells, *defaults, *named.values()], before, strict=True)):
            return function
        new = FunctionType(function.__code__, function.__globals__, function.__name__, defaults or None, tuple(cells) or None)
        new.__kwdefaults__, new.__dict__ = named or None, dict(function.__dict__)  # type: ignore[assignment]
        return new

    def _captured(self, value: Any) -> Any:
        """What a function or a method was made with. A list of its own, as of a hook that takes notes, stays the caller's."""
        code = isinstance(value, (FunctionType, MethodType, partial))
        return self.value(value) if code or _is_module(value) or id(value) in self._held or self._leads_to_module(value) else value

    def _leads_to_module(self, value: Any) -> bool:
        """Does ``value`` hold a module, itself or through at most :data:`DEEP` objects?"""
        if id(value) in self._barren:
            return False
        seen, layer = {id(value)}, [value]
        for depth in range(DEEP):
            parts = {id(part): part for one in layer for part in _parts(one, first=not depth) if type(part) not in SIMPLE}
            if any(map(_is_module, parts.values())):
                return True
            layer = [part for key, part in parts.items() if key not in seen]
            seen |= parts.keys()
        self._barren.add(id(value))
        return False


PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, type, ModuleType, BuiltinFunctionType, Enum)
"""Values that hold nothing, or are the only ones of their kind."""
SIMPLE = frozenset((type(None), bool, int, float, str))
CONTAINERS = frozenset((list, dict, OrderedDict, defaultdict, set, deque))
DEEP = 4
LONG = 256
"""In longer lists and dictionaries of other objects, such as the pictures of a data set, no module is looked for."""


def _is_module(value: Any) -> bool:
    return issubclass(type(value), nn.Module)


def _parts_hold_module(value: Any) -> bool:
    return any(map(_is_module, _parts(value)))


def _parts(value: Any, *, first: bool = True) -> list[Any]:
    """What ``value`` refers to. Not ``first``: nothing of torch's own objects, nor of those that do something when they are deleted."""
    try:
        if isinstance(value, (list, tuple, dict, set, frozenset, deque)):
            if len(value) > LONG:
                return []
            return [*value, *value.values()] if isinstance(value, dict) else list(value)
        if isinstance(value, MethodType):
            return [value.__self__]
        if isinstance(value, partial):
            return [value.func, *value.args, *value.keywords.values()]
        if isinstance(value, FunctionType):
            return [*_contents(value), *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        if type(value) is ReferenceType:
            return [value()]
        if isinstance(value, (*PLAIN, Tensor)):
            return []
        if not first and (type(value).__module__.partition(".")[0] == "torch" or hasattr(type(value), "__del__")):
            return []
        return [*getattr(value, "__dict__", {}).values(), *(one for _, one in _slots(value))]
    except Exception:  # whatever a stranger's object does when it is looked at
        return []


def _held(network: nn.Module) -> set[int]:
    """The ids of the lists, dictionaries and sets that modules hold, through others of them too."""
    found, own = set[int](), nn.Module().__dict__.keys()
    waiting = [value for module in network.modules() for key, value in module.__dict__.items() if key not in own]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (list, dict, set, deque, tuple)) and id(value) not in found:
            found.add(id(value))
            waiting += _parts(value)
    return found


def _contents(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # not filled yet
            yield cell.cell_contents


def _slots(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds in slots, by their names."""
    for kind in type(value).__mro__:
        for name, place in kind.__dict__.items() if "__slots__" in kind.__dict__ else ():
            if isinstance(place, MemberDescriptorType):
                with suppress(AttributeError):  # empty
                    yield name, place.__get__(value)
