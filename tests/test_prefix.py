"""A network that shares its first layers with another: what is taken over is what it would have computed, to the bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core.cascade import Stage, cascade
from trgbp_core.prefix import Prefix, Reader, Weights
from trgbp_core.recording import Recording, record
from trgbp_core.stages import Cascade, in_turns
from trgbp_core.tape import Tape
from trgbp_core.targets import one_hot
from trgbp_core.turns import Turns

from .nets import NETS, picture, randomise


class Writing(nn.Module):
    """Writes to what its layers returned: in a sum before and after the other branch ran, by index, by methods, with parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.short = nn.Conv2d(8, 8, 1)
        self.scale = nn.Parameter(torch.full((8, 1, 1), 1.5, dtype=torch.float64))
        self.shift = nn.Parameter(torch.linspace(-1, 1, 8, dtype=torch.float64).reshape(8, 1, 1))
        self.last = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.norm(self.body(x.relu_()))
        y += self.short(x)
        y.relu_()
        y = (y * self.scale).relu()  # nothing but the rectifier stands between the parameter and the next layer
        z = self.last(y)
        z.add_(self.shift)
        F.relu(z, inplace=True)
        z[:, :2] = y[:, :2]
        z += x
        return self.head(F.relu6(z.sub_(0.1)).mean((2, 3)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {**NETS, "writing": Writing}


def passed(stage: Stage, x: Tensor, prefix: Prefix | None) -> Recording:
    return record(stage.network, x, tape=Tape(stage.network, prefix=prefix))


@pytest.mark.parametrize("order", ["as they come", "the deepest first"])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_stages_are_the_same_with_what_they_share(network: Callable[[], nn.Module], order: str) -> None:
    model, x, prefix = randomise(network()), picture(), Prefix()
    stages = list(cascade(model, x=x, prefix=prefix))
    known = len(prefix)
    assert known > 2 * len(stages) - 2
    for stage in stages if order == "as they come" else reversed(stages):
        with_it, alone = passed(stage, x, prefix), passed(stage, x, None)
        assert torch.equal(with_it.logits, alone.logits)
        assert with_it.layers
        assert [layer.name for layer in with_it.layers] == [layer.name for layer in alone.layers]
        assert with_it.rectified == alone.rectified
        classes = one_hot(torch.tensor([[0], [1]]), alone.logits)
        (gradient, maps), (expected, expected_maps) = with_it.backward(classes), alone.backward(classes)
        # Copies stand between the operations that write: what meets behind them is added up in another order.
        torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-15)
        for one, other in zip(maps, expected_maps, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)
        assert len(prefix) < known, "what no network to come shares is forgotten"


def test_what_is_shared_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, prefix = randomise(Writing()), picture(), Prefix()
    stages = list(cascade(model, x=x, prefix=prefix))
    computed = list[int]()
    value = Reader.value

    def counted(self: Reader, weights: Weights, compute: Callable[[], Tensor]) -> Tensor:
        def count() -> Tensor:
            computed.append(1)
            return compute()

        return value(self, weights, count)

    monkeypatch.setattr(Reader, "value", counted)
    found = {}
    for stage in stages:
        computed.clear()
        passed(stage, x, prefix)
        found[stage.name] = len(computed)
    # The layers themselves, the batch norm, and the rectifiers; "Writing" holds the parameters that the last convolution's input takes.
    assert found == {"head": 1, "Writing": 5, "last": 5, "short": 7, "body": 9, "stem": 11}


def test_a_pass_that_breaks_off_leaves_nothing_half_known() -> None:
    model, x, prefix = randomise(Writing()), picture(), Prefix()
    stages = list(cascade(model, x=x))
    with pytest.raises(ValueError, match="cannot read"):
        record(model, x[:, :2], tape=Tape(model, prefix=prefix))
    model.head.register_forward_hook(_raise)  # behind all convolutions
    with pytest.raises(KeyError):
        record(model, x, tape=Tape(model, prefix=prefix))
    for stage in stages:
        assert torch.equal(passed(stage, x, prefix).logits, passed(stage, x, None).logits)


def _raise(*_: object) -> None:
    raise KeyError("the hook's own")


def test_nothing_is_kept_while_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, turns = randomise(Writing()), picture(), Turns()
    alone = [s.e.logits for s in in_turns(Cascade(model, x, 1, "guided_backprop"), turns)]
    busy = Cascade(model, x, 1, "guided_backprop")
    stages = in_turns(busy, turns, seconds=9.0)
    found = [next(stages), next(stages)]
    assert len(busy._prefix) > 0
    monkeypatch.setattr(Turns, "waiting", property(lambda self: 1))
    for stage in stages:
        found.append(stage)
        assert len(busy._prefix) == 0
    assert all(torch.equal(stage.e.logits, logits) for stage, logits in zip(found, alone, strict=True))
