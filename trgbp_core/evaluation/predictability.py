"""The command ``predictability``: how well each method's maps are foretold, by four statements fixed beforehand.

- **Class change**: another class has another map. ``1 − ρ``, ρ Spearman's rank correlation of relu(R) for the network's best class and for
  its second. 0: the class makes no difference; 1: the maps have nothing in common.
- **Randomised weights** (Section 4.2): what is left is where filters look. Every picture is explained on a network of its own draw; the
  mean of |R|, each map scaled to sum 1, is correlated (Pearson: a uniform map gains nothing) with the coverage of all layers
  (:func:`trgbp_core.theory.coverage.predicted_sum`), which is computed without running anything. 1: the predicted shape.
- **Noise**: noise that nobody sees (a standard deviation of :data:`NOISE` of the pixels' range) leaves the map as it was. Spearman's rank
  correlation of relu(R) with and without it, for the same class. 1: the same map. The layers' ε, which theory foretells for the R̃^l alone,
  is another statement: see the command ``predict``.
- **Boundary** (Section 5.4): a strong frame goes with a wrong prediction. The ROC AUC of IBD (Eq. 12) against 'misclassified', and the
  calibration error of the table that states it (:func:`~trgbp_core.evaluation.calibration.calibration_error`). 50 and chance: frames say
  nothing.

Means over pictures, with 95 % bootstrap intervals over pictures (none from fewer than 20). Nothing in a method, and nothing here, is
chosen by these numbers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ..data import datasets
from ..engine import devices
from ..engine.geometry import Psi
from ..methods import METHODS, NotApplicable
from ..metrics.localisation import ibd
from ..metrics.similarity import spearman
from ..sanity.cascade import randomised
from ..theory.coverage import Coverage, coverage, predicted_sum
from . import frame_tables
from .asked import RAW, Asked, Attribute, attribute, title
from .frame_tables import Frames, cell
from .settings import chosen_methods
from .statistics import Array, Statistic, means
from .tables import NOTHING, table

HELP = "how well every method's maps are foretold: class change, randomised weights, noise, boundary"
NOISE = 0.02
SIDE = 56
"""Mean maps are compared at this many places a side."""

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
    add("--frames", type=int, metavar="N", help="the boundary alone, from one map of each of N pictures, or from --results")
    add("--results", type=Path, metavar="CSV", help="results.csv of `evaluate`: the boundary of its methods is taken from all its pictures")
    add("--seed", type=int, default=0, help="of every draw (default 0)")


def run(arguments: argparse.Namespace) -> None:
    """Print the table, a line as soon as its method is measured, the fastest first."""
    from ..serving.memory import keep_freed_memory
    from ..zoo.download_progress import on_terminal
    from ..zoo.loading import load_model

    keep_freed_memory()
    device = devices.prepare(arguments.device)
    if min(arguments.limit, arguments.slow, 2 if arguments.frames is None else arguments.frames) < 2 or arguments.seed < 0:
        raise ValueError("--limit, --slow and --frames are at least 2, --seed at least 0.")
    keys = chosen_methods(arguments.methods)
    unknown = [key for key in keys if key not in METHODS]
    if unknown or not keys:
        raise ValueError(f"There is no method {(unknown or [''])[0]!r}; there are {', '.join(METHODS)}.")
    with on_terminal(arguments.model) as progress:
        zoo = load_model(arguments.model, device=device, progress=progress)
    dataset = datasets.load(arguments.images, arguments.annotations, labels=zoo.labels)
    frames = {} if arguments.results is None else frame_tables.read(arguments.results)
    if arguments.frames is not None:
        asked = Asked(zoo, dataset, arguments.frames, arguments.seed)
        measured, refused = frame_tables.measure([key for key in (RAW, *keys) if key not in frames], asked)
        print(table(frame_tables.HEAD, []))
        print("\n".join(frame_tables.lines((RAW, *keys), frames | measured, refused, arguments.seed)))
        return
    foretold = coverage(zoo.network, (1, len(zoo.mean), zoo.input_size, zoo.input_size))
    print(table(HEAD, []), flush=True)
    for key in (RAW, *sorted(keys, key=lambda key: METHODS[key].cost)):
        slow = key != RAW and METHODS[key].cost > arguments.cost
        asked = Asked(zoo, dataset, arguments.slow if slow else arguments.limit, arguments.seed)
        print(line(key, asked, foretold, frames.get(key)), flush=True)


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


def line(key: str, asked: Asked, foretold: Sequence[Coverage], frames: Frames | None = None) -> str:
    """One method's line of the table; a method that does not apply says why.

    Args:
        foretold: what :func:`~trgbp_core.theory.coverage.coverage` says of the network.
        frames: (IBD, misclassified) of more pictures than are asked; None for those that are.
    """
    try:
        found = measure(attribute(key), asked)
    except NotApplicable as error:
        return f"| {title(key)} | – | {error} | | | | |"
    psi: Psi = "conserving" if key == "tr_gbp_conserving" else "paper"
    predicted = predicted_sum(foretold, (SIDE, SIDE), psi)
    count = len(found.wrong)
    cells = [
        cell(means(found.change[:, None]), count, asked.seed),
        cell(agreement(found.random, predicted.cpu().flatten().double().numpy()), count, asked.seed),
        cell(means(found.steady[:, None]), count, asked.seed),
    ]
    curve, gap = frame_tables.cells(*(frames or (found.ibd, found.wrong)), asked.seed)
    cells += [curve if curve == NOTHING else curve + frame_tables.more((frames or (found.ibd,))[0]), gap]
    return f"| {' | '.join([title(key), str(count), *cells])} |"


def measure(method: Attribute, asked: Asked) -> Statements:
    """Four maps a picture: of the best class, of the second, with noise, and on random weights."""
    found = []
    for index, (x, k, other, wrong) in enumerate(asked.pictures()):
        generator = torch.Generator().manual_seed(asked.seed * 65_537 + index)
        scale = NOISE / torch.tensor(asked.zoo.std).view(1, -1, 1, 1)
        noisy = x + (scale * torch.randn(x.shape, generator=generator)).to(x.device)
        network = asked.zoo.network
        own, second, beside = (method(network, *given).detach() for given in ((x, k), (x, other), (noisy, k)))
        noise = method(randomised(network, seed=asked.seed + index, x=x), x, k).detach().abs().double()
        mean = F.adaptive_avg_pool2d(torch.nan_to_num(noise), SIDE).flatten()
        found.append(
            (
                1 - float(spearman(own.relu(), second.relu())),
                (mean / mean.sum().clamp_min(1e-30)).cpu().numpy(),
                float(spearman(own.relu(), beside.relu())),
                float(ibd(own)),
                wrong,
            )
        )
    change, random, steady, frames, wrongs = zip(*found, strict=True)
    return Statements(np.array(change), np.stack(random), np.array(steady), np.array(frames), np.array(wrongs, bool))


def agreement(maps: Array, predicted: Array) -> Statistic:
    """Pearson's correlation of the weighted mean of ``maps`` (N, P) with ``predicted`` (P,): weights (B, N) → (B, 1)."""
    centred = predicted - predicted.mean()

    def statistic(weights: Array) -> Array:
        mean = weights @ maps
        mean = mean - mean.mean(1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((mean @ centred / (np.linalg.norm(mean, axis=1) * np.linalg.norm(centred)))[:, None])

    return statistic
