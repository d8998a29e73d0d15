"""The test that pins the method down: with the ordinary gradient, the pixels' and the biases' shares add up to the logit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trgbp_core import TRGBP
from trgbp_core.zoo.loading import load_model

from ..support.comparison import completeness_gap
from ..support.nets import NETS, picture, randomise


def gap_of(network: nn.Module, x: torch.Tensor) -> float:
    return completeness_gap(TRGBP(network, guided=False).explain(x), x)


@pytest.mark.parametrize("name", NETS)
def test_completeness_holds_however_layers_are_called(name: str) -> None:
    gap = gap_of(randomise(NETS[name]()), picture())
    print(f"{name}: {gap:.1e}")
    assert gap < 1e-9  # float64: what remains is summation order


def test_completeness_holds_on_the_embedded_network_with_its_trained_weights() -> None:
    zoo = load_model("efficientnet_lite0")
    gap = gap_of(zoo.network.double(), picture(1, 3, 224, 224) * 0.5)
    print(f"embedded: {gap:.1e}")
    assert gap < 1e-9


def test_without_the_saturated_units_completeness_fails() -> None:
    network, x = randomise(NETS["residual ReLU6"]()), picture()
    e = TRGBP(network, guided=False).explain(x)
    k = e.top5[0]
    without = (x * e.gradient(k)).sum() + sum(e.layer_raw(m.index, k).sum() for m in e.layers if m.kind != "rectifier")
    assert abs(float(without - e.logits[0, k])) > 1e-3 * abs(float(e.logits[0, k]))


class Affine(nn.Module):
    """Constants that no layer holds: a transposed convolution's bias, a padding with a value, a number added."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 4, 2, stride=2)
        self.conv = nn.Conv2d(4, 5, 3)
        self.last = nn.Linear(5, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.pad(self.up(0.5 - x), (1, 2, 0, 1), value=0.7)
        return self.last(self.conv(x).relu().mean((2, 3)))


def test_completeness_holds_with_constants_that_no_layer_holds() -> None:
    gap = gap_of(randomise(Affine()), picture(1, 3, 9, 11))
    print(f"{gap:.1e}")
    assert gap < 1e-9
