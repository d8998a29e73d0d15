"""Batches: pictures that mix are refused, rows that are not pictures too; and what an accident of one picture cannot prove."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core import TRGBP

from .cases import Around, Ending, relu, seeded, x_of
from .checks import must_refuse, refusal

MIXING: dict[str, Callable[[Tensor], Tensor]] = {
    "centred over the batch": lambda z: z - 0.5 * z.mean(0, keepdim=True),
    "turned around": lambda z: z.flip(0),
    "added up": lambda z: z.cumsum(0),
    "the first to all": lambda z: z + z[:1],
    "divided by their number": lambda z: z / len(z),
}


@pytest.mark.parametrize("mix", MIXING.values(), ids=MIXING)
def test_pictures_that_mix_in_a_batch_are_refused_and_explained_one_by_one(mix: Callable[[Tensor], Tensor]) -> None:
    network = seeded(Around(mix)).eval()
    must_refuse(lambda: TRGBP(network).attribute(x_of(batch=3)), "batch")
    assert torch.isfinite(TRGBP(network).attribute(x_of())).all()


@pytest.mark.parametrize("rows", [lambda y: y.mean(0, keepdim=True), lambda y: y[:1], lambda y: torch.cat([y, y])])
def test_as_many_rows_of_logits_as_pictures(rows: Callable[[Tensor], Tensor]) -> None:
    must_refuse(lambda: TRGBP(seeded(Ending(rows)).eval()).attribute(x_of(batch=2)), "rows of logits for 2 pictures")


class First(nn.Module):
    """The odd thing happens to the picture itself."""

    def __init__(self, odd: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.odd, self.conv, self.head = odd, nn.Conv2d(3, 8, 3), nn.Linear(8, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.conv(self.odd(x))).mean((2, 3)))


@pytest.mark.parametrize("odd", [lambda x: x * (x <= 1), lambda x: x * (x.mean() > 0), lambda x: F.leaky_relu(x, 0.1)])
def test_a_picture_without_negative_numbers_proves_no_rectifier(odd: Callable[[Tensor], Tensor]) -> None:
    network = seeded(First(odd)).eval()
    must_refuse(lambda: TRGBP(network).explain(0.05 + 0.9 * torch.rand(1, 3, 12, 10, dtype=torch.float64)))


def test_a_network_that_has_become_another_is_checked_again() -> None:
    network = seeded(Around(relu)).eval()
    TRGBP(network).explain(x_of())

    def squared(z: Tensor) -> Tensor:
        y = z.clone()
        with torch._C.DisableTorchFunction():
            y.data.mul_(2)
        return F.relu(y)

    network.odd = squared
    must_refuse(lambda: TRGBP(network).explain(x_of()))


def test_what_was_let_through_is_not_taken_for_checked() -> None:
    network = seeded(Around(lambda z: F.leaky_relu(z))).eval()
    TRGBP(network, strict=False).explain(x_of())
    must_refuse(lambda: TRGBP(network).explain(x_of()))


@pytest.mark.parametrize("where", ["parameter", "buffer by data", "buffer by out"])
def test_a_write_to_the_networks_own_tensors_is_refused_and_leaves_them(where: str) -> None:
    class Writing(First):
        def __init__(self) -> None:
            super().__init__(lambda x: x)
            self.register_buffer("count", torch.zeros(1, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            if where == "parameter":
                with torch.no_grad():
                    self.conv.weight.clamp_(-0.1, 0.1)
            elif where == "buffer by data":
                self.count.data = self.count + 1
            else:
                torch.add(self.count, 1, out=self.count)
            return super().forward(x)

    network = seeded(Writing()).eval()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    must_refuse(lambda: TRGBP(network).explain(x_of()), "of the network")
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


@pytest.mark.parametrize("mixed", ["batch norm in float32", "autocast inside", "a branch in float32"])
def test_more_than_one_precision_is_explained_or_refused_with_a_sentence(mixed: str) -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 7)

        def forward(self, x: Tensor) -> Tensor:
            if mixed == "autocast inside":
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    y = F.relu(self.conv(x))
            else:
                y = F.relu(self.norm(self.conv(x)).to(x.dtype))
            return self.head((y.to(x.dtype)).mean((2, 3)))

    network = seeded(Mixed()).eval().float()
    x = x_of().float()
    if mixed == "batch norm in float32":
        network, x = network.bfloat16(), x.bfloat16()
        network.norm.float()
    elif mixed == "a branch in float32":
        network, x = network.double(), x.double()
        network.conv.float()
        network.norm.float()
        network.register_forward_pre_hook(lambda module, args: args)
        network.conv.register_forward_pre_hook(lambda module, args: (args[0].float(),))
    sentence = refusal(lambda: TRGBP(network).explain(x))
    if sentence is None:
        e = TRGBP(network).explain(x)
        assert torch.isfinite(e.attribution(e.top5[0])).all()
