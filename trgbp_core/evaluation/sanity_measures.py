"""The sanity checks of ``evaluate``: how alike each method's map stays while the network's layers are randomised (Section 5.2.2).

As in the paper and in Adebayo et al. 2018, of |R| and of relu(R). The page shows relu(R) alone, and compares that alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..data.datasets import Problem
from ..engine.layer_order import layer_groups
from ..metrics.similarity import Sign, similarity
from ..sanity.cascade import cascade
from ..zoo.loading import Zoo
from .attributions import Attributions, usable
from .reading import Seen, stacked, without_problems
from .settings import Settings
from .store import Piece, Row

SIGNS: tuple[Sign, ...] = ("abs", "relu")
SIMILARITIES = ("spearman", "ssim", "hog")
SIMILARITY_COLUMNS = tuple(f"{name}_{sign}" for sign in SIGNS for name in SIMILARITIES)
COLUMNS = ("image", "class_index", "stage", "of", "layer", "method", *SIMILARITY_COLUMNS)


def watched_stages(total: int, count: int) -> list[int]:
    """``count`` of the stages 1 … ``total``, the first and the last among them, closer together where most happens: near the logits."""
    stages: list[int] = []
    for i in range(min(count, total)):
        spaced = round(total ** (i / (count - 1))) if 1 < count < total else i + 1
        stages.append(max(spaced, stages[-1] + 1 if stages else 1))
    return stages


def measure(index: int, unit: Sequence[Seen | Problem], *, labels: Mapping[str, int], zoo: Zoo, settings: Settings) -> Piece:
    """Some pictures through the cascade; their classes stay ``labels`` (by name), those explained on the trained network."""
    piece = Piece()
    seen = without_problems(unit, piece)
    if seen:
        piece.rows += _rows(seen, [labels[one.sample.name] for one in seen], zoo, settings, piece)
    return piece


def _rows(seen: Sequence[Seen], labels: Sequence[int], zoo: Zoo, settings: Settings, piece: Piece) -> Iterator[Row]:
    x = stacked(seen, zoo.device)
    target = torch.tensor(labels, device=x.device)
    trained = dict(_maps(zoo.network, x, target, settings.methods, piece))
    total = len(layer_groups(zoo.network, x[:1]))
    watched = set(watched_stages(total, settings.stages))
    for stage in cascade(zoo.network, seed=settings.seed, x=x[:1]):
        if stage.index not in watched:
            continue
        for key, maps in _maps(stage.network, x, target, tuple(trained), piece):
            for i, (one, label) in enumerate(zip(seen, labels, strict=True)):
                facts = (one.sample.name, label, stage.index, total, stage.name, key)
                yield dict(zip(COLUMNS, (*facts, *_similarities(maps[i : i + 1], trained[key][i : i + 1])), strict=True))


def _maps(network: nn.Module, x: Tensor, target: Tensor, methods: Sequence[str], piece: Piece) -> Iterator[tuple[str, Tensor]]:
    attributions = Attributions(network, x, {"own": target}, piece)
    for key in methods:
        found = attributions.maps(key)
        if found is not None:
            yield key, found["own"]


def _similarities(maps: Tensor, trained: Tensor) -> list[float]:
    """The columns after the method; NaN where a map is constant or holds no finite numbers: there is nothing to compare."""
    values = []
    for sign in SIGNS:
        sides = [m.abs() if sign == "abs" else m.relu() for m in (maps, trained)]
        if all(bool(usable(side).all()) and float(side.amax()) > float(side.amin()) for side in sides):
            found = similarity(maps, trained, sign)
            values += [float(getattr(found, name)) for name in SIMILARITIES]
        else:
            values += [float("nan")] * len(SIMILARITIES)
    return values
