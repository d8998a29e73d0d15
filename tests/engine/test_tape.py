"""What the tape finds, folds and refuses, and that it leaves everything as it was."""

from __future__ import annotations

import threading
from collections.abc import Callable

import captum.attr
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trgbp_core import TRGBP, UnsupportedOperation
from trgbp_core.engine.recording import record

from ..support.nets import NETS, Functional, Plain, picture, randomise


class Caller(nn.Module):
    """conv → a rectifier called in some way → conv."""

    def __init__(self, rectifier: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.last = nn.Conv2d(6, 4, 1)
        self.rectifier = rectifier

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.rectifier(self.conv(x))).sum((2, 3))


def _statement(z: Tensor) -> Tensor:
    F.relu(z, inplace=True)
    return z


RELUS = {
    "F.relu": F.relu,
    "F.relu in place": lambda z: F.relu(z, inplace=True),
    "a statement, result unused": _statement,
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "z.relu()": lambda z: z.relu(),
    "z.relu_()": lambda z: z.relu_(),
    "z.clamp(min=0)": lambda z: z.clamp(min=0),
    "z.clamp(0)": lambda z: z.clamp(0),
    "z.clamp_min(0)": lambda z: z.clamp_min(0),
    "torch.clamp_": lambda z: torch.clamp_(z, min=0),
    "z.clip(0)": lambda z: z.clip(0),
    "F.threshold": lambda z: F.threshold(z, 0, 0),
}
CEILINGS = {
    "F.relu6": F.relu6,
    "F.relu6 in place": lambda z: F.relu6(z, inplace=True),
    "F.hardtanh": lambda z: F.hardtanh(z, 0.0, 6.0),
    "F.hardtanh_": lambda z: F.hardtanh_(z, 0.0, 6.0),
    "z.clamp(0, 6)": lambda z: z.clamp(0, 6),
    "z.clamp_(min=0, max=6)": lambda z: z.clamp_(min=0, max=6),
    "nn.ReLU6": nn.ReLU6(),
    "nn.Hardtanh": nn.Hardtanh(0, 6, inplace=True),
}


@pytest.mark.parametrize(("how", "same_as"), [*((how, nn.ReLU()) for how in RELUS), *((how, nn.ReLU6()) for how in CEILINGS)])
def test_a_rectifier_is_found_however_it_is_called(how: str, same_as: nn.Module) -> None:
    x = picture() * 4
    expected = TRGBP(randomise(Caller(same_as))).explain(x, [1])
    got = TRGBP(randomise(Caller((RELUS | CEILINGS)[how]))).explain(x, [1])
    for layer in range(len(expected.layers) + 1):
        assert torch.equal(got.layer_raw(layer, 1), expected.layer_raw(layer, 1))


@pytest.mark.parametrize("name", ["plain", "residual"])
def test_guided_gradient_equals_captum(name: str) -> None:
    network, x = randomise(NETS[name]()), picture()
    if name == "plain":
        network[9] = nn.ReLU()  # captum hooks ReLU modules only; ReLU6 would pass as it is
    e = TRGBP(network).explain(x, [3])
    twin = _out_of_place(network)
    theirs = captum.attr.GuidedBackprop(twin).attribute(x.clone().requires_grad_(), 3)
    gap = float((e.gradient(3) - theirs).abs().max() / theirs.abs().max())
    print(f"{name}: {gap:.1e}")
    assert gap < 1e-12  # float64, another order of summation


def _out_of_place(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return network


def test_a_batch_norm_is_folded_into_the_convolution_before_it_and_stands_alone_elsewhere() -> None:
    e = TRGBP(randomise(Functional())).explain(picture())
    assert [(m.name, m.kind) for m in e.layers] == [
        ("first", "conv"),
        ("second", "conv"),
        ("lone", "batch_norm"),
        ("third", "conv"),
        ("second#2", "conv"),
        ("Functional.constant", "constant"),
        ("Functional", "rectifier"),
        ("last", "linear"),
    ]


def test_layers_carry_the_numbers_of_the_theory() -> None:
    e = TRGBP(randomise(Plain())).explain(picture())
    assert [(m.kernel, m.filters, m.taps, m.size) for m in e.layers] == [
        ((3, 3), 8, 27, (32, 32)),
        ((3, 5), 12, 60, (32, 32)),
        ((4, 4), 8, 192, (16, 16)),
        ((3, 3), 10, 72, (8, 8)),  # the padded map is the convolution's; its own input is 8×8
        ((9, 7), 16, 630, (9, 7)),  # behind a flatten: a convolution over the whole map
        ((1, 1), 7, 16, (1, 1)),
    ]
    assert [m.rectified for m in e.layers] == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("module", "name"),
    [(nn.SiLU(), "silu"), (nn.GELU(), "gelu"), (nn.Hardswish(), "hardswish"), (nn.Sigmoid(), "sigmoid"), (nn.Tanh(), "tanh"),
     (nn.LeakyReLU(), "leaky_relu"), (nn.Softmax(1), "softmax"), (nn.ELU(), "elu"), (nn.PReLU(), "prelu")],
)  # fmt: skip
def test_what_is_no_rectifier_is_refused_by_name_unless_strict_is_false(module: nn.Module, name: str) -> None:
    network = randomise(nn.Sequential(nn.Conv2d(3, 4, 3), module, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6)))
    with pytest.raises(UnsupportedOperation, match=rf"1 applies '{name}'"):
        TRGBP(network).explain(picture())
    e = TRGBP(network, strict=False).explain(picture())
    assert e.let_through == (f"1: {name}",)
    assert torch.isfinite(e.attribution(e.top5[0])).all()


@pytest.mark.parametrize("module", [nn.SiLU(), nn.GELU(), nn.Tanh(), nn.Softsign()])
def test_what_is_no_rectifier_is_refused_even_where_all_it_sees_is_zero(module: nn.Module) -> None:
    """There it computes what a rectifier computes."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), module, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    with pytest.raises(UnsupportedOperation, match="1 applies"):
        TRGBP(network).explain(picture())


def test_threads_share_a_model_and_get_the_single_thread_result() -> None:
    network = randomise(Functional())
    pictures = [picture(seed=seed) for seed in range(8)]
    expected = [TRGBP(network).explain(x, [2]).attribution(2) for x in pictures]
    got: dict[int, Tensor] = {}

    def work(own: int) -> None:
        for i in range(own, len(pictures), 2):
            got[i] = TRGBP(network).explain(pictures[i], [2]).attribution(2)

    threads = [threading.Thread(target=work, args=(own,)) for own in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(got[i], expected[i]) for i in range(len(pictures)))


@pytest.mark.parametrize("classes", [2, 7])
def test_few_classes_one_channel_and_other_types_work(classes: int) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, classes)).eval()
    e = TRGBP(network).explain(picture(1, 1, 8, 8).float(), [0])
    assert len(e.top5) == min(5, classes)
    low = TRGBP(network.bfloat16()).explain(picture(1, 1, 8, 8).bfloat16(), [0])
    assert torch.isfinite(low.attribution(0)).all()


def test_it_works_under_no_grad_and_in_inference_mode() -> None:
    network, x = randomise(Plain()), picture()
    expected = TRGBP(network).explain(x, [1]).attribution(1)
    with torch.no_grad():
        assert torch.equal(TRGBP(network).explain(x, [1]).attribution(1), expected)
    with torch.inference_mode():
        assert torch.equal(TRGBP(network).explain(x, [1]).attribution(1), expected)


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (torch.zeros(3, 32, 32, dtype=torch.float64), "batch of pictures"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "floating-point"),
        (torch.full((1, 3, 32, 32), float("nan"), dtype=torch.float64), "NaN"),
        (torch.zeros(1, 3, 32, 32), "same type and device"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.float64), "one picture"),
    ],
)
def test_wrong_input_gets_a_sentence(x: Tensor, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TRGBP(randomise(Plain())).explain(x)


def test_networks_that_are_no_classifiers_get_a_sentence() -> None:
    x = picture()
    with pytest.raises(ValueError, match="logits of shape"):
        record(nn.Conv2d(3, 4, 3).double(), x)
    scripted = torch.jit.trace(randomise(Plain()), x)
    with pytest.raises(ValueError, match="scripted"):
        TRGBP(scripted).explain(x)
