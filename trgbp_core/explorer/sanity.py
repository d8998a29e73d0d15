"""The sanity check as the page shows it: the maps of each stage of the cascade, and how alike they are to the trained network's."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..methods import METHODS, NotApplicable
from ..methods.activation import record_both
from ..metrics.similarity import SSIM_WINDOW, Windows, pearson, ranks, unit_range
from ..sanity.cascade import Mode, Stage, cascade
from ..serving.jobs import Step
from ..serving.queue import Queue
from ..serving.workers import HALVES
from ..trgbp.explainer import Explanation, RecordedPicture
from .layer_pictures import Payload, panel

TITLES = {"own": "TR-GBP", "conserving": "TR-GBP, conserving ψ", "raw": "R̃ of TR-GBP", "gbp": "Guided backprop"}
AT_ONCE = 2
QUICK_SECONDS = 0.5
INCLUDED = ("tr_gbp", "tr_gbp_conserving", "guided_backprop")
"""Methods that every stage shows anyway."""


@dataclass(frozen=True)
class StageMaps:
    """One stage, computed.

    Attributes:
        maps: by :data:`TITLES`' keys and ``baseline``, each (1, 1, H, W). signed: those that are shown with both signs.
        why: why there is no baseline, where there is none.
    """

    stage: Stage
    e: Explanation
    maps: dict[str, Tensor]
    titles: dict[str, str]
    signed: set[str]
    similarity: dict[str, dict[str, float]]
    why: str


class Cascade:
    """The trained network, then stage after stage of :func:`cascade.cascade`, each compared with the first.

    Two stages are faster side by side, each with half of the threads, than one after the other with all of them.

    Args:
        x: (1, C, H, W). k: the class that is explained throughout. baseline: a key of METHODS, computed beside TR-GBP.
        trained: the trained network's explanation of class ``k`` and its map by ``baseline``, where they are known already.

    Raises:
        ValueError: what :func:`cascade.cascade` raises, from the first :meth:`next`.
    """

    def __init__(
        self,
        network: nn.Module,
        x: Tensor,
        k: int,
        baseline: str,
        *,
        mode: Mode = "gaussian",
        seed: int = 0,
        trained: tuple[Explanation, Tensor | None] | None = None,
    ) -> None:
        self._stages = _from_trained(network, cascade(network, seed=seed, mode=mode, x=x, reuse=AT_ONCE))
        self._x, self._k, self._baseline = x, k, baseline
        self._known: tuple[Explanation | None, Tensor | None] = trained or (None, None)
        self._trained: _Trained | None = None
        self._drawing = threading.Lock()

    def next(self, step: Step | None = None) -> list[StageMaps]:
        """The next stage, computed; none after the last. ``step`` as in :func:`stage_maps`."""
        found = self._next(step)
        return [] if found is None else [found]

    @property
    def halves(self) -> bool:
        """Whether :meth:`next_two` has two halves to share out: on a processor, with more than one thread."""
        return self._x.device.type == "cpu" and torch.get_num_threads() > 1

    def next_two(self, step: Step | None = None) -> list[StageMaps]:
        """The next two, computed side by side; not before the trained network's. ``step`` is called from both threads."""
        found = HALVES.side_by_side([lambda: self._next(step)] * AT_ONCE)
        return sorted((maps for maps in found if maps is not None), key=lambda maps: maps.stage.index)

    def _next(self, step: Step | None) -> StageMaps | None:
        with self._drawing:
            stage = next(self._stages, None)
        if stage is None:
            return None
        known, self._known = self._known, (None, None)
        e, titles, maps, why = stage_maps(stage.network, self._x, self._k, self._baseline, step, known)
        self._trained = self._trained or _Trained(maps)
        similarity = self._trained.similarity(maps)
        # As their methods' authors show them.
        signed = {name for name, key in (("gbp", "guided_backprop"), ("baseline", self._baseline)) if METHODS[key].signed}
        return StageMaps(stage, e, maps, titles, signed, similarity, why)


def in_turns(cascade: Cascade, queue: Queue, step: Step | None = None, *, seconds: float = 0.0) -> Iterator[StageMaps]:
    """All stages, each in a turn of its own; from the third on two share one, where nobody waits for it.

    Args:
        seconds: what the method beside TR-GBP takes. A slow one lets others in between its steps, which two cannot do.
    """
    done = 0
    while True:
        together = seconds < QUICK_SECONDS and done >= AT_ONCE and cascade.halves and not queue.waiting
        found = queue.run((lambda between: cascade.next_two(step)) if together else cascade.next, step)
        if not found:
            return
        done += len(found)
        yield from found


def _from_trained(network: nn.Module, stages: Iterator[Stage]) -> Iterator[Stage]:
    first = next(stages)
    yield Stage("the trained network", 0, first.total, network)
    yield first
    yield from stages


def stage_maps(
    network: nn.Module,
    x: Tensor,
    k: int,
    baseline: str,
    step: Step | None = None,
    known: tuple[Explanation | None, Tensor | None] = (None, None),
) -> tuple[Explanation, dict[str, str], dict[str, Tensor], str]:
    """One stage of the sanity check: the explanation, titles and maps (1, 1, H, W) by name, and why ``baseline`` does not apply if so.

    Args:
        step: called with every step of ``baseline``, and with the stage itself; may raise to stop.
        known: the explanation and the map by ``baseline``, where they have been computed before.
    """
    method = METHODS[baseline]
    if step is not None:
        step(method.title, 0.0)
    e, activation = known[0], None
    if e is None:
        recording, activation = record_both(network, x)
        e = RecordedPicture(recording).explain([k])
    maps = {"own": e.attribution(k), "conserving": e.attribution(k, "conserving"), "raw": e.raw(k), "gbp": e.layer_raw(0, k)}
    if baseline in INCLUDED:
        return e, TITLES, maps, ""
    titles = TITLES | {"baseline": method.title}
    if known[1] is not None:
        return e, titles, maps | {"baseline": known[1]}, ""
    report = None if step is None else lambda share: step(method.title, share)
    try:
        if activation is not None and method.of_activation is not None:
            beside = method.of_activation(activation, x, k)
        else:
            beside = method.attribute(network, x, k, progress=report)
        return e, titles, maps | {"baseline": beside}, ""
    except NotApplicable as error:
        return e, titles, maps, str(error)


class _Trained:
    """The trained network's maps, with what comparing others with them needs computed once."""

    def __init__(self, maps: dict[str, Tensor]) -> None:
        self._maps = _finite(maps)
        self._ranks = {key: ranks(m.abs().flatten()) for key, m in self._maps.items()}
        self._windows = _windows(self._maps)

    def similarity(self, maps: dict[str, Tensor]) -> dict[str, dict[str, float]]:
        """Spearman of |R| and SSIM of relu(R); ``constant`` where |R| is the same everywhere or no number: then the first is 0."""
        found = {key: {"spearman": 0.0, "ssim": 0.0, "constant": True} for key in maps}
        known = {key: m for key, m in _finite(maps).items() if key in self._maps}
        if known:
            same = list(known) == list(self._maps)
            trained = self._windows if same else _windows({key: self._maps[key] for key in known})
            for (key, m), alike in zip(known.items(), _windows(known).ssim(trained), strict=True):
                rank = float(pearson(ranks(m.abs().flatten()), self._ranks[key]))
                constant = math.isnan(rank)
                found[key] = {"spearman": 0.0 if constant else rank, "ssim": float(alike), "constant": constant}
        return found


def _finite(maps: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: m for key, m in maps.items() if bool(torch.isfinite(m).all())}


def _windows(maps: dict[str, Tensor]) -> Windows:
    """All maps as one batch; of none, a map of zeros."""
    return Windows(unit_range(torch.cat([m.relu() for m in maps.values()] or [torch.zeros(1, 1, SSIM_WINDOW, SSIM_WINDOW)])))


def payload(computed: StageMaps, labels: Sequence[str], k: int) -> Payload:
    """A computed stage in plain data and tiles; needs no turn in the queue."""
    stage, e, best = computed.stage, computed.e, computed.e.top5[0]
    panels = [
        panel(m, computed.titles[key], "", labels[k], specific=key in ("own", "conserving"), signed=key in computed.signed) | {"id": key}
        for key, m in computed.maps.items()
    ]
    return {
        "index": stage.index,
        "total": stage.total,
        "name": stage.name,
        "top": {"index": best, "name": labels[best], "probability": float(e.probabilities[0, best])},
        "panels": panels,
        "similarity": computed.similarity,
        "note": computed.why,
    }
