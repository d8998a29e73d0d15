"""Score-CAM against grad-cam, torchcam and the paper's formula."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import pytorch_grad_cam
import torch
import torchcam.methods
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from trgbp_core.methods.cam import score_cam

from .activation_networks import (
    CLASSES,
    Branches,
    Residual,
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
def test_score_cam_equals_grad_cam_library(build: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = lively(build()), pictures()
    # The library aligns corners when it upsamples the masks; the paper leaves that open, and ours is ψ like everywhere.
    monkeypatch.setattr(torch.nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size=size, mode="bilinear", align_corners=False))
    with pytorch_grad_cam.ScoreCAM(network, [final_layer(network)]) as reference:
        theirs = torch.from_numpy(reference(x.clone(), [ClassifierOutputTarget(2)] * len(x))).double()[:, None]
    assert theirs.std() > 0.1
    # The library computes its scores in float32, ours are float64.
    assert largest_difference(min_max(score_cam(network, x, 2, batch=5)), theirs, "Score-CAM") < 1e-5


def test_score_cam_equals_torchcam() -> None:
    """At stride 1, where it does not matter that torchcam scales its masks to [0, 1] before it upsamples them."""
    network = lively(
        nn.Sequential(nn.Conv2d(3, 10, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, CLASSES))
    )
    x = pictures()
    with torchcam.methods.ScoreCAM(network, network[1]) as reference:
        network(x.clone())
        (theirs,) = reference(class_idx=[4, 0], normalized=False)
    assert theirs.max() > 0
    assert largest_difference(score_cam(network, x, [4, 0]), theirs[:, None], "Score-CAM") < 1e-6  # torchcam adds 1e-8 to its divisor


def test_score_cam_does_not_depend_on_the_batch_and_keeps_no_graph() -> None:
    network, x = lively(Residual()), pictures()
    one, many = score_cam(network, x, 1, batch=1), score_cam(network, x, 1, batch=1000)
    assert largest_difference(one, many, "batches of 1 and of 1000") < 1e-12
    assert not one.requires_grad
    assert one.std() > 0


def test_dead_channels_take_their_share_of_the_softmax() -> None:
    network, x = lively(Branches()), pictures(1)
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
    for batch in (5, 10, 16):  # the one picture for all dead channels alone in its batch, and not
        assert largest_difference(score_cam(network, x, 2, batch=batch), expected, "Score-CAM with dead channels") < 1e-12


def test_score_cam_takes_a_dead_network_calmly() -> None:
    network = lively(Branches())
    with torch.no_grad():
        for conv in (network.left, network.right):
            conv.bias.fill_(-1e6)
    assert torch.equal(score_cam(network, pictures()), torch.zeros(2, 1, 32, 32, dtype=torch.float64))


def test_score_cam_reports_progress_and_can_be_cancelled() -> None:
    network, x = lively(Residual()), pictures()
    shares: list[float] = []
    score_cam(network, x, progress=shares.append, batch=4)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) > 8

    def cancel(share: float) -> None:
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_cam(network, x, progress=cancel, batch=4)
