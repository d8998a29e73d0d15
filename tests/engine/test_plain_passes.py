"""The folded copy computes what the network computes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from trgbp_core import METHODS, load_model
from trgbp_core.engine.evaluation_mode import uncompiled
from trgbp_core.engine.plain_passes import folded, for_scores, score_gradient, scores

from ..support.comparison import close
from ..support.nets import NETS, picture, randomise


@pytest.mark.parametrize("name", sorted(NETS))
def test_a_folded_network_has_the_same_logits(name: str) -> None:
    network = randomise(NETS[name]())
    for twin in (folded(network, picture()), for_scores(network, picture())):
        close(twin(picture(2, 3, 32, 32)).detach(), network(picture(2, 3, 32, 32)).detach(), name)


@pytest.mark.parametrize("name", ["random:resnet18", "random:densenet121", "random:vgg11_bn", "random:googlenet", "efficientnet_lite0"])
def test_folding_reaches_the_zoo_s_networks(name: str) -> None:
    zoo = load_model(name)
    x = torch.randn(2, 3, zoo.input_size, zoo.input_size, generator=torch.Generator().manual_seed(0))
    twin = folded(zoo.network, x)
    with torch.no_grad():
        expected = zoo.network(x)
        # float32, every weight rounded once more, in up to 120 layers.
        close(twin(x) / expected.abs().max(), expected / expected.abs().max(), name, 5e-5)
    assert twin is not zoo.network
    count = [sum(isinstance(m, nn.BatchNorm2d) for m in each.modules()) for each in (zoo.network, twin)]
    print(f"{name}: {count[0]} batch norms, {count[1]} left")
    assert count[1] < count[0]
    assert not any(m.training for m in twin.modules())


def test_the_network_itself_is_left_as_it_was() -> None:
    network = randomise(NETS["residual"]()).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    twin = folded(network, picture())
    assert all(m.training for m in network.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not twin.training


class Swapped(nn.Module):
    """The norm that is defined behind the convolution runs before it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(self.norm(x)).mean((2, 3)))


class Watched(Swapped):
    """Something else reads the convolution's output before its norm does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        return self.last((self.norm(y) + y).mean((2, 3)))


@pytest.mark.parametrize("build", [Swapped, Watched])
def test_a_norm_that_cannot_be_folded_is_left_alone(build: type[nn.Module]) -> None:
    network = randomise(build())
    twin = folded(network, picture())
    assert any(isinstance(m, nn.BatchNorm2d) for m in twin.modules())
    close(twin(picture()).detach(), network(picture()).detach(), build.__name__)


class Rectified(nn.Module):
    """A convolution and its rectifier; ``both``: something else reads what the rectifier reads."""

    def __init__(self, both: bool) -> None:
        super().__init__()
        self.both, self.first, self.relu, self.last = both, nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        z = self.relu(y)
        return self.last((z + y if self.both else z).mean((2, 3)))


@pytest.mark.parametrize("both", [False, True])
def test_rectifiers_work_in_place_only_where_nothing_else_reads_their_input(both: bool) -> None:
    network, x = randomise(Rectified(both)), picture(2, 3, 9, 9)
    twin = for_scores(network, x)
    found = scores(twin, lambda start, stop: x[start:stop].clone(), 2)
    close(found, network(x).detach(), "logits")
    assert (twin.relu.inplace, network.relu.inplace) == (not both, False)
    assert network.first.weight.is_contiguous()


class Head(nn.Module):
    """Average and largest of a layer: ``read`` says what else is read beside the rectifier's output."""

    def __init__(self, read: str) -> None:
        super().__init__()
        self.read, self.first, self.relu, self.last = read, nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        z = self.relu(y)
        other = y if self.read == "before" else y.flatten(2) if self.read == "view" else z
        if self.read == "sometimes" and bool((x == 0).all()):
            other = y
        return self.last(torch.cat([z.mean((2, 3)), other.flatten(2).amax(2)], 1))


@pytest.mark.parametrize("read", ["before", "view", "sometimes", "none"])
def test_what_something_else_may_read_is_not_rectified_in_place(read: str) -> None:
    network = randomise(Head(read))
    with torch.no_grad():
        network.first.bias.fill_(-0.5)  # on a black picture every unit is off; on noise every channel's largest is positive
    twin = for_scores(network, picture(2, 3, 9, 9))
    assert any(m.inplace for m in twin.modules() if isinstance(m, nn.ReLU)) == (read == "none")
    for x in (picture(2, 3, 9, 9), torch.zeros(1, 3, 9, 9, dtype=torch.float64)):
        close(scores(twin, lambda start, stop, x=x: x[start:stop].clone(), len(x)), network(x).detach(), read)


class RectifiedWeight(nn.Module):
    """Rectifiers of a weight, a constant, an expanded map and the picture itself; and a buffer that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.constant = nn.Parameter(torch.randn(4, 3, 3, 3)), torch.randn(1, 4, 1, 1)
        self.relu, self.own, self.first, self.wide, self.last = nn.ReLU(), nn.ReLU(), nn.ReLU(), nn.ReLU(), nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        y = nn.functional.conv2d(self.first(x), self.relu(self.weight)) + self.own(self.constant)
        return self.last((y + self.wide(y.mean((2, 3), keepdim=True).expand_as(y))).mean((2, 3)))


def test_no_weight_constant_buffer_or_picture_is_changed() -> None:
    network, x = randomise(RectifiedWeight()), picture(2, 3, 9, 9)
    expected = network(x)
    kept = (network.weight, network.constant, network.calls, x)
    before = [t.clone() for t in kept]
    assert (network.weight < 0).any()
    assert (network.constant < 0).any()
    close(scores(for_scores(network, x), lambda start, stop: x[start:stop], 2), expected.detach(), "logits")
    score_gradient(network, x, lambda logits: logits.argmax(1))
    assert all(torch.equal(a, b) for a, b in zip(before, kept, strict=True))


MADE = [parametrizations.weight_norm, parametrizations.spectral_norm, partial(prune.random_unstructured, amount=0.3)]


@pytest.mark.parametrize("make", MADE)
def test_a_weight_that_is_made_for_each_pass_is_left_alone(make: Callable[..., object]) -> None:
    network, x = randomise(Rectified(False)), picture(2, 3, 9, 9)
    make(network.first, name="weight")
    network.eval()
    found = scores(for_scores(network, x), lambda start, stop: x[start:stop].clone(), 2)
    close(found, network(x).detach(), "logits")


def test_pictures_of_another_type_get_a_sentence() -> None:
    with pytest.raises(ValueError, match="give both the same type"):
        METHODS["integrated_gradients"].attribute(randomise(NETS["plain"]()).float(), picture(), 1)


def test_functions_stay_compiled_outside() -> None:
    square = torch.compile(torch.square, backend="eager")
    before = torch._dynamo.eval_frame._stance
    with uncompiled(), uncompiled():
        assert square(torch.tensor(3.0)) == 9
        assert torch._dynamo.eval_frame._stance.stance == "force_eager"
    assert torch._dynamo.eval_frame._stance == before
