"""The decomposition is held against every network when it is first explained: the last net under the tape."""

from __future__ import annotations

import ctypes
from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from trgbp_core import TRGBP

from .cases import Around, Odd, constant, seeded, x_of
from .checks import refusal


def by_address(z: Tensor) -> Tensor:
    """Doubles every number behind torch's back."""
    y = z.clone(memory_format=torch.contiguous_format)
    with torch._C.DisableTorchFunction():  # out of the tape's sight
        numbers = (ctypes.c_double * y.numel()).from_address(y.data_ptr())
    for i in range(y.numel()):
        numbers[i] *= 2
    return y


def by_storage(z: Tensor) -> Tensor:
    """Copies other bytes into its storage."""
    y = z.clone(memory_format=torch.contiguous_format)
    with torch._C.DisableTorchFunction():
        y.untyped_storage().copy_(constant(*y.shape).untyped_storage())
    return y


def squared(z: Tensor) -> Tensor:
    """The square, its ordinary gradient, and no name that could be known."""
    y = z.clone(memory_format=torch.contiguous_format)
    with torch._C.DisableTorchFunction():  # out of the tape's sight
        numbers = (ctypes.c_double * y.numel()).from_address(y.data_ptr())
    for i in range(y.numel()):
        numbers[i] *= numbers[i]
    return y


HIDDEN: dict[str, Odd] = {"written by address": by_address, "written to the storage": by_storage, "squared by address": squared}


@pytest.mark.parametrize("guided", [True, False], ids=["guided", "ordinary"])
@pytest.mark.parametrize("name", HIDDEN)
def test_what_nothing_else_catches_is_refused_with_the_size_of_the_gap(name: str, guided: bool) -> None:
    sentence = refusal(lambda: TRGBP(seeded(Around(HIDDEN[name])).eval(), guided=guided).explain(x_of()))
    assert sentence is not None, "explained without a word"
    assert any(word in sentence for word in ("sum", "add up", "shares", "decomposition", "complete"))
    assert any(c.isdigit() for c in sentence), "says by how much"


@pytest.mark.parametrize("name", HIDDEN)
def test_a_refused_network_is_refused_again_and_by_every_way_in(name: str) -> None:
    network = seeded(Around(HIDDEN[name])).eval()
    for _ in range(2):
        assert refusal(lambda: TRGBP(network).explain(x_of())) is not None
    assert refusal(lambda: TRGBP(network).attribute(x_of(batch=2))) is not None
    assert refusal(lambda: TRGBP(network).explain_batch(x_of(batch=2), [1])) is not None


def _custom() -> Any:
    @torch.library.custom_op("trgbp_tests::swish", mutates_args=())
    def swish(z: Tensor) -> Tensor:
        return z * z.sigmoid()

    def backward(ctx: Any, g: Tensor) -> Tensor:
        s = ctx.saved_tensors[0].sigmoid()
        return g * s * (1 + ctx.saved_tensors[0] * (1 - s))

    swish.register_autograd(backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs))

    @torch.library.custom_op("trgbp_tests::untraced", mutates_args=())
    def untraced(z: Tensor) -> Tensor:
        return z * 2

    return swish, untraced


SWISH, UNTRACED = _custom()


def test_a_registered_operation_is_refused() -> None:
    assert refusal(lambda: TRGBP(seeded(Around(SWISH)).eval()).explain(x_of())) is not None
    assert refusal(lambda: TRGBP(seeded(Around(lambda z: z + UNTRACED(z))).eval()).explain(x_of())) is not None


class Count(TorchDispatchMode):
    """Counts what a call dispatches."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls[str(func)] += 1
        return func(*args, **(kwargs or {}))


def dispatched(network: nn.Module, x: Tensor) -> int:
    with Count() as count:
        TRGBP(network).explain(x, [1])
    return count.calls.total()


def test_the_axiom_is_held_once_for_each_network_and_shape() -> None:
    network, other = (seeded(Around(lambda z: F.relu(z))).eval() for _ in range(2))
    first, second, third = (dispatched(network, x_of()) for _ in range(3))
    print(f"operations dispatched: {first} at first, then {second}, {third}")
    assert first > second == third
    assert dispatched(network, x_of(9, 14)) > second, "another shape"
    assert dispatched(network, x_of(9, 14)) == second
    assert dispatched(other, x_of()) > second, "another network"


def test_the_cache_keeps_no_network_alive() -> None:
    import gc
    import weakref

    network = seeded(Around(lambda z: F.relu(z))).eval()
    TRGBP(network).explain(x_of())
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_no_false_alarm_in_any_precision(dtype: torch.dtype) -> None:
    network = seeded(Around(lambda z: F.relu(z))).to(dtype).eval()
    for batch in (1, 3):
        assert TRGBP(network).attribute(x_of(batch=batch).to(dtype)).shape == (batch, 1, 12, 10)


def _zero(network: nn.Module) -> None:
    network.head.weight.zero_()
    network.head.bias.zero_()


def _dead(network: nn.Module) -> None:
    network.last.bias.fill_(-1e3)


def _large(network: nn.Module) -> None:
    network.first.weight.mul_(1e6)


def _cancelling(network: nn.Module) -> None:
    network.last.weight[4:] = network.last.weight[:4]
    network.last.bias[4:] = network.last.bias[:4]
    network.head.weight[:, 4:] = -network.head.weight[:, :4]
    network.head.bias.zero_()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("change", [_zero, _dead, _large, _cancelling], ids=lambda f: f.__name__[1:])
def test_no_false_alarm_where_logits_are_zero_or_large(change: Any, dtype: torch.dtype) -> None:
    network = seeded(Around(lambda z: F.relu(z))).eval()
    with torch.no_grad():
        change(network)
    e = TRGBP(network.to(dtype)).explain(x_of().to(dtype))
    assert torch.isfinite(e.attribution(e.top5[0])).all()


def test_no_false_alarm_on_a_black_picture() -> None:
    e = TRGBP(seeded(Around(lambda z: F.relu(z))).eval()).explain(torch.zeros_like(x_of()))
    assert torch.isfinite(e.attribution(e.top5[0])).all()
