"""The page's Predict tab: what theory predicts of a network, before anything of it is run; then, when asked, what really happens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..metrics.localisation import FRAME, ibd
from ..serving.jobs import Step
from ..theory import frame_calibration
from ..theory.coverage import Coverage, profile
from ..theory.frame_calibration import Calibration, Rate, rate
from ..theory.layer_noise import finest_scale
from ..theory.randomised_weights import Draws, draw, rank_correlation, verdict
from ..trgbp.explainer import Explanation
from .explorer import Explorer, Payload, Question
from .layer_pictures import panel

DRAWS, MOST_DRAWS = 8, 50
EVEN = 0.95
"""Where the weakest ring has this share of the strongest, a map is called the same everywhere."""

UNIFORM = 1 - (1 - 2 * FRAME) ** 2
"""The frame's share of a 224×224 picture: the IBD of a map that points nowhere."""


def prediction(explorer: Explorer, question: Question, k: int, step: Step | None = None) -> Payload:
    """What is predicted for class ``k``: nothing of it depends on the picture but its size, nor on what the network has learned.

    ``layers`` are those of R^1 … R^L: each with its predicted ε and √(p/N), the coverage map, its profile from border to centre and the
    cosine to expect of :data:`DRAWS` draws; ``boundary`` has the IBD to expect.
    """
    predicted = explorer.coverage(question, step)

    def arithmetic(between: Step) -> Payload:
        layers = [_layer(index, c) for index, c in enumerate(predicted, start=1)]
        frame = {"expected": frame_calibration.expected_ibd(predicted, _size(question)), "uniform": UNIFORM}
        return {"key": f"{question.key}:{k}", "layers": layers, "boundary": frame, "draws": DRAWS}

    return explorer.queue.run(arithmetic, step, short=True)


def _layer(index: int, c: Coverage) -> Payload:
    rings = profile(c.map)[0].tolist()
    noise = "" if c.signal else ", but buried in noise around zero"
    return {
        "index": index,
        "name": c.name,
        "rectified": c.rectified,
        "signal": c.signal,
        "noise": finite(c.noise),
        "rule": c.rule,
        "expected": c.expected_cosine(DRAWS),
        "profile": numbers(profile(c.map)[0]),
        "map": panel(c.map, "Predicted", f"{weakest(rings)}{noise}.", c.name) | {"empty": ""},
    }


def weakest(rings: Sequence[float]) -> str:
    """Where a profile from the border to the centre (:func:`.profile`) has its minimum, in words."""
    least, most = min(rings), max(rings)
    if least >= EVEN * most:
        return "The same everywhere"
    at = rings.index(least)
    inside = f"between border and centre (ring {at + 1} of {len(rings)})"
    where = "at the border" if at == 0 else "in the centre" if at == len(rings) - 1 else inside
    return f"Weakest {where}" + (f", {_percent(least / most)} of the strongest" if least >= 0 else "")


def edge(explorer: Explorer, question: Question, k: int, step: Step | None = None) -> Payload:
    """See :func:`frame`: how much of this picture's map lies at the edge, and how often that went with a wrong answer."""
    predicted, table = explorer.coverage(question, step), explorer.calibration(question.zoo)
    return explorer.computed(question, k, lambda e: frame(question, k, e, predicted, table), step)


def measure(explorer: Explorer, question: Question, k: int, draws: int = DRAWS, step: Step | None = None) -> Iterator[Payload]:
    """What becomes of it: the boundary at once, then the randomised network after each draw, from two draws on.

    Raises:
        ValueError: a number of draws that is not from 2 to :data:`MOST_DRAWS`.
    """
    if not 2 <= draws <= MOST_DRAWS:
        raise ValueError(f"Draws are 2 to {MOST_DRAWS}, not {draws}: one has no spread, and more take long.")
    predicted = explorer.coverage(question, step)
    e, table = explorer.explanation(question, k, step), explorer.calibration(question.zoo)

    def arithmetic(between: Step) -> Payload:
        return {"key": f"{question.key}:{k}", "boundary": frame(question, k, e, predicted, table), "trained": _trained(e, predicted, k)}

    found = explorer.queue.run(arithmetic, step, short=True)
    yield found
    drawn = _drawn(draw(question.zoo.network, question.x, k, seeds=draws), predicted)
    for count, payload in explorer.one_by_one(drawn, step):
        if step is not None:
            step(f"{count} of {draws} networks with random weights drawn", count / draws)
        if payload is not None:
            yield found | {"random": payload, "draws": count}


def _drawn(draws: Iterable[Draws], predicted: Sequence[Coverage]) -> Iterator[tuple[int, Payload | None]]:
    """How many draws there are so far, and what they say; one alone says nothing."""
    for so_far in draws:
        yield so_far.count, randomised(predicted, so_far) if so_far.count >= 2 else None


def randomised(predicted: Sequence[Coverage], draws: Draws) -> Payload:
    """What :func:`measure` sends of some draws: each layer's mean map, noise and cosine, and how all layers agree with theory."""
    found = verdict(predicted, draws)
    layers = []
    for c, maps, of in zip(predicted, draws.maps, found.layers, strict=True):
        rings = profile(maps)
        # What was predicted is a shape: it is drawn as strong as the mean map is along it.
        scale = float((maps.double().mean(0) * c.map[0].double()).sum() / c.map.double().square().sum())
        mean = maps.mean(0, keepdim=True)
        layers.append(
            {
                "noise": finite(math.sqrt(of.noise / (1 - of.noise)) if of.noise < 1 else math.inf),
                "cosine": finite(of.cosine),
                "expected": of.expected,
                "profile": numbers(rings.mean(0)),
                "error": numbers(rings.std(0) / math.sqrt(draws.count)),
                "predicted": numbers(scale * profile(c.map)[0]),
                "map": panel(mean, f"Measured: mean of {draws.count} draws", _said_of(rings, of.cosine), c.name),
            }
        )
    kinds = {"all": None, "rectified": True, "linear": False}
    agreement = {
        name: {
            "layers": len(found.of(kind)),
            "moments": finite(found.correlation("predicted", kind)),
            "rule": finite(found.correlation("rule", kind)),
            "cosine": finite(found.median("cosine", kind)),
            "expected": finite(found.median("expected", kind)),
            "uniform": finite(found.median("uniform", kind)),
        }
        for name, kind in kinds.items()
    }
    return {"layers": layers, "agreement": agreement, "total": finite(found.total), "total_uniform": finite(found.total_uniform)}


def _said_of(rings: Tensor, cosine: float) -> str:
    return f"{weakest(rings.mean(0).tolist())}. Cosine with the prediction {cosine:.2f}.".replace("-", "−")


def _trained(e: Explanation, predicted: Sequence[Coverage], k: int) -> Payload:
    """The trained network is drawn once: the rank correlation of its own maps' noise, at their finest scale, with both predictions."""
    found = {
        layer.name: finest_scale(e.layer_raw(layer.index, k), c.window) for layer in e.layers for c in predicted if c.name == layer.name
    }
    known = [c for c in predicted if math.isfinite(found.get(c.name, math.nan))]
    shares = [found[c.name] for c in known]
    return {
        "layers": len(known),
        "moments": finite(rank_correlation([c.noise for c in known], shares)),
        "rule": finite(rank_correlation([c.rule for c in known], shares)),
    }


def frame(question: Question, k: int, e: Explanation, predicted: Sequence[Coverage], table: Calibration | None) -> Payload:
    """The frame of this picture's map, beside what real pictures with such a frame turned out to be.

    A table of counts is about the network's own best class; that is what is judged, whatever class is picked.
    """
    best, labels = e.top5[0], question.zoo.labels
    expected = frame_calibration.expected_ibd(predicted, _size(question))
    confidence = float(e.logits.double().softmax(1)[0, best])
    value = _ibd(e.attribution(best))
    found: Payload = {"expected": expected, "uniform": UNIFORM, "ibd": value, "confidence": confidence, "best": labels[best]}
    found["strong"] = value > expected
    found["said"] = sentences(value, expected, confidence, labels[best], table)
    found["curve"] = [] if table is None else [[edge, of.share, of.low, of.high, of.number] for edge, of in table.curve()]
    if k != best:
        found["picked"] = {"name": labels[k], "ibd": _ibd(e.attribution(k))}
    return found


def sentences(value: float, expected: float, confidence: float, best: str, table: Calibration | None) -> list[str]:
    """The edge in sentences: the verdict, the shares, how often the network was wrong on real pictures like this one, and its confidence.

    How often with at least this much at the edge is the height of :meth:`.Calibration.curve` at ``value``.

    Args:
        value: the map's IBD at the best class, ``best``. expected: theory's. confidence: the class's probability.
    """
    strong = "Strong edge, more than theory expects: look at this answer twice."
    said = [strong if value > expected else "Weak edge, as theory predicts."]
    said.append(f"{_percent(value)} of the map for “{best}” lies at the edge; theory expects {_percent(expected)} of a map without error.")
    if table is None:
        return [*said, "No table of real pictures comes with this network, so nothing is said about how often it was wrong."]
    return [*said, _how_often(value, expected, table), _confidence_beside(confidence, expected, table)]


def _how_often(value: float, expected: float, table: Calibration) -> str:
    """How often the network was wrong: with an edge like this one's and with the other kind, then with at least this much at it."""
    everything, strong, like = table.everything(), table.at_least(expected), table.at_least(value)
    weak = rate(everything.wrong - strong.wrong, everything.number - strong.number)
    kinds = [(of, name) for of, name in ((weak, "weak"), (strong, "strong")) if of.number]
    parts = [f"{_percent(of.share)} of {of.number} real pictures with a {name} edge" for of, name in kinds]
    first = f"The network was wrong on {' and on '.join(parts)}."
    if not like.number:
        return f"{first} None of them has as much at the edge as this one."
    included = "" if value > expected else ", the strong ones included,"
    return f"{first} Of the {like.number} with at least this much at the edge{included} it was wrong on {_wrong(like)}."


def _confidence_beside(confidence: float, limit: float, table: Calibration) -> str:
    weak, strong = table.as_confident(confidence, limit)
    alone, own, gain = table.auc_confidence, table.auc_ibd, table.gain
    parts = [f"The network itself is {_percent(confidence)} sure."]
    if math.isfinite(own.value):
        order = "is the stronger sign" if alone.value > own.value else "is the weaker sign"
        scale = "0.5 is guessing, 1 tells every error"
        parts.append(f"That {order} of errors (AUC {alone.value:.2f}, of the edge {own.value:.2f}; {scale}).")
    if math.isfinite(gain.value):
        sure = "" if gain.low > 0 or gain.high < 0 else ", which may be chance"
        parts.append(
            f"The edge beside it changes the AUC by {_points(gain.value)} points ({_points(gain.low)} to {_points(gain.high)}){sure}."
        )
    if weak.number and strong.number:
        parts.append(
            f"Where it was about as sure, it was wrong on {strong.wrong} of {strong.number} pictures with a strong edge, "
            f"on {weak.wrong} of {weak.number} with a weak one."
        )
    return " ".join(parts)


def _wrong(of: Rate) -> str:
    return f"{_percent(of.share)} (95 % interval: {_percent(of.low)} to {_percent(of.high)})"


def _ibd(map: Tensor) -> float:
    return float(ibd(map)) if bool(torch.isfinite(map).all()) else 0.0


def _size(question: Question) -> tuple[int, int]:
    return (question.x.shape[2], question.x.shape[3])


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def finite(value: float) -> float | None:
    """A number as JSON takes it: None where it is none."""
    return value if math.isfinite(value) else None


def numbers(values: Tensor) -> list[Any]:
    """A vector as rounded numbers, None where there is none."""
    return [finite(float(f"{v:.4g}")) for v in values.tolist()]
