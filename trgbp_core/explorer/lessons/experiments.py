"""Where a lesson's maps and measures are computed (the language is that of :mod:`trgbp_core.explorer.lessons.claims`)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from ...data import images
from ...methods import METHODS
from ...metrics.localisation import ebpg, ibd, spearman
from ...sanity.cascade import cascade
from ...trgbp.explainer import TRGBP
from ...zoo.loading import Zoo
from ..explorer import Explorer, Question
from .claims import ENGINE, MapSpec, Measure

PERCENTAGES = ("share", "ibd", "right", "mass")
"""Measures that are shares of something; the others are correlations."""


@dataclass(frozen=True)
class Setting:
    """What a lesson's maps are of, where they do not say it themselves: an example picture's name, a network's, a class."""

    picture: str
    model: str
    wanted: str


class Laboratory:
    """Computes a lesson's maps and measures. Raises ValueError with a sentence for a class, a layer or a stage that does not exist.

    Args:
        pictures: name → path of the example pictures.
    """

    def __init__(self, explorer: Explorer, setting: Setting, pictures: Mapping[str, Path]) -> None:
        self._explorer, self._setting, self._pictures = explorer, setting, pictures

    def question(self, spec: MapSpec) -> tuple[Question, int]:
        """The picture of ``spec`` as its network sees it, and the class."""
        setting = self._setting
        name = spec.picture or setting.picture
        if name not in self._pictures:
            raise ValueError(f"There is no example picture {name!r}.")
        picture = images.read(self._pictures[name])
        if spec.crop is not None:
            width, height = picture.size
            left, top, right, bottom = spec.crop
            picture = picture.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))
        question = self._explorer.ask(picture, setting.model)
        itself = name == setting.picture and spec.crop is None
        wanted = spec.wanted or (setting.wanted if itself else "best")
        return question, self._explorer.find_class(question, None if wanted == "best" else wanted)

    def map(self, spec: MapSpec) -> Tensor:
        """(1, 1, h, w), signed."""
        question, k = self.question(spec)
        if spec.stage == 0:
            if spec.method not in ENGINE:
                return self._explorer.attribution(question, k, spec.method)
            return cast(Tensor, ENGINE[spec.method](self._explorer.explanation(question, k), k, spec.layer))
        return self._explorer.queue.run(lambda between: _randomised_map(question, k, spec))

    def measure(self, measure: Measure) -> float:
        """The number; NaN where a correlation with a constant map does not exist."""
        if measure.kind == "right":
            return self._right(measure)
        maps = [self.map(spec) for spec in measure.maps]
        if measure.kind == "mass":
            return float(maps[0].abs().sum()) / (float(maps[1].abs().sum()) or math.nan)
        if measure.kind == "share":
            assert measure.box is not None
            return float(ebpg(maps[0], measure.box, "fractions"))
        if measure.kind == "ibd":
            return float(ibd(maps[0]))
        return float(spearman(*maps) if measure.kind == "spearman" else spearman(*(m.abs() for m in maps)))

    def _right(self, measure: Measure) -> float:
        question, _ = self.question(measure.maps[0])
        best, _, probability = self._explorer.top(question, 1)[0]
        return probability if best in [self._explorer.find_class(question, name) for name in measure.truth] else 0.0


def said(measure: Measure, value: float) -> str:
    """A measured number as a person reads it."""
    if math.isnan(value):
        return "not defined"
    if measure.kind not in PERCENTAGES:
        return f"{value:.2f}".replace("-", "−")
    return f"{100 * value:.1f} %" if 0 < value < 0.1 else f"{100 * value:.0f} %"


def _randomised_map(question: Question, k: int, spec: MapSpec) -> Tensor:
    network = _randomised(question.zoo, spec.stage)
    if spec.method not in ENGINE:
        return METHODS[spec.method].attribute(network, question.x, k)
    return cast(Tensor, ENGINE[spec.method](TRGBP(network).explain(question.x, [k]), k, spec.layer))


def _randomised(zoo: Zoo, stage: int) -> nn.Module:
    found = next(itertools.islice(cascade(zoo.network), stage - 1, None), None)
    if found is None:
        raise ValueError(f"{zoo.title} has fewer than {stage} layers to randomise.")
    return found.network
