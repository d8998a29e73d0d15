"""Every architecture of the zoo, with random weights: alive, its layers as published, its sums complete, its guided gradient right."""

from __future__ import annotations

import warnings

import pytest
from captum.attr import GuidedBackprop
from torch import Tensor, fx, nn

from trgbp_core import TRGBP, cascade
from trgbp_core.engine.layer_order import layer_groups

from ..support.comparison import completeness_gap
from ..support.guided_reference import guided_gradient
from ..support.zoo import ARCHITECTURES, DEPTHS, PROJECTIONS, network, picture

WEIGHTED = (nn.Conv2d, nn.Linear)

# captum overrides the module nn.ReLU alone, whether used once, in place or again and again. These call the function F.relu (DenseNet once,
# behind its last batch norm), or hold nn.ReLU6, where captum silently takes the ordinary gradient; a second implementation stands in.
CAPTUM_MISSES = ("densenet", "googlenet", "inception", "mobilenet_v2", "efficientnet_lite")


class Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, WEIGHTED) or not any(True for _ in module.children())


def published_layers(network: nn.Module) -> tuple[list[str], list[str]]:
    """The layers that hold a bias and those that hold weights, in the order of execution, read from torch.fx's graph of the network.

    A convolution or linear layer holds a bias, or a batch norm that alone uses its output does; so does a batch norm elsewhere.
    """
    modules, biased, weighted = dict(network.named_modules()), [], []
    for node in Tracer().trace(network).nodes:
        module = modules[node.target] if node.op == "call_module" else None
        if isinstance(module, WEIGHTED):
            weighted.append(node.target)
            followers = [modules[user.target] for user in node.users if user.op == "call_module"]
            normed = len(node.users) == 1 and any(isinstance(follower, nn.BatchNorm2d) for follower in followers)
            if normed or module.bias is not None:
                biased.append(node.target)
        elif isinstance(module, nn.BatchNorm2d):
            before = node.args[0]
            if before.op != "call_module" or not isinstance(modules[before.target], WEIGHTED) or len(before.users) > 1:
                biased.append(node.target)
    return biased, weighted


def reference(name: str, network: nn.Module, x: Tensor, k: int) -> Tensor:
    if name.startswith(CAPTUM_MISSES):
        return guided_gradient(network, x, k)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum says that it sets hooks
        return GuidedBackprop(network).attribute(x.clone().requires_grad_(), k).detach()


def ordered_from_logits_to_first_convolution(net: nn.Module, x: Tensor, weighted: list[str]) -> None:
    groups = layer_groups(net, x)
    assert [layer for group in groups for layer in group if layer in weighted] == weighted
    assert {layer for group in groups for layer in group} == {name.rpartition(".")[0] for name, _ in net.named_parameters()}
    lone = [group[0] for group in groups if group[0] not in weighted]
    assert bool(lone) == ("densenet" in str(type(net)).lower()), "batch norms that follow no convolution are layers too"
    if not lone:
        assert groups == layer_groups(net), "defined in the order in which they run"
    for first in (next(iter(cascade(net))), next(iter(cascade(net, x=x)))):
        assert first.name == weighted[-1] == groups[-1][0]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_alive_complete_layered_as_published_and_guided_as_elsewhere(name: str) -> None:
    net, x = network(name), picture(name)
    ordinary = TRGBP(net, guided=False).explain(x)
    guided = TRGBP(net).explain(x)
    k = ordinary.top5[0]

    layers = [layer.name for layer in guided.layers if layer.kind != "constant"]
    biased, weighted = published_layers(net)
    assert layers == biased
    # torchvision's networks that were trained on (−1, 1) first move the picture's three colours there: constants that no layer holds.
    assert len(guided.layers) - len(layers) == (3 if getattr(net, "transform_input", False) else 0)
    assert len([layer for layer in weighted if not any(part in layer for part in PROJECTIONS)]) == DEPTHS[name]
    ordered_from_logits_to_first_convolution(net, x, weighted)

    theirs = reference(name, net, x, k)
    assert completeness_gap(ordinary, x) < 1e-9  # float64: what remains is summation order
    assert float((guided.gradient(k) - theirs).abs().max() / theirs.abs().max()) < 1e-9

    assert not any(module.training for module in net.modules())
    assert 0.01 < guided.logits.std() < 100
    assert all(bool(guided.layer_raw(layer, k).any()) for layer in range(len(guided.layers) + 1))
