"""Labelled pictures → a network's table of counts (:class:`frame_calibration.Calibration`), and how far it can be trusted.

Every picture is explained at the network's own best class; what is kept of it is one count in a bin of IBD and confidence.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from ..data import datasets, images
from ..data.version import VERSION
from ..metrics.estimate import Estimate
from ..metrics.localisation import ibd
from ..theory.frame_calibration import Calibration, counted, fingerprint, rate
from ..trgbp.explainer import TRGBP
from ..zoo.loading import Zoo
from .formatting import markdown_table
from .statistics import FOLDS, Array, auc, cross_validated, joined, resampled

THRESHOLDS = tuple(i / 10 for i in range(10))


@dataclass(frozen=True)
class Measured:
    """One number a picture, (N,) each: IBD of TR-GBP at the best class, that class's probability, whether it is wrong."""

    ibd: Array
    confidence: Array
    wrong: np.ndarray


def measure(dataset: datasets.Dataset, zoo: Zoo, *, shown: bool = False) -> Measured:
    """Explain every picture at the network's own best class; pictures that cannot be read are left out.

    Args:
        shown: show the progress on stderr.

    Raises:
        DatasetError: none can be.
    """
    found: list[tuple[float, float, bool]] = []
    for sample in tqdm(dataset.samples, unit=" pictures", disable=not shown):
        try:
            x = zoo.preprocess(images.read(sample.path))
        except images.ImageError as error:
            print(f"left out {sample.name}: {error}", file=sys.stderr)
            continue
        e = TRGBP(zoo.network).explain(x)
        best = e.top5[0]
        map = e.attribution(best)
        if bool(torch.isfinite(map).all()):
            found.append((float(ibd(map)), float(e.logits.double().softmax(1)[0, best]), best != sample.label))
    if not found:
        raise datasets.DatasetError("None of the pictures could be measured.")
    values, confidences, wrong = zip(*found, strict=True)
    return Measured(np.array(values), np.array(confidences), np.array(wrong, bool))


def tabulate(measured: Measured, zoo: Zoo, command: str, seed: int = 0) -> Calibration:
    """The table, with what IBD and confidence are worth, 95 % intervals by bootstrap."""
    number, wrong = counted(measured.ibd, measured.confidence, measured.wrong)
    doubt, bad, count = 1 - measured.confidence, measured.wrong, len(measured.wrong)
    alone = cross_validated(doubt[:, None], bad, seed)
    both = cross_validated(np.column_stack([doubt, measured.ibd]), bad, seed)
    statistic = joined(*(auc(values, bad) for values in (measured.ibd, doubt, both, alone)))
    of = resampled(statistic, count, seed, ("ibd", "confidence", "both", "alone"))
    return Calibration(
        zoo.name,
        fingerprint(zoo.network),
        VERSION,
        command,
        f"{count} labelled pictures, {int(bad.sum())} of them misclassified",
        number,
        wrong,
        of.estimate("ibd"),
        of.estimate("confidence"),
        of.estimate("both"),
        of.difference("both", "alone"),
        calibration_error(measured.ibd, bad, seed),
    )


def calibration_error(values: Array, wrong: np.ndarray, seed: int = 0, repeats: int = 200) -> Estimate:
    """How far the table's statement is from what happens to pictures that it has not seen, in shares of pictures, 0 to 1.

    The statement: of the pictures with at least this IBD, the fraction F is misclassified. Pictures are split into five parts at random;
    F of four parts is compared with that of the fifth at the ten thresholds below which 0, 10, … 90 % of the four parts lie, and the
    absolute differences are averaged over thresholds and parts.

    Args:
        values: IBD, (N,). wrong: (N,) bool.

    Returns:
        the mean over ``repeats`` splits, and the 2.5 and 97.5 percentiles of single splits. Chance in the fifth part is within it: with N/5
        pictures a perfect statement errs too.
    """
    if len(values) < 2 * FOLDS:
        return Estimate(*[float("nan")] * 3)
    generator, errors = np.random.default_rng(seed), []
    for _ in range(repeats):
        fold = generator.permutation(len(values)) % FOLDS
        errors.append(np.mean([_stated_minus_seen(values, wrong, fold == k) for k in range(FOLDS)]))
    low, high = np.quantile(errors, [0.025, 0.975])
    return Estimate(float(np.mean(errors)), float(low), float(high))


def _stated_minus_seen(values: Array, wrong: np.ndarray, held_out: np.ndarray) -> float:
    differences = []
    for threshold in np.quantile(values[~held_out], THRESHOLDS):
        stated, seen = (wrong[of & (values >= threshold)] for of in (~held_out, held_out))
        if len(seen):
            differences.append(abs(stated.mean() - seen.mean()))
    return float(np.mean(differences))


def describe(table: Calibration, measured: Measured) -> str:
    """The table as people read it."""
    rows = []
    for threshold in np.quantile(measured.ibd, THRESHOLDS):
        of = table.at_least(float(threshold))
        interval = f"{100 * of.low:.0f} to {100 * of.high:.0f} %"
        rows.append([f"{math.floor(100 * threshold)} %", str(of.number), f"{100 * of.share:.0f} %", interval])
    mean = rate(int(measured.wrong.sum()), len(measured.wrong))
    lines = [
        f"{table.model}: {table.pictures}.",
        "",
        markdown_table(["IBD at least", "pictures", "misclassified", "95 %"], rows, "rrrr"),
        "",
        f"All: {100 * mean.share:.0f} % ({100 * mean.low:.0f} to {100 * mean.high:.0f} %). Calibration error, five-fold: "
        f"{_text(table.error)}.",
        f"AUC against 'misclassified': IBD {_text(table.auc_ibd)}; 1 − confidence {_text(table.auc_confidence)}; both, cross-validated "
        f"{_text(table.auc_both)}; gain over confidence alone {_text(table.gain, 2)}.",
    ]
    return "\n".join(lines)


def _text(of: Estimate, digits: int = 1) -> str:
    """In hundredths, with the interval where there are pictures enough for one."""
    if not math.isfinite(of.value):
        return "– (too few pictures)"
    value = f"{100 * of.value:.{digits}f}"
    if not math.isfinite(of.low + of.high):
        return f"{value} points (too few pictures for an interval)"
    return f"{value} points [{100 * of.low:.{digits}f}, {100 * of.high:.{digits}f}]"
