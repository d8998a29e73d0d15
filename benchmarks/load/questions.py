"""What the clients ask, and the right answers, computed one after the other by the engine itself."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks.load.server import OWN
from tests.support.comparison import JUMP
from trgbp_core import METHODS, TRGBP, load_model
from trgbp_core.data import images
from trgbp_core.metrics.localisation import ebpg
from trgbp_core.zoo.loading import Zoo

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
MODELS = {"efficientnet_lite0": "efficientnet_lite0", **OWN}
KINDS = ("pick", "pick", "pick", "pick", "layers", "measure", "compare", "cascade")
BOX = [0.25, 0.25, 0.75, 0.75]
CLASSES = 4
"""How many classes a picture is asked about; so many right answers are kept of each."""


@dataclass(frozen=True)
class Truth:
    """The right answers of one picture and network. ``layers`` are sums of |R^l|, ``ebpg`` of Saliency, both by class; of the ``silent``
    classes the logit is a rectifier's zero, so that their own maps are empty."""

    top5: tuple[int, ...]
    classes: tuple[int, ...]
    probabilities: dict[int, float]
    layers: dict[int, float]
    ebpg: dict[int, float]
    silent: frozenset[int]


@dataclass(frozen=True)
class Question:
    """One request: ``kind`` of :data:`KINDS`, or ``new``, the first about a picture."""

    kind: str
    picture: Path
    model: str
    k: int


def pictures(folder: Path, count: int) -> list[Path]:
    """Different pictures made of the examples: mirrored, turned, cut."""
    sources = sorted(EXAMPLES.glob("*.jpg"))
    files = []
    for i in range(count):
        with Image.open(sources[i % len(sources)]) as picture:
            changed = ImageOps.mirror(picture) if i // len(sources) % 2 else picture
            cut = 4 + 3 * (i // len(sources))
            changed = changed.crop((cut, cut, changed.width - cut, changed.height - cut))
            files.append(folder / f"{i}.png")
            changed.convert("RGB").resize((320, 320)).save(files[-1])
    return files


def truths(files: list[Path]) -> dict[tuple[Path, str], Truth]:
    """The right answers of every picture under the network that is asked about it, see :func:`model_of`."""
    zoos = {name: load_model(source) for name, source in MODELS.items()}
    return {(file, model_of(i)): _truth(zoos[model_of(i)], file, i) for i, file in enumerate(files)}


def model_of(i: int) -> str:
    """The embedded network for every second picture, the others in turn."""
    names = list(MODELS)
    return names[0] if i % 2 == 0 else names[1 + (i // 2) % 2]


def _truth(zoo: Zoo, file: Path, seed: int) -> Truth:
    x = zoo.preprocess(images.read(file))
    recorded = TRGBP(zoo.network).record(x)
    classes = (*recorded.top5[:2], *random.Random(seed).sample(range(1000), CLASSES - 2))
    e = recorded.explain(classes)
    saliency = {k: METHODS["saliency"].attribute(zoo.network, x, k) for k in classes}
    return Truth(
        top5=e.top5,
        classes=classes,
        probabilities={k: float(e.probabilities[0, k]) for k in classes},
        layers={k: float(e.layer_attribution(2, k).abs().sum()) for k in classes},
        ebpg={k: float(ebpg(m, BOX, "fractions")) for k, m in saliency.items()},
        silent=frozenset(k for k in classes if not bool(e.raw(k).any())),
    )


def sequence(seed: int, files: list[Path], truth: dict[tuple[Path, str], Truth]) -> list[Question]:
    """One client's requests: picture after picture, each opened, then asked about in several ways."""
    draw = random.Random(seed)
    asked = []
    order = draw.sample(range(len(files)), len(files))
    for i in order:
        file, model = files[i], model_of(i)
        classes = truth[file, model].classes
        asked.append(Question("new", file, model, -1))
        asked += [Question(draw.choice(KINDS), file, model, draw.choice(classes)) for _ in range(6)]
    return asked


def wrong(question: Question, truth: Truth, data: object) -> str:
    """What is wrong with an answer; nothing if it is right. Another process sums in another order: see :data:`JUMP`."""
    assert isinstance(data, (dict, list))
    k = truth.top5[0] if question.kind == "new" else question.k
    if isinstance(data, list):
        same = all(_alike_itself(s["spearman"], key, k in truth.silent) for key, s in data[0]["similarity"].items())
        return "" if len(data) == 2 and data[0]["top"]["index"] == truth.top5[0] and same else "the cascade is not this picture's"
    if question.kind in ("new", "pick"):
        found = data["class"]
        right = found["index"] == k and [c["index"] for c in data["top5"]] == list(truth.top5)
        expected = truth.probabilities[k]
        return "" if right and abs(found["probability"] - expected) <= 1e-4 else f"{found}, not class {k} with {expected}"
    if question.kind == "layers":
        return _differs(float(np.abs(np.array(data["attribution"])).sum()), truth.layers[k])
    if question.kind == "measure":
        return _differs(data["saliency"]["ebpg"], truth.ebpg[k])
    return "" if set(data) == {"tr_gbp", "guided_backprop"} else f"compared {set(data)}"


def _alike_itself(spearman: float | None, key: str, silent: bool) -> bool:
    """The trained network's maps are compared with themselves; empty ones, as those of a class below the mean may be, with nothing."""
    relative = key in ("own", "conserving")
    if spearman is None:
        return silent or relative
    return (relative or not silent) and abs(spearman - 1) < 1e-5


def _differs(found: float, expected: float) -> str:
    return "" if abs(found - expected) <= JUMP * max(abs(expected), 1e-6) else f"{found}, not {expected}"


def arguments(question: Question) -> tuple[str, list[object]]:
    """The endpoint and what comes after picture, network and class."""
    extra: dict[str, tuple[str, list[object]]] = {
        "layers": ("/layers", [2]),
        "measure": ("/measure", [["saliency"], BOX]),
        "compare": ("/compare", [["tr_gbp", "guided_backprop"]]),
        "cascade": ("/cascade", ["saliency", "gaussian", 0, 1]),
    }
    return extra.get(question.kind, ("/explain", []))
