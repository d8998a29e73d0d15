"""Bias backpropagation: what it hands back adds up, and is the paper's recursion."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import densenet121, googlenet, mobilenet_v2, resnet18, shufflenet_v2_x0_5

from tests.support.nets import randomise
from trgbp_core.methods import METHODS

from .networks import CLASSES, EXACT, KINDS, largest_difference, picture, without_biases


def bias_part(network, x, target):
    """f_k(x) − Σ x·∂f_k/∂x, by torch alone."""
    x = x.clone().requires_grad_()
    score = network(x)[:, target]
    (gradient,) = torch.autograd.grad(score.sum(), x)
    return (score - (x * gradient).sum((1, 2, 3))).detach()


def attributed(network, x, target):
    return METHODS["bias_backprop"].attribute(network, x, target)


def assert_complete(network, x, target=1):
    expected = bias_part(network, x, target)
    assert float(expected.abs().min()) > 1e-3
    assert largest_difference(attributed(network, x, target).sum((1, 2, 3)), expected) < EXACT


@pytest.mark.parametrize("kind", KINDS)
def test_attributed_biases_add_up_to_the_biases_part_of_the_score(kind):
    for target in range(CLASSES):
        assert_complete(KINDS[kind](), picture(), target)


@pytest.mark.parametrize("build", [resnet18, mobilenet_v2, densenet121, googlenet, shufflenet_v2_x0_5])
def test_completeness_holds_on_torchvision_networks(build):
    torch.manual_seed(0)
    options = {"init_weights": False, "aux_logits": False} if build is googlenet else {}
    network = randomise(build(num_classes=4, **options))
    assert_complete(network, picture(1, size=(64, 64)))


def dense(layer, shape):
    """A layer as a matrix and a bias vector, from its values at the unit vectors."""
    size = shape[0] * shape[1] * shape[2] if len(shape) == 3 else shape[0]
    with torch.no_grad():
        bias = layer(torch.zeros(1, *shape, dtype=torch.float64)).flatten()
        columns = layer(torch.eye(size, dtype=torch.float64).reshape(size, *shape)).flatten(1) - bias
    return columns.T, bias


def test_masses_follow_the_recursion_of_the_paper():
    """Algorithm 1 unit by unit on explicit matrices: combine with the layer's effective bias, then attribute to its inputs."""
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, stride=2)]
    network = nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU(), nn.Flatten(), nn.Linear(3 * 2 * 2, 3)).double()
    x = picture(1, size=(6, 6))
    layers = [dense(convolutions[0], (3, 6, 6)), dense(convolutions[1], (4, 6, 6)), (network[5].weight.detach(), network[5].bias.detach())]
    inputs, gates, activation = [], [], x.flatten()
    for weight, bias in layers:
        inputs.append(activation)
        z = weight @ activation + bias
        gates.append((z > 0).to(z))
        activation = z.relu()
    gates[-1] = torch.ones_like(gates[-1])
    gradient, mass = F.one_hot(torch.tensor(2), 3).double(), torch.zeros(3, dtype=torch.float64)
    for (weight, bias), into, gate in reversed(list(zip(layers, inputs, gates, strict=True))):
        gradient = gradient * gate
        mass = mass + gradient * bias
        below = torch.zeros_like(into)
        for p in range(len(bias)):
            share = (weight[p] * into).abs()
            below += mass[p] * share / share.sum()
        gradient, mass = gradient @ weight, below
    expected = mass.reshape(1, 3, 6, 6).sum(1, keepdim=True)
    assert largest_difference(attributed(network, x, 2), expected) < EXACT


class _Odd(nn.Module):
    """Everything that could lose mass: dead filters, positions over padding only, padding by hand, signed sums and poolings."""

    def __init__(self):
        super().__init__()
        self.wide, self.even = nn.Conv2d(3, 4, 1, padding=2), nn.Conv2d(4, 4, 2, padding="same")
        self.down, self.head = nn.Conv2d(4, 4, 3, stride=2), nn.Linear(8, 2)
        self.register_buffer("scale", torch.tensor([1.0, -2.0, 0.0, 3.0]).reshape(1, 4, 1, 1))

    def forward(self, x):
        x = self.wide(x)
        y = F.avg_pool2d(F.pad(self.even(x), (1, 2, 0, 1)), 3, 2, 1)
        z = F.max_pool2d(F.pad(F.relu(self.down(F.pad(x, (0, 1, 0, 1)))), (1, 0, 1, 0)), 3, 2)
        z = F.interpolate(z, y.shape[2:], mode="bilinear", align_corners=False)
        joined = torch.cat([y - z * self.scale, 0.5 * (z - 1)], 1)
        joined /= 3
        joined += torch.ones(8, 1, 1, dtype=x.dtype)
        return self.head(F.relu(joined).mean((2, 3)))


def test_no_mass_is_lost_at_paddings_dead_filters_and_signed_sums():
    torch.manual_seed(0)
    network = _Odd().double().eval()
    with torch.no_grad():
        network.even.weight[1] = 0
        network.down.weight[2] = 0
        network.down.bias[2] = 1
    assert_complete(network, picture(size=(11, 9)))


class _Silent(nn.Module):
    """Every unit of the first layer is cut off: all that follows shares its masses among zeros, the paddings' zeros beside them."""

    def __init__(self, pool):
        super().__init__()
        self.pool = pool
        self.first, self.even, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 2, padding="same"), nn.Linear(4, 2)
        nn.init.constant_(self.first.bias, -100.0)

    def forward(self, x):
        x = F.relu(self.first(x))
        x = F.max_pool2d(F.pad(x, (2, 1, 2, 1)), 2) if self.pool == "max" else F.avg_pool2d(F.pad(x, (2, 1, 2, 1)), 2)
        return self.head(self.even(x).mean((2, 3)))


@pytest.mark.parametrize("pool", ["max", "average"])
def test_no_mass_is_lost_where_nothing_is_active(pool):
    torch.manual_seed(0)
    assert_complete(_Silent(pool).double().eval(), picture(size=(10, 8)))


def test_a_black_picture_still_receives_everything():
    assert_complete(KINDS["plain"](), torch.zeros_like(picture()))


def test_a_network_without_biases_attributes_nothing():
    assert float(attributed(without_biases(KINDS["plain"]()), picture(), 0).abs().max()) == 0
