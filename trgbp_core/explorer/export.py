"""What a tab exports: a figure, the data with a README inside, and code that computes the same again."""

from __future__ import annotations

import functools
import io
import platform
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data.labels import in_words
from ..data.version import CITATION, VERSION
from ..drawing import figures
from ..drawing.figures import Cell, NetworkRow, grid, map_cell, written
from ..drawing.render import Look, to_array
from ..engine.layer_order import layer_groups
from ..methods import METHODS, NotApplicable
from ..metrics.localisation import ibd
from ..sanity.cascade import Stage, cascade
from ..serving.jobs import Step
from ..theory.coverage import predicted_sum
from ..theory.randomised_weights import draw
from ..zoo import catalogue
from . import contrast, export_code, networks, shares
from .explorer import Explorer, Question
from .predict import MOST_DRAWS
from .sanity import stage_maps

FORMATS = ("PNG", "PDF", "SVG")
KEPT_STAGES = (1, 2, 5, 10, 20, 30, 40)
"""Stages of the sanity check whose maps are exported, beside the trained network and the last one."""

BARS = "\nBars: what the picture (first) and each layer give to the sum of the map in the box; the layer of the largest part is named."
Options = Mapping[str, Any]
Maps = Iterator[tuple[str, str, Tensor]]


@dataclass(frozen=True)
class Export:
    """What a tab's files hold.

    Attributes:
        title: network and class. prediction: the network's best classes, a sentence. picture: what the network saw.
        maps: name → (title, signed map (h, w), float32). shown: the names of those that the figure shows.
        numbers: name → (what it is, array). caption: what the figure says of its maps.
        box: a place on the maps of :mod:`shares`, whose parts by layer are in ``numbers``, as ``shares_`` and the map's name.
        rows: of several networks, what the figure shows of each.
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
    caption: str = ""
    box: tuple[float, ...] | None = None
    rows: tuple[NetworkRow, ...] = ()


def collect(explorer: Explorer, question: Question, k: int, tab: str, options: Options, step: Step | None = None) -> Export:
    """What the tab ``tab`` shows for class ``k``; a tab without maps of its own exports those of Explain.

    Args:
        options: the tab's own choices: ``against``, a second class, and ``box``, both None for none; ``methods`` and ``further``, the
            question put to further networks; ``baseline``, ``mode`` and ``seed``; or ``draws``.
        step: called with what is being computed; may raise to stop.

    Raises:
        ValueError: an option that does not exist.
    """
    gather = _TABS.get(tab, _explain)
    maps = {name: (title, to_array(map)) for name, title, map in gather(explorer, question, k, options, step)}
    logits = explorer.explanation(question, k, step).logits
    numbers = {
        "logits": (f"the network's logits, {logits.shape[1]} classes", logits[0].detach().cpu().numpy()),
        "ibd": (
            "Eq. 12 of every map, in the order of their names here: the share of relu(R) in the 16-pixel frame",
            _frames(map for _, map in maps.values()),
        ),
    }
    title, names = f"{question.zoo.title}: {question.zoo.labels[k]}", tuple(name for name in maps if not name.startswith("layer_"))
    found = Export(
        title, prediction(explorer, question), question.picture, maps, names, numbers, *code(explorer, question, k, tab, options)
    )
    if options.get("further"):
        return _of_networks(explorer, found, question, k, options, step)
    return _as_shown(explorer, found, question, k, options)


def _as_shown(explorer: Explorer, found: Export, question: Question, k: int, options: Options) -> Export:
    """Of Explain, with the second class and the box that are shown."""
    j, box = options.get("against"), options.get("box")
    if j is not None:
        one, other = question.zoo.labels[k], question.zoo.labels[j]
        found = replace(found, title=f"{found.title} rather than {other}", shown=contrast.NAMES, caption=contrast.caption(one, other))
    if box is None:
        return found
    parts = shares.shares(explorer.explanation(question, k, against=j), k, box, j)
    what = "what the picture and each layer give to the sum of this map over the box left, top, right, bottom ="
    numbers = {f"shares_{name}": (f"{what} {box}: {name}", np.array(given)) for name, given in parts.items()}
    return replace(found, numbers=found.numbers | numbers, box=tuple(box))


def _of_networks(explorer: Explorer, found: Export, question: Question, k: int, options: Options, step: Step | None) -> Export:
    """Of Compare, with the maps of the further networks."""
    label, maps, numbers = question.zoo.labels[k], dict(found.maps), dict(found.numbers)
    rows = [networks.row(explorer, each, label, k, step) for each in (question, *options["further"])]
    for number, row in enumerate(rows[1:], start=2):
        if row.k is not None:
            for key, title, map in _methods(explorer, row.question, row.k, options, step):
                maps[f"network{number}_{key}"] = (f"{row.question.zoo.title}: {title}", to_array(map))
        saw = np.asarray(row.question.picture)
        numbers[f"network{number}_picture"] = (f"what {row.question.zoo.title} saw, before normalisation", saw)
    panels = [() if row.k is None else tuple(explorer.compare(row.question, row.k, options["methods"], step)) for row in rows]
    shown = tuple((row.question.zoo.title, row.said, row.question.picture, some) for row, some in zip(rows, panels, strict=True))
    numbers["ibd"] = (numbers["ibd"][0], _frames(map for _, map in maps.values()))
    return replace(found, title=networks.title(rows), maps=maps, numbers=numbers, rows=shown)


def _frames(maps: Iterable[np.ndarray]) -> np.ndarray:
    return np.array([float(ibd(torch.from_numpy(map)[None, None])) for map in maps], np.float32)


def prediction(explorer: Explorer, question: Question) -> str:
    """The network's best classes, a sentence."""
    return f"The network says: {in_words(explorer.top(question))}."


def code(explorer: Explorer, question: Question, k: int, tab: str, options: Options) -> tuple[str, str]:
    """(Python, command line) that compute again what the tab shows; see :func:`export_code.write`."""
    name, tab = question.zoo.name, tab if tab in _TABS else "explain"
    maps = None if tab in ("explain", "classes") else [(k, key) for key in options.get("methods", ())]
    threads, known = explorer.threads(question, maps), catalogue.entries()
    zoos, label = [each.zoo for each in options.get("further", ())], question.zoo.labels[k]
    further = [(zoo.name, networks.class_of_name(label, zoo.labels, k), zoo.name in known) for zoo in zoos]
    options = dict(options) | {"further": further}
    return export_code.write(name, k, tab, options, name in known, threads, question.crop)


def figure(export: Export, kind: str, look: Look) -> bytes:
    """The maps over the picture as the page shows them, each on its own scale, as a file of one of :data:`FORMATS`.

    Raises:
        ValueError: another format.
    """
    if kind not in FORMATS:
        raise ValueError(f"A figure is a {', '.join(FORMATS)}; there is no {str(kind)[:20]!r} here.")
    if export.rows:
        return figures.networks(export.rows, export.title, kind.lower(), order=METHODS, look=look)
    parts = {name: export.numbers.get(f"shares_{name}") for name in export.shown}
    cells = [
        map_cell(
            *export.maps[name],
            export.picture,
            signed=is_signed(name),
            look=look,
            box=export.box if parts[name] else None,
        )
        for name in export.shown
    ]
    cells += [_bars(export.maps[name][0], given[1]) for name, given in parts.items() if given]
    note = f"{export.caption}{BARS if export.box else ''}"
    sheet = grid(export.picture, cells, export.title, note.strip(), prediction=export.prediction, look=look)
    return written(sheet, kind.lower(), export.title)


def is_signed(name: str) -> bool:
    """Whether the map of that name is drawn in both signs."""
    name = re.sub(r"^network\d+_", "", name)
    return name in contrast.NAMES or (name in METHODS and METHODS[name].signed)


def _bars(title: str, parts: np.ndarray) -> Cell:
    most = int(np.abs(parts).argmax())
    total, largest = (f"{value:+,.0f}" if abs(value) >= 100 else f"{value:+.3g}" for value in (parts.sum(), parts[most]))
    return Cell(title=f"in the box: {title}", note=f"sum {total}; layer {most}: {largest}", bars=parts.tolist())


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
    signed = ", ".join(filter(is_signed, export.maps))
    units = (
        "A map's unit is that of the logit: what a pixel gives to it, by the method's own reading. Nothing is scaled. Drawn is relu of a "
        f"map, its positive part{f'; of {signed} both signs, what is positive red and what is negative blue' if signed else ''}."
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
    e = explorer.explanation(question, k, step, options.get("against"))
    if (j := options.get("against")) is not None:
        title = f"{question.zoo.labels[k]} rather than {question.zoo.labels[j]}"
        for name, map in contrast.maps(e, k, j).items():
            yield name, f"{title}{', conserving ψ' if name == contrast.NAMES[1] else ''}", map
    yield "raw", "R̃: all that is reconstructed (Eq. 9)", e.raw(k)
    yield "tr_gbp", "TR-GBP (Eq. 10)", e.attribution(k)
    yield "tr_gbp_conserving", "TR-GBP, conserving ψ", e.attribution(k, "conserving")
    for index in range(len(e.layers) + 1):
        name = e.layers[index - 1].name if index else "the picture"
        yield f"layer_{index:03d}_raw", f"R̃^{index}, {name}", e.layer_raw(index, k)
        yield f"layer_{index:03d}", f"R^{index}, {name}", e.layer_attribution(index, k)
    yield "layer_000_contribution_raw", "x ⊙ R̃^0: the pixels' part of the conserving sum", e.layer_contribution(0, k)
    yield "layer_000_contribution", "the same minus the mean over the best classes", e.layer_attribution(0, k, "contribution")


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
