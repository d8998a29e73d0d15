"""What a tab exports: a figure, the data with a README inside, and code that computes the same again."""

from __future__ import annotations

import functools
import io
import platform
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data.labels import in_words
from ..data.version import CITATION, VERSION
from ..drawing.figures import grid, map_cell, written
from ..drawing.render import Look, to_array
from ..engine.layer_order import layer_groups
from ..methods import METHODS, NotApplicable
from ..metrics.localisation import ibd
from ..sanity.cascade import Stage, cascade
from ..serving.jobs import Step
from ..theory.coverage import predicted_sum
from ..theory.randomised_weights import draw
from ..zoo import catalogue
from . import export_code
from .explorer import Explorer, Question
from .predict import MOST_DRAWS
from .sanity import stage_maps

FORMATS = ("PNG", "PDF", "SVG")
KEPT_STAGES = (1, 2, 5, 10, 20, 30, 40)
"""Stages of the sanity check whose maps are exported, beside the trained network and the last one."""

Options = Mapping[str, Any]
Maps = Iterator[tuple[str, str, Tensor]]


@dataclass(frozen=True)
class Export:
    """What a tab's files hold.

    Attributes:
        title: network and class. prediction: the network's best classes, a sentence. picture: what the network saw.
        maps: name → (title, signed map (h, w), float32). shown: the names of those that the figure shows.
        numbers: name → (what it is, array).
        python, command: code that computes the maps again; the Python leaves them in ``maps``, a dictionary by name.
    """

    title: str
    prediction: str
    picture: Image.Image
    maps: dict[str, tuple[str, np.ndarray]]
    shown: tuple[str, ...]
    numbers: dict[str, tuple[str, np.ndarray]]
    python: str
    command: str


def collect(explorer: Explorer, question: Question, k: int, tab: str, options: Options, step: Step | None = None) -> Export:
    """What the tab ``tab`` shows for class ``k``; a tab without maps of its own exports those of Explain.

    Args:
        options: the tab's own choices: ``methods``; ``baseline``, ``mode`` and ``seed``; or ``draws``.
        step: called with what is being computed; may raise to stop.

    Raises:
        ValueError: an option that does not exist.
    """
    gather = _TABS.get(tab, _explain)
    maps = {name: (title, to_array(map)) for name, title, map in gather(explorer, question, k, options, step)}
    frame = np.array([float(ibd(torch.from_numpy(map)[None, None])) for _, map in maps.values()], np.float32)
    logits = explorer.explanation(question, k, step).logits
    numbers = {
        "logits": (f"the network's logits, {logits.shape[1]} classes", logits[0].detach().cpu().numpy()),
        "ibd": ("Eq. 12 of every map, in the order of their names here: the share of relu(R) in the 16-pixel frame", frame),
    }
    title, names = f"{question.zoo.title}: {question.zoo.labels[k]}", tuple(name for name in maps if not name.startswith("layer_"))
    return Export(title, prediction(explorer, question), question.picture, maps, names, numbers, *code(explorer, question, k, tab, options))


def prediction(explorer: Explorer, question: Question) -> str:
    """The network's best classes, a sentence."""
    return f"The network says: {in_words(explorer.top(question))}."


def code(explorer: Explorer, question: Question, k: int, tab: str, options: Options) -> tuple[str, str]:
    """(Python, command line) that compute again what the tab shows; see :func:`export_code.write`."""
    name, tab = question.zoo.name, tab if tab in _TABS else "explain"
    maps = None if tab in ("explain", "classes") else [(k, key) for key in options.get("methods", ())]
    return export_code.write(name, k, tab, options, name in catalogue.entries(), explorer.threads(question, maps))


def figure(export: Export, kind: str, look: Look) -> bytes:
    """The maps over the picture as the page shows them, each on its own scale, as a file of one of :data:`FORMATS`.

    Raises:
        ValueError: another format.
    """
    if kind not in FORMATS:
        raise ValueError(f"A figure is a {', '.join(FORMATS)}; there is no {str(kind)[:20]!r} here.")
    signs = {name: name in METHODS and METHODS[name].signed for name in export.shown}
    cells = [map_cell(*export.maps[name], export.picture, signed=signs[name], look=look) for name in export.shown]
    sheet = grid(export.picture, cells, export.title, prediction=export.prediction, look=look)
    return written(sheet, kind.lower(), export.title)


def data(export: Export) -> bytes:
    """An ``.npz`` of all maps and numbers, the picture, and ``README.txt``."""
    arrays = {name: map for name, (_, map) in export.maps.items()} | {name: array for name, (_, array) in export.numbers.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{"picture": np.asarray(export.picture), **arrays})  # type: ignore[arg-type]
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("README.txt", readme(export))
    return buffer.getvalue()


def readme(export: Export) -> str:
    """What is in the ``.npz``: shapes, units, versions, how to compute it again, and what to cite."""
    size = f"({export.picture.height}, {export.picture.width}, 3)"
    lines = [f"picture: {size} uint8, RGB: what the network saw, before normalisation"]
    lines += [f"{name}: {map.shape} float32, signed: {title}" for name, (title, map) in export.maps.items()]
    lines += [f"{name}: {array.shape} {array.dtype}: {what}" for name, (what, array) in export.numbers.items()]
    versions = f"TR-GBP Explorer {VERSION}, torch {torch.__version__}, numpy {np.__version__}, Python {platform.python_version()}"
    units = (
        "A map's unit is that of the logit: what a pixel gives to it, by the method's own reading. Nothing is scaled; the page shows relu."
    )
    parts = [
        f"{export.title}. {export.prediction}",
        "\n".join(lines),
        units,
        versions,
        f"Python:\n\n{export.python}",
        f"Command line:\n\n{export.command}",
        CITATION,
    ]
    return "\n\n".join(parts) + "\n"


def save(content: bytes, folder: Path, name: str) -> Path:
    """Write ``content`` to ``folder``/``name``; the name is made safe."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    path.write_bytes(content)
    return path


def _explain(explorer: Explorer, question: Question, k: int, options: Options, step: Step | None) -> Maps:
    e = explorer.explanation(question, k, step)
    yield "raw", "R̃: all that is reconstructed (Eq. 9)", e.raw(k)
    yield "tr_gbp", "TR-GBP (Eq. 10)", e.attribution(k)
    yield "tr_gbp_conserving", "TR-GBP, conserving ψ", e.attribution(k, "conserving")
    for index in range(len(e.layers) + 1):
        name = e.layers[index - 1].name if index else "the picture"
        yield f"layer_{index:03d}_raw", f"R̃^{index}, {name}", e.layer_raw(index, k)
        yield f"layer_{index:03d}", f"R^{index}, {name}", e.layer_attribution(index, k)
    yield "layer_000_contribution_raw", "x ⊙ R̃^0: the pixels' part of the conserving sum", e.layer_contribution(0, k)
    yield "layer_000_contribution", "the same minus the mean over the top 5", e.layer_attribution(0, k, "contribution")


def _classes(explorer: Explorer, question: Question, k: int, options: Options, step: Step | None) -> Maps:
    e = explorer.explanation(question, k, step)
    for psi, name in (("paper", "TR-GBP"), ("conserving", "conserving ψ")):
        for i in e.top5:
            yield f"class_{i}_{psi}", f"{question.zoo.labels[i]}: {name}", e.attribution(i, psi)  # type: ignore[arg-type]


def _methods(explorer: Explorer, question: Question, k: int, options: Options, step: Step | None) -> Maps:
    for key in options["methods"]:
        try:
            yield key, METHODS[key].title, explorer.attribution(question, k, key, step)
        except NotApplicable:
            continue


def _cascade(explorer: Explorer, question: Question, k: int, options: Options, step: Step | None) -> Maps:
    total = len(layer_groups(question.zoo.network))
    trained = Stage("the trained network", 0, total, question.zoo.network)
    for stage in (trained, *cascade(question.zoo.network, seed=options["seed"], mode=options["mode"])):
        if step is not None:
            step("randomising", stage.index / total)
        if stage.index in (0, *KEPT_STAGES, total):
            compute = functools.partial(stage_maps, stage.network, question.x, k, options["baseline"])
            _, titles, maps, _ = explorer.queue.run(compute, step)
            for name, map in maps.items():
                yield f"stage_{stage.index:03d}_{name}", f"{titles[name]}, {stage.index} layers randomised", map


def _predict(explorer: Explorer, question: Question, k: int, options: Options, step: Step | None) -> Maps:
    predicted, total = explorer.coverage(question), min(options["draws"], MOST_DRAWS)
    for draws in explorer.one_by_one(draw(question.zoo.network, question.x, k, seeds=total), step):
        if step is not None:
            step("drawing weights", draws.count / total)
    yield "predicted", "Predicted: coverage of all layers", predicted_sum(predicted, (question.x.shape[2], question.x.shape[3]))
    yield "measured", f"R̃ without R̃^0 on random weights, mean of {total} draws", draws.total.mean(0, keepdim=True)
    for index, (c, maps) in enumerate(zip(predicted, draws.maps, strict=True), start=1):
        yield f"layer_{index:03d}_predicted", f"coverage of layer {index}, {c.name}, mean 1", c.map
        yield f"layer_{index:03d}_measured", f"R̃^{index}, {c.name}, on random weights, mean of {total} draws", maps.mean(0, keepdim=True)


_TABS: dict[str, Callable[[Explorer, Question, int, Options, Step | None], Maps]] = {
    "explain": _explain,
    "classes": _classes,
    "compare": _methods,
    "measure": _methods,
    "cascade": _cascade,
    "predict": _predict,
}
