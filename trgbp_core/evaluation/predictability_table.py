"""The table of ``predictability``: how well each method's maps can be predicted, by four statements fixed beforehand.

- **Class change**: another class has another map. ``1 − ρ``, ρ Spearman's rank correlation of relu(R) for the network's best class and for
  its second. 0: the class makes no difference; 1: the maps have nothing in common.
- **Randomised weights** (Section 4.2): what is left is where filters look. Every picture is explained on a network of its own draw; the
  mean of |R|, each map scaled to sum 1, is correlated (Pearson: a uniform map gains nothing) with the coverage of all layers
  (:func:`trgbp_core.theory.coverage.predicted_sum`), which is computed without running anything. 1: the predicted shape.
- **Noise**: noise that nobody sees (a standard deviation of :data:`NOISE` of the pixels' range) leaves the map as it was. Spearman's rank
  correlation of relu(R) with and without it, for the same class. 1: the same map. The layers' ε, which theory predicts for the R̃^l alone,
  is another statement: see the command ``predict``.
- **Boundary** (Section 5.4): a strong frame goes with a wrong prediction. The ROC AUC of IBD (Eq. 12) against 'misclassified', and the
  calibration error of the table that states it (:func:`~trgbp_core.evaluation.calibration.calibration_error`). 50 and chance: frames say
  nothing.

Means over pictures, with 95 % bootstrap intervals over pictures (none from fewer than 20). Nothing in a method, and nothing here, is
chosen by these numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from ..data import datasets, images
from ..data.datasets import Dataset
from ..engine.geometry import Psi
from ..methods import METHODS, NotApplicable
from ..metrics.localisation import ibd
from ..metrics.similarity import spearman
from ..sanity.cascade import randomised
from ..theory.coverage import Coverage, predicted_sum
from ..trgbp.explainer import TRGBP
from ..zoo.loading import Zoo
from .calibration import calibration_error
from .formatting import NOTHING, markdown_row, with_interval
from .results import read_csv
from .settings import drawn
from .statistics import FEWEST, Array, Statistic, auc, means, resampled

RAW = "raw"
"""The key of R̃ itself, which is what theory speaks of."""

NOISE = 0.02
SIDE = 56
"""Mean maps are compared at this many places a side."""

FEWEST_WRONG = 5
HEAD = ("", "pictures", "class change", "randomised weights", "noise", "boundary: AUC", "boundary: calibration error")
BOUNDARY_HEAD = ("", "pictures", "misclassified", "boundary: AUC", "boundary: calibration error")

Attribute = Callable[[nn.Module, Tensor, int], Tensor]


@dataclass(frozen=True)
class Boundary:
    """IBD of N pictures' maps, (N,), and whether their predictions were wrong, (N,) bool."""

    ibd: Array
    wrong: np.ndarray


@dataclass(frozen=True)
class Statements:
    """What one method's maps of N pictures say.

    Attributes:
        change, steady: (N,), NaN where a map is constant. random: |R| on random weights, each of sum 1, (N, SIDE²).
    """

    change: Array
    random: Array
    steady: Array
    boundary: Boundary


@dataclass(frozen=True)
class PictureSample:
    """``limit`` pictures of ``dataset``, drawn with ``seed``; the first of a longer draw are those of a shorter one."""

    zoo: Zoo
    dataset: Dataset
    limit: int
    seed: int

    def pictures(self) -> Iterator[tuple[Tensor, int, int, bool]]:
        """Input, best class, second class, whether the best is wrong; a picture that cannot be read is left out.

        Raises:
            DatasetError: none can be read.
        """
        samples, count = self.dataset.samples, 0
        for index in tqdm(drawn_in_order(len(samples), self.limit, self.seed), unit=" pictures", leave=False):
            try:
                x = self.zoo.preprocess(images.read(samples[index].path))
            except images.ImageError as error:
                print(f"left out {samples[index].name}: {error}", file=sys.stderr)
                continue
            with torch.no_grad():
                best, second = self.zoo.network(x)[0].topk(2).indices.tolist()
            count += 1
            yield x, best, second, best != samples[index].label
        if not count:
            raise datasets.DatasetError("None of the pictures could be read.")


def drawn_in_order(count: int, size: int, seed: int) -> list[int]:
    """As :func:`~trgbp_core.evaluation.settings.drawn`, in the order of the draw, so that fewer are the first of more."""
    longest = drawn(count, count, seed)
    return [longest[i] for i in torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:size].tolist()]


def title(key: str) -> str:
    """Of a method, or of R̃ itself."""
    return "R̃, before the class mean" if key == RAW else METHODS[key].title


def attribute(key: str) -> Attribute:
    """``(network, x, k) -> (1, 1, H, W)`` of a method, or of R̃ itself."""
    if key == RAW:
        return lambda network, x, k: TRGBP(network).explain(x, [k]).raw(k)
    return METHODS[key].attribute


def line(key: str, sample: PictureSample, covered: Sequence[Coverage], boundary: Boundary | None = None) -> str:
    """One method's line of the table; a method that does not apply says why.

    Args:
        covered: what :func:`~trgbp_core.theory.coverage.coverage` says of the network.
        boundary: of more pictures than the sample has; None for those of the sample.
    """
    try:
        found = measure(attribute(key), sample)
    except NotApplicable as error:
        return f"| {title(key)} | – | {error} | | | | |"
    psi: Psi = "conserving" if key == "tr_gbp_conserving" else "paper"
    predicted = predicted_sum(covered, (SIDE, SIDE), psi)
    count = len(found.change)
    statistics = (
        means(found.change[:, None]),
        agreement(found.random, predicted.cpu().flatten().double().numpy()),
        means(found.steady[:, None]),
    )
    of = boundary or found.boundary
    curve, apart = boundary_cells(of, sample.seed)
    known = int(np.isfinite(of.ibd).sum())
    if curve != NOTHING and known > 2 * FEWEST:
        curve += f", {known} pictures"
    return markdown_row([title(key), str(count), *(cell(s, count, sample.seed) for s in statistics), curve, apart])


def measure(method: Attribute, sample: PictureSample) -> Statements:
    """Four maps a picture: of the best class, of the second, with noise, and on random weights."""
    network, found = sample.zoo.network, []
    for index, (x, k, other, wrong) in enumerate(sample.pictures()):
        generator = torch.Generator().manual_seed(sample.seed * 65_537 + index)
        scale = NOISE / torch.tensor(sample.zoo.std).view(1, -1, 1, 1)
        noisy = x + (scale * torch.randn(x.shape, generator=generator)).to(x.device)
        own, second, beside = (method(network, *given).detach() for given in ((x, k), (x, other), (noisy, k)))
        random = method(randomised(network, seed=sample.seed + index, x=x), x, k).detach().abs().double()
        mean = F.adaptive_avg_pool2d(torch.nan_to_num(random), SIDE).flatten()
        found.append(
            (
                1 - float(spearman(own.relu(), second.relu())),
                (mean / mean.sum().clamp_min(1e-30)).cpu().numpy(),
                float(spearman(own.relu(), beside.relu())),
                float(ibd(own)),
                wrong,
            )
        )
    change, maps, steady, frames, wrongs = zip(*found, strict=True)
    return Statements(np.array(change), np.stack(maps), np.array(steady), Boundary(np.array(frames), np.array(wrongs, bool)))


def agreement(maps: Array, predicted: Array) -> Statistic:
    """Pearson's correlation of the weighted mean of ``maps`` (N, P) with ``predicted`` (P,): weights (B, N) → (B, 1)."""
    centred = predicted - predicted.mean()

    def statistic(weights: Array) -> Array:
        mean = weights @ maps
        mean = mean - mean.mean(1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((mean @ centred / (np.linalg.norm(mean, axis=1) * np.linalg.norm(centred)))[:, None])

    return statistic


def read_boundaries(file: Path) -> dict[str, Boundary]:
    """The boundary of every method in ``results.csv`` of `evaluate`.

    Raises:
        ValueError: it is no such file.
    """
    try:
        rows = read_csv(file, ("method", "ibd", "predicted", "class_index")).astype({"ibd": float})
    except ValueError as error:
        raise ValueError(f"{file.name} is no results.csv of `evaluate`: {error}") from error
    wrong = rows["predicted"] != rows["class_index"]
    return {str(key): Boundary(of["ibd"].to_numpy(), wrong[of.index].to_numpy()) for key, of in rows.groupby("method", sort=False)}


def measure_boundaries(keys: Iterable[str], sample: PictureSample) -> tuple[dict[str, Boundary], dict[str, str]]:
    """The boundary of one map a picture and method, that of the best class; and of methods that do not apply, why."""
    methods, refused = {key: attribute(key) for key in keys}, dict[str, str]()
    found: dict[str, list[float]] = {key: [] for key in methods}
    wrongs = []
    for x, k, _, wrong in sample.pictures() if methods else ():
        wrongs.append(wrong)
        for key in [key for key in methods if key not in refused]:
            try:
                found[key].append(float(ibd(methods[key](sample.zoo.network, x, k))))
            except NotApplicable as error:
                refused[key] = str(error)
    return {key: Boundary(np.array(values), np.array(wrongs, bool)) for key, values in found.items() if key not in refused}, refused


def boundary_lines(keys: Iterable[str], boundaries: Mapping[str, Boundary], refused: Mapping[str, str], seed: int) -> Iterator[str]:
    """A line for each method of the table under :data:`BOUNDARY_HEAD`."""
    for key in keys:
        if key not in boundaries:
            yield f"| {title(key)} | – | {refused[key]} | | |"
            continue
        of = boundaries[key]
        known = np.isfinite(of.ibd)
        yield markdown_row([title(key), str(known.sum()), str(of.wrong[known].sum()), *boundary_cells(of, seed)])


def boundary_cells(of: Boundary, seed: int) -> list[str]:
    """AUC and calibration error, per cent, of the pictures whose map is one; dashes where too few predictions are right or wrong."""
    known = np.isfinite(of.ibd)
    values, wrong, count = of.ibd[known], of.wrong[known], int(known.sum())
    if not FEWEST_WRONG <= wrong.sum() <= count - FEWEST_WRONG:
        return [NOTHING, NOTHING]
    error = calibration_error(values, wrong, seed)
    return [cell(auc(values, wrong), count, seed, 100, 0), with_interval(error, 0)]


def cell(statistic: Statistic, count: int, seed: int, scale: float = 1, digits: int = 2) -> str:
    """A figure with its bootstrap interval over ``count`` pictures."""
    return with_interval(resampled(statistic, count, seed).estimates()[0], digits, scale)
