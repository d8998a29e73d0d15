"""What the page asks for: plain data and encoded pictures, cached, bounded, safe for many people at once. No Gradio in here."""

from __future__ import annotations

import hashlib
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from . import boundary, models
from .baselines import METHODS, NotApplicable
from .cache import Cache
from .cascade import Mode, Stage, cascade
from .flights import Cancel, Progress
from .labels import find_class
from .predictability import Coverage, coverage
from .render import data_uri, describe, tile, why_empty
from .similarity import spearman, ssim, unit_range
from .streaming import Step
from .trgbp import TRGBP, Explanation, RecordedPicture

Payload = dict[str, Any]
DEFAULT_MODEL = "efficientnet_lite0"
NETWORK_BYTES = 1_200_000_000
RECORDING_BYTES = 400_000_000
PAYLOAD_BYTES = 64_000_000
MAP_BYTES = 64_000_000


@dataclass(frozen=True)
class Question:
    """A picture put to a network: what everything on the page is computed from."""

    key: str
    zoo: models.Zoo
    picture: Image.Image
    x: Tensor


class Explorer:
    """Answers the page's questions. One object serves everybody: its caches are keyed by content, and hold nothing of a session."""

    def __init__(self, networks: models.ModelCache | None = None) -> None:
        self._networks = networks or models.ModelCache(NETWORK_BYTES)
        self._recordings: Cache[tuple[RecordedPicture, threading.Lock]] = Cache(RECORDING_BYTES, lambda r: r[0].nbytes)
        self._payloads: Cache[Payload] = Cache(PAYLOAD_BYTES, _payload_bytes)
        self._maps: Cache[Tensor] = Cache(MAP_BYTES, lambda map: map.nbytes)
        self._foretold: Cache[list[Coverage]] = Cache(MAP_BYTES, lambda found: sum(c.map.nbytes for c in found))
        self._tables: Cache[boundary.Calibration | None] = Cache(PAYLOAD_BYTES, lambda table: 8_000)
        self._seconds: dict[tuple[str, str], float] = {}

    def network(self, name: str, *, progress: Progress | None = None, cancel: Cancel | None = None) -> models.Zoo:
        """A network of the zoo or of the page's owner, downloaded and loaded once for all. Raises what :func:`models.load_model` raises."""
        return self._networks.get(name, progress=progress, cancel=cancel)

    def entries(self) -> tuple[models.Entry, ...]:
        """The networks that can be asked: see :attr:`models.ModelCache.entries`."""
        return self._networks.entries

    def ask(self, picture: Image.Image, model: str, *, progress: Progress | None = None, cancel: Cancel | None = None) -> Question:
        """Put an RGB picture to a network."""
        zoo = self.network(model, progress=progress, cancel=cancel)
        seen = zoo.picture(picture)
        digest = hashlib.sha256(seen.tobytes()).hexdigest()[:20]
        return Question(f"{model}:{digest}", zoo, seen, zoo.normalise(seen))

    def explanation(self, question: Question, k: int | None = None) -> Explanation:
        """The explanation of class ``k`` (default: the best) and of the top 5; a further class costs no further forward pass."""
        recorded, lock = self._recordings.get(question.key, lambda: (TRGBP(question.zoo.network).record(question.x), threading.Lock()))
        with lock:
            return recorded.explain(None if k is None else [k])

    def top(self, question: Question, count: int = 5) -> list[tuple[int, str, float]]:
        """The best classes as (index, name, probability)."""
        e = self.explanation(question)
        return [(k, question.zoo.labels[k], float(e.probabilities[0, k])) for k in e.top5[:count]]

    def find_class(self, question: Question, wanted: object) -> int:
        """See :func:`labels.find_class`; None or nothing means the best class."""
        if wanted is None or (isinstance(wanted, str) and not wanted.strip()):
            return self.explanation(question).top5[0]
        return find_class(wanted, question.zoo.labels)

    # -- Explain, Classes --------------------------------------------------------------------------------------------------------

    def explain(self, question: Question, k: int) -> Payload:
        """Everything that the tabs Explain and Classes show for class ``k``."""
        return self._payloads.get(("explain", question.key, k), lambda: self._explain(question, k))

    def _explain(self, question: Question, k: int) -> Payload:
        e = self.explanation(question, k)
        label = question.zoo.labels[k]
        return {
            "key": f"{question.key}:{k}",
            "picture": data_uri(question.picture, "JPEG", quality=88),
            "seen": f"{question.picture.width}×{question.picture.height} pixels, as {question.zoo.title} sees them",
            "class": self._class(question, e, k),
            "panels": [
                panel(e.raw(k), "R̃: the reconstruction", "Before classes are compared: all share much of it.", label),
                panel(e.attribution(k), "TR-GBP", "The paper's ψ: coarse upper layers count most.", label, specific=True),
                panel(
                    e.attribution(k, "conserving"),
                    "TR-GBP, conserving ψ",
                    "Every layer keeps its mass: the same sum, far sharper.",
                    label,
                    specific=True,
                ),
            ],
            "layers": [self._layer(e, index, k) for index in range(len(e.layers) + 1)],
            "classes": [self._class_panels(question, e, i) for i in e.top5],
            "note": "; ".join(e.let_through),
        }

    def _class(self, question: Question, e: Explanation, k: int) -> Payload:
        return {"index": k, "name": question.zoo.labels[k], "probability": float(e.probabilities[0, k])}

    def _class_panels(self, question: Question, e: Explanation, k: int) -> Payload:
        name = question.zoo.labels[k]
        panels = [
            panel(e.attribution(k), "TR-GBP", "", name, specific=True),
            panel(e.attribution(k, "conserving"), "conserving ψ", "", name, specific=True),
        ]
        return self._class(question, e, k) | {"panels": panels}

    def _layer(self, e: Explanation, index: int, k: int) -> Payload:
        if index == 0:
            about: Payload = {
                "name": "the picture itself",
                "kind": "guided gradient R^0",
                "kernel": "–",
                "N": "–",
                "p": "–",
                "rectified": True,
            }
            height, width = e.size
        else:
            layer = e.layers[index - 1]
            kernel = f"{layer.kernel[0]}×{layer.kernel[1]}"
            about = {
                "name": layer.name,
                "kind": layer.kind,
                "kernel": kernel,
                "N": layer.filters,
                "p": layer.taps,
                "rectified": layer.rectified,
            }
            height, width = layer.size
        raw, own = e.layer_raw(index, k), e.layer_attribution(index, k)
        return about | {
            "index": index,
            "size": f"{height}×{width}",
            "raw": panel(raw, "R̃ˡ of this layer", "raw reconstruction", about["name"]),
            "own": panel(own, "Rˡ of this layer", "minus what the top 5 share", about["name"], specific=True),
        }

    # -- Compare ------------------------------------------------------------------------------------------------------------------

    def fastest_first(self, question: Question, methods: Iterable[str]) -> list[str]:
        """Methods in the order of the time that they took on this network, or are known to take."""
        return sorted(methods, key=lambda key: self._seconds.get((question.zoo.name, key), METHODS[key].cost))

    def attribution(self, question: Question, k: int, key: str, step: Step | None = None) -> Tensor:
        """One method's map of class ``k``, (1, 1, H, W), computed once for all who ask.

        Raises:
            NotApplicable: the method's own assumptions exclude this network.
        """
        method = METHODS[key]
        report = None if step is None else lambda share: step(method.title, share)

        def compute() -> Tensor:
            start = time.perf_counter()
            map = method.attribute(question.zoo.network, question.x, k, progress=report)
            self._seconds[question.zoo.name, key] = time.perf_counter() - start
            return map

        return self._maps.get((question.key, k, key), compute)

    def kept(self, key: tuple[Any, ...], compute: Callable[[], Payload]) -> Payload:
        """A payload that others compute on this object, kept beside its own."""
        return self._payloads.get(key, compute)

    def compare(self, question: Question, k: int, methods: Sequence[str], step: Step | None = None) -> Iterator[Payload]:
        """One panel a method as it finishes, fastest first; a method that does not apply says why instead of a map."""
        for key in self.fastest_first(question, methods):
            yield self._payloads.get(("compare", question.key, k, key), lambda key=key: self._method(question, k, key, step))  # type: ignore[misc]

    def _method(self, question: Question, k: int, key: str, step: Step | None) -> Payload:
        method = METHODS[key]
        about = {"key": key, "citation": method.citation}
        try:
            map = self.attribution(question, k, key, step)
        except NotApplicable as error:
            return about | {"title": method.title, "empty": str(error), "seconds": None}
        drawn = panel(map, method.title, "", question.zoo.labels[k], signed=method.signed)
        return about | drawn | {"seconds": self._seconds[question.zoo.name, key]}

    # -- Predict ------------------------------------------------------------------------------------------------------------------

    def foretold(self, question: Question) -> list[Coverage]:
        """See :func:`predictability.coverage`; once for each network, since no picture is part of it."""
        size = tuple(question.x.shape)
        return self._foretold.get((question.zoo.name, size), lambda: coverage(question.zoo.network, size))

    def calibration(self, zoo: models.Zoo) -> boundary.Calibration | None:
        """The network's table of real pictures, if one comes with it."""
        return self._tables.get(zoo.name, lambda: boundary.of_network(zoo.name, zoo.network))

    # -- Sanity check -------------------------------------------------------------------------------------------------------------

    def cascade(
        self, question: Question, k: int, baseline: str, *, mode: Mode = "gaussian", seed: int = 0, step: Step | None = None
    ) -> Iterator[Payload]:
        """The trained network, then one payload a stage of :func:`trgbp_core.cascade.cascade`; ``step`` hears of each stage's progress."""
        trained: dict[str, Tensor] = {}
        stages = cascade(question.zoo.network, seed=seed, mode=mode, x=question.x)
        first = next(stages)
        start = Stage("the trained network", 0, first.total, question.zoo.network)
        for stage in itertools.chain([start, first], stages):
            yield self._stage(question, k, baseline, stage, trained, step)

    def _stage(self, question: Question, k: int, baseline: str, stage: Stage, trained: dict[str, Tensor], step: Step | None) -> Payload:
        e, titles, maps, why = stage_maps(stage.network, question.x, k, baseline, step)
        if not trained:
            trained.update(maps)
        best, label = e.top5[0], question.zoo.labels[k]
        return {
            "index": stage.index,
            "total": stage.total,
            "name": stage.name,
            "top": self._class(question, e, best),
            "panels": [
                panel(m, titles[key], "", label, specific=key in ("own", "conserving"), signed=_signed(key, baseline)) | {"id": key}
                for key, m in maps.items()
            ],
            "similarity": {key: _similarity(m, trained[key]) for key, m in maps.items()},
            "note": why,
        }


def _signed(name: str, baseline: str) -> bool:
    """Whether a map of :func:`stage_maps` is shown with both signs, as its method's authors show it."""
    return name in ("gbp", "baseline") and METHODS["guided_backprop" if name == "gbp" else baseline].signed


def stage_maps(
    network: torch.nn.Module, x: Tensor, k: int, baseline: str, step: Step | None = None
) -> tuple[Explanation, dict[str, str], dict[str, Tensor], str]:
    """One stage of the sanity check: the explanation, titles and maps (1, 1, H, W) by name, and why ``baseline`` does not apply if so.

    ``step`` hears of every step of ``baseline``, and of the stage itself; it may raise to stop.
    """
    title = METHODS[baseline].title
    if step is not None:
        step(title, 0.0)
    e = TRGBP(network).explain(x, [k])
    titles = {"own": "TR-GBP", "conserving": "TR-GBP, conserving ψ", "raw": "R̃ of TR-GBP", "gbp": "Guided backprop"}
    maps = {"own": e.attribution(k), "conserving": e.attribution(k, "conserving"), "raw": e.raw(k), "gbp": e.layer_raw(0, k)}
    if baseline in ("tr_gbp", "tr_gbp_conserving", "guided_backprop"):
        return e, titles, maps, ""
    titles["baseline"] = title
    report = None if step is None else lambda share: step(title, share)
    try:
        return e, titles, maps | {"baseline": METHODS[baseline].attribute(network, x, k, progress=report)}, ""
    except NotApplicable as error:
        return e, titles, maps, str(error)


def panel(map: Tensor, title: str, caption: str, of: str, *, specific: bool = False, signed: bool = False) -> Payload:
    """One map for the page: its tile, its words, and why it is empty if it is. ``signed``: what speaks against the class is shown too."""
    return {
        "title": title,
        "caption": caption,
        "src": tile(map, signed=signed),
        "signed": signed,
        "alt": f"{title} of {of}: {describe(map, signed=signed)}",
        "empty": why_empty(map, specific=specific, signed=signed),
    }


def _similarity(map: Tensor, trained: Tensor) -> dict[str, float]:
    """Spearman of |R| and SSIM of relu(R); 0 where a map is constant or no number, for then there is nothing to compare."""
    if not bool(torch.isfinite(map).all() and torch.isfinite(trained).all()):
        return {"spearman": 0.0, "ssim": 0.0}
    rank = float(spearman(map.abs(), trained.abs()))
    return {"spearman": 0.0 if math.isnan(rank) else rank, "ssim": float(ssim(unit_range(map.relu()), unit_range(trained.relu())))}


def _payload_bytes(payload: Payload) -> int:
    def count(value: Any) -> int:
        if isinstance(value, str):
            return len(value) + 50
        if isinstance(value, dict):
            return sum(count(v) for v in value.values())
        return sum(map(count, value)) if isinstance(value, (list, tuple)) else 50

    return count(payload)
