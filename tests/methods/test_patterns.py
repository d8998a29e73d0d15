"""PatternNet and PatternAttribution: the authors' linear problem, the estimators against plain sums, and the files patterns live in."""

from __future__ import annotations

import copy
import gc
import io
import os
import pickle
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core import METHODS, NotApplicable
from trgbp_core.methods.learn_patterns import Patterns, fit_patterns
from trgbp_core.methods.patterns import use_patterns

from .networks import ALL, EXACT, TARGETS, largest_difference, picture, plain, resnet, saturating

pattern_net, pattern_attribution = METHODS["pattern_net"].attribute, METHODS["pattern_attribution"].attribute
SIGNAL, DISTRACTOR, FILTER = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0]), torch.tensor([1.0, -1.0])


def signal_and_distractor(count: int = 20_000) -> Tensor:
    """x = a_s y + a_d ε (Kindermans et al. 2017, Section 2): pictures of two pixels, (count, 1, 1, 2)."""
    generator = torch.Generator().manual_seed(0)
    y, noise = torch.rand(count, 1, generator=generator) * 2 - 1, torch.randn(count, 1, generator=generator)
    return (y * SIGNAL + noise * DISTRACTOR).double().reshape(count, 1, 1, 2)


def linear_model(*, rectified: bool = False) -> nn.Module:
    """The regression that recovers y: w = (1, −1), orthogonal to the distractor; behind a rectifier, with a layer that copies it."""
    layer = nn.Linear(2, 1, bias=False)
    layer.weight = nn.Parameter(FILTER[None].clone())
    copying = nn.Linear(1, 1, bias=False)
    copying.weight = nn.Parameter(torch.ones(1, 1))
    return nn.Sequential(nn.Flatten(), layer, *([nn.ReLU(), copying] if rectified else [])).double()


@pytest.mark.parametrize("rectified", [False, True])
def test_the_pattern_is_the_direction_of_the_signal_whatever_the_filter(rectified: bool) -> None:
    network, x = linear_model(rectified=rectified), signal_and_distractor()
    patterns = fit_patterns(network, x.split(1000))
    found = next(iter(patterns.layers.values()))[0]
    # 20,000 samples: the standard error of a covariance with unit noise is about 0.01 on a pattern of length 1.
    assert largest_difference(found, SIGNAL.double(), f"pattern against signal, rectified {rectified}") < 0.05
    assert float((found - FILTER).abs().max()) > 0.9

    probe = torch.tensor([1.5, 0.5]).double().reshape(1, 1, 1, 2)  # y = 1, ε = 0.5
    score = float(network(probe).detach())
    signal = pattern_net(network, probe, 0, patterns=patterns).flatten()
    assert largest_difference(signal, score * SIGNAL.double(), "PatternNet: S(x) = a_s y") < 0.05
    share = pattern_attribution(network, probe, 0, patterns=patterns).flatten()
    assert largest_difference(share, score * (FILTER * SIGNAL).double(), "PatternAttribution: w ⊙ a_s y") < 0.05


def samples(layer: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Each unit's inputs and outputs, one row a picture and place: (O, P, fan-in), (O, P)."""
    if isinstance(layer, nn.Linear):
        return x.expand(y.shape[1], -1, -1), y.T
    patches = F.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # (N, C·kh·kw, P)
    grouped = patches.unflatten(1, (layer.groups, -1)).permute(1, 0, 3, 2).flatten(1, 2)  # (groups, N·P, fan-in)
    return grouped.repeat_interleave(len(layer.weight) // layer.groups, 0), y.flatten(2).transpose(0, 1).flatten(1)


def estimated(inputs: Tensor, outputs: Tensor, weight: Tensor, *, rectified: bool) -> Tensor:
    """Both estimators, unit by unit, as the paper writes them."""
    patterns = []
    for x, y, w in zip(inputs, outputs, weight.flatten(1), strict=True):
        here = y > 0 if rectified else torch.ones_like(y, dtype=torch.bool)
        if not here.any():
            patterns.append(torch.zeros_like(w))
            continue
        covariance = (x[here] * y[here, None]).mean(0) - x[here].mean(0) * y.mean()
        patterns.append(covariance / (w @ covariance))
    return torch.stack(patterns).reshape(weight.shape)


@pytest.mark.parametrize("name", ["plain", "saturating"])
def test_streamed_patterns_equal_the_plain_estimators_of_all_samples(name: str) -> None:
    network = {"plain": plain, "saturating": saturating}[name]()
    with torch.no_grad():
        for module in network:
            if isinstance(module, nn.Linear):
                module.bias.mul_(0.1)  # six pictures: a large bias makes the estimate wᵀ cov negative, and no pattern
    x = picture(6)
    patterns = fit_patterns(network, x.split(2))
    modules, key = list(network), iter(patterns.layers)
    for i, layer in enumerate(modules):
        if not isinstance(layer, (nn.Conv2d, nn.Linear)):
            continue
        following = [*modules[i + 1 :], None]
        norm = following.pop(0) if isinstance(following[0], nn.BatchNorm2d) else None
        with torch.no_grad():
            seen = nn.Sequential(*modules[:i])(x)
            spoken = layer(seen) if norm is None else norm(layer(seen))
            scale = 1.0 if norm is None else (norm.weight / (norm.running_var + norm.eps).sqrt()).reshape(-1, 1, 1, 1)
            rectified = isinstance(following[0], (nn.ReLU, nn.ReLU6))
            theirs = estimated(*samples(layer, seen, spoken), layer.weight * scale, rectified=rectified)
        found = next(key)
        ours = patterns.layers[found]
        silent = (theirs.flatten(1) == 0).all(1)
        assert bool((ours[silent] == 0).all())
        which = "two components" if rectified else "linear"
        assert largest_difference(ours, theirs, f"{name} {found} ({which})") < 1e-7  # covariances near 0
    assert next(key, None) is None


def manual(network: nn.Sequential, x: Tensor, classes: list[int], back: list[Tensor]) -> Tensor:
    """``plain()`` backwards by hand, with ``back`` in the place of its weights."""
    seen = [x]
    with torch.no_grad():
        for module in network:
            seen.append(module(seen[-1]))
    g = torch.zeros_like(seen[-1])
    g[range(len(x)), classes] = seen[-1][range(len(x)), classes]
    weights = iter(reversed(back))
    for module, before in zip(reversed(network), reversed(seen[:-1]), strict=True):
        if isinstance(module, nn.Conv2d):
            g = torch.nn.grad.conv2d_input(before.shape, next(weights), g, module.stride, module.padding)
        elif isinstance(module, nn.Linear):
            g = g @ next(weights)
        else:
            leaf = before.clone().requires_grad_()
            (g,) = torch.autograd.grad(module(leaf), leaf, g)
    return g.sum(1, keepdim=True)


def test_signal_and_attribution_equal_a_backward_pass_by_hand() -> None:
    network, x = plain(), picture()
    patterns = fit_patterns(network, [picture(6, seed=3)])
    signals = list(patterns.layers.values())
    weights = [m.weight.detach() for m in network if isinstance(m, (nn.Conv2d, nn.Linear))]
    ours = pattern_net(network, x, TARGETS, patterns=patterns)
    assert largest_difference(ours, manual(network, x, TARGETS, signals), "PatternNet by hand") < EXACT
    weighted = [a * w for a, w in zip(signals, weights, strict=True)]
    ours = pattern_attribution(network, x, TARGETS, patterns=patterns)
    assert largest_difference(ours, manual(network, x, TARGETS, weighted), "PatternAttribution by hand") < EXACT


@pytest.mark.parametrize("name", ALL)
def test_patterns_of_any_rectifier_network_can_be_learnt_and_leave_it_untouched(name: str) -> None:
    network, x = ALL[name]().train(), picture()
    before = copy.deepcopy(network.state_dict())
    patterns = fit_patterns(network, picture(6, seed=3).split(3))
    for attribute in (pattern_net, pattern_attribution):
        maps = attribute(network, x, TARGETS, patterns=patterns)
        assert float(maps.abs().max()) > 0
        assert bool(maps.isfinite().all())
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_batches_do_not_matter_and_none_is_kept() -> None:
    network, x = plain(), picture(6)
    alive: list[weakref.ref[Tensor]] = []

    def one_by_one() -> Iterator[Tensor]:
        for i in range(len(x)):
            gc.collect()
            assert sum(kept() is not None for kept in alive) <= 1, "earlier pictures are still held"
            batch = x[i : i + 1].clone()
            alive.append(weakref.ref(batch))
            yield batch

    counted: list[int] = []
    streamed, at_once = fit_patterns(network, one_by_one(), seen=counted.append), fit_patterns(network, [x])
    assert counted == [1, 2, 3, 4, 5, 6]
    assert streamed.pictures == at_once.pictures == 6
    for key, pattern in at_once.layers.items():
        assert largest_difference(streamed.layers[key], pattern, f"streamed {key}") < EXACT


def test_patterns_survive_their_file(tmp_path: Path) -> None:
    network, x = resnet(), picture()
    patterns = fit_patterns(network, [picture(4, seed=3)])
    patterns.save(tmp_path / "patterns.pt")
    loaded = Patterns.load(tmp_path / "patterns.pt")
    assert loaded.pictures == 4
    assert torch.equal(pattern_net(network, x, patterns=loaded), pattern_net(network, x, patterns=patterns))


class Trap:
    """Unpickled by a careless reader, makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_file_of_something_else_is_refused_and_never_executed(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    bad = {"junk": b"not patterns", "empty": b"", "pickle": pickle.dumps(Trap(trap))}
    for value, name in (({"layers": {}}, "weights"), ({"format": "trgbp patterns 1", "pictures": 1, "layers": Trap(trap)}, "trap")):
        buffer = io.BytesIO()
        torch.save(value, buffer)
        bad[name] = buffer.getvalue()
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="does not hold patterns"):
            Patterns.load(tmp_path / name)
    assert not trap.exists()
    with pytest.raises(FileNotFoundError):
        Patterns.load(tmp_path / "nothing")


@pytest.mark.parametrize("attribute", [pattern_net, pattern_attribution])
def test_without_patterns_the_command_that_learns_them_is_named(attribute) -> None:
    with pytest.raises(NotApplicable, match="python -m trgbp_core patterns IMAGES --out FILE"):
        attribute(plain(), picture())


def test_patterns_in_use_belong_to_one_network_and_die_with_it() -> None:
    network, x = plain(), picture()
    patterns = fit_patterns(network, [picture(4, seed=3)])
    use_patterns(network, patterns)
    assert torch.equal(pattern_net(network, x, TARGETS), pattern_net(network, x, TARGETS, patterns=patterns))
    with pytest.raises(NotApplicable, match="needs patterns"):
        pattern_net(copy.deepcopy(network), x, TARGETS)
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


def test_patterns_of_another_network_or_other_weights_are_refused() -> None:
    network, x = plain(), picture()
    patterns = fit_patterns(network, [picture(4, seed=3)])
    with pytest.raises(NotApplicable, match="another network"):
        pattern_net(resnet(), x, patterns=patterns)
    with torch.no_grad():
        network[3].weight.mul_(-1.5)
    with pytest.raises(NotApplicable, match="other weights than layer 3"):
        pattern_net(network, x, patterns=patterns)


def test_without_pictures_there_is_nothing_to_learn() -> None:
    with pytest.raises(ValueError, match="no pictures"):
        fit_patterns(plain(), [])


class Deep(nn.Module):
    """Layers that hand a signal on ``depth`` times, through two units each that share it: every step back doubles it."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(1 if i == 0 else 2, 2, 1, bias=False) for i in range(depth)])
        self.head = nn.Linear(2, 3, bias=False)
        with torch.no_grad():
            for layer in self.layers:
                layer.weight.fill_(1 / layer.in_channels)
            self.head.weight.copy_(torch.tensor([[0.5, 0.5], [1.0, 0.0], [-0.5, -0.5]]))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("depth", [20, 150, 200])
def test_maps_of_deep_networks_stay_finite_and_keep_their_proportions(depth: int) -> None:
    network = Deep(depth).float()
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0)) + 0.1
    patterns = fit_patterns(network, [x])
    ours = pattern_net(network, x, 0, patterns=patterns)
    precise = pattern_net(network.double(), x.double(), 0, patterns=patterns)
    # Doubled at every layer: in float32 beyond its range at 150, with a start that is small enough within it.
    exact = float(precise.abs().max())
    print(f"depth {depth}: largest value {float(ours.abs().max()):.3g}, before scaling about 2^{depth}")
    assert bool(ours.isfinite().all())
    assert float(ours.abs().max()) <= 2.0**60
    assert largest_difference(ours / ours.abs().max(), (precise / exact).float(), f"depth {depth}") < 1e-3
    if depth == 20:  # within range: nothing is scaled
        assert float(ours.abs().max()) == pytest.approx(exact, rel=1e-3)


def test_a_network_too_deep_for_its_precision_is_refused_in_words() -> None:
    network, x = Deep(260).float(), torch.rand(2, 1, 4, 4) + 0.1
    with pytest.raises(NotApplicable, match="double precision"):
        pattern_net(network, x, 0, patterns=fit_patterns(network, [x]))
