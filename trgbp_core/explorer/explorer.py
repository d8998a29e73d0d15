"""What the page asks for: plain data and encoded pictures, cached, bounded, safe for many people at once. No Gradio in here."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor

from ..data.crop import CENTRE
from ..data.labels import find_class
from ..drawing.render import data_uri
from ..methods import METHODS, NotApplicable
from ..sanity.cascade import Mode
from ..serving.jobs import Cache, Cancel, Job, Progress, Step
from ..serving.memory import give_back_holes
from ..serving.queue import Queue
from ..theory import frame_calibration
from ..theory.coverage import Coverage, coverage
from ..trgbp.explainer import TRGBP, Explanation, RecordedPicture
from ..zoo import loading
from . import sanity
from .layer_pictures import ClassMaps, Payload, class_maps, class_pictures, layer_facts, panel

__all__ = ["DEFAULT_MODEL", "NETWORK_BYTES", "Explorer", "Payload", "Question", "panel"]

Result = TypeVar("Result")
DEFAULT_MODEL = "efficientnet_lite0"
NETWORK_BYTES = 700_000_000
RECORDING_BYTES = 300_000_000
UNPACKED = 2
"""So many pictures, the newest, are kept in the form in which a further class takes least time."""

PAYLOAD_BYTES = 64_000_000
MAP_BYTES = 64_000_000
CLASS_MAP_BYTES = 32_000_000


@dataclass(frozen=True)
class Question:
    """A picture, or the part of it that ``crop`` names, put to a network: what everything on the page is computed from."""

    key: str
    zoo: loading.Zoo
    picture: Image.Image
    x: Tensor
    crop: str = CENTRE

    def about(self, e: Explanation, k: int) -> Payload:
        """A class in plain data."""
        return {"index": k, "name": self.zoo.labels[k], "probability": float(e.probabilities[0, k])}


class _Recorded:
    """A recorded picture and the classes that are known of it. ``threads``: how many the forward pass was computed with."""

    def __init__(self, question: Question) -> None:
        self.threads = torch.get_num_threads()
        self.picture: RecordedPicture = TRGBP(question.zoo.network).record(question.x)
        self._known: set[int] = set()

    def knows(self, wanted: Sequence[int]) -> bool:
        """Whether these classes and the top 5 need no computing."""
        return {*self.picture.top5, *wanted} <= self._known

    def explain(self, wanted: Sequence[int]) -> Explanation:
        e = self.picture.explain(wanted or None)
        self._known.update(e.classes)
        return e


class Explorer:
    """Answers the page's questions. One object serves everybody: its caches are keyed by content, and hold nothing of a session.

    What a network computes is computed in :attr:`queue`, so that many who ask at once are served in turn; ``step``, in all that follows,
    is told how it goes and may raise :class:`jobs.Cancelled`.
    """

    def __init__(self, networks: loading.ModelCache | None = None) -> None:
        self.queue = Queue(tidy=give_back_holes)
        self._networks = networks or loading.ModelCache(NETWORK_BYTES)
        self._recordings: Cache[_Recorded] = Cache(RECORDING_BYTES, lambda recorded: recorded.picture.nbytes)
        self._unpacked: deque[str] = deque()
        self._payloads: Cache[Payload] = Cache(PAYLOAD_BYTES, lambda payload: len(json.dumps(payload, ensure_ascii=False)))
        self._maps: Cache[tuple[Tensor, int]] = Cache(MAP_BYTES, lambda found: found[0].nbytes)
        self._class_maps: Cache[tuple[Explanation, ClassMaps]] = Cache(CLASS_MAP_BYTES, lambda found: found[1].nbytes)
        self._coverages: Cache[list[Coverage]] = Cache(MAP_BYTES, lambda found: sum(c.map.nbytes for c in found))
        self._tables: Cache[frame_calibration.Calibration | None] = Cache(PAYLOAD_BYTES, lambda table: 8_000)
        self._cascades = sanity.Runs()
        self._seconds: dict[tuple[str, str], float] = {}

    def network(self, name: str, *, progress: Progress | None = None, cancel: Cancel | None = None) -> loading.Zoo:
        """A network of the zoo or of the page's owner, loaded once for all. Raises what :func:`loading.load_model` raises."""
        return self._networks.get(name, progress=progress, cancel=cancel)

    def entries(self) -> tuple[loading.Entry, ...]:
        """The networks that can be asked: see :attr:`loading.ModelCache.entries`."""
        return self._networks.entries

    def ask(self, picture: Image.Image, model: str, crop: str = CENTRE, *, progress: Progress | None = None) -> Question:
        """Put an RGB picture, or the part of it that :meth:`crop.Crop.read` describes, to a network."""
        zoo = self.network(model, progress=progress)
        seen = zoo.picture(picture, crop)
        digest = hashlib.sha256(seen.tobytes()).hexdigest()[:20]
        return Question(f"{model}:{digest}", zoo, seen, zoo.normalise(seen), crop)

    def explanation(self, question: Question, k: int | None = None, step: Step | None = None, against: int | None = None) -> Explanation:
        """The explanation of class ``k`` (default: the best), of ``against`` and of the top 5; a class more costs no forward pass."""
        recorded, wanted = self._recordings.peek(question.key), [i for i in (k, against) if i is not None]
        if recorded is not None and recorded.knows(wanted):
            return recorded.explain(wanted)
        return self.queue.run(lambda between: self._explained(question, wanted), step, short=True)

    def computed(self, question: Question, k: int | None, arithmetic: Callable[[Explanation], Result], step: Step | None = None) -> Result:
        """``arithmetic(explanation)``, both in one turn."""
        return self.queue.run(lambda between: arithmetic(self.explanation(question, k, between)), step, short=True)

    def _explained(self, question: Question, wanted: Sequence[int]) -> Explanation:
        """Within a turn: nobody else computes, so that what is not kept yet is not under way elsewhere either."""
        recorded = self._recordings.peek(question.key)
        if recorded is None:
            recorded = _Recorded(question)
            self._unpacked.append(question.key)
        e = recorded.explain(wanted)
        self._recordings.put(question.key, recorded)
        while len(self._unpacked) > UNPACKED:
            self._recordings.change(self._unpacked.popleft(), lambda recorded: recorded.picture.pack())
        return e

    def top(self, question: Question, count: int = 5) -> list[tuple[int, str, float]]:
        """The best classes as (index, name, probability)."""
        e = self.explanation(question)
        return [(k, question.zoo.labels[k], float(e.probabilities[0, k])) for k in e.top5[:count]]

    def find_class(self, question: Question, wanted: object, step: Step | None = None) -> int:
        """See :func:`labels.find_class`; None or nothing means the best class."""
        k = named_class(question, wanted)
        return self.explanation(question, step=step).top5[0] if k is None else k

    def one_by_one(self, work: Iterator[Result], step: Step | None = None) -> Iterator[Result]:
        """What ``work`` yields, each computed in a turn of its own."""
        missing = object()
        while (found := self.queue.run(lambda between: next(work, missing), step)) is not missing:
            yield found  # type: ignore[misc]

    # -- Explain -----------------------------------------------------------------------------------------------------------------

    def explain_at_once(self, question: Question, k: int | None = None, step: Step | None = None) -> Iterator[Payload]:
        """What the tab Explain shows, in two parts: of class ``k`` (default: the best), then of the rest of the top 5.

        Yields:
            ``key``, ``model``, ``picture``, ``seen``, ``note``; ``layers``, what is known of each; ``top``, indices; ``answers``, what
            :meth:`Question.about` gives of each; ``chosen``, k;
            ``classes``, each with what :func:`layer_pictures.class_pictures` gives. Then ``key`` and further ``classes``.
        """
        about = self._payloads.get(("picture", question.key), lambda job: self._about(question, k, job.report), **_hooks(step))
        chosen = about["top"][0] if k is None else k
        yield about | self.further_class(question, chosen, step)
        yield {"key": question.key, "classes": [self._class(question, i, step) for i in about["top"] if i != chosen]}

    def further_class(self, question: Question, k: int, step: Step | None = None) -> Payload:
        """Of :meth:`explain_at_once`, what is new with class ``k``: ``key``, ``chosen`` and that class."""
        return {"key": question.key, "chosen": k, "classes": [self._class(question, k, step)]}

    def _about(self, question: Question, k: int | None, step: Step) -> Payload:
        e, _ = self._maps_of_class(question, k, step)
        return {
            "key": question.key,
            "model": question.zoo.name,
            "picture": data_uri(question.picture, "JPEG", quality=88),
            "seen": f"{question.picture.width}×{question.picture.height} pixels, as {question.zoo.title} sees them",
            "layers": layer_facts(e),
            "top": list(e.top5),
            "answers": [question.about(e, i) for i in e.top5],
            "note": "; ".join(e.let_through),
        }

    def _class(self, question: Question, k: int, step: Step | None) -> Payload:
        """What the page shows of class ``k``."""

        def draw(job: Job[Payload]) -> Payload:
            e, maps = self._maps_of_class(question, k, job.report)
            names = ["the picture itself", *(layer.name for layer in e.layers)]
            return question.about(e, k) | class_pictures(maps, question.zoo.labels[k], names)

        return self._payloads.get(("class", question.key, k), draw, **_hooks(step))

    def _maps_of_class(self, question: Question, k: int | None, step: Step) -> tuple[Explanation, ClassMaps]:
        """The maps of class ``k`` (None: the best), computed in one turn and kept for what is drawn of them next."""
        found = self._class_maps.peek((question.key, k))
        if found is None:
            found = self.computed(question, k, lambda e: (e, class_maps(e, e.classes[0])), step)
            self._class_maps.put((question.key, found[0].classes[0]), found)
        return found

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

        def compute(between: Step) -> tuple[Tensor, int]:
            start = time.perf_counter()
            map = method.attribute(question.zoo.network, question.x, k, progress=lambda share: between(method.title, share))
            self._seconds[question.zoo.name, key] = time.perf_counter() - start - self.queue.waited
            return map, torch.get_num_threads()

        return self._maps.get((question.key, k, key), lambda job: self.queue.run(compute, job.report), **_hooks(step))[0]

    def threads(self, question: Question, maps: Sequence[tuple[int, str]] | None = None) -> int:
        """How many of torch's threads the kept results were computed with: fewer than there are if others waited then.

        Without ``maps``, the explanation's forward pass, which alone decides which rectifiers are open (every class's backward pass is
        continuous in its rounding); else the most that any of these (class, method) was computed with. Where nothing is kept, all.
        """
        if maps is None:
            recorded = self._recordings.peek(question.key)
            return torch.get_num_threads() if recorded is None else recorded.threads
        kept = (self._maps.peek((question.key, k, key)) for k, key in maps)
        return max((found[1] for found in kept if found is not None), default=torch.get_num_threads())

    def kept(self, key: tuple[Any, ...], compute: Callable[[Step], Payload], step: Step | None = None) -> Payload:
        """``compute(between)``, run in a turn (see :meth:`queue.Queue.run`), once for all who ask for ``key``, and kept."""
        return self._payloads.get(key, lambda job: self.queue.run(compute, job.report), **_hooks(step))

    def compare(self, question: Question, k: int, methods: Sequence[str], step: Step | None = None) -> Iterator[Payload]:
        """One panel a method as it finishes, fastest first; a method that does not apply says why instead of a map."""
        for key in self.fastest_first(question, methods):
            yield self._panel(question, k, key, step)

    def _panel(self, question: Question, k: int, key: str, step: Step | None) -> Payload:
        method = METHODS[key]

        def draw(job: Job[Payload]) -> Payload:
            about = {"key": key, "citation": method.citation, "title": method.title}
            try:
                map = self.attribution(question, k, key, job.report)
            except NotApplicable as error:
                return about | {"empty": str(error), "seconds": None}
            drawn = panel(map, method.title, "", question.zoo.labels[k], signed=method.signed)
            return about | drawn | {"seconds": self._seconds[question.zoo.name, key]}

        return self._payloads.get(("compare", question.key, k, key), draw, **_hooks(step))

    # -- Predict ------------------------------------------------------------------------------------------------------------------

    def coverage(self, question: Question, step: Step | None = None) -> list[Coverage]:
        """See :func:`trgbp_core.theory.coverage.coverage`; once for each network, since no picture is part of it."""
        name, network, size = question.zoo.name, question.zoo.network, tuple(question.x.shape)
        work = lambda between: coverage(network, size, lambda share: between("Predicting", share))  # noqa: E731
        return self._coverages.get((name, size), lambda job: self.queue.run(work, job.report), **_hooks(step))

    def calibration(self, zoo: loading.Zoo) -> frame_calibration.Calibration | None:
        """The network's table of real pictures, if one comes with it."""
        return self._tables.get(zoo.name, lambda job: frame_calibration.of_network(zoo.name, zoo.network))

    # -- Sanity check -------------------------------------------------------------------------------------------------------------

    def cascade(
        self, question: Question, k: int, baseline: str, *, mode: Mode = "gaussian", seed: int = 0, step: Step | None = None
    ) -> Iterator[Payload]:
        """The trained network, then one payload a stage of :func:`trgbp_core.sanity.cascade.cascade`; see :class:`sanity.Runs`."""

        def compute(step: Step) -> Iterator[Payload]:
            known = None
            if baseline not in sanity.INCLUDED:
                with contextlib.suppress(NotApplicable):
                    known = self.attribution(question, k, baseline, step)
            trained = (self.explanation(question, k, step), known)
            cascade = sanity.Cascade(question.zoo.network, question.x, k, baseline, mode=mode, seed=seed, trained=trained)
            found = sanity.in_turns(cascade, self.queue, step, seconds=self._seconds.get((question.zoo.name, baseline), 0.0))
            yield from (sanity.payload(stage, question.zoo.labels, k) for stage in found)

        return self._cascades.follow((question.key, k, baseline, str(mode), seed), compute, step)


def named_class(question: Question, wanted: object) -> int | None:
    """The class that ``wanted`` names; None where nothing is wanted: the best, which only the explanation knows. Raises as it does."""
    return None if wanted is None or (isinstance(wanted, str) and not wanted.strip()) else find_class(wanted, question.zoo.labels)


def _hooks(step: Step | None) -> dict[str, Any]:
    """How a job's progress reaches ``step``, and how ``step`` leaves the job."""
    return {} if step is None else {"progress": step, "cancel": lambda: step("", 0.0)}
