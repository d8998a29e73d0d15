"""What is asked of the explainer: which classes of which pictures, and what the network is called with besides."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core import TRGBP
from trgbp_core.trgbp.explainer import Explanation

from ..support.nets import NETS, Plain, picture, randomise

NEAR = 1e-12
"""Of a map's largest value; float64, whose matrix products of several classes round otherwise than those of one."""


def apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


# -- classes of a batch ------------------------------------------------------------------------------------------------------------------


def test_a_flat_list_is_a_class_for_each_picture_and_a_list_of_lists_several() -> None:
    explainer, x = TRGBP(randomise(Plain())), picture(2, 3, 32, 32)
    assert explainer.explain_batch(x, [1, 2]).classes.tolist() == [[1, 2]]
    assert explainer.explain_batch(x, torch.tensor([1, 2])).classes.tolist() == [[1, 2]]
    assert explainer.explain_batch(x, 3).classes.tolist() == explainer.explain_batch(x, [3]).classes.tolist() == [[3, 3]]
    assert explainer.explain_batch(x, [[1, 2], [3, 4]]).classes.tolist() == [[1, 3], [2, 4]]
    assert explainer.explain_batch(x, torch.tensor([[1, 2], [3, 4]])).classes.tolist() == [[1, 3], [2, 4]]
    best = explainer.explain_batch(x).logits.argmax(1).tolist()
    assert explainer.explain_batch(x).classes.tolist() == explainer.explain_batch(x, [None, None]).classes.tolist() == [best]
    assert explainer.explain_batch(x, [[None, 2], [3, None]]).classes.tolist() == [[best[0], 3], [2, best[1]]]
    together = explainer.explain_batch(x, [[1, 2], [3, 4]]).attribution()
    assert apart(together[1], explainer.attribute(x, [2, 4])) < NEAR


@pytest.mark.parametrize(
    "targets", [[1, 2, 3], [[1, 2]], [[1], [2], [3]], [[1, 2], [3]], [[1], []], [], [7, 0], "cat", [["cat"], [1]]], ids=str
)
def test_targets_that_do_not_fit_the_pictures_get_a_sentence(targets: object) -> None:
    with pytest.raises(ValueError, match=r"target|class|many"):
        TRGBP(randomise(Plain())).explain_batch(picture(2, 3, 32, 32), targets)  # type: ignore[arg-type]


# -- explanations of a batch -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1 << 30, 1], ids=["together", "one by one"])
@pytest.mark.parametrize("name", NETS)
def test_each_picture_of_a_batch_is_explained_as_it_is_alone(name: str, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trgbp_core.trgbp.explainer.memory_budget", lambda device: budget)
    explainer, x = TRGBP(randomise(NETS[name]())), picture(3, 3, 32, 32)
    targets = [None, [6, 2], [0]]
    found = list(explainer.explain_each(x, targets))
    assert len(found) == 3
    for i, e in enumerate(found):
        alone = explainer.explain(x[i : i + 1], targets[i])
        assert (e.classes, e.top5, e.layers, e.size) == (alone.classes, alone.top5, alone.layers, alone.size)
        assert apart(e.logits, alone.logits) < NEAR
        for k in e.classes:
            assert apart(e.gradient(k), alone.gradient(k)) < NEAR
            assert apart(e.attribution(k, "conserving"), alone.attribution(k, "conserving")) < NEAR
            for index in range(len(e.layers) + 1):
                assert float((e.layer_raw(index, k) - alone.layer_raw(index, k)).abs().max()) < NEAR * float(alone.raw(k).abs().max())


def test_explanations_come_one_after_the_other_and_are_not_kept() -> None:
    network, x = randomise(Plain()), picture(4, 3, 32, 32)
    seen = list[int]()
    list(TRGBP(network).explain_each(x[:2]))
    network.register_forward_hook(lambda module, args, out: seen.append(len(args[0])))
    first = next(iter(TRGBP(network).explain_each(x)))
    assert sum(seen) == 4
    storage = first.layer_raw(1, first.top5[0]).untyped_storage().nbytes()
    assert storage == first.layer_raw(1, first.top5[0]).nbytes, "it holds no other picture's maps in memory"
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


def test_a_batch_for_explain_is_sent_to_explain_each() -> None:
    with pytest.raises(ValueError, match="explain_each"):
        TRGBP(randomise(Plain())).explain(picture(2, 3, 32, 32))
    with pytest.raises(ValueError, match="3 targets for 2 pictures"):
        TRGBP(randomise(Plain())).explain_each(picture(2, 3, 32, 32), [1, 2, 3])  # at once, not at the first picture


# -- additional_forward_args -------------------------------------------------------------------------------------------------------------


class Conditioned(nn.Module):
    """Besides the picture it takes a mask, numbers that join the last layer, and a way to go."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.more, self.last = nn.Conv2d(3, 8, 3), nn.Linear(4, 8), nn.Linear(8, 7)

    def forward(self, x: Tensor, mask: Tensor, numbers: Tensor, doubled: bool = False) -> Tensor:
        y = F.relu(self.conv(x * mask)).mean((2, 3)) + self.more(numbers)
        numbers.zero_()
        return self.last(F.relu(y)) * (2 if doubled else 1)


def given(count: int) -> tuple[Tensor, Tensor, bool]:
    return (picture(count, 1, 12, 12, seed=1) > 0).double(), picture(count, 4, seed=2), True


def test_what_the_network_is_called_with_besides_the_pictures_counts() -> None:
    network, x, args = randomise(Conditioned()), picture(3, 3, 12, 12), given(3)
    e = TRGBP(network, guided=False).explain(x[:1], [2], (args[0][:1], args[1][:1], True))
    with torch.no_grad():
        expected = network(x[:1], args[0][:1], args[1][:1].clone(), True)
    torch.testing.assert_close(e.logits, expected)
    shares = e.layer_contribution(0, 2).sum() + sum(e.layer_raw(i, 2).sum() for i in range(1, len(e.layers) + 1))
    assert float(shares) == pytest.approx(float(e.logits[0, 2]), rel=1e-9)
    assert not (e.gradient(2) * (1 - args[0][:1])).any(), "the mask hides pixels"
    other = TRGBP(network).explain(x[:1], [2], (args[0][:1], args[1][:1], False))
    assert apart(2 * other.raw(2), TRGBP(network).explain(x[:1], [2], (args[0][:1], args[1][:1], True)).raw(2)) < NEAR


@pytest.mark.parametrize("budget", [1 << 30, 1], ids=["together", "one by one"])
def test_each_picture_of_a_batch_has_its_own_row_of_them(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trgbp_core.trgbp.explainer.memory_budget", lambda device: budget)
    explainer, x, args = TRGBP(randomise(Conditioned())), picture(3, 3, 12, 12), given(3)
    before = [a.clone() for a in args[:2]]
    together: list[Explanation] = list(explainer.explain_each(x, 2, args))
    maps = explainer.attribute(x, 2, additional_forward_args=args)
    batch = explainer.explain_batch(x, 2, args).attribution()
    for i in range(3):
        alone = explainer.explain(x[i : i + 1], 2, (args[0][i : i + 1], args[1][i : i + 1], True)).attribution(2)
        assert apart(together[i].attribution(2), alone) < NEAR
        assert apart(maps[i : i + 1], alone) < NEAR
        assert apart(batch[0, i : i + 1], alone) < NEAR
    assert all(torch.equal(a, b) for a, b in zip(args, before, strict=False)), "the network wrote to copies"


def test_rows_that_do_not_fit_the_pictures_get_a_sentence() -> None:
    explainer, x, args = TRGBP(randomise(Conditioned())), picture(3, 3, 12, 12), given(2)
    for way in (explainer.attribute, explainer.explain_each, explainer.explain_batch):
        with pytest.raises(ValueError, match="a row for each picture, 3 here"):
            way(x, 2, args)
    with pytest.raises(ValueError, match="cannot read"):
        explainer.attribute(x, 2)
    mask, numbers, doubled = given(3)
    with pytest.raises(ValueError, match="besides the picture"):
        explainer.attribute(x, 2, (mask, numbers / 0, doubled))


def test_what_the_network_is_called_with_may_carry_a_gradient() -> None:
    explainer, x, (mask, numbers, doubled) = TRGBP(randomise(Conditioned())), picture(3, 3, 12, 12), given(3)
    learned = numbers.clone().requires_grad_()
    assert torch.equal(explainer.attribute(x, 2, (mask, learned, doubled)), explainer.attribute(x, 2, (mask, numbers, doubled)))
    assert learned.grad is None
