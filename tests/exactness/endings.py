"""How a network ends: probabilities, one logit, other containers, weights that are no numbers."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cases import Case, Ending, Make, Odd, ending, seeded

TAKE_OFF = r"take it off.*logits|return the logits"


@dataclass
class Output:
    logits: Tensor
    hidden: Tensor


Named = namedtuple("Named", "logits aux")


def end(name: str, odd: Odd, sentence: str, classes: int = 7) -> Case:
    return Case(name, ending(odd, classes), (), sentence)


def same(name: str, odd: Odd, sentence: str | None = None) -> Case:
    return Case(name, ending(odd), (ending(lambda y: y),), sentence)


def sequential(last: nn.Module) -> Make:
    return lambda: seeded(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 7), last))


def broken(value: float, where: str) -> Make:
    def make() -> nn.Module:
        network = seeded(Ending(nn.Identity))
        with torch.no_grad():
            network.get_parameter(where).flatten()[0] = value
        return network

    return make


def broken_statistics() -> nn.Module:
    network = seeded(
        nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 7))
    )
    network[1].running_var[0] = -1  # its root is no number
    return network


NUMBERS = "NaN|infinite|finite"
ENDINGS: list[Case] = [
    end("softmax at the end", lambda y: y.softmax(1), TAKE_OFF),
    end("nn.Softmax at the end", nn.Softmax, TAKE_OFF),
    end("log_softmax at the end", lambda y: F.log_softmax(y, 1), TAKE_OFF),
    end("sigmoid at the end", lambda y: y.sigmoid(), TAKE_OFF),
    end("sigmoid at the end of one logit", lambda y: y.sigmoid(), TAKE_OFF, 1),
    end("softmax at the end, then a reshape", lambda y: y.softmax(1).reshape(-1, 7), TAKE_OFF),
    Case("softmax ends a Sequential", sequential(nn.Softmax(1)), (), r"take it off.*(\[:-1\]|Sequential)"),
    Case("log-softmax ends a Sequential", sequential(nn.LogSoftmax(1)), (), r"take it off.*(\[:-1\]|Sequential)"),
    Case("sigmoid ends a Sequential", sequential(nn.Sigmoid()), (), r"take it off.*(\[:-1\]|Sequential)"),
    same("logits divided by a temperature", lambda y: (y * 2) / 2),
    end("output (N,)", lambda y: y.squeeze(1), r"\(N, 1\)", 1),
    end("output (N,) by an index", lambda y: y[:, 0], r"\(N, 1\)"),
    end("output of four dimensions", lambda y: y[:, :, None, None], r"\(N, classes\)"),
    end("output None", lambda y: None, r"\(N, classes\)"),  # type: ignore[arg-type, return-value]
    end("output an empty dict", lambda y: {}, r"\(N, classes\)"),  # type: ignore[arg-type, return-value]
    end("output a string", lambda y: "cat", r"\(N, classes\)"),  # type: ignore[arg-type, return-value]
    end("output no classes", lambda y: y[:, :0], "class|logit"),
    end("output of integers", lambda y: y.argsort(1), "depend|integer|argsort|logits"),
    end("output a constant", lambda y: torch.ones(1, 7).double(), "depend"),
    end("output detached", lambda y: y.detach(), "detach|no_grad"),
    Case("NaN in a weight", broken(float("nan"), "first.weight"), (), NUMBERS),
    Case("NaN in a bias", broken(float("nan"), "head.bias"), (), NUMBERS),
    Case("an infinite weight", broken(float("inf"), "head.weight"), (), NUMBERS),
    Case("an infinite bias", broken(float("-inf"), "head.bias"), (), NUMBERS),
    Case("NaN by a negative variance", broken_statistics, (), NUMBERS),
]
CONTAINERS: dict[str, Odd] = {
    "dict": lambda y: {"logits": y, "aux": y * 2},  # type: ignore[dict-item, return-value]
    "dict, 'out'": lambda y: {"out": y},  # type: ignore[dict-item, return-value]
    "OrderedDict": lambda y: OrderedDict(scores=y),  # type: ignore[dict-item, return-value]
    "tuple": lambda y: (y, y * 2),  # type: ignore[dict-item, return-value]
    "list": lambda y: [y, None],  # type: ignore[dict-item, return-value]
    "namedtuple": lambda y: Named(y, None),  # type: ignore[dict-item, return-value]
    "dataclass": lambda y: Output(y, y),  # type: ignore[dict-item, return-value]
}
