"""Who says so, here? What every layer gives to the part of a map that lies in a box; the numbers add up to that part's sum."""

from __future__ import annotations

from typing import Any

from ..serving.jobs import Step
from ..trgbp.explainer import Explanation
from . import contrast
from .explorer import Explorer, Payload, Question
from .measure import edges_of

NAMES = ("tr_gbp", "tr_gbp_conserving")
"""The maps whose shares are given, with the paper's ψ and with the conserving one; of two classes, :data:`contrast.NAMES`."""


def shares(e: Explanation, k: int, box: Any, against: int | None = None) -> dict[str, list[float]]:
    """What the picture and every layer give to each map's sum over ``box``, by the map's name; see :meth:`Explanation.shares`.

    Raises:
        ValueError: the box is not four fractions of the picture, or holds no pixel.
    """
    names, edges = NAMES if against is None else contrast.NAMES, edges_of(box)
    found = (e.shares(k, edges, psi, against=against) for psi in ("paper", "conserving"))
    return {name: parts.tolist() for name, parts in zip(names, found, strict=True)}


def table(e: Explanation, k: int, box: Any, against: int | None = None) -> list[Payload]:
    """The same, a row for the picture and for each layer: ``layer``, ``name``, and its share of each map."""
    found = shares(e, k, box, against)
    layers = ["input", *(layer.name for layer in e.layers)]
    return [{"layer": i, "name": name} | {key: parts[i] for key, parts in found.items()} for i, name in enumerate(layers)]


def of_place(explorer: Explorer, question: Question, k: int, box: Any, against: int | None = None, step: Step | None = None) -> Payload:
    """What the page shows of a box: ``of``, the question with ``k``; ``key``, with all of it; ``against``; ``box``; ``parts``, by ψ."""

    def compute(between: Step) -> Payload:
        parts = shares(explorer.explanation(question, k, between, against=against), k, box, against)
        of, edges = f"{question.key}:{k}", edges_of(box)
        return {"of": of, "key": f"{of}:{against}:{edges}", "against": against, "box": edges, "parts": list(parts.values())}

    return explorer.queue.run(compute, step, short=True)
