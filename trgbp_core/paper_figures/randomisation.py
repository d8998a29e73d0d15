"""Figures 5, 9 and 10: the network's weights are randomised from the logits down, and the maps follow.

Layers are drawn in blocks, for no network has a panel's place for each of its fifty. A block is all layers whose maps have one size: in
ResNet-50 and VGG-16 these are, but for a layer or two, the paper's Layer1, Layer2, … With R^0 and what linear layers add everywhere
alike, the blocks' maps add up to the whole.

What Appendix B describes, reconstructions that become uniform with weak borders, can only be R̃^l: a difference of classes (R^l) has no
reason to. So R̃^l is what Figures 9 and 10 show unless R^l is chosen, and Figure 5 shows both. The figures show relu of each map, as the
page does, and hold no similarities; the paper's are in the tables of ``evaluate``.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ..drawing.figures import Cell, Rows
from ..engine.geometry import Size
from ..engine.layer_order import layer_groups
from ..sanity.cascade import Stage, cascade
from ..trgbp.explainer import TRGBP, Explanation, Layer
from .subject import Subject


@dataclass(frozen=True)
class Block:
    """Layers ``l`` whose maps have one size, input side first. ``words`` name them."""

    layers: tuple[int, ...]
    words: str

    def map(self, e: Explanation, k: int, *, specific: bool = False) -> Tensor:
        """Σ R̃^l_k, or where it is to be class-specific Σ R^l_k, of the block's layers, (1, 1, h, w)."""
        maps = [e.layer_attribution(index, k) if specific else e.layer_raw(index, k) for index in self.layers]
        return sum(maps[1:], start=maps[0])


def blocks(layers: Sequence[Layer]) -> list[Block]:
    """The network's blocks from the logits down to the picture, which is the last.

    Linear layers are left out: they look at the whole map at once, so that their own is uniform, whatever the weights.
    """
    by_size: dict[Size, list[Layer]] = {}
    for layer in layers:
        if layer.kind != "linear":
            by_size.setdefault(layer.size, []).append(layer)
    sizes = sorted((size for size in by_size if size != (1, 1)), key=_area)
    made = [Block(tuple(layer.index for layer in by_size[size]), _words(by_size[size])) for size in sizes]
    return [*made, Block((0,), "the picture\nitself")]


def single_layers(layers: Sequence[Layer], wanted: Sequence[int]) -> list[Block]:
    """One block for each of the layers ``wanted``, in their order; 0 is the picture.

    Raises:
        ValueError: no such layer.
    """
    for index in wanted:
        if not 0 <= index <= len(layers):
            raise ValueError(f"Layers run from 0 (the picture) to {len(layers)}; there is no layer {index}.")
    return [Block((i,), f"layer {i}\n{_words([layers[i - 1]])}" if i else "the picture\nitself") for i in wanted]


def _words(layers: Sequence[Layer]) -> str:
    size = f"{layers[0].size[0]}×{layers[0].size[1]}"
    if len(layers) == 1:
        return f"{size}\n{layers[0].name}"
    return f"{size}\n{len(layers)} layers down to\n{layers[0].name}"


def milestones(layers: Sequence[Layer], groups: Sequence[tuple[str, ...]]) -> list[int]:
    """How many layers are randomised in each column: the logits; then as many as it takes for a further block to be gone; all.

    Args:
        groups: what is randomised together, input side first (:func:`layer_groups`).
    """
    areas = {layer.name.partition("#")[0]: _area(layer.size) for layer in layers}
    complete = {1, len(groups)}
    deepest: dict[int, int] = {}
    for index, group in enumerate(reversed(groups), start=1):
        deepest |= {areas[name]: index for name in group if name in areas}
    for area in deepest:
        complete.add(max(index for other, index in deepest.items() if other <= area))
    return sorted(complete)


def _area(size: Size) -> int:
    return size[0] * size[1]


def _columns(subject: Subject) -> Iterator[tuple[str, Explanation, int]]:
    """(title, explanation, class) of the trained network and of every column's stage; the class stays the one picked on the trained one."""
    network = subject.zoo.network
    recorded = TRGBP(network).record(subject.x)
    k = subject.one_class(recorded.top5[0])
    e = recorded.explain([k])
    yield f"raw\n{subject.zoo.labels[k]}", e, k
    wanted = milestones(e.layers, layer_groups(network, subject.x))
    for stage in cascade(network, seed=subject.options.seed, x=subject.x):
        if stage.index in wanted:
            yield _titled(stage), TRGBP(stage.network).explain(subject.x, [k]), k


def _titled(stage: Stage) -> str:
    how_many = "all layers" if stage.index == stage.total else "1 layer" if stage.index == 1 else f"{stage.index} layers"
    return f"{how_many}\n{stage.name}"


NOTE = "Columns: how many layers are randomised from the logits down, and the last one. relu of each map, bright at its 99.9th percentile."


def cascade_row(subject: Subject) -> Rows:
    """Figure 5: the picture, TR-GBP of the trained network, then of the network randomised from the logits down to the first convolution.

    Beneath it TR-GBP with the conserving ψ, and R̃, which the theory predicts to become uniform with weak borders (Section 4.2).
    """
    own, conserving, raw = (
        [Cell(words="TR-GBP"), Cell(subject.picture, "(a) input")],
        [Cell(words="TR-GBP,\nconserving ψ"), Cell()],
        [Cell(words="R̃, the class mean not subtracted"), Cell()],
    )
    for letter, (title, e, k) in zip(string.ascii_lowercase[1:], _columns(subject), strict=False):
        own.append(subject.map(e.attribution(k), f"({letter}) {title}", specific=True))
        conserving.append(subject.map(e.attribution(k, "conserving"), specific=True))
        raw.append(subject.map(e.raw(k)))
    return [own, conserving, raw]


def cascade_of_layers(subject: Subject) -> Rows:
    """Figures 9 and 10: a row for each block of layers, columns as in Figure 5; above them R̃ (or TR-GBP), which the blocks add up to."""
    columns, specific = list(_columns(subject)), subject.options.specific
    layers = columns[0][1].layers
    chosen = single_layers(layers, subject.options.layers) if subject.options.layers else blocks(layers)
    whole = [subject.map(e.attribution(k) if specific else e.raw(k), title, specific=specific) for title, e, k in columns]
    above = "TR-GBP" if specific else "R̃"
    rows = [[replace(subject.input, title=f"input; in its row\n{above} of all layers"), *whole]]
    for letter, block in zip(string.ascii_lowercase, chosen, strict=False):
        maps = [subject.map(block.map(e, k, specific=specific), specific=specific) for _, e, k in columns]
        rows.append([Cell(words=f"({letter})\n{block.words}"), *maps])
    return rows
