"""The folded copy computes what the network computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trgbp_core import METHODS, load_model
from trgbp_core.engine.evaluation_mode import uncompiled
from trgbp_core.engine.plain_passes import folded, for_scores, scores

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


class RectifiedWeight(nn.Module):
    """Rectifiers of a weight, of a constant and of the picture itself: none of them may be written to."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.constant = nn.Parameter(torch.randn(4, 3, 3, 3)), torch.randn(1, 4, 1, 1)
        self.relu, self.own, self.first, self.last = nn.ReLU(), nn.ReLU(), nn.ReLU(), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.conv2d(self.first(x), self.relu(self.weight)) + self.own(self.constant)
        return self.last(y.mean((2, 3)))


def test_no_weight_constant_or_picture_is_rectified_in_place() -> None:
    network, x = randomise(RectifiedWeight()), picture(2, 3, 9, 9)
    before = [t.clone() for t in (network.weight, network.constant, x)]
    assert all((t < 0).any() for t in before)
    expected = network(x)
    found = scores(for_scores(network, x), lambda start, stop: x[start:stop], 2)
    close(found, expected.detach(), "logits")
    assert all(torch.equal(a, b) for a, b in zip(before, (network.weight, network.constant, x), strict=True))


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
