"""The paper's six on a plain, a batch-norm residual and a ReLU6 network; Guided IG is in test_paths, FullGrad in test_fullgrad."""

from __future__ import annotations

import captum.attr
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core.methods import METHODS

from .gradient_networks import KINDS, largest_difference, last_map, picture, rewritten

# The same float64 sums in another order.
ROUNDING = 1e-12
SIZES = [(24, 24), (32, 32), (44, 44), (60, 60)]
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
def test_saliency_equals_captum(kind: str) -> None:
    network, x = KINDS[kind](), picture()
    theirs = captum.attr.Saliency(network).attribute(x.clone(), target=3).amax(1, keepdim=True)
    assert largest_difference(METHODS["saliency"].attribute(network, x, 3), theirs) < ROUNDING


@each_kind
def test_guided_backprop_equals_captum(kind: str) -> None:
    network, x = KINDS[kind](), picture()
    theirs = captum.attr.GuidedBackprop(rewritten(network, masked=True)).attribute(x.clone(), target=3).sum(1, keepdim=True)
    assert float(theirs.abs().max()) > 0
    assert largest_difference(METHODS["guided_backprop"].attribute(network, x, 3), theirs) < ROUNDING


@each_kind
def test_grad_cam_equals_captum(kind: str) -> None:
    network, x = KINDS[kind](), picture()
    theirs = captum.attr.LayerGradCam(network, last_map(network)).attribute(x.clone(), target=4, relu_attributions=True).detach()
    assert float(theirs.abs().max()) > 0
    expected = F.interpolate(theirs, x.shape[2:], mode="bilinear", align_corners=False)
    assert largest_difference(METHODS["grad_cam"].attribute(network, x, 4), expected) < ROUNDING


def of_any_size(network: nn.Module) -> nn.Module:
    """The plain network behind a pooling that changes nothing at 24×24, and takes pictures of other sizes."""
    return nn.Sequential(*network[:5], nn.AdaptiveAvgPool2d(6), *network[5:]) if isinstance(network, nn.Sequential) else network


@each_kind
def test_cameras_equals_its_algorithm(kind: str) -> None:
    """Algorithm 1 of Jalwana et al. 2021 for the best class: every size counts at which it is the best."""
    network, x = of_any_size(KINDS[kind]()), picture(1)
    seen: list[Tensor] = []
    handle = last_map(network).register_forward_hook(lambda module, given, out: seen.append(out))
    features, gradients = [], []
    k = int(network(x).argmax())
    for size in SIZES:
        shown = x if size == SIZES[0] else F.interpolate(x, size, mode="bicubic", align_corners=False)
        scores = network(shown)
        if int(scores.argmax()) == k:
            (gradient,) = torch.autograd.grad(scores[0, k], seen[-1])
            features.append(F.interpolate(seen[-1].detach(), SIZES[0], mode="bilinear"))
            gradients.append(F.interpolate(gradient, SIZES[0], mode="bilinear"))
    handle.remove()
    expected = (torch.stack(features).mean(0) * torch.stack(gradients).mean(0)).sum(1, keepdim=True).relu()
    print(f"{kind}: {len(features)} of {len(SIZES)} sizes agree")
    assert len(features) > 1
    assert float(expected.max()) > 0
    assert largest_difference(METHODS["cameras"].attribute(network, x, None, sizes=SIZES), expected) < ROUNDING
