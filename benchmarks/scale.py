"""``bench --scale``: how time and memory of an explanation grow, beside what arithmetic predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed import CLASSES, forward_pass
from trgbp_core.drawing.figures import save
from trgbp_core.evaluation.formatting import NOTHING, markdown_table
from trgbp_core.trgbp.explainer import TRGBP
from trgbp_core.zoo import loading

from .machine import medians, peak_memory

EMBEDDED = "efficientnet_lite0"
DEPTHS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes:
        label: what the table calls it. amount: what the exponent is fitted against; what it counts is the series' ``unit``.
        seconds: the median explanation. forward: the median plain forward pass of the same input. memory: bytes at the peak, or None.
    """

    label: str
    amount: float
    seconds: float
    forward: float
    memory: int | None


@dataclass(frozen=True)
class Series:
    """One quantity that grows. ``predicted`` says what arithmetic expects of the exponents, in words."""

    name: str
    unit: str
    predicted: str
    points: tuple[Point, ...]

    def exponent(self, of: Callable[[Point], float | None]) -> float | None:
        """The slope of log ``of`` against log amount by least squares; None where a value is missing or nothing."""
        values = [of(point) for point in self.points]
        if len(values) < 2 or any(not value for value in values):
            return None
        return float(np.polyfit(np.log([point.amount for point in self.points]), np.log(np.array(values, dtype=float)), 1)[0])


def _measure(label: str, amount: float, network: nn.Module, x: Tensor, run: Callable[[], Any], repeats: int) -> Point:
    run()
    memory = peak_memory(run)
    seconds = medians({"forward": lambda: forward_pass(network, x), "run": run}, repeats, warm_up=0)
    return Point(label, amount, seconds["run"], seconds["forward"], memory)


def _noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def _size(repeats: int, sides: Sequence[int]) -> Series:
    network = loading.load_model(EMBEDDED).network
    points = []
    for side in sides:
        x = _noise(1, 3, side, side)
        points.append(_measure(f"{side}×{side}", side**2, network, x, lambda x=x: TRGBP(network).explain(x, range(CLASSES)), repeats))  # type: ignore[misc]
    return Series(f"picture size ({EMBEDDED})", "pixels", "1: every layer's work is proportional to its pixels", tuple(points))


def _classes(repeats: int, counts: Sequence[int]) -> Series:
    network = loading.load_model(EMBEDDED).network
    x = _noise(1, 3, 224, 224)
    top = TRGBP(network).record(x).top5
    rest = [k for k in range(1000) if k not in top]
    points = []
    for count in counts:
        # The top 5 are always computed: fewer classes than five cost as much as five.
        asked = [*top, *rest][:count]
        points.append(_measure(str(count), max(count, len(top)), network, x, lambda asked=asked: TRGBP(network).explain(x, asked), repeats))  # type: ignore[misc]
    return Series(
        f"number of classes ({EMBEDDED})",
        "classes carried backward (at least the top 5)",
        "below 1, towards 1: one recorded forward pass for all, one backward pass each",
        tuple(points),
    )


def _depth(repeats: int, names: Sequence[str]) -> Series:
    points = []
    x = _noise(1, 3, 224, 224)
    for name in names:
        network = loading.load_model(f"random:{name}").network
        with FlopCounterMode(display=False) as counter:
            forward_pass(network, x)
        run = lambda network=network: TRGBP(network).explain(x, range(CLASSES))  # type: ignore[misc]  # noqa: E731
        points.append(_measure(name, counter.get_total_flops() / 1e9, network, x, run, repeats))
    return Series("depth", "GFLOP of a forward pass", "1 for time; memory follows the activations, not the arithmetic", tuple(points))


def _batch(repeats: int, sizes: Sequence[int]) -> Series:
    network = loading.load_model(EMBEDDED).network
    points = []
    for size in sizes:
        x = _noise(size, 3, 224, 224)
        points.append(_measure(str(size), size, network, x, lambda x=x: TRGBP(network).attribute(x, 0), repeats))  # type: ignore[misc]
    return Series(f"pictures of a batch ({EMBEDDED})", "pictures", "1: pictures share nothing but the weights", tuple(points))


def measure(repeats: int) -> tuple[Series, ...]:
    """All four series."""
    return (
        _size(repeats, (128, 192, 256, 384, 512, 768, 1024)),
        _classes(repeats, (1, 2, 5, 10, 20, 50)),
        _depth(repeats, DEPTHS),
        _batch(repeats, (1, 2, 4, 8, 16)),
    )


def table(series: Iterable[Series]) -> str:
    """The series as Markdown."""
    lines = []
    for s in series:
        time, memory = s.exponent(lambda p: p.seconds), s.exponent(lambda p: p.memory)
        fitted = f"time^{time:.2f}" if time is not None else "time: –"
        fitted += f", memory^{memory:.2f}" if memory is not None else ""
        lines += [
            f"**{s.name}**: fitted against {s.unit}: {fitted}. Arithmetic predicts {s.predicted}.",
            "",
            markdown_table(["", "time, ms", "÷ forward", "memory, MB"], [_cells(p) for p in s.points]),
            "",
        ]
    return "\n".join(lines)


def _cells(p: Point) -> list[str]:
    memory = NOTHING if p.memory is None else f"{p.memory / 1e6:.0f}"
    return [p.label, f"{1e3 * p.seconds:.0f}", f"{p.seconds / p.forward:.2f}", memory]


def plot(series: Sequence[Series]) -> Any:
    """Time and memory against amount (a matplotlib figure), both logarithmic, beside a line of exponent 1 through the middle point."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(series), 5.6), layout="constrained")
    axes = figure.subplots(2, len(series), squeeze=False)
    for column, s in enumerate(series):
        amounts = np.array([p.amount for p in s.points])
        for row, (name, values) in enumerate(
            (("time, s", [p.seconds for p in s.points]), ("memory, MB", [(p.memory or 0) / 1e6 for p in s.points]))
        ):
            axis = axes[row][column]
            axis.loglog(amounts, values, "o-", label="measured")
            middle = len(amounts) // 2
            axis.loglog(amounts, values[middle] * amounts / amounts[middle], "--", color="0.6", label="exponent 1")
            axis.set_ylabel(name)
            axis.set_xlabel(s.unit, fontsize=8)
        axes[0][column].set_title(s.name, fontsize=9)
    axes[0][0].legend(fontsize=8)
    return figure


def report(folder: Path, *, repeats: int = 3) -> str:
    """Measure, write ``scale.png`` and ``scale.pdf`` to ``folder``, and return the table."""
    series = measure(repeats)
    file, _ = save(plot(series), folder, "scale")
    return f"{torch.get_num_threads()} threads, torch {torch.__version__}; medians of {repeats}\n\n{table(series)}\nPlot: {file}"
