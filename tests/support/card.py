"""A graphics card that is none: tensors that say they lie elsewhere, and may not meet tensors of the processor.

``with card() as device`` makes a device whose tensors compute on the processor, with the numbers that the processor gives, but by a card's
rules: an operation between a tensor there and one here is an error, and so is ``.numpy()`` of a tensor there. It finds on any machine what
a real card would refuse. (torch's device type ``lazy`` lends its name: its backend is not part of ordinary builds, and autograd knows it.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("lazy", 0)
_HERE = torch.device("cpu")
_aten = torch.ops.aten
_COPIES = (_aten.copy_, _aten._to_copy)
_INDEXED = (_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_)


class _There(Tensor):
    """A tensor on the card: ``inner`` holds its numbers."""

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor) -> _There:
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )
        made.inner = inner
        return made

    def __repr__(self) -> str:
        return f"{self.inner}, on the card"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Card(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    _refuse_mixtures(func, args, kwargs)
    there = {id(t.inner): t for t in tree_leaves((args, kwargs)) if isinstance(t, _There)}
    asked = kwargs.get("device")
    on_card = bool(there) if asked is None else asked.type == DEVICE.type
    kwargs = kwargs if asked is None else kwargs | {"device": _HERE}
    if not any(isinstance(t, Tensor) for t in tree_leaves((args, kwargs))):  # torch hands numbers on where it had tensors of them
        of_tensors = (isinstance(argument.type, torch.TensorType) for argument in func._schema.arguments)
        args = tuple(torch.tensor(v) if of and isinstance(v, (int, float)) else v for v, of in zip(args, of_tensors, strict=False))
    results = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if func.overloadpacket is _aten.copy_:
        return args[0]
    return tree_map(lambda t: _outer(t, there), results) if on_card else results


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, _There) else value


def _outer(value: Any, there: dict[int, _There]) -> Any:
    # What was changed in place stays the tensor that it was.
    return there[id(value)] if id(value) in there else _There(value) if isinstance(value, Tensor) else value


def _refuse_mixtures(func: Any, args: Any, kwargs: dict[str, Any]) -> None:
    if func.overloadpacket in _COPIES:
        return
    # An index may lie here, what is indexed and what is written may not.
    looked_at = [args[0], *args[2:]] if func.overloadpacket in _INDEXED else (args, kwargs)
    tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
    here = [t for t in tree_leaves(looked_at) if isinstance(t, Tensor) and not isinstance(t, _There) and t.dim() > 0]
    if here and any(isinstance(t, _There) for t in tensors):
        raise RuntimeError(f"{func} of tensors on the card and a tensor {tuple(here[0].shape)} on the processor")


# What torch does in C++ below its dispatcher, and what therefore knows nothing of such a card.


def _as_numpy(self: Tensor, *, force: bool = False) -> Any:
    if isinstance(self, _There):
        if not force:
            raise TypeError("can't convert a tensor on the card to numpy")
        self = self.detach().cpu()
    return _plain[Tensor, "numpy"](self, force=force)


def _to_list(self: Tensor) -> Any:
    return _plain[Tensor, "tolist"](self.detach().cpu() if isinstance(self, _There) else self)


def _new_tensor(self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    where = self.device if device is None else device
    return _make_tensor(data, dtype=self.dtype if dtype is None else dtype, device=where, requires_grad=requires_grad)


def _set_item(self: Tensor, index: Any, value: Any) -> None:
    if isinstance(self, _There) and not isinstance(value, Tensor):
        value = _plain[torch, "tensor"](value, dtype=self.dtype)
    _plain[Tensor, "__setitem__"](self, _index(self, index), value)


def _get_item(self: Tensor, index: Any) -> Tensor:
    return _plain[Tensor, "__getitem__"](self, _index(self, index))


def _index(self: Tensor, index: Any) -> Any:
    """Lists of places become tensors here: torch would make them on the card, unseen."""
    if isinstance(index, tuple):
        return tuple(_index(self, part) for part in index)
    return (
        _plain[torch, "tensor"](index, dtype=None if index else torch.long)
        if isinstance(self, _There) and isinstance(index, list)
        else index
    )


def _make_tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    there = device is not None and torch.device(device).type == DEVICE.type
    made = _plain[torch, "tensor"](data, dtype=dtype, device=_HERE if there else device)
    return (made.to(DEVICE) if there else made).requires_grad_(requires_grad)


def _as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    there = device is not None and torch.device(device).type == DEVICE.type
    made = _plain[torch, "as_tensor"](data, dtype=dtype, device=None if there else device)
    return made.to(DEVICE) if there else made


_REPLACED = {
    (Tensor, "numpy"): _as_numpy,
    (Tensor, "tolist"): _to_list,
    (Tensor, "new_tensor"): _new_tensor,
    (Tensor, "__setitem__"): _set_item,
    (Tensor, "__getitem__"): _get_item,
    (torch, "tensor"): _make_tensor,
    (torch, "as_tensor"): _as_tensor,
}
_plain: dict[tuple[Any, str], Any] = {(owner, name): getattr(owner, name) for owner, name in _REPLACED}


@contextmanager
def card() -> Iterator[torch.device]:
    """A device that is not the processor, for as long as the block lasts and in this thread."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    for (owner, name), replacement in _REPLACED.items():
        setattr(owner, name, replacement)
    try:
        with _Card():
            yield DEVICE
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)
        for (owner, name), plain in _plain.items():
            setattr(owner, name, plain)
