"""The frame at a map's border (Sections 4.2, 5.4): the IBD that theory expects, and how many pictures of each IBD were misclassified.

A strong frame makes the *prediction* suspect, not the explanation. How suspect is counted: a :class:`Calibration` holds, for one network,
how many real pictures there were of every IBD (Eq. 12) and confidence, and how many of them were misclassified. The command ``calibrate``
makes it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data import assets
from ..engine.geometry import Pair
from ..metrics.estimate import Estimate
from ..metrics.localisation import ibd
from .coverage import Coverage, predicted_sum

FOLDER = assets.folder("calibration")
IBD_BINS, CONFIDENCE_BINS = 100, 10
Counts = tuple[tuple[int, ...], ...]


def expected_ibd(layers: Iterable[Coverage], size: Pair) -> float:
    """The IBD that theory expects where no prediction error adds to it: that of the summed coverage maps (paper's ψ) on a map of ``size``.

    Coverage is weaker at the borders, where fewer filters look; a uniform map has 26.5 % in its frame.
    """
    return float(ibd(predicted_sum(layers, size).relu()))


@dataclass(frozen=True)
class Rate:
    """``wrong`` of ``number`` pictures were misclassified; ``low`` and ``high`` are Wilson's 95 % interval of the share, 0 to 1."""

    wrong: int
    number: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.wrong / self.number if self.number else math.nan


def rate(wrong: int, number: int, z: float = 1.959964) -> Rate:
    """The share with its score interval (Wilson 1927); 0 to 1 where there are no pictures."""
    if number == 0:
        return Rate(0, 0, 0.0, 1.0)
    p, shrink = wrong / number, 1 + z * z / number
    centre = (p + z * z / (2 * number)) / shrink
    half = z / shrink * math.sqrt(p * (1 - p) / number + z * z / (4 * number * number))
    return Rate(wrong, number, max(0.0, centre - half), min(1.0, centre + half))


@dataclass(frozen=True)
class Calibration:
    """Counts of real pictures, each explained at its own best class by TR-GBP (paper's ψ).

    Attributes:
        model, weights: the network, and the SHA-256 of its tensors (:func:`fingerprint`). version: of this software.
        command: what made the table. pictures: in words.
        number, wrong: [confidence bin][IBD bin], bins of equal width from 0 to 1.
        auc_ibd, auc_confidence, auc_both, gain: ROC AUC against 'misclassified' of IBD, of 1 − confidence, of both in a cross-validated
            logistic regression, and what IBD adds to the same regression on 1 − confidence alone.
        error: the calibration error, cross-validated (``evaluation.calibration``).
    """

    model: str
    weights: str
    version: str
    command: str
    pictures: str
    number: Counts
    wrong: Counts
    auc_ibd: Estimate
    auc_confidence: Estimate
    auc_both: Estimate
    gain: Estimate
    error: Estimate

    def everything(self) -> Rate:
        """Of all pictures."""
        return self.at_least(0.0)

    def at_least(self, value: float) -> Rate:
        """Of the pictures with at least this IBD (method's statement), ``value`` being rounded down to a bin's edge."""
        first = _bin(value, IBD_BINS)
        return rate(*(sum(sum(row[first:]) for row in counts) for counts in (self.wrong, self.number)))

    def curve(self) -> list[tuple[float, Rate]]:
        """(edge, :meth:`at_least` of it) for every edge from which on there are pictures."""
        edges = (i / IBD_BINS for i in range(IBD_BINS))
        return [(edge, of) for edge in edges if (of := self.at_least(edge + 0.5 / IBD_BINS)).number]

    def as_confident(self, confidence: float, limit: float) -> tuple[Rate, Rate]:
        """Of the pictures about as confident (the same tenth): those with an IBD below ``limit``, and the others."""
        row, at = _bin(confidence, CONFIDENCE_BINS), _bin(limit, IBD_BINS)
        wrong, number = self.wrong[row], self.number[row]
        return rate(sum(wrong[:at]), sum(number[:at])), rate(sum(wrong[at:]), sum(number[at:]))

    def save(self, file: Path) -> None:
        """Write it as JSON, a row of counts a line."""
        file.parent.mkdir(parents=True, exist_ok=True)
        parts = [f'"{key}": {_rows(value) if key in ("number", "wrong") else _json(value)}' for key, value in asdict(self).items()]
        file.write_text("{" + ",\n ".join(parts) + "}\n", encoding="utf-8")


def counted(ibds: Iterable[float], confidences: Iterable[float], wrong: Iterable[bool]) -> tuple[Counts, Counts]:
    """(number, wrong) of a :class:`Calibration` from one value a picture."""
    number, bad = ([[0] * IBD_BINS for _ in range(CONFIDENCE_BINS)] for _ in range(2))
    for value, confidence, is_wrong in zip(ibds, confidences, wrong, strict=True):
        row, column = _bin(confidence, CONFIDENCE_BINS), _bin(value, IBD_BINS)
        number[row][column] += 1
        bad[row][column] += bool(is_wrong)
    return tuple(map(tuple, number)), tuple(map(tuple, bad))


def load(file: Path) -> Calibration:
    """Read a table.

    Raises:
        ValueError: it is none.
    """
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
        counts: dict[str, Any] = {key: tuple(tuple(int(n) for n in row) for row in given.pop(key)) for key in ("number", "wrong")}
        values: dict[str, Any] = {key: _estimate(**value) if isinstance(value, dict) else value for key, value in given.items()}
        table = Calibration(**values, **counts)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{file.name} is no calibration table of `calibrate`: {error}") from error
    for rows in counts.values():
        if len(rows) != CONFIDENCE_BINS or any(len(row) != IBD_BINS for row in rows):
            raise ValueError(f"{file.name} is no calibration table: its counts are not {CONFIDENCE_BINS}×{IBD_BINS}.")
    return table


def of_network(name: str, network: nn.Module, folder: Path = FOLDER) -> Calibration | None:
    """The table of that network, weight for weight; None where there is none."""
    file = folder / f"{''.join(c if c.isalnum() or c in '-_.@' else '_' for c in name)}.json"
    if not file.is_file():
        return None
    table = load(file)
    return table if table.model == name and table.weights == fingerprint(network) else None


def fingerprint(network: nn.Module) -> str:
    """The SHA-256 of all parameters and buffers, by name and in order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _bin(value: float, bins: int) -> int:
    return min(bins - 1, max(0, int(value * bins)))


def _rows(counts: Iterable[Iterable[int]]) -> str:
    return "[\n  " + ",\n  ".join(json.dumps(list(row), separators=(",", ":")) for row in counts) + "]"


def _json(value: Any) -> str:
    return json.dumps({k: None if math.isnan(v) else v for k, v in value.items()} if isinstance(value, dict) else value, ensure_ascii=False)


def _estimate(value: float | None, low: float | None, high: float | None) -> Estimate:
    return Estimate(*(math.nan if v is None else float(v) for v in (value, low, high)))
