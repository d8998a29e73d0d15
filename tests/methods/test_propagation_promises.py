"""LRP-ε, LRP-αβ, Deep Taylor and Excitation backpropagation against what they promise: sums, signs, and nothing given is changed."""

from __future__ import annotations

import copy
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from trgbp_core import METHODS, NotApplicable
from trgbp_core.methods.learn_patterns import fit_patterns

from .rule_networks import EXACT, RULES, functional, mobile, pictures, plain, report, residual, saturating
from .zennit_reference import TARGETS, scores

ALL = {"plain": plain, "residual": residual, "saturating": saturating, "mobile": mobile, "functional": functional}


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


def test_a_class_of_its_own_for_each_picture_is_the_same_as_one_by_one() -> None:
    network, x = residual(), pictures()
    for key in RULES:
        both = METHODS[key].attribute(network, x, TARGETS)
        alone = torch.cat([METHODS[key].attribute(network, x[i : i + 1], TARGETS[i]) for i in range(2)])
        assert both.shape == (2, 1, 32, 32)
        assert report(f"{key}: batch against one by one", both, alone) < EXACT


@pytest.mark.parametrize("key", RULES)
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


@pytest.mark.parametrize("key", RULES)
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
    keys = [*RULES, "deep_lift", "pattern_net", "pattern_attribution"]
    for key in keys:
        options = {"patterns": patterns} if key.startswith("pattern") else {}
        plainly = METHODS[key].attribute(network, x, TARGETS, **options)
        with mode():
            within = METHODS[key].attribute(network, x.clone(), TARGETS, **options)
        assert not plainly.requires_grad
        assert report(f"{key} under {mode.__name__}", within, plainly) < EXACT
