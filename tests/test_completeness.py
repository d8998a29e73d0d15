"""The test that pins the method down: with the ordinary gradient, the pixels' and the biases' shares add up to the logit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trgbp_core import TRGBP
from trgbp_core.models import load_model

from .nets import NETS, picture, randomise

# Every family of the zoo, its smallest member and the paper's two networks.
ARCHITECTURES = """alexnet densenet121 googlenet inception_v3 mnasnet0_5 mnasnet1_0 mobilenet_v2 regnet_x_400mf resnet18 resnet50
    resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1 vgg11 vgg11_bn vgg16 wide_resnet50_2""".split()


def completeness_gap(network: nn.Module, x: torch.Tensor) -> float:
    """|Σ x·∂f_k/∂x + Σ_l Σ R^l_k − f_k| relative to the sizes of its terms, the largest over the top 5."""
    e = TRGBP(network, guided=False).explain(x)
    gaps = []
    for k in e.classes:
        shares = [(x * e.gradient(k)).sum()] + [e.layer_raw(i, k).sum() for i in range(1, len(e.layers) + 1)]
        scale = max(abs(float(s)) for s in [*shares, e.logits[0, k]])
        gaps.append(abs(float(sum(shares) - e.logits[0, k])) / scale)
    return max(gaps)


@pytest.mark.parametrize("name", NETS)
def test_completeness_holds_however_layers_are_called(name: str) -> None:
    gap = completeness_gap(randomise(NETS[name]()), picture())
    print(f"{name}: {gap:.1e}")
    assert gap < 1e-9  # float64: what remains is summation order


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_completeness_holds_on_every_family_of_the_zoo(name: str) -> None:
    network = randomise(load_model(f"random:{name}").network)
    gap = completeness_gap(network, picture(1, 3, 80, 80))
    print(f"{name}: {gap:.1e}")
    assert gap < 1e-9


def test_completeness_holds_on_the_embedded_network_with_its_trained_weights() -> None:
    zoo = load_model("efficientnet_lite0")
    gap = completeness_gap(zoo.network.double(), picture(1, 3, 224, 224) * 0.5)
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
    gap = completeness_gap(randomise(Affine()), picture(1, 3, 9, 11))
    print(f"{gap:.1e}")
    assert gap < 1e-9
