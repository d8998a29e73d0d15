"""The sanity check as the page shows it: the maps of each stage of the cascade, and how alike they are to the trained network's.

The page shows relu(R), and compares what it shows. The paper's own tables compare |R| and relu(R): :mod:`..evaluation.sanity_measures`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..methods import METHODS, NotApplicable
from ..methods.activation import record_both
from ..metrics.similarity import SSIM_WINDOW, Windows, pearson, ranks, unit_range
from ..sanity.cascade import Mode, Stage, cascade
from ..serving.jobs import Cache, Step, Streams
from ..serving.queue import Queue
from ..serving.workers import HALVES
from ..trgbp.explainer import Explanation, RecordedPicture
from .layer_pictures import Payload, panel

TITLES = {"own": "TR-GBP", "conserving": "TR-GBP, conserving ψ", "raw": "R̃ of TR-GBP", "gbp": "Guided backprop"}
AT_ONCE = 2
QUICK_SECONDS = 0.5
INCLUDED = ("tr_gbp", "tr_gbp_conserving", "guided_backprop")
"""Methods that every stage shows anyway."""

RUN_BYTES = 24_000_000
"""About five finished runs of the embedded network."""

Alike = dict[str, "float | None"]
"""``spearman`` and ``ssim`` of relu(R) with the trained network's; None where one of the two maps is empty."""


@dataclass(frozen=True)
class StageMaps:
    """One stage, computed.

    Attributes:
        maps: by :data:`TITLES`' keys and ``baseline``, each (1, 1, H, W). similarity: of each, see :meth:`_Trained.similarity`.
        why: why there is no baseline, where there is none.
    """

    stage: Stage
    e: Explanation
    maps: dict[str, Tensor]
    titles: dict[str, str]
    similarity: dict[str, Alike]
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
        return StageMaps(stage, e, maps, titles, self._trained.similarity(maps), why)


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
        self._maps = _comparable(maps)
        self._ranks = {key: ranks(m.flatten()) for key, m in self._maps.items()}
        self._windows = _windows(self._maps)

    def similarity(self, maps: dict[str, Tensor]) -> dict[str, Alike]:
        """Spearman and SSIM of relu(R), which is what is shown; None where one of two maps is empty, uniform, or holds no numbers."""
        found: dict[str, Alike] = {key: {"spearman": None, "ssim": None} for key in maps}
        known = {key: m for key, m in _comparable(maps).items() if key in self._maps}
        if known:
            same = list(known) == list(self._maps)
            trained = self._windows if same else _windows({key: self._maps[key] for key in known})
            for (key, m), alike in zip(known.items(), _windows(known).ssim(trained), strict=True):
                found[key] = {"spearman": float(pearson(ranks(m.flatten()), self._ranks[key])), "ssim": float(alike)}
        return found


def _comparable(maps: dict[str, Tensor]) -> dict[str, Tensor]:
    """relu of those maps on which some place stands out: no others have an order of places."""
    shown = {key: m.relu() for key, m in maps.items() if bool(torch.isfinite(m).all())}
    return {key: m for key, m in shown.items() if bool(m.amax() > m.amin())}


def _windows(maps: dict[str, Tensor]) -> Windows:
    """All maps as one batch; of none, a map of zeros."""
    return Windows(unit_range(torch.cat([*maps.values()] or [torch.zeros(1, 1, SSIM_WINDOW, SSIM_WINDOW)])))


def payload(computed: StageMaps, labels: Sequence[str], k: int) -> Payload:
    """A computed stage in plain data and tiles; needs no turn in the queue."""
    stage, e, best = computed.stage, computed.e, computed.e.top5[0]
    panels = [
        panel(m, computed.titles[key], "", labels[k], specific=key in ("own", "conserving")) | {"id": key}
        for key, m in computed.maps.items()
    ]
    nothing: Alike = {"spearman": None, "ssim": None}
    return {
        "index": stage.index,
        "total": stage.total,
        "name": stage.name,
        "top": {"index": best, "name": labels[best], "probability": float(e.probabilities[0, best])},
        "panels": panels,
        # Nearly empty maps are shown as empty: a correlation of their few places would contradict that.
        "similarity": {p["id"]: nothing if p["empty"] else computed.similarity[p["id"]] for p in panels},
        "note": computed.why,
    }


class Runs:
    """Whole cascades by key: each computed once for all who ask for it meanwhile, and the newest that were finished are kept."""

    def __init__(self) -> None:
        self._running: Streams[Payload] = Streams()
        self._kept: Cache[list[Payload]] = Cache(RUN_BYTES, lambda stages: sum(len(p["src"]) for s in stages for p in s["panels"]))

    def follow(self, key: Hashable, compute: Callable[[Step], Iterator[Payload]], step: Step | None) -> Iterator[Payload]:
        """The stages that ``compute(step)`` yields, from the first on; ``step`` is told, and may raise to leave, as in :mod:`.jobs`."""

        def keeping(step: Step) -> Iterator[Payload]:
            stages = []
            for stage in compute(step):
                stages.append(stage)
                yield stage
            self._kept.put(key, stages)

        return iter(kept) if (kept := self._kept.peek(key)) is not None else self._running.follow(key, keeping, step)
