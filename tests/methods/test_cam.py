"""The methods that weigh the last activation, against captum, torchcam, grad-cam and the papers' formulas."""

from __future__ import annotations

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

from tests.support.nets import randomise
from trgbp_core import METHODS, TRGBP, NotApplicable
from trgbp_core.methods.activation import record_activation, record_both
from trgbp_core.methods.cam import cam, grad_cam, grad_cam_pp, norm_grad, score_cam
from trgbp_core.trgbp.explainer import RecordedPicture

from .networks import CLASSES, KINDS, ROUNDING, Branches, full_size, hooked, largest_difference, last_map, picture

Build = Callable[[], nn.Module]


def branches() -> nn.Module:
    return randomise(Branches())


networks = pytest.mark.parametrize("build", [*KINDS.values(), branches])
pooled = pytest.mark.parametrize("build", [KINDS["residual"], KINDS["relu6"], branches])


def min_max(maps: Tensor) -> Tensor:
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low)


def of_library(reference: pytorch_grad_cam.base_cam.BaseCAM, x: Tensor) -> Tensor:
    """What grad-cam draws for class 2, each map scaled to [0, 1]; float32 from its resizing on."""
    with reference:
        theirs = torch.from_numpy(reference(x.clone(), [ClassifierOutputTarget(2)] * len(x))).double()[:, None]
    assert theirs.std() > 0.1
    return theirs


# -- the last activation ---------------------------------------------------------------------------------------------------------------


@networks
def test_the_last_activation_is_the_one_that_a_hook_on_the_right_layer_sees(build: Build) -> None:
    network, x = build(), picture()
    found = record_activation(network, x)
    a, g = hooked(network, x, 3)
    assert largest_difference(found.maps, a, "A") < ROUNDING
    assert largest_difference(found.gradient(3), g, "dA") < ROUNDING


@pytest.mark.parametrize(("name", "layer"), [("resnet18", "layer4"), ("densenet121", "features"), ("squeezenet1_1", "classifier.2")])
def test_the_last_activation_of_torchvision_networks_is_found(name: str, layer: str) -> None:
    torch.manual_seed(0)
    network, x = torchvision.models.get_model(name, num_classes=CLASSES).double().eval(), picture(1, size=(64, 64))
    kept: list[Tensor] = []
    handle = network.get_submodule(layer).register_forward_hook(lambda module, inputs, output: kept.append(output))
    scores = network(x.clone())
    handle.remove()
    found = record_activation(network, x)
    # DenseNet rectifies after its features; the others have done so. float64 through up to 121 layers
    assert largest_difference(found.maps, F.relu(kept[0]).detach(), f"A of {name}") < 1e-9
    if name != "densenet121":
        assert largest_difference(found.gradient(1), torch.autograd.grad(scores[0, 1], kept[0])[0], f"dA of {name}") < 1e-9


def test_a_last_map_that_the_scores_ignore_is_passed_over() -> None:
    class Auxiliary(Branches):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Conv2d(8, 5, 3, padding=1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            scores = super().forward(x)
            return scores, F.relu(self.unused(F.relu(self.stem(x))))

    assert record_activation(randomise(Auxiliary()), picture()).maps.shape[1] == 16


def test_a_rectifier_in_place_whose_result_is_not_used_by_name_is_found() -> None:
    class InPlace(Branches):
        def forward(self, x: Tensor) -> Tensor:
            x = self.right(self.stem(x))
            F.relu_(x)
            return x.mean((2, 3))[:, :CLASSES]

    network, x = randomise(InPlace()), picture()
    last = network.right(network.stem(x)).relu().detach()
    expected = torch.zeros_like(last)
    expected[:, 4] = 1 / last[0, 0].numel()
    found = record_activation(network, x)
    assert largest_difference(found.maps, last, "A") < ROUNDING
    assert largest_difference(found.gradient(4), expected, "dA") < ROUNDING


def test_a_gated_activation_counts_once_it_is_gated() -> None:
    """Non-linearities outside the theory: the map that reaches the pooling is the one that is weighed."""
    network = randomise(nn.Sequential(nn.Conv2d(3, 8, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES)))
    x = picture()
    assert largest_difference(record_activation(network, x).maps, network[:2](x).detach(), "SiLU") < ROUNDING


def test_networks_without_a_map_are_refused_with_a_sentence() -> None:
    network = randomise(nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, 10), nn.ReLU(), nn.Linear(10, CLASSES)))
    with pytest.raises(NotApplicable, match="no convolutional activation"):
        record_activation(network, picture())


@pytest.mark.parametrize(("name", "shared"), [("resnet18", True), ("densenet121", True), ("mobilenet_v2", True), ("vgg11", False)])
def test_a_guided_pass_holds_the_activation_too_where_no_rectifier_lies_behind_it(name: str, shared: bool) -> None:
    torch.manual_seed(0)
    network, x = torchvision.models.get_model(name, num_classes=CLASSES).double().eval(), picture(1, size=(64, 64))
    recording, activation = record_both(network, x)
    assert (activation is not None) is shared
    for key in ("grad_cam", "grad_cam_pp", "norm_grad", "cam") if activation is not None else ():
        method = METHODS[key]
        torch.testing.assert_close(method.of_activation(activation, x, 1), method.attribute(network, x, 1), rtol=1e-9, atol=1e-12)
    expected = TRGBP(network).explain(x, [2]).attribution(2)
    assert largest_difference(RecordedPicture(recording).explain([2]).attribution(2), expected, "TR-GBP") < ROUNDING
    assert (record_both(network.train(), x)[1] is not None) is shared, "in training mode too"


# -- weights from gradients and from the classifier ----------------------------------------------------------------------------------


@networks
def test_grad_cam_equals_captum(build: Build) -> None:
    network, x = build(), picture()
    reference = captum.attr.LayerGradCam(network, last_map(network)).attribute(x.clone(), target=2, relu_attributions=True)
    assert reference.abs().max() > 0
    assert largest_difference(grad_cam(network, x, 2), full_size(reference.detach(), x), "Grad-CAM") < ROUNDING


@networks
def test_grad_cam_pp_equals_grad_cam_library(build: Build) -> None:
    network, x = build(), picture()
    # grad-cam adds 1e-6 to 2g² + ΣA·g³; with the scores a millionfold its g² is large beside that. α changes with the scale of the
    # scores, so that ours sees the same network.
    with torch.no_grad():
        for parameter in (network[-1] if isinstance(network, nn.Sequential) else network.head).parameters():
            parameter.mul_(1e6)
    theirs = of_library(pytorch_grad_cam.GradCAMPlusPlus(network, [last_map(network)]), x)
    assert largest_difference(min_max(grad_cam_pp(network, x, 2)), theirs, "Grad-CAM++") < 1e-5


def test_grad_cam_pp_follows_equation_19_for_gradients_of_any_size() -> None:
    network, x = branches(), picture(1)
    a, g = (t[0].numpy() for t in hooked(network, x, 4))
    weights = np.zeros(len(a))
    for c in range(len(a)):
        for i, j in np.ndindex(a[c].shape):
            if g[c, i, j] > 0:
                alpha = g[c, i, j] ** 2 / (2 * g[c, i, j] ** 2 + a[c].sum() * g[c, i, j] ** 3)
                weights[c] += alpha * g[c, i, j]
    expected = torch.from_numpy(np.maximum((weights[:, None, None] * a).sum(0), 0))[None, None]
    assert largest_difference(grad_cam_pp(network, x, 4), full_size(expected, x), "Eq. 19") < ROUNDING


@networks
def test_norm_grad_is_the_frobenius_norm_of_each_position_s_outer_product(build: Build) -> None:
    network, x = build(), picture()
    a, g = hooked(network, x, 4)
    outer = torch.einsum("nahw,nbhw->nabhw", a, g)  # the contribution of a position to the gradient of a 1×1 convolution there
    expected = outer.flatten(1, 2).norm(dim=1, keepdim=True)
    assert largest_difference(norm_grad(network, x, 4), full_size(expected, x), "NormGrad") < ROUNDING


@pooled
def test_cam_equals_torchcam(build: Build) -> None:
    network, x = build(), picture()
    with torchcam.methods.CAM(network, last_map(network), network.head) as reference:
        network(x.clone())
        (theirs,) = reference(class_idx=[1, 4], normalized=False)
    assert largest_difference(cam(network, x, [1, 4]), full_size(theirs[:, None], x), "CAM") < ROUNDING


def test_cam_sees_through_a_pooling_before_the_global_one_and_a_convolution_as_classifier() -> None:
    head = nn.Sequential(nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Dropout(), nn.Conv2d(8, CLASSES, 1), nn.Flatten())
    network, x = randomise(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), *head)), picture()
    expected = torch.einsum("c,nchw->nhw", network[5].weight[3].flatten(), network[:3](x))[:, None].detach()
    assert largest_difference(cam(network, x, 3), full_size(expected, x), "CAM behind max pooling") < ROUNDING


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
    network = randomise(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), *head))
    with pytest.raises(NotApplicable, match="global average pooling and one linear layer"):
        cam(network, picture())


def test_cam_refuses_a_second_path_to_the_scores() -> None:
    class Shortcut(Branches):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + F.relu(self.stem(x)).amax((2, 3))[:, :CLASSES]

    with pytest.raises(NotApplicable):
        cam(randomise(Shortcut()), picture())


# -- Score-CAM -------------------------------------------------------------------------------------------------------------------------


@networks
def test_score_cam_equals_grad_cam_library(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = build(), picture()
    # The library aligns corners when it upsamples the masks; the paper leaves that open, and ours is ψ like everywhere.
    monkeypatch.setattr(torch.nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size=size, mode="bilinear", align_corners=False))
    theirs = of_library(pytorch_grad_cam.ScoreCAM(network, [last_map(network)]), x)
    # The library computes its scores in float32, ours are float64.
    assert largest_difference(min_max(score_cam(network, x, 2, batch=5)), theirs, "Score-CAM") < 1e-5


def test_score_cam_equals_torchcam() -> None:
    """At stride 1, where it does not matter that torchcam scales its masks to [0, 1] before it upsamples them."""
    layers = nn.Conv2d(3, 10, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, CLASSES)
    network, x = randomise(nn.Sequential(*layers)), picture()
    with torchcam.methods.ScoreCAM(network, network[1]) as reference:
        network(x.clone())
        (theirs,) = reference(class_idx=[4, 0], normalized=False)
    assert theirs.max() > 0
    assert largest_difference(score_cam(network, x, [4, 0]), theirs[:, None], "Score-CAM") < 1e-6  # torchcam adds 1e-8 to its divisor


def test_dead_channels_take_their_share_of_the_softmax_whatever_the_batch() -> None:
    network, x = branches(), picture(1)
    with torch.no_grad():
        network.left.bias.fill_(-1e6)  # channels 0 to 5 of 16
    features = hooked(network, x, 2)[0][0]
    increase = []
    with torch.no_grad():
        for channel in features:
            mask = full_size(channel[None, None], x)
            mask = min_max(mask) if channel.max() > channel.min() else torch.zeros_like(mask)
            increase.append(float(network(x * mask)[0, 2]))
    weights = torch.tensor(increase, dtype=torch.float64).softmax(0)
    assert 0.01 < float(weights[:6].sum()) < 0.99
    expected = full_size(torch.einsum("c,chw->hw", weights, features).relu()[None, None], x)
    for batch in (1, 5, 10, 16, 1000):  # the one picture for all dead channels alone in its batch, and not
        assert largest_difference(score_cam(network, x, 2, batch=batch), expected, "Score-CAM with dead channels") < ROUNDING


def test_score_cam_of_a_dead_network_is_zero() -> None:
    network = branches()
    with torch.no_grad():
        for conv in (network.left, network.right):
            conv.bias.fill_(-1e6)
    assert not bool(score_cam(network, picture()).any())
