"""LRP-ε, LRP-αβ, Deep Taylor and Excitation backpropagation against zennit and captum, and against what they promise."""

from __future__ import annotations

import copy
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LRP
from captum.attr._utils.lrp_rules import EpsilonRule
from torch import Tensor, nn
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import LayerMapComposite, SpecialFirstLayerMapComposite
from zennit.core import BasicHook, stabilize
from zennit.layer import Sum
from zennit.rules import AlphaBeta, Epsilon, NoMod, Norm, Pass, ZBox, ZPlus
from zennit.torchvision import ResNetCanonizer
from zennit.types import Activation, AvgPool, BatchNorm, Convolution, Linear

from trgbp_core import METHODS, NotApplicable
from trgbp_core.baselines.patterns import fit_patterns

from .rule_networks import functional, mobile, pictures, plain, report, residual, saturating, settled

# float64, a few layers, denominators that may come close to zero: rounding is magnified, but far below anything a wrong rule does.
EXACT = 1e-9
NETWORKS = {"plain": plain, "residual": residual, "saturating": saturating}
ALL = {**NETWORKS, "mobile": mobile, "functional": functional}
TARGETS = [1, 3]


def without_ceilings(network: nn.Module) -> nn.Module:
    for module in network.modules():
        module.ceiling = math.inf
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(module, name, nn.ReLU(inplace=child.inplace))
    return network


def one_hot(network: nn.Module, x: Tensor, *, score: bool) -> Tensor:
    with torch.no_grad():
        logits = network(x)
    chosen = torch.zeros_like(logits).scatter_(1, torch.tensor(TARGETS)[:, None], 1)
    return chosen * logits if score else chosen


def scores(network: nn.Module, x: Tensor) -> Tensor:
    return one_hot(network, x, score=True).sum(1)


def merged(network: nn.Module) -> nn.Module:
    """A copy whose batch norms zennit has merged into the convolutions before them.

    It leaves their ε where it was, so that each still divides by √(1 + ε): not quite the identity it is meant to be, until ε is 0.
    """
    network = copy.deepcopy(network)
    SequentialMergeBatchNorm().apply(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
    return network


def zennit_relevance(network: nn.Module, x: Tensor, rule: BasicHook, *, sums: BasicHook | None = None, first=None, score=True) -> Tensor:
    """Zennit on a copy, with its canonizers, ``rule`` in layers and its base map (Pass, Norm) elsewhere."""
    network = merged(network)
    canonizer = ResNetCanonizer() if hasattr(network, "layer1") else SequentialMergeBatchNorm()
    layers = [(Activation, Pass()), (Sum, sums or Norm()), (AvgPool, Norm()), (BatchNorm, Pass()), (Linear, rule)]
    if first is None:
        composite = LayerMapComposite(layers, canonizers=[canonizer])
    else:
        composite = SpecialFirstLayerMapComposite(layers, [(Convolution, first)], canonizers=[canonizer])
    start = one_hot(network, x, score=score)
    with Gradient(network, composite) as attributor:
        _, relevance = attributor(x.clone().requires_grad_(), start)
    return relevance.sum(1, keepdim=True)


def same_sign() -> BasicHook:
    """The sum rule of Deep Taylor and Excitation backpropagation, in zennit's own parts."""
    return BasicHook(
        input_modifiers=[lambda a: a.clamp(min=0), lambda a: a.clamp(max=0)],
        param_modifiers=[NoMod(param_keys=[])] * 2,
        output_modifiers=[lambda z: z] * 2,
        gradient_mapper=lambda r, z: [r * (z[0] + z[1] >= 0) / stabilize(z[0]), r * (z[0] + z[1] < 0) / stabilize(z[1])],
        reducer=lambda a, c: a[0] * c[0] + a[1] * c[1],
    )


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


@pytest.mark.parametrize("name", ALL)
def test_lrp_with_a_small_epsilon_is_input_times_gradient(name: str) -> None:
    """Where rectifiers do not saturate, whose gradient is zero and whose relevance is not: ReLU6 becomes ReLU."""
    network, x = without_ceilings(ALL[name]()), pictures()
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(leaf)[range(2), TARGETS].sum(), leaf)
    ours = METHODS["lrp_epsilon"].attribute(network, x, TARGETS, epsilon=1e-13)
    # The ε of additions, averages and batch norms alone, 1e-6, over the smallest denominators.
    assert report(f"LRP-ε against input × gradient {name}", ours, (x * gradient).sum(1, keepdim=True)) < 1e-3


@pytest.mark.parametrize("options", [{}, {"alpha": 1.0, "beta": 0.0}])
def test_relevance_is_conserved_without_biases(options: dict[str, float]) -> None:
    network, x = plain(bias=False), pictures()
    for key in ("lrp_epsilon", "lrp_alpha_beta"):
        total = METHODS[key].attribute(network, x, TARGETS, **(options if key == "lrp_alpha_beta" else {})).sum((1, 2, 3))
        assert report(f"{key} {options}: Σ R = f", total, scores(network, x)) < 1e-4  # what the stabiliser 1e-6 absorbs


@pytest.mark.parametrize("name", ["plain", "residual", "functional"])
def test_deep_taylor_adds_up_to_the_score_and_has_its_sign(name: str) -> None:
    network, x = ALL[name](), pictures()
    relevance, f = METHODS["deep_taylor"].attribute(network, x, TARGETS), scores(network, x)
    # The stabiliser absorbs 1e-6 over the denominators; few units have no positive contribution.
    assert report(f"Deep Taylor {name}: Σ R = f", relevance.sum((1, 2, 3)), f) < 2e-3
    assert float((relevance * f.sign()[:, None, None, None]).amin()) > -1e-12


@pytest.mark.parametrize("name", ["plain", "residual", "functional"])
def test_excitation_backprop_is_a_probability_distribution(name: str) -> None:
    network, x = ALL[name](), pictures()
    probability = METHODS["excitation_backprop"].attribute(network, x, TARGETS)
    assert float(probability.amin()) >= 0
    assert report(f"Excitation {name}: Σ P = 1", probability.sum((1, 2, 3)), torch.ones(len(x), dtype=x.dtype)) < 2e-3


@pytest.mark.parametrize("key", ["deep_taylor", "excitation_backprop"])
@pytest.mark.parametrize("name", ["saturating", "mobile"])
def test_positive_relevance_is_never_created_nor_turned_around(key: str, name: str) -> None:
    """Where units have no positive contribution (all inputs 0), relevance is lost; it must not appear from nowhere or change sign."""
    network, x = ALL[name](), pictures()
    relevance = METHODS[key].attribute(network, x, TARGETS)
    total = scores(network, x) if key == "deep_taylor" else torch.ones(len(x), dtype=x.dtype)
    share = relevance.sum((1, 2, 3)) / total
    print(f"{key} {name}: share of the relevance that arrives {share.tolist()}")
    assert float((relevance * total.sign()[:, None, None, None]).amin()) > -1e-12
    assert 0.5 < float(share.amin()) <= float(share.amax()) < 1 + 1e-6


class Same(nn.Module):
    """One network, written in two ways: as modules that are used once, or by hand, in place and reusing its rectifier."""

    def __init__(self, *, by_hand: bool) -> None:
        super().__init__()
        self.by_hand = by_hand
        self.norm = nn.BatchNorm2d(3)
        self.one, self.two, self.three = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 5)
        self.first, self.second, self.reused = nn.ReLU(), nn.ReLU6(), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        if not self.by_hand:
            x = self.first(self.one(self.norm(x)))
            x = self.second(torch.add(x, self.two(x)))
            return self.three(F.adaptive_avg_pool2d(x, 1).flatten(1))
        x = self.reused(self.one(self.norm(x)))
        y = self.two(x)
        y += x
        return self.three(y.clamp_(0, 6).mean((2, 3)))


@pytest.mark.parametrize("key", ["lrp_epsilon", "lrp_alpha_beta", "deep_taylor", "excitation_backprop"])
def test_functional_reused_and_in_place_operations_are_the_same_as_modules(key: str) -> None:
    torch.manual_seed(0)
    modules = Same(by_hand=False).double().eval()
    by_hand = Same(by_hand=True).double().eval()
    by_hand.load_state_dict(modules.state_dict())
    x = pictures()
    ours, theirs = (METHODS[key].attribute(network, x, TARGETS) for network in (by_hand, modules))
    assert report(f"{key}: by hand against modules", ours, theirs) < EXACT


@pytest.mark.parametrize("key", ["lrp_alpha_beta", "deep_taylor", "excitation_backprop"])
def test_lone_batch_norms_constants_and_scalings_hand_on_what_they_get(key: str) -> None:
    """A normalisation inside the network is a change of units: the map is that of the bare network on the normalised picture."""
    network, x = plain(), pictures()
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
    assert report(f"{key}: normalisation inside", ours, theirs) < EXACT


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


def test_a_class_of_its_own_for_each_picture_is_the_same_as_one_by_one() -> None:
    network, x = residual(), pictures()
    for key in ("lrp_epsilon", "lrp_alpha_beta", "deep_taylor", "excitation_backprop"):
        both = METHODS[key].attribute(network, x, TARGETS)
        alone = torch.cat([METHODS[key].attribute(network, x[i : i + 1], TARGETS[i]) for i in range(2)])
        assert both.shape == (2, 1, 32, 32)
        assert report(f"{key}: batch against one by one", both, alone) < EXACT


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


@pytest.mark.parametrize("key", ["lrp_epsilon", "lrp_alpha_beta", "deep_taylor", "excitation_backprop"])
def test_other_non_linearities_are_refused_by_name(key: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).double()
    with pytest.raises(NotApplicable, match="has no rule for 'silu'"):
        METHODS[key].attribute(network, pictures())


def test_wrong_options_are_named() -> None:
    network, x = plain(), pictures()
    with pytest.raises(ValueError, match="α − β = 1"):
        METHODS["lrp_alpha_beta"].attribute(network, x, alpha=2.0, beta=0.5)
    with pytest.raises(ValueError, match="must be positive"):
        METHODS["lrp_epsilon"].attribute(network, x, epsilon=0.0)
    with pytest.raises(ValueError, match="outside the bounds"):
        METHODS["deep_taylor"].attribute(network, x, bounds=(0.0, 0.1))


@pytest.mark.parametrize("key", ["lrp_epsilon", "lrp_alpha_beta", "deep_taylor", "excitation_backprop"])
def test_nothing_given_is_changed(key: str) -> None:
    network, x = residual().train(), pictures()
    before, picture = copy.deepcopy(network.state_dict()), x.clone()
    METHODS[key].attribute(network, x, TARGETS)
    assert network.training
    assert torch.equal(x, picture)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())


def test_many_threads_share_a_network() -> None:
    network, x = residual(), pictures(4)
    keys = ["lrp_epsilon", "deep_taylor", "excitation_backprop", "deep_lift"]
    jobs = [(key, x[i : i + 1]) for i in range(4) for key in keys]
    alone = [METHODS[key].attribute(network, picture) for key, picture in jobs]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda job: METHODS[job[0]].attribute(network, job[1]), jobs))
    assert report("threads against one by one", torch.stack(together), torch.stack(alone)) < EXACT


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_gradient_mode_does_not_matter(mode) -> None:
    network, x = residual(), pictures()
    patterns = fit_patterns(network, [x])
    keys = ["lrp_epsilon", "lrp_alpha_beta", "deep_taylor", "excitation_backprop", "deep_lift", "pattern_net", "pattern_attribution"]
    for key in keys:
        options = {"patterns": patterns} if key.startswith("pattern") else {}
        plainly = METHODS[key].attribute(network, x, TARGETS, **options)
        with mode():
            within = METHODS[key].attribute(network, x.clone(), TARGETS, **options)
        assert not plainly.requires_grad
        assert report(f"{key} under {mode.__name__}", within, plainly) < EXACT
