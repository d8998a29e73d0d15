"""Where a lesson's maps, measures and claims are computed."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import cast

from torch import Tensor

from ...data import brush, examples, images
from ...methods import METHODS
from ...metrics.localisation import ebpg, ibd
from ...metrics.similarity import spearman
from ...sanity.cascade import cascade
from ...trgbp.explainer import TRGBP
from .. import contrast
from ..explorer import Explorer, Question
from . import drawn
from .lessons import Lesson
from .specs import EXPLANATION_MAPS, Claim, MapSpec, Measure

SHARES = ("share", "ibd", "right", "mass", "accuracy")
"""Measures that are shares of something; the others are correlations."""

_WORDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than", "=": "exactly"}


@dataclass(frozen=True)
class Finding:
    """A claim and what was measured."""

    claim: Claim
    measured: float

    @property
    def holds(self) -> bool:
        return self.claim.expected.holds(self.measured)

    @property
    def stated(self) -> str:
        """What the lesson says the number is."""
        return f"{_WORDS[self.claim.expected.operator]} {in_words(self.claim, self.claim.expected.value)}"


@dataclass(frozen=True)
class Experiment:
    """Computes a lesson's maps and measures. Raises ValueError with a sentence for a class, a layer or a stage that does not exist."""

    explorer: Explorer
    lesson: Lesson

    def question(self, spec: MapSpec) -> tuple[Question, int]:
        """The picture of ``spec`` as its network sees it, and the class."""
        name = spec.picture or self.lesson.picture
        picture = images.read(examples.pictures()[name])
        if spec.crop is not None:
            width, height = picture.size
            left, top, right, bottom = spec.crop
            picture = picture.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))
        if spec.cover is not None:
            picture = brush.covered(picture, _sized(spec.cover))
        if spec.copied is not None:
            part = _sized(spec.copied.part)
            picture = brush.copied(images.read(examples.pictures()[spec.copied.picture]), part, picture, part)
        question = self.explorer.ask(picture, spec.model or self.lesson.model)
        itself = name == self.lesson.picture and not (spec.crop or spec.cover or spec.copied)
        wanted = spec.wanted or (self.lesson.wanted if itself else "best")
        return question, self.explorer.find_class(question, None if wanted == "best" else wanted)

    def map(self, spec: MapSpec) -> Tensor:
        """(1, 1, h, w), signed."""
        question, k = self.question(spec)
        if spec.signed:
            j = contrast.other_class(self.explorer.find_class(question, spec.against), k)
            return contrast.maps(self.explorer.explanation(question, k, against=j), k, j)[spec.method]
        if spec.stage:
            return self.explorer.queue.run(lambda between: _randomised_map(question, k, spec))
        if spec.method in EXPLANATION_MAPS:
            return cast(Tensor, EXPLANATION_MAPS[spec.method](self.explorer.explanation(question, k), k, spec.layer))
        return self.explorer.attribution(question, k, spec.method)

    def measure(self, measure: Measure) -> float:
        """The number; NaN where a correlation with a constant map does not exist."""
        if measure.kind == "accuracy":
            zoo = self.explorer.network(measure.maps[0].model or self.lesson.model)
            return self.explorer.queue.run(lambda between: drawn.accuracy(zoo, measure.drawn))
        if measure.kind == "right":
            question, _ = self.question(measure.maps[0])
            best, _, probability = self.explorer.top(question, 1)[0]
            return probability if best in [self.explorer.find_class(question, name) for name in measure.truth] else 0.0
        maps = [self.map(spec) for spec in measure.maps]
        if measure.kind == "mass":
            return float(maps[0].abs().sum()) / (float(maps[1].abs().sum()) or math.nan)
        if measure.box is not None:
            return float(ebpg(maps[0], measure.box, "fractions"))
        if measure.kind == "ibd":
            return float(ibd(maps[0]))
        return float(spearman(*maps) if measure.kind == "spearman" else spearman(*(m.abs() for m in maps)))

    def answer(self) -> tuple[float, int | None]:
        """The number that decides, and the choice that it makes the right one."""
        measured = self.measure(self.lesson.measure)
        return measured, self.lesson.chosen_by(measured)

    def findings(self) -> list[Finding]:
        """Every claim of the lesson, computed."""
        return [Finding(claim, self.measure(claim)) for claim in self.lesson.checks]


def in_words(measure: Measure, value: float) -> str:
    """A measured number as a person reads it."""
    if math.isnan(value):
        return "not defined"
    if measure.kind not in SHARES:
        return f"{value:.2f}".replace("-", "−")
    return f"{100 * value:.1f} %" if 0 < value < 0.1 else f"{100 * value:.0f} %"


def _sized(edges: tuple[float, float, float, float]) -> brush.Box:
    left, top, right, bottom = edges
    return left, top, right - left, bottom - top


def _randomised_map(question: Question, k: int, spec: MapSpec) -> Tensor:
    stage = next(itertools.islice(cascade(question.zoo.network), spec.stage - 1, None), None)
    if stage is None:
        raise ValueError(f"{question.zoo.title} has fewer than {spec.stage} layers to randomise.")
    if spec.method in EXPLANATION_MAPS:
        return cast(Tensor, EXPLANATION_MAPS[spec.method](TRGBP(stage.network).explain(question.x, [k]), k, spec.layer))
    return METHODS[spec.method].attribute(stage.network, question.x, k)
