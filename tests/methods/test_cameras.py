"""CAMERAS against its algorithm written out plainly, with hooks and without economies."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core import NotApplicable
from trgbp_core.methods import cameras as module
from trgbp_core.methods.activation import record_activation
from trgbp_core.methods.cameras import cameras, resolutions

from .networks import CLASSES, ROUNDING, hooked, largest_difference, picture, relu6

SIZES = [(24, 24), (32, 32), (48, 48), (64, 64), (80, 80)]


def network() -> nn.Module:
    """Sure of different classes at different sizes."""
    layers = relu6()
    with torch.no_grad():
        seen = [layers(F.interpolate(picture(8, seed=9), size, mode="bicubic")) for size in SIZES]
        layers.head.bias.sub_(torch.cat(seen).mean(0))
    return layers


def plainly(model: nn.Module, x: Tensor, target: int | None, sizes: list[tuple[int, int]], every: bool = False) -> tuple[Tensor, int]:
    """Algorithm 1 for one picture, and how many sizes agreed."""
    own = sizes[0]
    original = int(model(x).argmax())
    k = original if target is None else target
    samples = []
    for size in sizes:
        shown = x if size == own else F.interpolate(x, size, mode="bicubic", align_corners=False)
        if every or int(model(shown).argmax()) in (original, k):
            samples.append([F.interpolate(m, own, mode="bilinear") for m in hooked(model, shown, k)])
    features, gradients = (torch.stack(maps).mean(0) for maps in zip(*samples, strict=True))
    return (features * gradients).sum(1, keepdim=True).clamp(min=0), len(samples)


@pytest.mark.parametrize("target", [None, 0, 3])
def test_cameras_follows_algorithm_1(target: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHANNELS", 3)  # of 8: brought to full size in several parts
    model, x = network(), picture(6)
    plain = [plainly(model, x[i : i + 1], target, SIZES) for i in range(len(x))]
    expected, agreeing = torch.cat([maps for maps, _ in plain]), [count for _, count in plain]
    assert min(agreeing) < len(SIZES), "the pictures do not put the demand for agreement to the test"
    assert max(agreeing) > 1
    assert float(expected.max()) > 0
    assert largest_difference(cameras(model, x, target, sizes=SIZES), expected, f"agreeing {agreeing}") < ROUNDING


def test_with_a_class_the_authors_code_counts_every_size() -> None:
    model, x = network(), picture(2)
    expected = torch.cat([plainly(model, x[i : i + 1], 3, SIZES, every=True)[0] for i in range(len(x))])
    found = cameras(model, x, 3, sizes=SIZES, every_size=True)
    assert largest_difference(found, expected, "every size") < ROUNDING
    assert not torch.allclose(found, cameras(model, x, 3, sizes=SIZES))


def test_sizes_are_the_authors_for_224_and_the_picture_s_own_elsewhere() -> None:
    assert resolutions((224, 224)) == [(s, s) for s in (224, 324, 424, 524, 624, 724, 824, 924)]
    assert resolutions((32, 32))[:2] == [(32, 32), (132, 132)]
    assert resolutions((400, 300)) == [(400, 300), (500, 375), (600, 450), (700, 525), (800, 600), (900, 675)]
    assert resolutions((1000, 600)) == [(1000, 600)]
    assert resolutions((1200, 1200)) == [(1200, 1200)]


def test_default_sizes_and_oblong_pictures_work() -> None:
    model, x = network(), picture(1, size=(912, 60))
    expected, agreeing = plainly(model, x, None, [(912, 60)])
    ours = cameras(model, x)
    assert ours.shape == (1, 1, 912, 60)
    assert agreeing == 1
    assert largest_difference(ours, expected) < ROUNDING


@pytest.mark.parametrize(
    "tail",
    [[nn.Flatten(), nn.Linear(8 * 16 * 16, CLASSES)], [nn.AvgPool2d(16), nn.Flatten(), nn.Linear(8, CLASSES)]],
    ids=["flatten", "pooling of fixed size"],
)
def test_networks_of_one_input_size_are_refused_with_a_sentence(tail: list[nn.Module]) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), *tail).double()
    with pytest.raises(NotApplicable, match="made for 32×32, does not accept 72×72"):
        cameras(model, picture(1, size=(32, 32)), sizes=[(32, 32), (72, 72)])


def test_the_first_size_must_be_the_picture_s_own() -> None:
    with pytest.raises(ValueError, match="own size"):
        cameras(network(), picture(1), sizes=[(64, 64)])


def test_the_graph_below_the_last_activation_is_not_kept() -> None:
    """What makes 924 pixels affordable: however deep the network, backward reaches one layer below the last activation."""

    def nodes(depth: int) -> int:
        layers = [m for _ in range(depth) for m in (nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True))]
        model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, CLASSES)).double().eval()
        seen, stack = set(), [record_activation(model, picture(1))._output.grad_fn]
        while stack:
            node = stack.pop()
            if node is not None and node not in seen:
                seen.add(node)
                stack.extend(parent for parent, _ in node.next_functions)
        return len(seen)

    assert nodes(12) == nodes(1)
