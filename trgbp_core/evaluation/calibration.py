"""The command ``calibrate``: labelled pictures → a network's table of counts (:class:`trgbp_core.theory.frame_calibration.Calibration`).

Every picture is explained at the network's own best class; what is kept of it is one count in a bin of IBD and confidence.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..data import datasets, images
from ..data.version import VERSION
from ..engine import devices
from ..metrics.estimate import Estimate
from ..metrics.localisation import ibd
from ..theory.frame_calibration import Calibration, counted, fingerprint, rate
from ..trgbp.explainer import TRGBP
from ..zoo.loading import Zoo
from .statistics import FOLDS, Array, auc, bootstrap, cross_validated, estimate, joined

HELP = "labelled pictures → the table that says how often the network errs where the frame of a map is strong"
THRESHOLDS = tuple(i / 10 for i in range(10))


def options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``calibrate``."""
    add = command.add_argument
    add("--images", type=Path, required=True, metavar="DIR", help="the folder of pictures")
    add("--annotations", type=Path, metavar="FILE", help="as for `evaluate`; none for class folders")
    add("--model", default="efficientnet_lite0", help="a network of `models` (default efficientnet_lite0)")
    add("--weights", type=Path, metavar="FILE", help="its weights: safetensors, or a checkpoint of plain tensors")
    add("--out", type=Path, required=True, metavar="FILE", help="the table; the page reads assets/calibration/MODEL.json")


def run(arguments: argparse.Namespace) -> None:
    """Measure, write the table, and print what it says."""
    from ..serving.memory import keep_freed_memory
    from ..zoo.download_progress import on_terminal
    from ..zoo.loading import load_model

    keep_freed_memory()
    device = devices.prepare(arguments.device)
    if arguments.out.is_dir():
        raise ValueError(f"{arguments.out} is a folder; --out names a file.")
    with on_terminal(arguments.model) as progress:
        zoo = load_model(arguments.model, weights=arguments.weights, device=device, progress=progress)
    dataset = datasets.load(arguments.images, arguments.annotations, labels=zoo.labels)

    def told(done: int, total: int) -> None:
        print(f"\r{done} of {total} pictures", end="", file=sys.stderr, flush=True)

    measured = measure(dataset, zoo, told)
    print(file=sys.stderr)
    given = "".join(f" --{name} {name.upper()}" for name in ("images", "annotations", "weights") if getattr(arguments, name) is not None)
    table = tabulate(measured, zoo, f"python -m trgbp_core calibrate{given} --model {zoo.name} --out FILE")
    table.save(arguments.out)
    print(describe(table, measured))


@dataclass(frozen=True)
class Measured:
    """One number a picture, (N,) each: IBD of TR-GBP at the best class, that class's probability, whether it is wrong."""

    ibd: Array
    confidence: Array
    wrong: np.ndarray


def measure(dataset: datasets.Dataset, zoo: Zoo, told: Callable[[int, int], None] | None = None) -> Measured:
    """Explain every picture at the network's own best class; pictures that cannot be read are left out.

    Raises:
        DatasetError: none can be.
    """
    found: list[tuple[float, float, bool]] = []
    for done, sample in enumerate(dataset.samples, start=1):
        try:
            x = zoo.preprocess(images.read(sample.path))
        except images.ImageError as error:
            print(f"left out {sample.name}: {error}", file=sys.stderr)
            continue
        e = TRGBP(zoo.network).explain(x)
        best, map = e.top5[0], e.attribution(e.top5[0])
        if bool(torch.isfinite(map).all()):
            found.append((float(ibd(map)), float(e.logits.double().softmax(1)[0, best]), best != sample.label))
        if told is not None:
            told(done, len(dataset.samples))
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
    point, draws = statistic(np.ones((1, count)))[0], bootstrap(statistic, count, seed)
    of_ibd, of_confidence, of_both = (estimate(point[i], draws[:, i]) for i in range(3))
    gain = estimate(point[2] - point[3], draws[:, 2] - draws[:, 3])
    pictures = f"{count} labelled pictures, {int(bad.sum())} of them misclassified"
    error = calibration_error(measured.ibd, bad, seed)
    return Calibration(
        zoo.name,
        fingerprint(zoo.network),
        VERSION,
        command,
        pictures,
        number,
        wrong,
        of_ibd,
        of_confidence,
        of_both,
        gain,
        error,
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
        errors.append(np.mean([_apart(values, wrong, fold == k) for k in range(FOLDS)]))
    low, high = np.quantile(errors, [0.025, 0.975])
    return Estimate(float(np.mean(errors)), float(low), float(high))


def _apart(values: Array, wrong: np.ndarray, held_out: np.ndarray) -> float:
    differences = []
    for threshold in np.quantile(values[~held_out], THRESHOLDS):
        stated, seen = (wrong[of & (values >= threshold)] for of in (~held_out, held_out))
        if len(seen):
            differences.append(abs(stated.mean() - seen.mean()))
    return float(np.mean(differences))


def describe(table: Calibration, measured: Measured) -> str:
    """The table as people read it."""
    lines = [f"{table.model}: {table.pictures}.", "", "| IBD at least | pictures | misclassified | 95 % |", "|---:|---:|---:|---:|"]
    for threshold in np.quantile(measured.ibd, THRESHOLDS):
        of = table.at_least(float(threshold))
        lines.append(f"| {100 * threshold:.0f} % | {of.number} | {100 * of.share:.0f} % | {100 * of.low:.0f} to {100 * of.high:.0f} % |")
    mean = rate(int(measured.wrong.sum()), len(measured.wrong))
    lines += [
        "",
        f"All: {100 * mean.share:.0f} % ({100 * mean.low:.0f} to {100 * mean.high:.0f} %). Calibration error, five-fold: "
        f"{_text(table.error)} points.",
        f"AUC against 'misclassified': IBD {_text(table.auc_ibd)}; 1 − confidence {_text(table.auc_confidence)}; both, cross-validated "
        f"{_text(table.auc_both)}; gain over confidence alone {_text(table.gain, 2)} points.",
    ]
    return "\n".join(lines)


def _text(of: Estimate, digits: int = 1) -> str:
    return f"{100 * of.value:.{digits}f} [{100 * of.low:.{digits}f}, {100 * of.high:.{digits}f}]"
