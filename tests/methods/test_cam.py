"""The methods that weigh the last activation, against captum, torchcam, grad-cam and the papers' formulas."""

from __future__ import annotations

import threading
from collections.abc import Callable

import captum.attr
import numpy as np
import pytest
import pytorch_grad_cam
import torch
import torch.nn.functional as F
import torchcam.methods
import torchvision
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from trgbp_core import METHODS, TRGBP, NotApplicable
from trgbp_core.methods.activation import record_activation, record_both
from trgbp_core.methods.cam import cam, grad_cam, grad_cam_pp, norm_grad, score_cam
from trgbp_core.trgbp.explainer import RecordedPicture

from .activation_networks import (
    CLASSES,
    Branches,
    Residual,
    deep,
    final_layer,
    full_size,
    hooked,
    largest_difference,
    lively,
    min_max,
    networks,
    pictures,
)


@networks
def test_last_activation_is_the_one_that_a_hook_on_the_right_layer_sees(build: Callable[[], nn.Module]) -> None:
    network, x = lively(build()), pictures()
    found = record_activation(network, x)
    activation, gradient = found.maps, found.gradient(3)
    a, g = hooked(network, x, 3)
    assert largest_difference(activation, a, "A") < 1e-12  # float64, the same operations in another memory layout
    assert largest_difference(gradient, g, "dA") < 1e-12


@networks
def test_grad_cam_equals_captum(build: Callable[[], nn.Module]) -> None:
    network, x = lively(build()), pictures()
    reference = captum.attr.LayerGradCam(network, final_layer(network)).attribute(x.clone(), target=2, relu_attributions=True)
    assert reference.abs().max() > 0
    assert largest_difference(grad_cam(network, x, 2), full_size(reference.detach(), x), "Grad-CAM") < 1e-12


@pytest.mark.parametrize(("name", "layer"), [("resnet18", "layer4"), ("densenet121", "features"), ("squeezenet1_1", "classifier.2")])
def test_grad_cam_finds_the_last_activation_of_torchvision_networks(name: str, layer: str) -> None:
    torch.manual_seed(0)
    network, x = torchvision.models.get_model(name, num_classes=CLASSES).double().eval(), pictures(1, 64)
    kept: list[Tensor] = []
    handle = network.get_submodule(layer).register_forward_hook(lambda module, inputs, output: kept.append(output))
    scores = network(x.clone())
    handle.remove()
    activation = F.relu(kept[0])  # DenseNet rectifies after its features; the others have done so
    gradient = torch.autograd.grad(scores[0, 1], kept[0])[0] if name != "densenet121" else None
    found = record_activation(network, x)
    ours, ours_gradient = found.maps, found.gradient(1)
    assert largest_difference(ours, activation.detach(), f"A of {name}") < 1e-9  # float64 through up to 121 layers
    if gradient is not None:
        assert largest_difference(ours_gradient, gradient, f"dA of {name}") < 1e-9


@networks
def test_grad_cam_pp_equals_grad_cam_library(build: Callable[[], nn.Module]) -> None:
    network, x = lively(build()), pictures()
    # grad-cam adds 1e-6 to 2g² + ΣA·g³; with the scores a thousandfold its g² is large beside that. α changes with the scale of the
    # scores, so that ours sees the same network.
    with torch.no_grad():
        for parameter in (network[9] if isinstance(network, nn.Sequential) else network.fc).parameters():
            parameter.mul_(1e3)
    with pytorch_grad_cam.GradCAMPlusPlus(network, [final_layer(network)]) as reference:
        theirs = torch.from_numpy(reference(x.clone(), [ClassifierOutputTarget(2)] * len(x))).double()[:, None]
    assert theirs.std() > 0.1
    # The library computes in float32 from its resizing on.
    assert largest_difference(min_max(grad_cam_pp(network, x, 2)), theirs, "Grad-CAM++") < 1e-5


def test_grad_cam_pp_follows_equation_19_for_gradients_of_any_size() -> None:
    network, x = lively(Branches()), pictures(1)
    a, g = (t[0].numpy() for t in hooked(network, x, 4))
    weights = np.zeros(len(a))
    for c in range(len(a)):
        for i, j in np.ndindex(a[c].shape):
            if g[c, i, j] > 0:
                alpha = g[c, i, j] ** 2 / (2 * g[c, i, j] ** 2 + a[c].sum() * g[c, i, j] ** 3)
                weights[c] += alpha * g[c, i, j]
    expected = torch.from_numpy(np.maximum((weights[:, None, None] * a).sum(0), 0))[None, None]
    assert largest_difference(grad_cam_pp(network, x, 4), full_size(expected, x), "Eq. 19") < 1e-12


@networks
def test_norm_grad_is_the_frobenius_norm_of_each_position_s_outer_product(build: Callable[[], nn.Module]) -> None:
    network, x = lively(build()), pictures()
    a, g = hooked(network, x, 5)
    outer = torch.einsum("nahw,nbhw->nabhw", a, g)  # the contribution of a position to the gradient of a 1×1 convolution there
    expected = outer.flatten(1, 2).norm(dim=1, keepdim=True)
    assert largest_difference(norm_grad(network, x, 5), full_size(expected, x), "NormGrad") < 1e-12


@pytest.mark.parametrize("build", [Residual, Branches])
def test_cam_equals_torchcam(build: Callable[[], nn.Module]) -> None:
    network, x = lively(build()), pictures()
    with torchcam.methods.CAM(network, final_layer(network), network.fc) as reference:
        network(x.clone())
        (theirs,) = reference(class_idx=[1, 6], normalized=False)
    assert largest_difference(cam(network, x, [1, 6]), full_size(theirs[:, None], x), "CAM") < 1e-12


def test_cam_adds_up_to_the_class_score_but_for_the_bias() -> None:
    network, x = lively(Residual()), pictures(3)
    mean = F.adaptive_avg_pool2d(torch.einsum("c,nchw->nhw", network.fc.weight[2], hooked(network, x, 2)[0])[:, None], 1).flatten()
    score = network(x)[:, 2] - network.fc.bias[2]
    assert largest_difference(mean.detach(), score.detach(), "mean of CAM") < 1e-12


def test_cam_sees_through_a_pooling_before_the_global_one_and_a_convolution_as_classifier() -> None:
    head = nn.Sequential(nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Dropout(), nn.Conv2d(8, CLASSES, 1), nn.Flatten())
    network = lively(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), *head))
    x = pictures()
    pooled = network[:3](x)
    expected = torch.einsum("c,nchw->nhw", network[5].weight[3].flatten(), pooled)[:, None].detach()
    assert largest_difference(cam(network, x, 3), full_size(expected, x), "CAM behind max pooling") < 1e-12


@pytest.mark.parametrize(
    "head",
    [
        [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, CLASSES)],
        [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES)],
        [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, CLASSES)],
        [nn.Conv2d(8, CLASSES, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
        [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES), nn.ReLU()],
    ],
    ids=["two layers", "max pooling", "four positions", "no linear layer", "rectified scores"],
)
def test_cam_refuses_other_heads_with_a_sentence(head: list[nn.Module]) -> None:
    network = lively(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), *head))
    with pytest.raises(NotApplicable, match="global average pooling and one linear layer"):
        cam(network, pictures())


def test_cam_refuses_a_second_path_to_the_scores() -> None:
    class Shortcut(Branches):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + F.relu(self.stem(x)).amax((2, 3))[:, :CLASSES]

    with pytest.raises(NotApplicable):
        cam(lively(Shortcut()), pictures())


@pytest.mark.parametrize("key", ["cam", "grad_cam", "grad_cam_pp", "norm_grad", "score_cam"])
def test_methods_leave_the_network_as_it_was_and_explain_its_evaluation_mode(key: str) -> None:
    network, x = lively(Residual()), pictures()
    expected = METHODS[key].attribute(network, x, 2)
    network.train()
    frozen = [p.requires_grad_(False) for p in network.parameters()]
    before = {name: t.clone() for name, t in network.state_dict().items()}
    picture = x.clone()
    assert torch.allclose(METHODS[key].attribute(network, x, 2), expected, rtol=1e-10, atol=0)
    assert all(torch.equal(before[name], network.state_dict()[name]) for name in before)
    assert all(m.training and not m._forward_hooks for m in network.modules())
    assert not any(p.requires_grad or p.grad is not None for p in frozen)
    assert torch.equal(picture, x)


def test_targets_follow_the_convention() -> None:
    network, x = lively(Branches()), pictures(3)
    best = network(x).argmax(1)
    for method in (cam, grad_cam, grad_cam_pp, score_cam):
        assert torch.equal(method(network, x), method(network, x, best))
        single = torch.cat([method(network, x[i : i + 1], i) for i in range(3)])
        assert torch.allclose(method(network, x, [0, 1, 2]), single, rtol=1e-10, atol=1e-14)
        with pytest.raises(ValueError, match="classes 0 to 6"):
            method(network, x, CLASSES)


def test_a_last_map_that_the_scores_ignore_is_passed_over() -> None:
    class Auxiliary(Branches):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Conv2d(8, 5, 3, padding=1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            scores = super().forward(x)
            return scores, F.relu(self.unused(F.relu(self.stem(x))))

    network, x = lively(Auxiliary()), pictures()
    activation = record_activation(network, x).maps
    assert activation.shape[1] == 16


def test_a_rectifier_in_place_whose_result_is_not_used_by_name_is_found() -> None:
    class InPlace(Branches):
        def forward(self, x: Tensor) -> Tensor:
            x = self.right(self.stem(x))
            F.relu_(x)
            return self.fc(torch.cat([x, x[:, :6]], 1).mean((2, 3)))

    network, x = lively(InPlace()), pictures()
    last = network.right(network.stem(x)).relu()
    activation = record_activation(network, x)
    assert largest_difference(activation.maps, torch.cat([last, last[:, :6]], 1).detach(), "A") < 1e-12

    class Pooled(InPlace):
        def forward(self, x: Tensor) -> Tensor:
            x = self.right(self.stem(x))
            F.relu_(x)
            return x.mean((2, 3))[:, :CLASSES]

    network = lively(Pooled())
    expected = torch.zeros_like(last)
    expected[:, 4] = 1 / last[0, 0].numel()
    found = record_activation(network, x)
    activation, gradient = found.maps, found.gradient(4)
    assert largest_difference(activation, last.detach(), "A") < 1e-12
    assert largest_difference(gradient, expected, "dA") < 1e-12


def test_networks_without_a_map_are_refused_with_a_sentence() -> None:
    network = lively(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10), nn.ReLU(), nn.Linear(10, CLASSES)))
    for method in (cam, grad_cam, grad_cam_pp, norm_grad, score_cam):
        with pytest.raises(NotApplicable, match="no convolutional activation"):
            method(network, pictures())


def test_a_gated_activation_counts_once_it_is_gated() -> None:
    """Non-linearities outside the theory: the map that reaches the pooling is the one that is weighed."""
    network = lively(nn.Sequential(nn.Conv2d(3, 8, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES)))
    x = pictures()
    assert largest_difference(record_activation(network, x).maps, network[:2](x).detach(), "SiLU") < 1e-12


def test_threads_may_share_a_network() -> None:
    network, x = lively(Residual()), [pictures(1, seed=i) for i in range(4)]
    expected = [grad_cam_pp(network, picture, 1) for picture in x]
    results: dict[int, Tensor] = {}
    threads = [threading.Thread(target=lambda i=i: results.update({i: grad_cam_pp(network, x[i], 1)})) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(results[i], expected[i]) for i in range(4))


WEIGH = ("grad_cam", "grad_cam_pp", "norm_grad")


@networks
def test_a_guided_pass_holds_the_activation_too(build: Callable[[], nn.Module]) -> None:
    network, x = lively(build()), pictures(1)
    recording, activation = record_both(network, x)
    assert (activation is None) is (build is deep), "a rectifier lies behind the activation"
    for key in WEIGH if activation is not None else ():
        method = METHODS[key]
        assert method.of_activation is not None
        expected = method.attribute(network, x, 2)
        assert expected.abs().max() > 0
        assert largest_difference(method.of_activation(activation, x, 2), expected, key) < 1e-12
    expected = TRGBP(network).explain(x, [2]).attribution(2)
    assert largest_difference(RecordedPicture(recording).explain([2]).attribution(2), expected, "TR-GBP") < 1e-12


@pytest.mark.parametrize(("name", "shared"), [("resnet18", True), ("densenet121", True), ("mobilenet_v2", True), ("vgg11", False)])
def test_a_guided_pass_serves_only_where_no_rectifier_lies_behind_the_activation(name: str, shared: bool) -> None:
    torch.manual_seed(0)
    network, x = torchvision.models.get_model(name, num_classes=CLASSES).double().eval(), pictures(1, 64)
    _, activation = record_both(network, x)
    assert (activation is not None) is shared
    for key in ("grad_cam", "cam") if activation is not None else ():
        method = METHODS[key]
        assert method.of_activation is not None
        torch.testing.assert_close(method.of_activation(activation, x, 1), method.attribute(network, x, 1), rtol=1e-9, atol=1e-12)
    network.train()
    assert (record_both(network, x)[1] is not None) is shared, "in training mode too"
