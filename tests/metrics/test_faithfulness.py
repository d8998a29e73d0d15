"""Deletion and insertion against RISE's loop written out, infidelity and sensitivity-max against captum."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from captum import metrics
from torch import Tensor, nn

from trgbp_core.metrics.faithfulness import infidelity, largest_change, replacement_auc, softened

from ..support.comparison import close
from ..support.nets import picture as random


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 49, 5)).double().eval()


@pytest.mark.parametrize("steps", [8, 10])  # 256 pixels do not divide by 10
def test_deletion_and_insertion_are_rise_s_loops(network: nn.Module, steps: int) -> None:
    x, maps, classes = random(2, 3, 16, 16), random(2, 1, 16, 16, seed=1), [1, 3]
    pixels, soft = 256, softened(x)
    for start, end in ((x, torch.zeros_like(x)), (soft, x)):
        found = replacement_auc(network, start, end, maps, classes, steps=steps, batch=3)
        expected = []
        for i, k in enumerate(classes):
            shown, probabilities = start[i].clone().reshape(3, pixels), []
            ranked = np.flip(np.argsort(maps[i].numpy().ravel())).copy()
            bounds = [round(step * pixels / steps) for step in range(steps + 1)]
            for step in range(steps + 1):
                with torch.no_grad():
                    probabilities.append(float(network(shown.reshape(1, 3, 16, 16)).softmax(1)[0, k]))
                if step < steps:
                    taken = ranked[bounds[step] : bounds[step + 1]]
                    shown[:, taken] = end[i].reshape(3, pixels)[:, taken]
            heights = np.array(probabilities)
            expected.append((heights.sum() - heights[0] / 2 - heights[-1] / 2) / steps)
        assert abs(expected[0] - expected[1]) > 0.01
        close(found, expected, "area")


def test_a_picture_is_softened_by_the_kernel_of_rise_s_code() -> None:
    x, dirac = random(2, 3, 24, 24), np.zeros((11, 11))
    dirac[5, 5] = 1
    kernel = scipy.ndimage.gaussian_filter(dirac, 5)
    expected = [[scipy.ndimage.correlate(channel, kernel, mode="constant") for channel in one] for one in x.numpy()]
    close(softened(x), np.array(expected), "blur")


def test_infidelity_is_captum_s_where_a_perturbation_is_the_same_in_all_channels(network: nn.Module) -> None:
    """Of an attribution with a number for each channel, its sum over channels is all that is needed."""
    x, attribution, classes = random(2, 3, 16, 16), random(2, 3, 16, 16, seed=1), torch.tensor([1, 3])
    masks = (random(2, 6, 16, 16, seed=2) > 1).double()

    def removed(inputs: Tensor) -> tuple[Tensor, Tensor]:
        all_channels = masks.flatten(0, 1)[:, None].expand_as(inputs)
        return all_channels, inputs * (1 - all_channels)

    theirs = metrics.infidelity(network, removed, x, attribution, target=classes, n_perturb_samples=6, normalize=True)
    with torch.no_grad():
        after = network((x[:, None] * (1 - masks[:, :, None])).flatten(0, 1)).unflatten(0, (2, 6))
        falls = (network(x)[:, None] - after)[[0, 1], :, classes]
    promised = (masks * attribution.sum(1, keepdim=True)).sum((2, 3))
    ours = infidelity(promised, falls)
    close(ours, theirs, "infidelity")
    close(infidelity(-3 * promised, falls), ours, "in another unit")
    assert bool((ours < falls.square().mean(1)).all())
    close(infidelity(0 * promised, falls), falls.square().mean(1), "of a map of zeros")


def test_sensitivity_is_captum_s_and_a_map_of_zeros_has_none(network: nn.Module) -> None:
    x, noise = random(2, 3, 16, 16), 0.02 * random(5, 2, 3, 16, 16, seed=1)

    def gradient(x: Tensor) -> Tensor:
        leaf = x.detach().clone().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(network(leaf)[:, 2].square().sum(), leaf)[0].sum(1, keepdim=True)

    def explain(x: Tensor | tuple[Tensor]) -> Tensor | tuple[Tensor]:
        return (gradient(x[0]),) if isinstance(x, tuple) else gradient(x)

    theirs = metrics.sensitivity_max(explain, x, lambda x: x + noise.transpose(0, 1).flatten(0, 1), n_perturb_samples=5)
    maps, others = gradient(x), torch.stack([gradient(x + one) for one in noise])
    close(largest_change(maps, others), theirs, "sensitivity-max")
    assert float(theirs.min()) > 1e-3
    assert bool(largest_change(0 * maps, others).isnan().all())
