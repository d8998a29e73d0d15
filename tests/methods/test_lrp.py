"""LRP-ε, LRP-αβ, Deep Taylor and Excitation backpropagation against zennit and captum, and against what they promise."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LRP
from captum.attr._utils.lrp_rules import EpsilonRule
from torch import Tensor, nn
from zennit.attribution import Gradient
from zennit.composites import LayerMapComposite
from zennit.core import BasicHook
from zennit.rules import AlphaBeta, Epsilon, Norm, Pass, ZBox, ZPlus
from zennit.types import Activation, AvgPool, BatchNorm, Linear

from tests.support.nets import randomise
from trgbp_core import METHODS

from .networks import ALL, EXACT, TARGETS, largest_difference, picked_scores, picture, plain, resnet, saturating
from .zennit_reference import merged, one_hot, same_sign, zennit_relevance

NETWORKS = {"plain": plain, "resnet": resnet, "saturating": saturating}
LOW, HIGH = -5.0, 5.0
WITHOUT_BIAS = ZPlus(zero_params="bias")
ZENNIT: dict[str, tuple[str, dict[str, object], BasicHook, dict[str, object]]] = {
    "LRP-ε": ("lrp_epsilon", {}, Epsilon(1e-6), {}),
    "LRP-ε, large": ("lrp_epsilon", {"epsilon": 0.1}, Epsilon(0.1), {}),
    "LRP-αβ": ("lrp_alpha_beta", {}, AlphaBeta(2.0, 1.0), {}),
    "LRP-αβ, z⁺ with biases": ("lrp_alpha_beta", {"alpha": 1.0, "beta": 0.0}, AlphaBeta(1.0, 0.0), {}),
    "Deep Taylor": ("deep_taylor", {"bounds": (LOW, HIGH)}, WITHOUT_BIAS, {"sums": same_sign(), "first": ZBox(LOW, HIGH)}),
    "Excitation backprop": ("excitation_backprop", {}, WITHOUT_BIAS, {"sums": same_sign(), "score": False}),
}


def attributed(key: str, network: nn.Module, x: Tensor, **options: object) -> Tensor:
    return METHODS[key].attribute(network, x, TARGETS, **options)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rule", ZENNIT)
def test_relevance_equals_zennit(rule: str, name: str) -> None:
    network, x = NETWORKS[name](), picture()
    key, options, hook, others = ZENNIT[rule]
    ours, theirs = attributed(key, network, x, **options), zennit_relevance(network, x, hook, **others)
    assert largest_difference(ours, theirs, f"{rule} {name}") < EXACT


@pytest.mark.parametrize("name", ["plain", "pooled"])
def test_lrp_epsilon_equals_captum(name: str) -> None:
    """Captum knows neither ReLU6 nor merged batch norms: ReLU takes the place of one on both sides, the merged ones are left out on its."""
    network, x = NETWORKS["plain" if name == "plain" else "saturating"](), picture()
    network = nn.Sequential(*[nn.ReLU() if isinstance(module, nn.ReLU6) else module for module in network])
    reference = nn.Sequential(*[module for module in merged(network) if not isinstance(module, nn.BatchNorm2d)])
    for module in reference:
        if isinstance(module, (nn.MaxPool2d, nn.Flatten)):  # relevance only moves, but captum divides here too
            module.rule = EpsilonRule(1e-15)
        elif not isinstance(module, nn.ReLU):
            module.rule = EpsilonRule(1e-6)
    theirs = LRP(reference).attribute(x.clone().requires_grad_(), target=torch.tensor(TARGETS)).detach().sum(1, keepdim=True)
    ours = attributed("lrp_epsilon", network, x)
    assert largest_difference(ours, theirs, f"LRP-ε against captum {name}") < 1e-4


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
    network, x = randomise(PreActivated()), picture()
    start = one_hot(network, x, score=True)
    relevance = {}
    for norm in (Norm(), Pass()):
        layers = [(Activation, Pass()), (AvgPool, Norm()), (BatchNorm, norm), (Linear, Epsilon(1e-6))]
        with Gradient(copy.deepcopy(network), LayerMapComposite(layers)) as attributor:
            relevance[type(norm)] = attributor(x.clone().requires_grad_(), start)[1].sum(1, keepdim=True)
    ours = attributed("lrp_epsilon", network, x)
    assert largest_difference(ours, relevance[Norm], "LRP-ε, pre-activated") < EXACT
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
    x, options = picture(), {"bounds": (-5.0, 5.0)}
    ours = attributed("deep_taylor", randomise(Padded(kernel, before)), x, **options)
    theirs = attributed("deep_taylor", randomise(Padded(kernel, own)), x, **options)
    assert largest_difference(ours, theirs, f"padding {before} against {own}") < EXACT
    if own == 1:
        first, rule = ZBox(-5.0, 5.0), ZPlus(zero_params="bias")
        network = nn.Sequential(randomise(Padded(kernel, own)).first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        network.append(randomise(Padded(kernel, own)).head)
        assert largest_difference(ours, zennit_relevance(network, x, rule, first=first), "padding against zennit") < EXACT


def without_ceilings(network: nn.Module) -> nn.Module:
    for module in network.modules():
        module.ceiling = math.inf
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(module, name, nn.ReLU(inplace=child.inplace))
    return network


@pytest.mark.parametrize("name", ALL)
def test_lrp_with_a_small_epsilon_is_input_times_gradient(name: str) -> None:
    """Where rectifiers do not saturate, whose gradient is zero and whose relevance is not: ReLU6 becomes ReLU."""
    network, x = without_ceilings(ALL[name]()), picture()
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(leaf)[range(2), TARGETS].sum(), leaf)
    ours = attributed("lrp_epsilon", network, x, epsilon=1e-13)
    # The ε of additions, averages and batch norms alone, 1e-6, over the smallest denominators.
    assert largest_difference(ours, (x * gradient).sum(1, keepdim=True), f"LRP-ε against input × gradient {name}") < 1e-3


@pytest.mark.parametrize("options", [{}, {"alpha": 1.0, "beta": 0.0}])
def test_relevance_is_conserved_without_biases(options: dict[str, float]) -> None:
    network, x = plain(bias=False), picture()
    for key in ("lrp_epsilon", "lrp_alpha_beta"):
        total = attributed(key, network, x, **(options if key == "lrp_alpha_beta" else {})).sum((1, 2, 3))
        assert largest_difference(total, picked_scores(network, x), f"{key} {options}: Σ R = f") < 1e-4  # what the stabiliser 1e-6 absorbs


@pytest.mark.parametrize("name", ["plain", "resnet", "functional"])
def test_deep_taylor_adds_up_to_the_score_and_has_its_sign(name: str) -> None:
    network, x = ALL[name](), picture()
    relevance, f = attributed("deep_taylor", network, x), picked_scores(network, x)
    # The stabiliser absorbs 1e-6 over the denominators; few units have no positive contribution.
    assert largest_difference(relevance.sum((1, 2, 3)), f, f"Deep Taylor {name}: Σ R = f") < 2e-3
    assert float((relevance * f.sign()[:, None, None, None]).amin()) > -1e-12


@pytest.mark.parametrize("name", ["plain", "resnet", "functional"])
def test_excitation_backprop_is_a_probability_distribution(name: str) -> None:
    network, x = ALL[name](), picture()
    probability = attributed("excitation_backprop", network, x)
    assert float(probability.amin()) >= 0
    assert largest_difference(probability.sum((1, 2, 3)), torch.ones(len(x), dtype=x.dtype), f"Excitation {name}: Σ P = 1") < 2e-3


@pytest.mark.parametrize("key", ["deep_taylor", "excitation_backprop"])
@pytest.mark.parametrize("name", ["saturating", "relu6"])
def test_positive_relevance_is_never_created_nor_turned_around(key: str, name: str) -> None:
    """Where units have no positive contribution (all inputs 0), relevance is lost; it must not appear from nowhere or change sign."""
    network, x = ALL[name](), picture()
    relevance = attributed(key, network, x)
    total = picked_scores(network, x) if key == "deep_taylor" else torch.ones(len(x), dtype=x.dtype)
    share = relevance.sum((1, 2, 3)) / total
    print(f"{key} {name}: share of the relevance that arrives {share.tolist()}")
    assert float((relevance * total.sign()[:, None, None, None]).amin()) > -1e-12
    assert 0.5 < float(share.amin()) <= float(share.amax()) < 1 + 1e-6


def test_wrong_options_are_named() -> None:
    network, x = plain(), picture()
    with pytest.raises(ValueError, match="α − β = 1"):
        METHODS["lrp_alpha_beta"].attribute(network, x, alpha=2.0, beta=0.5)
    with pytest.raises(ValueError, match="must be positive"):
        METHODS["lrp_epsilon"].attribute(network, x, epsilon=0.0)
    with pytest.raises(ValueError, match="outside the bounds"):
        METHODS["deep_taylor"].attribute(network, x, bounds=(0.0, 0.1))


@pytest.mark.parametrize("key", ["lrp_alpha_beta", "deep_taylor", "excitation_backprop"])
def test_lone_batch_norms_constants_and_scalings_pass_on_what_they_get(key: str) -> None:
    """A normalisation inside the network is a change of units: the map is that of the bare network on the normalised picture."""
    network, x = plain(), picture()
    norm = nn.BatchNorm2d(3).double().eval()
    norm.running_mean.copy_(torch.tensor([0.1, -0.2, 0.3]))
    norm.running_var.copy_(torch.tensor([0.5, 1.5, 2.0]))

    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.network = norm, network

        def forward(self, x: Tensor) -> Tensor:
            return self.network(-self.norm((x - 0.3) / 0.7))

    ours = METHODS[key].attribute(Normalised().eval(), x, TARGETS)
    theirs = METHODS[key].attribute(network, -norm((x - 0.3) / 0.7).detach(), TARGETS)
    assert largest_difference(ours, theirs, f"{key}: normalisation inside") < EXACT
