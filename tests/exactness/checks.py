"""Exact, refused, unchanged: the three expectations, each as one function."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from trgbp_core import TRGBP, Explanation

from ..support.comparison import completeness_gap
from ..support.guided_reference import guided_gradient
from .cases import Case, Make

EXACT = 1e-9
WRAPPED = re.compile(r"cannot read an input|Traceback|object at 0x")  # what is no cause but a foreign error passed on


def apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest number."""
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12))


def mass(e: Explanation, k: int) -> Tensor:
    """What all biases say together, wherever they hang."""
    return sum((e.layer_raw(i, k).sum() for i in range(1, len(e.layers) + 1)), torch.zeros((), dtype=torch.float64))


def distance(e: Explanation, case: Case, twin: Make, x: Tensor) -> float:
    """How far the guided explanation is from that of the function written plainly."""
    gaps = [apart(e.gradient(k), guided_gradient(twin().eval(), x, k)) for k in e.classes]
    if case.compared != "picture":
        t = TRGBP(twin().eval()).explain(x, e.classes)
        gaps += [apart(e.layer_raw(0, k), t.layer_raw(0, k)) for k in e.classes]
        gaps += [apart(mass(e, k), mass(t, k)) for k in e.classes]
        if case.compared == "maps":
            gaps += [apart(e.raw(k, psi), t.raw(k, psi)) for k in e.classes for psi in ("paper", "conserving")]
    return max(gaps)


def check_exact(case: Case, prepare: Callable[[nn.Module], nn.Module] = nn.Module.eval) -> None:
    """Complete with the ordinary gradient, the guided map that of the plain spelling, the logits the network's own."""
    x = case.x()
    expected = case.twins[0]().eval()(x.clone()).detach()
    plain = TRGBP(prepare(case.make()), guided=False).explain(x)
    gap = completeness_gap(plain, x)
    print(f"completeness {gap:.1e}")
    assert gap < EXACT
    e = TRGBP(prepare(case.make())).explain(x)
    assert apart(e.logits, expected) < EXACT, "logits"
    assert apart(plain.logits, expected) < EXACT, "logits with the ordinary gradient"
    found = [distance(e, case, twin, x) for twin in case.twins]
    print("guided map against its plain spelling: " + ", ".join(f"{d:.1e}" for d in found))
    assert min(found) < EXACT
    assert e.let_through == ()


def refusal(explain: Callable[[], Any]) -> str | None:
    """The sentence, None where there is none. Any error but a ValueError of the project's own goes through."""
    try:
        explain()
    except ValueError as error:
        sentence = str(error)
        print(sentence)
        assert not WRAPPED.search(sentence), f"not a cause, but somebody else's error: {sentence}"
        assert len(sentence) > 30, "a sentence, not a word"
        return sentence
    return None


def must_refuse(explain: Callable[[], Any], says: str = "") -> None:
    """It raises the project's ValueError, with a sentence that matches the pattern ``says``."""
    sentence = refusal(explain)
    assert sentence is not None, "explained without a word"
    assert re.search(says, sentence, re.I | re.S), f"{sentence!r} does not say {says!r}"


def check_refused(case: Case) -> None:
    """Refused by name, guided or not (only guided where it is piecewise linear), in evaluation mode."""
    for guided in (True,) if case.linear else (True, False):
        must_refuse(lambda guided=guided: TRGBP(case.make().eval(), guided=guided).explain(case.x()), str(case.refusal))


def check_either(case: Case) -> None:
    """Exact, or refused; never anything between."""
    if refusal(lambda: TRGBP(case.make().eval()).explain(case.x())) is None:
        check_exact(case)
        return
    must_refuse(lambda: TRGBP(case.make().eval()).explain(case.x()), str(case.refusal))
    found: list[Explanation] = []
    if refusal(lambda: found.append(TRGBP(case.make().eval(), guided=False).explain(case.x()))) is None:
        assert completeness_gap(found[0], case.x()) < EXACT, "refused with the guided rule, wrong with the ordinary one"


def check(case: Case) -> None:
    {"exact": check_exact, "refused": check_refused, "either": check_either}[case.kind](case)


def state(network: nn.Module) -> dict[str, Any]:
    """Everything of a network and of the process that a call could change."""
    found: dict[str, Any] = {"random": _plain(torch.get_rng_state()), "threads": torch.get_num_threads()}
    for name, module in network.named_modules():
        found[f"{name}:attributes"] = {k: _plain(v) for k, v in vars(module).items() if not k.startswith("_") or k.startswith("_my")}
        found[f"{name}:hooks"] = [len(h) for k, h in vars(module).items() if k.endswith("_hooks") and isinstance(h, dict)]
        for key, t in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            found[f"{name}:{key}"] = (id(t), _plain(t), t.requires_grad, _plain(t.grad))
    return found


def _plain(value: Any) -> Any:
    """A value to compare later: the bytes of a tensor; what cannot be compared is its identity."""
    if isinstance(value, Tensor):
        return value.shape, value.dtype, value.detach().numpy().tobytes()
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else id(value)


def check_unchanged(network: nn.Module, x: Tensor, expected: Tensor) -> Explanation:
    """Explained twice: the evaluation mode's logits and one result, and everything is left as it was."""
    before, pixels = state(network), x.clone()
    first, second = (TRGBP(network).explain(x, [1]) for _ in range(2))
    after = state(network)
    changed = [key for key in before if before[key] != after.get(key)]
    assert not changed, f"changed: {changed}"
    assert torch.equal(x, pixels)
    assert not x.requires_grad
    assert apart(first.logits, expected) < EXACT, "logits of the evaluation mode"
    for k in first.classes:
        assert torch.equal(first.raw(k), second.raw(k)), "twice the same"
    assert completeness_gap(TRGBP(network, guided=False).explain(x), x) < EXACT
    return first


class _Count(TorchDispatchMode):
    operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        return func(*args, **(kwargs or {}))


def dispatched(work: Callable[[], object]) -> int:
    """How many operations torch carries out, whatever calls them."""
    with _Count() as count:
        work()
    return count.operations
