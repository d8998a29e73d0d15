"""Evaluation mode for the length of the call: one map whatever mode a network is in, and nothing is left behind."""

from __future__ import annotations

import copy
import random
import threading

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trgbp_core import TRGBP

from .cases import Around, seeded, x_of
from .checks import apart, check_unchanged, must_refuse
from .modes import MODES, Answers, OwnDropout, Tripled, logits, softmax


def evaluated(network: nn.Module) -> Tensor:
    """The logits of evaluation mode, from a network that nobody will explain; parts that no ``eval()`` reaches are switched off too."""
    for module in [*network.modules(), *hidden(network)]:
        module.training = False
    with torch.no_grad(), torch.random.fork_rng():
        for module in network.modules():
            if type(module).__name__ == "Switches":
                module.drop = nn.Identity()
        return network(x_of())


def hidden(network: nn.Module) -> list[nn.Module]:
    """Modules that are no submodules: in Python's containers, or in a function's closure."""
    odd = network.odd  # type: ignore[union-attr]
    if type(odd).__name__ == "InLists":
        return [*odd.parts, *odd.more["a"]]
    cells = getattr(odd, "__closure__", None) or ()
    return [m for cell in cells if isinstance(cell.cell_contents, nn.Module) for m in cell.cell_contents.modules()]


@pytest.mark.parametrize("mode", ["evaluation", "training"])
@pytest.mark.parametrize("name", MODES)
def test_explained_as_in_evaluation_mode_and_left_as_it_was(name: str, mode: str) -> None:
    expected = evaluated(MODES[name]())
    network = MODES[name]()
    network.train(mode == "training")
    for module in hidden(network):
        module.train(mode == "training")
    flags = [m.training for m in [*network.modules(), *hidden(network)]]
    check_unchanged(network, x_of(), expected)
    assert [m.training for m in [*network.modules(), *hidden(network)]] == flags


@pytest.mark.parametrize("name", MODES)
def test_both_modes_give_one_map(name: str) -> None:
    first, second = MODES[name](), MODES[name]()
    for network, mode in ((first, True), (second, False)):
        for module in [*network.modules(), *hidden(network)]:
            module.training = mode
    a, b = (TRGBP(network).explain(x_of(), [1]) for network in (first, second))
    assert apart(a.attribution(1), b.attribution(1)) < 1e-12


def test_softmax_in_evaluation_only_is_refused_in_both_modes() -> None:
    for mode in (True, False):
        must_refuse(lambda mode=mode: TRGBP(seeded(Answers(logits, softmax)).train(mode)).explain(x_of()), "softmax")


def test_mixed_modes_are_left_mixed() -> None:
    network = seeded(Around(Tripled)).train()
    network.last.eval()
    TRGBP(network).explain(x_of())
    assert [m.training for m in (network, network.first, network.odd, network.last, network.head)] == [True, True, True, False, True]


def test_no_random_number_of_any_kind_is_used_up() -> None:
    network = seeded(Around(OwnDropout)).train()
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    TRGBP(network).attribute(x_of(batch=2))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])


def test_gradients_that_stood_there_stay() -> None:
    network = seeded(Around(Tripled)).train()
    network(x_of()).sum().backward()
    before = {name: p.grad.clone() for name, p in network.named_parameters()}
    TRGBP(network).explain(x_of())
    assert all(torch.equal(p.grad, before[name]) for name, p in network.named_parameters())


def test_what_is_left_when_it_is_refused() -> None:
    """A refusal leaves no trace either."""
    network = seeded(Around(lambda z: z.sigmoid())).train()
    before = copy.deepcopy(network.state_dict())
    must_refuse(lambda: TRGBP(network).explain(x_of()))
    assert all(m.training for m in network.modules())
    assert all(torch.equal(t, before[key]) for key, t in network.state_dict().items())
    assert torch.is_grad_enabled()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_another_thread_sees_training_mode_while_it_is_explained() -> None:
    """The caller may be training: its flags are never changed for anybody else, not even for the length of the call."""
    network, seen, stop = seeded(Around(Tripled)).train(), set(), threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.add(all(m.training for m in network.modules()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(20):
            TRGBP(network).explain(x_of())
    finally:
        stop.set()
        watcher.join()
    assert seen == {True}
