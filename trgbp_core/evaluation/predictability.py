"""The command ``predictability``: how well each method's maps are foretold, by four statements fixed beforehand.

- **Class change**: another class has another map. ``1 − ρ``, ρ Spearman's rank correlation of relu(R) for the network's best class and for
  its second. 0: the class makes no difference; 1: the maps have nothing in common.
- **Randomised weights** (Section 4.2): what is left is where filters look. Every picture is explained on a network of its own draw; the
  mean of |R|, each map scaled to sum 1, is correlated (Pearson: a uniform map gains nothing) with the coverage of all layers
  (:func:`trgbp_core.predictability.predicted_sum`), which is computed without running anything. 1: the predicted shape.
- **Noise**: noise that nobody sees (a standard deviation of :data:`NOISE` of the pixels' range) leaves the map as it was. Spearman's rank
  correlation of relu(R) with and without it, for the same class. 1: the same map. The layers' ε, which theory foretells for the R̃^l alone,
  is another statement: see the command ``predict``.
- **Boundary** (Section 5.4): a strong frame goes with a wrong prediction. The ROC AUC of IBD (Eq. 12) against 'misclassified', and the
  calibration error of the table that states it (:func:`~trgbp_core.evaluation.calibrating.calibration_error`). 50 and chance: frames say
  nothing.

Means over pictures, with 95 % bootstrap intervals over pictures (none from fewer than 20). Nothing in a method, and nothing here, is
chosen by these numbers.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import datasets, images
from ..baselines import METHODS, NotApplicable
from ..cascade import randomised
from ..datasets import Dataset
from ..geometry import Psi
from ..measures import ibd
from ..models import Zoo
from ..predictability import Coverage, coverage, predicted_sum
from ..similarity import spearman
from ..trgbp import TRGBP
from .calibrating import calibration_error
from .settings import chosen_methods, drawn
from .statistics import FEWEST, Array, Statistic, auc, bootstrap, estimate, means
from .tables import NOTHING, interval, number, table

HELP = "how well every method's maps are foretold: class change, randomised weights, noise, boundary"
RAW = "raw"
NOISE = 0.02
SIDE = 56
"""Mean maps are compared at this many places a side."""

FEWEST_WRONG = 5
Frames = tuple[Array, np.ndarray]
HEAD = ("", "pictures", "class change", "randomised weights", "noise", "boundary: AUC", "boundary: calibration error")


def options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``predictability``."""
    add = command.add_argument
    add("--images", type=Path, required=True, metavar="DIR", help="the folder of pictures")
    add("--annotations", type=Path, metavar="FILE", help="as for `evaluate`; none for class folders")
    add("--model", default="efficientnet_lite0", help="a network of `models` (default efficientnet_lite0)")
    add("--methods", default="all", help="comma-separated keys, paper or all (default)")
    add("--limit", type=int, default=24, metavar="N", help="pictures, drawn at random (default 24)")
    add("--slow", type=int, default=6, metavar="N", help="pictures for methods of more than --cost passes (default 6)")
    add("--cost", type=float, default=60, help="see --slow (default 60 forward passes a map)")
    add("--results", type=Path, metavar="CSV", help="results.csv of `evaluate`: the boundary of its methods is taken from all its pictures")
    add("--seed", type=int, default=0, help="of every draw (default 0)")


def run(arguments: argparse.Namespace) -> None:
    """Print the table, a line as soon as its method is measured, the fastest first."""
    from ..memory import keep_freed_memory
    from ..models import load_model
    from ..speed import on_terminal

    keep_freed_memory()
    if arguments.limit < 2 or arguments.slow < 2 or arguments.seed < 0:
        raise ValueError("--limit and --slow are at least 2, --seed at least 0.")
    keys = chosen_methods(arguments.methods)
    unknown = [key for key in keys if key not in METHODS]
    if unknown or not keys:
        raise ValueError(f"There is no method {(unknown or [''])[0]!r}; there are {', '.join(METHODS)}.")
    with on_terminal(arguments.model) as progress:
        zoo = load_model(arguments.model, progress=progress)
    dataset = datasets.load(arguments.images, arguments.annotations, labels=zoo.labels)
    frames = {} if arguments.results is None else read_frames(arguments.results)
    foretold = coverage(zoo.network, (1, len(zoo.mean), zoo.input_size, zoo.input_size))
    print(table(HEAD, []), flush=True)
    for key in (RAW, *sorted(keys, key=lambda key: METHODS[key].cost)):
        slow = key != RAW and METHODS[key].cost > arguments.cost
        asked = Asked(zoo, dataset, arguments.slow if slow else arguments.limit, arguments.seed)
        print(line(key, asked, foretold, frames.get(key)), flush=True)


@dataclass(frozen=True)
class Asked:
    """``limit`` pictures of ``dataset``, drawn with ``seed``; the first of a longer draw are those of a shorter one."""

    zoo: Zoo
    dataset: Dataset
    limit: int
    seed: int


@dataclass(frozen=True)
class Statements:
    """What one method's maps of N pictures say.

    Attributes:
        change, steady: (N,), NaN where a map is constant. random: |R| on random weights, each of sum 1, (N, SIDE²).
        ibd: (N,). wrong: (N,) bool.
    """

    change: Array
    random: Array
    steady: Array
    ibd: Array
    wrong: np.ndarray


def read_frames(file: Path) -> dict[str, Frames]:
    """(IBD, misclassified) of every method in ``results.csv`` of `evaluate`.

    Raises:
        ValueError: it is no such file.
    """
    found: dict[str, tuple[list[float], list[bool]]] = {}
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                values, wrong = found.setdefault(row["method"], ([], []))
                values.append(float(row["ibd"]))
                wrong.append(row["predicted"] != row["class_index"])
    except (KeyError, ValueError, csv.Error) as error:
        raise ValueError(f"{file.name} is no results.csv of `evaluate`: {error}") from error
    return {key: (np.array(values), np.array(wrong, bool)) for key, (values, wrong) in found.items()}


def line(key: str, asked: Asked, foretold: Sequence[Coverage], frames: Frames | None = None) -> str:
    """One method's line of the table; a method that does not apply says why.

    Args:
        foretold: what :func:`~trgbp_core.predictability.coverage` says of the network.
        frames: (IBD, misclassified) of more pictures than are asked; None for those that are.
    """
    title = "R̃, before the class mean" if key == RAW else METHODS[key].title
    try:
        found = measure(attribute(key), asked)
    except NotApplicable as error:
        return f"| {title} | – | {error} | | | | |"
    psi: Psi = "conserving" if key == "tr_gbp_conserving" else "paper"
    predicted = predicted_sum(foretold, (SIDE, SIDE), psi)
    count = len(found.wrong)
    cells = [
        _cell(means(found.change[:, None]), count, asked.seed),
        _cell(agreement(found.random, predicted.flatten().double().numpy()), count, asked.seed),
        _cell(means(found.steady[:, None]), count, asked.seed),
    ]
    cells += boundary(*(frames or (found.ibd, found.wrong)), asked.seed)
    return f"| {' | '.join([title, str(count), *cells])} |"


def boundary(frames: Array, wrong: np.ndarray, seed: int) -> list[str]:
    """AUC and calibration error, per cent, of the pictures whose map is one; dashes where too few predictions are right or wrong."""
    known = np.isfinite(frames)
    frames, wrong, count = frames[known], wrong[known], int(known.sum())
    if not FEWEST_WRONG <= wrong.sum() <= count - FEWEST_WRONG:
        return [NOTHING, NOTHING]
    error = calibration_error(frames, wrong, seed)
    more = f", {count} pictures" if count > 2 * FEWEST else ""
    return [
        _cell(auc(frames, wrong), count, seed, 100, 0) + more,
        f"{100 * error.value:.0f} [{100 * error.low:.0f} to {100 * error.high:.0f}]",
    ]


def attribute(key: str) -> Callable[[nn.Module, Tensor, int], Tensor]:
    """``(network, x, k) -> (1, 1, H, W)`` of a method, or of R̃ itself, which is what theory speaks of."""
    if key == RAW:
        return lambda network, x, k: TRGBP(network).explain(x, [k]).raw(k)
    return METHODS[key].attribute


def measure(method: Callable[[nn.Module, Tensor, int], Tensor], asked: Asked) -> Statements:
    """Four maps a picture: of the best class, of the second, with noise, and on random weights."""
    found = []
    for index, (x, k, other, wrong) in enumerate(_pictures(asked)):
        generator = torch.Generator().manual_seed(asked.seed * 65_537 + index)
        scale = NOISE / torch.tensor(asked.zoo.std).view(1, -1, 1, 1)
        noisy = x + scale * torch.randn(x.shape, generator=generator)
        network = asked.zoo.network
        own, second, beside = (method(network, *given).detach() for given in ((x, k), (x, other), (noisy, k)))
        noise = method(randomised(network, seed=asked.seed + index, x=x), x, k).detach().abs().double()
        mean = F.adaptive_avg_pool2d(torch.nan_to_num(noise), SIDE).flatten()
        found.append(
            (
                1 - float(spearman(own.relu(), second.relu())),
                (mean / mean.sum().clamp_min(1e-30)).numpy(),
                float(spearman(own.relu(), beside.relu())),
                float(ibd(own)),
                wrong,
            )
        )
        print(f"\r{index + 1} of {asked.limit} pictures", end="", file=sys.stderr, flush=True)
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
    change, random, steady, frames, wrongs = zip(*found, strict=True)
    return Statements(np.array(change), np.stack(random), np.array(steady), np.array(frames), np.array(wrongs, bool))


def _pictures(asked: Asked) -> Iterator[tuple[Tensor, int, int, bool]]:
    """Input, best class, second class, whether the best is wrong; a picture that cannot be read is left out.

    Raises:
        DatasetError: none can be read.
    """
    samples, count = asked.dataset.samples, 0
    for index in drawn_in_order(len(samples), asked.limit, asked.seed):
        try:
            x = asked.zoo.preprocess(images.read(samples[index].path))
        except images.ImageError as error:
            print(f"left out {samples[index].name}: {error}", file=sys.stderr)
            continue
        with torch.no_grad():
            best, second = asked.zoo.network(x)[0].topk(2).indices.tolist()
        count += 1
        yield x, best, second, best != samples[index].label
    if not count:
        raise datasets.DatasetError("None of the pictures could be read.")


def drawn_in_order(count: int, size: int, seed: int) -> list[int]:
    """As :func:`~trgbp_core.evaluation.settings.drawn`, in the order of the draw, so that fewer are the first of more."""
    longest = drawn(count, count, seed)
    return [longest[i] for i in torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:size].tolist()]


def agreement(maps: Array, predicted: Array) -> Statistic:
    """Pearson's correlation of the weighted mean of ``maps`` (N, P) with ``predicted`` (P,): weights (B, N) → (B, 1)."""
    centred = predicted - predicted.mean()

    def statistic(weights: Array) -> Array:
        mean = weights @ maps
        mean = mean - mean.mean(1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((mean @ centred / (np.linalg.norm(mean, axis=1) * np.linalg.norm(centred)))[:, None])

    return statistic


def _cell(statistic: Statistic, count: int, seed: int, scale: float = 1, digits: int = 2) -> str:
    value = float(statistic(np.ones((1, count)))[0, 0])
    of = estimate(value, bootstrap(statistic, count, seed)[:, 0])
    return f"{number(of.value, digits, scale)} [{interval(of, digits, scale)}]"
