"""The benchmark command: every figure is a ratio within one run, beside the machine's own rate of arithmetic."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trgbp_core.engine import devices
from trgbp_core.engine.recording import record
from trgbp_core.evaluation.formatting import markdown_table
from trgbp_core.methods import METHODS, NotApplicable
from trgbp_core.methods.gradients import input_gradient, prepared
from trgbp_core.methods.paths import GUIDED_STEPS
from trgbp_core.trgbp.explainer import TRGBP
from trgbp_core.trgbp.targets import one_hot
from trgbp_core.zoo.custom import loaded
from trgbp_core.zoo.loading import Zoo

from .machine import bandwidth, gemm_rate, medians, traffic

NETWORKS = ("random:resnet50", "random:vgg16", "random:densenet121", "random:mobilenet_v2", "efficientnet_lite0")
CLASSES = 5
EXAMPLE = Path(__file__).parent.parent / "assets" / "examples" / "cheetah_and_lion.jpg"


def bench_network(source: Zoo | str, repeats: int, device: torch.device = devices.CPU) -> dict[str, float]:
    """Seconds of one network's forward pass, of an explanation of 5 classes with all layers, of their guided gradients alone, of a further
    class of the same picture, and of autograd's own backward pass to the picture."""
    zoo = with_classes(loaded(source, device))
    x = example(zoo)
    explainer, classes = TRGBP(zoo.network), torch.arange(CLASSES)[:, None]
    recorded = explainer.record(x)
    top = recorded.top5
    recorded.explain(top)
    further = (k for k in range(recorded.logits.shape[1]) if k not in top)
    leaf = x.clone().requires_grad_()
    logits = zoo.network(leaf)

    def guided_alone() -> None:
        recording = record(zoo.network, x, layer_maps=False)
        recording.backward(one_hot(classes, recording.logits))

    work: dict[str, Callable[[], Any]] = {
        "forward": lambda: forward_pass(zoo.network, x),
        "explain": lambda: explainer.explain(x, top),
        "guided": guided_alone,
        "further": lambda: recorded.explain([next(further)]),
        "backward": lambda: torch.autograd.grad(logits[0, top[0]], leaf, retain_graph=True),
    }
    seconds = medians(work, repeats, device=device)
    with FlopCounterMode(display=False) as counter:
        forward_pass(zoo.network, x)
    moved = traffic(lambda: explainer.explain(x, top))
    return seconds | {"flops": float(counter.get_total_flops()), "moved": float(moved)}


def with_classes(zoo: Zoo) -> Zoo:
    """The same network. Raises ValueError: it has fewer classes than are explained here."""
    if len(zoo.labels) < CLASSES:
        raise ValueError(f"The time of {CLASSES} classes is measured; {zoo.name} has {len(zoo.labels)}.")
    return zoo


def example(zoo: Zoo) -> Tensor:
    """The page's first example; noise where the pictures were not installed (more units saturate in noise than in a photograph)."""
    if EXAMPLE.exists():
        return zoo.preprocess(EXAMPLE)
    return torch.randn(1, 3, zoo.input_size, zoo.input_size, generator=torch.Generator().manual_seed(0)).to(zoo.device)


def forward_pass(network: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        network(x)


HEAD = (
    "network",
    "forward, ms",
    "explain ÷ forward",
    "guided alone ÷ forward",
    "layer maps cost",
    "a further class ÷ one backward",
    "explain, GFLOP/s (floor: 1+5 forwards)",
    "explain, GB/s (every operation reads and writes)",
)


def bench(networks: Iterable[Zoo | str] = NETWORKS, *, repeats: int = 10, device: torch.device = devices.CPU) -> str:
    """The table that ``python -m trgbp_core bench`` prints."""
    rate, memory = gemm_rate(device), bandwidth(device)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {device}, torch {torch.__version__}"
    rates = f"GEMM {rate:.0f} GFLOP/s; copying {memory / 1e9:.1f} GB/s"
    rows = []
    for source in networks:
        name = source.name if isinstance(source, Zoo) else source
        s = bench_network(source, repeats, device)
        achieved, moved = (1 + CLASSES) * s["flops"] / s["explain"] / 1e9, s["moved"] / s["explain"]
        rows.append(
            [
                name,
                f"{1e3 * s['forward']:.1f}",
                f"{s['explain'] / s['forward']:.2f}",
                f"{s['guided'] / s['forward']:.2f}",
                f"{s['explain'] / s['guided'] - 1:+.0%}",
                f"{s['further'] / s['backward']:.2f}",
                f"{achieved:.0f} ({achieved / rate:.0%} of GEMM)",
                f"{moved / 1e9:.1f} ({moved / memory:.0%} of copying)",
            ]
        )
    return f"{machine}; {rates}; medians of {repeats}; {CLASSES} classes\n\n{markdown_table(HEAD, rows)}"


def bench_methods(
    source: Zoo | str = NETWORKS[-1], *, repeats: int = 3, device: torch.device = devices.CPU, keys: Sequence[str] | None = None
) -> Iterator[str]:
    """The table of ``bench --methods``, line by line: a method's time for one map, in forward passes of the same network and run.

    Args:
        keys: of the methods to measure; all of them by default.
    """
    zoo = loaded(source, device)
    x = example(zoo)
    yield from (f"{zoo.name}, {torch.get_num_threads()} threads, {device}, medians of {repeats}", "")
    yield markdown_table(["method", "÷ one forward pass"])
    for key in METHODS if keys is None else keys:
        method = METHODS[key]
        try:
            s = medians(
                {"forward": lambda: forward_pass(zoo.network, x), "method": lambda m=method: m.attribute(zoo.network, x, 0)},  # type: ignore[misc]
                repeats,
                warm_up=1,
                device=device,
            )
            yield f"| `{key}` | {s['method'] / s['forward']:.1f} |"
        except NotApplicable as error:
            yield f"| `{key}` | does not apply: {error} |"
    if keys is None or "guided_ig" in keys:
        yield from ("", f"Guided IG ÷ its {GUIDED_STEPS} gradients alone: {guided_ig_overhead(zoo, x, repeats):.2f}")


def guided_ig_overhead(zoo: Zoo, x: Tensor, repeats: int) -> float:
    """The time of Guided IG over that of as many gradients, one after the other: what its path costs beside them."""
    network, _ = prepared(zoo.network, x, 0)

    def gradients() -> None:
        for _ in range(GUIDED_STEPS):
            input_gradient(network, x, 0)

    work: dict[str, Callable[[], Any]] = {"method": lambda: METHODS["guided_ig"].attribute(zoo.network, x, 0), "gradients": gradients}
    s = medians(work, repeats, warm_up=1, device=x.device)
    return s["method"] / s["gradients"]
