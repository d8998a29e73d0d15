"""LRP-ε, LRP-αβ, Deep Taylor and Excitation backpropagation against zennit and captum."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LRP
from captum.attr._utils.lrp_rules import EpsilonRule
from torch import Tensor, nn
from zennit.attribution import Gradient
from zennit.composites import LayerMapComposite
from zennit.rules import AlphaBeta, Epsilon, Norm, Pass, ZBox, ZPlus
from zennit.types import Activation, AvgPool, BatchNorm, Linear

from trgbp_core import METHODS

from .rule_networks import EXACT, pictures, plain, report, residual, saturating, settled
from .zennit_reference import TARGETS, merged, one_hot, same_sign, zennit_relevance

NETWORKS = {"plain": plain, "residual": residual, "saturating": saturating}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("epsilon", [1e-6, 0.1])
def test_lrp_epsilon_equals_zennit(name: str, epsilon: float) -> None:
    network, x = NETWORKS[name](), pictures()
    ours = METHODS["lrp_epsilon"].attribute(network, x, TARGETS, epsilon=epsilon)
    assert report(f"LRP-ε {epsilon:g} {name}", ours, zennit_relevance(network, x, Epsilon(epsilon))) < EXACT


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 1.0), (1.0, 0.0)])
def test_lrp_alpha_beta_equals_zennit(name: str, alpha: float, beta: float) -> None:
    network, x = NETWORKS[name](), pictures()
    ours = METHODS["lrp_alpha_beta"].attribute(network, x, TARGETS, alpha=alpha, beta=beta)
    assert report(f"LRP-αβ {alpha:g} {beta:g} {name}", ours, zennit_relevance(network, x, AlphaBeta(alpha, beta))) < EXACT


@pytest.mark.parametrize("name", NETWORKS)
def test_deep_taylor_equals_zennit(name: str) -> None:
    network, x = NETWORKS[name](), pictures()
    low, high = x.amin() - 0.1, x.amax() + 0.1
    rule, first = ZPlus(zero_params="bias"), ZBox(low, high)
    theirs = zennit_relevance(network, x, rule, sums=same_sign(), first=first)
    ours = METHODS["deep_taylor"].attribute(network, x, TARGETS, bounds=(low, high))
    assert report(f"Deep Taylor {name}", ours, theirs) < EXACT


@pytest.mark.parametrize("name", NETWORKS)
def test_excitation_backprop_equals_zennit(name: str) -> None:
    network, x = NETWORKS[name](), pictures()
    theirs = zennit_relevance(network, x, ZPlus(zero_params="bias"), sums=same_sign(), score=False)
    ours = METHODS["excitation_backprop"].attribute(network, x, TARGETS)
    assert report(f"Excitation backprop {name}", ours, theirs) < EXACT


@pytest.mark.parametrize("name", ["plain", "pooled"])
def test_lrp_epsilon_equals_captum(name: str) -> None:
    """Captum knows neither ReLU6 nor merged batch norms: ReLU takes the place of one on both sides, the merged ones are left out on its."""
    network, x = NETWORKS["plain" if name == "plain" else "saturating"](), pictures()
    network = nn.Sequential(*[nn.ReLU() if isinstance(module, nn.ReLU6) else module for module in network])
    reference = nn.Sequential(*[module for module in merged(network) if not isinstance(module, nn.BatchNorm2d)])
    for module in reference:
        if isinstance(module, (nn.MaxPool2d, nn.Flatten)):  # relevance only moves, but captum divides here too
            module.rule = EpsilonRule(1e-15)
        elif not isinstance(module, nn.ReLU):
            module.rule = EpsilonRule(1e-6)
    theirs = LRP(reference).attribute(x.clone().requires_grad_(), target=torch.tensor(TARGETS)).detach().sum(1, keepdim=True)
    ours = METHODS["lrp_epsilon"].attribute(network, x, TARGETS)
    assert report(f"LRP-ε against captum {name}", ours, theirs) < 1e-4


class PreActivated(nn.Module):
    """DenseNet's order: a batch norm of its own, a rectifier, a convolution, and the result beside what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.norms = nn.ModuleList([nn.BatchNorm2d(6 + 4 * i) for i in range(3)])
        self.relus = nn.ModuleList([nn.ReLU() for _ in range(3)])
        self.layers = nn.ModuleList([nn.Conv2d(6 + 4 * i, 4, 3, padding=1) for i in range(3)])
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(18, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm, relu, layer in zip(self.norms, self.relus, self.layers, strict=True):
            x = torch.cat([x, layer(relu(norm(x)))], 1)
        return self.head(self.pool(x).flatten(1))


def test_lone_batch_norms_share_with_their_bias_under_the_epsilon_rule() -> None:
    """As zennit's Norm does, given to batch norms; its default, Pass, makes the relevance of this network explode."""
    network, x = settled(PreActivated()), pictures()
    start = one_hot(network, x, score=True)
    relevance = {}
    for norm in (Norm(), Pass()):
        layers = [(Activation, Pass()), (AvgPool, Norm()), (BatchNorm, norm), (Linear, Epsilon(1e-6))]
        with Gradient(copy.deepcopy(network), LayerMapComposite(layers)) as attributor:
            relevance[type(norm)] = attributor(x.clone().requires_grad_(), start)[1].sum(1, keepdim=True)
    ours = METHODS["lrp_epsilon"].attribute(network, x, TARGETS)
    assert report("LRP-ε, pre-activated", ours, relevance[Norm]) < EXACT
    print(f"largest relevance: {float(ours.abs().max()):.3g}, with Pass {float(relevance[Pass].abs().max()):.3g}")
    assert float(relevance[Pass].abs().max()) > 10 * float(ours.abs().max())  # three layers; 10⁹ in DenseNet-121


class Padded(nn.Module):
    """A first layer with room around the picture: made by the convolution (``padding`` is its own) or before it (a tuple for ``F.pad``)."""

    def __init__(self, kernel: int, padding: object) -> None:
        super().__init__()
        self.padding = padding
        self.first = nn.Conv2d(3, 6, kernel, padding=0 if isinstance(padding, tuple) else padding)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.padding, tuple):
            x = F.pad(x, self.padding)
        return self.head(F.relu(self.first(x)).mean((2, 3)))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("kernel", "own", "before"), [(3, 1, (1, 1, 1, 1)), (4, "same", (1, 2, 1, 2))])
def test_padding_is_no_pixel_however_it_is_made(kernel: int, own: object, before: tuple[int, ...]) -> None:
    """Padded zeros lie outside the box of the z^B-rule: explicit padding, the convolution's own, torch's lopsided 'same'."""
    x, options = pictures(), {"bounds": (-5.0, 5.0)}
    ours = METHODS["deep_taylor"].attribute(settled(Padded(kernel, before)), x, TARGETS, **options)
    theirs = METHODS["deep_taylor"].attribute(settled(Padded(kernel, own)), x, TARGETS, **options)
    assert report(f"padding {before} against {own}", ours, theirs) < EXACT
    if own == 1:
        first, rule = ZBox(-5.0, 5.0), ZPlus(zero_params="bias")
        network = nn.Sequential(settled(Padded(kernel, own)).first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        network.append(settled(Padded(kernel, own)).head)
        assert report("padding against zennit", ours, zennit_relevance(network, x, rule, first=first)) < EXACT
