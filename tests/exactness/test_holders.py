"""Modules are copied wherever they are held, what they share stays shared, and nothing of the caller's changes."""

from __future__ import annotations

import gc
import weakref
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core import TRGBP, cascade
from trgbp_core.engine.evaluation_mode import evaluation_copy

from .cases import seeded, x_of
from .checks import apart
from .modes import Tripled


class Pair(NamedTuple):
    """Two modules in a tuple with names."""

    first: nn.Module
    second: nn.Module


@dataclass
class Slotted:
    """Two modules in slots."""

    __slots__ = ("first", "second")
    first: nn.Module
    second: nn.Module


class Private:
    """Two modules behind properties, in slots of no other's and in attributes of the same names."""

    __slots__ = ("__dict__", "__first")

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        self.__first = first
        self.__dict__["second"] = second

    first = property(lambda self: self.__first)
    second = property(lambda self: self.__dict__["second"])


class Listed(list[nn.Module]):
    first = property(lambda self: self[0])
    second = property(lambda self: self[1])

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__([first, second])


class Attributes(dict[str, Any]):
    """A dictionary whose items are its attributes, too."""

    def __init__(self, first: Any, second: Any) -> None:
        super().__init__(first=first, second=second)
        self.__dict__ = self


class Frozen(dict[str, Any]):
    """A dictionary that nobody may write to."""

    first = property(lambda self: self["first"])
    second = property(lambda self: self["second"])

    def __setitem__(self, key: str, value: Any) -> None:
        raise TypeError("frozen")


class Deleted(SimpleNamespace):
    """It does something when it is deleted."""

    deleted = 0

    def __del__(self) -> None:
        Deleted.deleted += 1


class Shy:
    """It does not like to be looked at."""

    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise RuntimeError("not now")


HOLDERS: dict[str, Callable[[nn.Module, nn.Module], Any]] = {
    "a named tuple": Pair,
    "slots": Slotted,
    "private slots and properties": Private,
    "a list of its own kind": Listed,
    "an attribute dictionary": Attributes,
    "a frozen dictionary": lambda a, b: Frozen(first=a, second=b),
    "an object that does something when it is deleted": lambda a, b: Deleted(first=a, second=b),
    "beside an object that does not like to be looked at": lambda a, b: SimpleNamespace(first=a, second=b, more=SimpleNamespace(shy=Shy())),
    "a namespace": lambda a, b: SimpleNamespace(first=a, second=b),
    "a holder in a holder": lambda a, b: SimpleNamespace(first=Pair(a, b).first, second=SimpleNamespace(forward=b).forward),
    "weak references": lambda a, b: SimpleNamespace(first=(weak := Pair(weakref.ref(a), weakref.ref(b))).first, second=weak.second),
    "a defaultdict": lambda a, b: SimpleNamespace(**defaultdict(list, first=a, second=b)),
    "functions that close over functions": lambda a, b: Pair(lambda z: (lambda y: a(y))(z), lambda z: b(z)),  # type: ignore[arg-type]
}


class Held(nn.Module):
    """A convolution and a part that follows the mode, run through whatever holds them."""

    def __init__(self, hold: Callable[[nn.Module, nn.Module], Any]) -> None:
        super().__init__()
        self.conv, self.act, self.last = nn.Conv2d(3, 6, 3), Tripled(), nn.Linear(6, 7)
        self.held = hold(self.conv, self.act)
        self.held_again = {"held": self.held, "self": self}

    def forward(self, x: Tensor) -> Tensor:
        held = self.held_again["held"]
        first, second = (part() if isinstance(part, weakref.ref) else part for part in (held.first, held.second))
        z = second(first(x))
        return self.last(F.relu(z).mean((2, 3)))


@pytest.mark.parametrize("name", HOLDERS)
def test_modules_are_found_in_whatever_holds_them(name: str) -> None:
    network, x = seeded(Held(HOLDERS[name])).train(), x_of()
    found = TRGBP(network).explain(x)
    assert network.act.training
    assert network.training
    assert apart(found.logits, network.eval()(x).detach()) < 1e-12
    (head, conv, *_) = cascade(network, x=x)
    assert apart(head.network(x).detach(), conv.network(x).detach()) > 1e-3, "the cascade reaches it, too"


class Skips(nn.Module):
    """An encoder and a decoder that share a dictionary, as some U-nets do."""

    def __init__(self) -> None:
        super().__init__()
        shared: dict[str, Tensor] = {}
        self.encoder, self.decoder, self.last = Stored(shared), Fetched(shared), nn.Linear(6, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.decoder(self.encoder(x)).mean((2, 3)))


class Stored(nn.Module):
    def __init__(self, shared: dict[str, Tensor]) -> None:
        super().__init__()
        self.conv, self.shared = nn.Conv2d(3, 6, 3, padding=1), shared

    def forward(self, x: Tensor) -> Tensor:
        self.shared["skip"] = self.conv(x)
        return F.relu(self.shared["skip"])


class Fetched(nn.Module):
    def __init__(self, shared: dict[str, Tensor]) -> None:
        super().__init__()
        self.conv, self.shared = nn.Conv2d(6, 6, 3, padding=1), shared

    def forward(self, z: Tensor) -> Tensor:
        return F.relu(self.conv(z) + self.shared["skip"])


class Hook(Skips):
    """What a hook puts into a dictionary is read by a module."""

    def __init__(self) -> None:
        super().__init__()
        kept: dict[str, Tensor] = {}
        self.encoder, self.decoder.shared = nn.Conv2d(3, 6, 3, padding=1), kept  # type: ignore[assignment]
        self.encoder.register_forward_hook(lambda module, inputs, output: kept.update(skip=output))


@pytest.mark.parametrize("make", [Skips, Hook])
@pytest.mark.parametrize("called_before", [False, True])
def test_what_modules_share_their_copies_share(make: type[Skips], called_before: bool) -> None:
    network, x = seeded(make()).eval(), x_of()
    shared = network.decoder.shared
    if called_before:
        network(x.flip(-1))
    before = dict(shared)
    found = TRGBP(network).explain(x)
    assert shared.keys() == before.keys()
    assert all(shared[key] is before[key] for key in shared), "the caller's dictionary is as it was"
    assert apart(found.logits, network(x).detach()) < 1e-12


class Merges(nn.Module):
    """An adapter that is added to the weight when the mode changes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.change = nn.Conv2d(3, 7, 3), nn.Parameter(torch.randn(7, 3, 3, 3))

    def train(self, mode: bool = True) -> Merges:
        if mode != self.training:
            self.conv.weight.data += (-1 if mode else 1) * self.change.data
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.conv.weight + self.change if self.training else self.conv.weight
        return F.relu(F.conv2d(x, weight, self.conv.bias)).mean((2, 3))


def test_a_train_of_its_own_is_not_passed_over() -> None:
    network, x = seeded(Merges()).train(), x_of()
    weight = network.conv.weight.detach().clone()
    found = TRGBP(network).explain(x).logits
    assert network.training
    assert torch.equal(network.conv.weight, weight)
    network.computed = 2 * network.change  # torch copies no such tensor
    with pytest.raises(ValueError, match=r"^Merges has a train\(\) of its own, .* call eval\(\) first, on the network"):
        TRGBP(network).explain(x)
    assert apart(found, network.eval()(x).detach()) < 1e-12
    assert apart(TRGBP(network).explain(x).logits, found) < 1e-12


def test_a_function_that_closes_over_itself_is_refused_with_a_sentence() -> None:
    network = seeded(Held(Pair))

    def again(z: Tensor, times: int = 0) -> Tensor:
        return network.conv(z) if times else again(z, 1)

    network.held_again["again"] = again
    with pytest.raises(ValueError, match="lead back to themselves"):
        TRGBP(network).explain(x_of())


def test_a_copied_holder_is_deleted_without_a_word() -> None:
    network = seeded(Held(lambda a, b: Deleted(first=a, second=b)))
    before = Deleted.deleted
    TRGBP(network).explain(x_of())
    gc.collect()
    assert Deleted.deleted == before


class Act(Enum):
    """Members are the only ones of their kind."""

    RELU = "relu"
    NONE = "none"


class Steps(nn.Module):
    """Its steps are the keys of a dictionary, modules and others in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3), nn.Linear(6, 7)
        self.act = Act.RELU
        self.steps = {self.first: 1, torch.relu: 1, self.second: 1, torch.abs: 0}

    def forward(self, x: Tensor) -> Tensor:
        for step, times in self.steps.items():
            x = step(x) if times else x
        return self.last((F.relu(x) if self.act is Act.RELU else x).mean((2, 3)))


def test_a_dictionary_keeps_its_order_and_an_enumeration_its_members() -> None:
    network, x = seeded(Steps()).eval(), x_of()
    assert apart(TRGBP(network).explain(x).logits, network(x).detach()) < 1e-12


def test_a_data_set_that_a_trainer_holds_costs_nothing() -> None:
    network = seeded(Held(Pair))
    samples = [SimpleNamespace(number=i) for i in range(20_000)]
    network.trainer = SimpleNamespace(network=network, data=SimpleNamespace(samples=samples))
    for sample in samples:
        sample.data = network.trainer.data
    copied = evaluation_copy(network)
    assert copied.trainer.network is copied
    assert copied.trainer.data.samples is samples or len(copied.trainer.data.samples) == len(samples)
