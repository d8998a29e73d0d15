"""Every method on every family of the zoo: a map where its own assumptions hold, else the one documented error."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from tests.support import zoo
from tests.support.nets import picture
from tests.support.nets import randomise as sized
from trgbp_core.methods import METHODS, NotApplicable
from trgbp_core.methods.learn_patterns import fit_patterns
from trgbp_core.methods.paths import Noise
from trgbp_core.methods.patterns import use_patterns
from trgbp_core.zoo.random_weights import randomise, uninitialised

FAMILIES = (
    "efficientnet_lite0 resnet18 vgg11 alexnet squeezenet1_1 densenet121 googlenet inception_v3 mobilenet_v2 "
    "shufflenet_v2_x0_5 mnasnet0_5 regnet_x_400mf"
).split()
"""The smallest network of each; ResNeXt and Wide ResNet are ResNets to a method, and RegNet-X has their grouped convolutions."""

EXCLUDED = {("cam", name) for name in ("vgg11", "alexnet", "squeezenet1_1")}
"""CAM needs global average pooling and one linear layer behind the last map."""

SIDES = {"inception_v3": 128}
"""Of the pictures, where zoo.SIDE leaves a last map of a single place."""

ANY_NETWORK = (
    "saliency input_x_gradient integrated_gradients smooth_grad var_grad blur_ig guided_ig "
    "cam grad_cam grad_cam_pp norm_grad score_cam cameras"
).split()
"""Methods that need gradients or activations only, and no rectifiers."""

SHORTER: dict[str, dict[str, Any]] = {
    **{key: {"steps": 3} for key in ("integrated_gradients", "guided_ig")},
    "blur_ig": {"steps": 3, "max_sigma": 1.0},
    **{key: {"noise": Noise(2)} for key in ("smooth_grad", "var_grad")},
    "score_cam": {"batch": 64},
}
"""Fewer steps of the same kind, for time's sake; a noise under a wide blur is grey, and wakes no unit of a network with random weights."""


def options(key: str, side: int) -> dict[str, Any]:
    return {"sizes": [(side, side), (side + 32, side + 32)]} if key == "cameras" else SHORTER.get(key, {})


def narrow(name: str) -> nn.Module:
    """AlexNet and VGG with 64 units in their hidden linear layers in the place of 4,096, whose patterns would take gigabytes."""
    net = uninitialised(lambda: torchvision.models.get_model(name))
    places = [i for i, module in enumerate(net.classifier) if isinstance(module, nn.Linear)]
    for i, inputs, outputs in zip(places, (net.classifier[places[0]].in_features, 64, 64), (64, 64, 1000), strict=True):
        net.classifier[i] = nn.Linear(inputs, outputs)
    randomise(net)
    return net.requires_grad_(False)


@lru_cache(maxsize=1)
def network(name: str) -> nn.Module:
    net = narrow(name) if name.startswith(("vgg", "alexnet")) else zoo.network(name, precision(name))
    use_patterns(net, fit_patterns(net, [shown(name, 2)]))
    return net


def precision(name: str) -> torch.dtype:
    """Deep and branching networks' PatternNet outgrows single precision, and says so."""
    return torch.float64 if name in ("densenet121", "inception_v3", "regnet_x_400mf") else torch.float32


def shown(name: str, count: int = 1) -> Tensor:
    side = SIDES.get(name, zoo.SIDE)
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0), dtype=precision(name))


def state(net: nn.Module) -> list[Any]:
    tensors = net.state_dict(keep_vars=True)
    versions = [(id(t), t._version, t.requires_grad, t.grad is None) for t in tensors.values()]
    return [versions, [(m.training, len(m._forward_hooks), len(m._backward_hooks)) for m in net.modules()]]


@pytest.mark.parametrize("key", METHODS)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_method_gives_a_map_on_every_family_or_says_why_not(name: str, key: str) -> None:
    net, x = network(name), shown(name)
    if key == "score_cam":  # a forward pass for each of up to 2,048 channels: in single precision, for time's sake
        net, x = copy.deepcopy(net).float(), x.float()
    before, random_state = state(net), torch.get_rng_state()
    if (key, name) in EXCLUDED:
        with pytest.raises(NotApplicable):
            METHODS[key].attribute(net, x)
    else:
        map = METHODS[key].attribute(net, x, None, **options(key, x.shape[3]))
        assert map.shape == (1, 1, *x.shape[2:])
        assert bool(torch.isfinite(map).all())
        assert bool(map.any())
        assert not map.requires_grad
        assert METHODS[key].signed or float(map.min()) >= 0 or key.startswith("tr_gbp"), "a map with signs that is shown without"
    assert state(net) == before
    assert torch.equal(torch.get_rng_state(), random_state)


def gated() -> nn.Module:
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)]
    net = sized(nn.Sequential(*layers))
    plain = sized(nn.Sequential(*[nn.ReLU() if isinstance(m, nn.SiLU) else m for m in layers]))
    use_patterns(net, fit_patterns(plain, [picture(2, 3, 32, 32)]))
    return net


@pytest.mark.parametrize("key", METHODS)
def test_where_rectifiers_are_needed_another_network_is_refused_with_the_one_error(key: str) -> None:
    net, x = gated(), picture()
    if key in ANY_NETWORK:
        assert bool(METHODS[key].attribute(net, x, 3, **options(key, 32)).any())
    else:
        with pytest.raises(NotApplicable, match="silu"):
            METHODS[key].attribute(net, x, 3)
