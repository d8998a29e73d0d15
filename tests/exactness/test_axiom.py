"""The decomposition is held against every network when it is first explained: the last net under the tape."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core import TRGBP
from trgbp_core.trgbp.axiom import AxiomFailed

from .cases import Around, Odd, constant, relu, seeded, x_of
from .checks import dispatched, must_refuse


def by_address(change: Callable[[float], float]) -> Odd:
    """Changes every number behind torch's back: no name, and an ordinary gradient, that could be known."""

    def odd(z: Tensor) -> Tensor:
        y = z.clone(memory_format=torch.contiguous_format)
        with torch._C.DisableTorchFunction():  # out of the tape's sight
            numbers = (ctypes.c_double * y.numel()).from_address(y.data_ptr())
        for i in range(y.numel()):
            numbers[i] = change(numbers[i])
        return y

    return odd


def by_storage(z: Tensor) -> Tensor:
    """Copies other bytes into its storage."""
    y = z.clone(memory_format=torch.contiguous_format)
    with torch._C.DisableTorchFunction():
        y.untyped_storage().copy_(constant(*y.shape).untyped_storage())
    return y


HIDDEN: dict[str, Odd] = {
    "written by address": by_address(lambda v: 2 * v),
    "squared by address": by_address(lambda v: v * v),
    "written to the storage": by_storage,
}


@pytest.mark.parametrize("guided", [True, False], ids=["guided", "ordinary"])
@pytest.mark.parametrize("name", HIDDEN)
def test_what_nothing_else_catches_is_refused_with_the_size_of_the_gap(name: str, guided: bool) -> None:
    must_refuse(lambda: TRGBP(seeded(Around(HIDDEN[name])).eval(), guided=guided).explain(x_of()), r"shares .* add up .*\d")


@pytest.mark.parametrize("name", HIDDEN)
def test_a_refused_network_is_refused_again_and_by_every_way_in(name: str) -> None:
    network = seeded(Around(HIDDEN[name])).eval()
    for _ in range(2):
        must_refuse(lambda: TRGBP(network).explain(x_of()))
    must_refuse(lambda: TRGBP(network).attribute(x_of(batch=2)))
    must_refuse(lambda: TRGBP(network).explain_batch(x_of(batch=2), [1]))


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
    must_refuse(lambda: TRGBP(seeded(Around(SWISH)).eval()).explain(x_of()))
    must_refuse(lambda: TRGBP(seeded(Around(lambda z: z + UNTRACED(z))).eval()).explain(x_of()))


def explained(network: nn.Module, x: Tensor) -> int:
    return dispatched(lambda: TRGBP(network).explain(x, [1]))


def test_the_axiom_is_held_once_for_each_network_and_shape() -> None:
    network, other = (seeded(Around(relu)).eval() for _ in range(2))
    first, second, third = (explained(network, x_of()) for _ in range(3))
    print(f"operations dispatched: {first} at first, then {second}, {third}")
    assert first > second == third
    assert explained(network, x_of(9, 14)) > second, "another shape"
    assert explained(network, x_of(9, 14)) == second
    assert explained(other, x_of()) > second, "another network"


def test_the_cache_keeps_no_network_alive() -> None:
    import gc
    import weakref

    network = seeded(Around(relu)).eval()
    TRGBP(network).explain(x_of())
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_no_false_alarm_in_any_precision(dtype: torch.dtype) -> None:
    network = seeded(Around(relu)).to(dtype).eval()
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
    network = seeded(Around(relu)).eval()
    with torch.no_grad():
        change(network)
    e = TRGBP(network.to(dtype)).explain(x_of().to(dtype))
    assert torch.isfinite(e.attribution(e.top5[0])).all()


def test_no_false_alarm_on_a_black_picture() -> None:
    e = TRGBP(seeded(Around(relu)).eval()).explain(torch.zeros_like(x_of()))
    assert torch.isfinite(e.attribution(e.top5[0])).all()


class Halved(nn.Module):
    """Writes to a map of which there are two parts already: on a black picture nothing of it is below zero."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 7)
        nn.init.constant_(self.conv.bias, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        a, b = y[:, :3], y[:, 3:]
        F.relu(y, inplace=True)
        return self.last(torch.cat([a, b], 1).mean((2, 3)))


def test_what_holds_on_a_picture_of_one_colour_is_not_taken_for_proven() -> None:
    network = seeded(Halved())
    nn.init.constant_(network.conv.bias, 0.1)
    x = x_of()
    TRGBP(network).explain(torch.zeros_like(x))
    with pytest.raises(AxiomFailed):
        TRGBP(network).explain(x)
    with pytest.raises(AxiomFailed):
        list(TRGBP(network).explain_each(torch.cat([torch.zeros_like(x), torch.zeros_like(x), x, x.flip(-1)])))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_a_lower_precision_pictures_that_mix_are_refused_too(dtype: torch.dtype) -> None:
    network = seeded(Around(lambda z: F.relu(z - z.mean(0, keepdim=True)))).to(dtype)
    x = torch.cat([x_of(), x_of().flip(-1), x_of().flip(-2)]).to(dtype)
    with pytest.raises(AxiomFailed, match="one by one"):
        TRGBP(network).attribute(x, 0)
    assert TRGBP(network).attribute(x[:1], 0).dtype == dtype
