"""Why one class rather than another: the difference of their maps, in both signs."""

from __future__ import annotations

from torch import Tensor

from ..drawing import render
from ..serving.jobs import Step
from ..trgbp.explainer import Explanation
from ..trgbp.targets import other_class
from .explorer import Explorer, Payload, Question

NAMES = ("contrast", "contrast_conserving")
"""With the paper's ψ and with the conserving one."""


def maps(e: Explanation, k: int, j: int) -> dict[str, Tensor]:
    """R̃_k − R̃_j by :data:`NAMES`; positive speaks for ``k``, negative for ``j``."""
    return {NAMES[0]: e.contrast(k, against=j), NAMES[1]: e.contrast(k, against=j, psi="conserving")}


def caption(one: str, other: str) -> str:
    """What the colours of a map of two classes mean."""
    return f"Red places speak for {one}, blue ones for {other}; both on one scale."


def describe(question: Question, map: Tensor, k: int, j: int) -> str:
    """The map in words: where it speaks for the one class, and where for the other."""
    labels = question.zoo.labels
    return f"for {labels[k]}: {render.describe(map)}; for {labels[j]}: {render.describe(-map)}"


def pair(explorer: Explorer, question: Question, k: int, j: int, step: Step | None = None) -> Payload:
    """What the page shows of two classes: ``of``, the question with ``k``; ``key``, with both; ``against``; a signed panel for each ψ."""

    def draw(between: Step) -> Payload:
        found = maps(explorer.explanation(question, k, between, against=other_class(j, k)), k, j)
        return {"of": of, "key": f"{of}:{j}", "against": j, "panels": [panel(map) for map in found.values()]}

    def panel(map: Tensor) -> Payload:
        said = {"alt": f"{title}, {describe(question, map, k, j)}", "empty": render.why_empty(map, signed=True)}
        return said | {"title": f"Why {title}?", "caption": caption(one, other), "src": render.tile(map, signed=True), "signed": True}

    one, other, of = question.zoo.labels[k], question.zoo.labels[j], f"{question.key}:{k}"
    title = f"{one} rather than {other}"
    return explorer.queue.run(draw, step, short=True)
