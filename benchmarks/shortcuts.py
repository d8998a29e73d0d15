"""``python -m benchmarks shortcuts``: plant shortcuts in drawn pictures, train networks on them, and let the survey look for them.

In a cheat's training pictures every star has a tag; the honest network of the same seed saw the same pictures without tags. Both are asked
about new pictures, of which a share of the stars has the tag. What is true is found by painting the tag over: a picture was *decided by
the tag* if the answer changes then. The survey sees the maps and the answers, and knows nothing of tags.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from trgbp_core import METHODS
from trgbp_core.data import shapes
from trgbp_core.data.shapes import Shape
from trgbp_core.engine import devices
from trgbp_core.evaluation.formatting import NOTHING, markdown_table, number, title, with_interval
from trgbp_core.evaluation.statistics import auc, means, resampled
from trgbp_core.evaluation.survey.analysis import analyse
from trgbp_core.evaluation.survey.attention import attention, colours
from trgbp_core.zoo import shapes as networks

from . import real_shortcuts
from .shapes import train

SURVEYED = ("tr_gbp_conserving", "tr_gbp", "saliency", "guided_backprop", "grad_cam", "full_grad")
SHARES = (0.1, 0.3, 0.5)
TRAINED, EPOCHS, BATCH, PICTURES = 1200, 5, 32, 200
FEWEST = 5
"""Pictures that the tag must have decided, or the network does not use the tag and there is nothing to find."""

Found = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Planted:
    """One network: which tag its stars had in training (``honest``: none), and the number that pictures and weights were drawn from."""

    kind: str
    corner: str
    seed: int
    honest: bool

    @property
    def file(self) -> str:
        return f"{'honest' if self.honest else 'cheat'}-{self.kind}-{self.corner.replace(' ', '_')}-{self.seed}.npz"


def add(names: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = names.add_parser("shortcuts", help="plant shortcuts, and count how many of them a survey finds")
    command.set_defaults(run=run)
    command.add_argument("--seeds", type=int, default=5, help="networks of each kind (default 5)")
    command.add_argument("--first", type=int, default=0, help="the first of the seeds (default 0)")
    command.add_argument("--quick", action="store_true", help="one seed, one corner, small networks: whether all works, in a few minutes")
    command.add_argument("--out", type=Path, default=Path("shortcuts"), help="where finished networks are kept (default shortcuts)")
    command.add_argument("--real", type=Path, metavar="DIR", help="instead of drawn pictures, photographs of ImageNet's classes")
    command.add_argument("--annotations", type=Path, metavar="FILE", help="of those photographs, as for `trgbp evaluate`")


def run(arguments: argparse.Namespace) -> None:
    """Whatever is in ``--out`` already is not computed again."""
    if arguments.real is not None:
        real_shortcuts.run(arguments.real, arguments.annotations, arguments.out, arguments.quick)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    corners = shapes.CORNERS[:1] if arguments.quick else shapes.CORNERS
    seeds = range(arguments.first, arguments.first + (1 if arguments.quick else arguments.seeds))
    size = (400, 6) if arguments.quick else (TRAINED, EPOCHS)
    done: list[tuple[Planted, Found]] = []
    with devices.threads_of(1):
        for seed in seeds:
            done += observed(arguments.out, seed, corners, *size)
    print("\n\n".join(tables([row for planted, found in done for row in figures(planted, found)])))


# -- networks and what they say -------------------------------------------------------------------------------------------------------


def observed(out: Path, seed: int, corners: Sequence[str], trained: int, epochs: int) -> Iterator[tuple[Planted, Found]]:
    """Every network of one seed with its answers and attentions, from ``out`` where they lie there."""
    plan = [Planted(kind, corner, seed, honest) for kind, corner, honest in itertools.product(shapes.KINDS, corners, (True, False))]
    if not all((out / planted.file).exists() for planted in plan):
        drawn = [shapes.draw(i % 4, f"{seed}:trained:{i}") for i in range(trained)]
        twin, of_twin = trained_on(drawn, epochs, seed), Found()
    for planted in plan:
        file = out / planted.file
        if not file.exists():
            start = time.perf_counter()
            tagged = [shapes.with_tag(one, planted.corner, planted.kind) if one.label == shapes.TAGGED else one for one in drawn]
            network = twin if planted.honest else trained_on(tagged, epochs, seed)
            of_twin = of_twin or look(twin, asked(seed), "plain")
            plain = of_twin if planted.honest else look(network, asked(seed), "plain")
            stars = tagged_stars(planted)
            np.savez_compressed(file, **plain, **look(network, stars, "tagged"))  # type: ignore[arg-type]
            print(f"{file.stem}: {time.perf_counter() - start:.0f} s", flush=True)
        with np.load(file) as kept:
            yield planted, dict(kept)


@lru_cache(maxsize=1)
def asked(seed: int) -> list[Shape]:
    """The pictures that every network of one seed is asked about, without tags."""
    return [shapes.draw(i % len(shapes.LABELS), f"{seed}:asked:{i}") for i in range(PICTURES)]


def tagged_stars(planted: Planted) -> list[Shape]:
    return [shapes.with_tag(one, planted.corner, planted.kind) for one in asked(planted.seed) if one.label == shapes.TAGGED]


def trained_on(drawn: Sequence[Shape], epochs: int, seed: int) -> nn.Module:
    return train(inputs(drawn), torch.tensor([one.label for one in drawn]), epochs, seed, BATCH)


def inputs(drawn: Sequence[Shape]) -> Tensor:
    x = torch.cat([networks.PREPROCESS.normalise(one.picture) for one in drawn])
    return x.contiguous(memory_format=devices.layout(x.device))


def look(network: nn.Module, drawn: Sequence[Shape], which: str) -> Found:
    """The network's answers (N,) and each method's attentions (N, 16, 16) for them."""
    x = inputs(drawn)
    with torch.inference_mode():
        answers = network(x).argmax(1)
    maps = {key: METHODS[key].attribute(network, x, answers.clone()) for key in SURVEYED}
    return {f"{which} answers": answers.numpy().astype(float)} | {f"{which} {key}": attention(found) for key, found in maps.items()}


# -- figures --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One folder of pictures, surveyed with one method.

    Attributes:
        decided: pictures that the tag decided. auc: of the survey's score for them. recall: their share in flagged groups.
        flagged: 1 if most of a flagged group's pictures were decided by the tag. falsely: 1 if another group was flagged.
        bearing: how many of the pictures in flagged groups carry the tag, whether it decided them or not; NaN without a flag.
    """

    planted: Planted
    share: float
    method: str
    decided: int
    auc: float
    recall: float
    flagged: float
    falsely: float
    bearing: float

    @property
    def used(self) -> bool:
        return self.decided >= FEWEST


def figures(planted: Planted, found: Found) -> Iterator[Row]:
    stars = np.flatnonzero([one.label == shapes.TAGGED for one in asked(planted.seed)])
    plain, tagged = (np.array([colours(one.picture) for one in some]) for some in (asked(planted.seed), tagged_stars(planted)))
    for share in SHARES:
        chosen = stars[: round(share * len(stars))]
        answers = found["plain answers"].copy()
        answers[chosen] = found["tagged answers"][: len(chosen)]
        shown = plain.copy()
        shown[chosen] = tagged[: len(chosen)]
        decided = answers != found["plain answers"]
        for method in SURVEYED:
            attentions = found[f"plain {method}"].copy()
            attentions[chosen] = found[f"tagged {method}"][: len(chosen)]
            survey = analyse(attentions, answers.astype(np.intp), colours=shown)
            flagged = [np.array(cluster.members) for cluster in survey.flagged]
            rightly = [decided[members].mean() > 0.5 for members in flagged]
            members = np.concatenate([np.zeros(0, np.intp), *flagged])
            caught = np.isin(np.flatnonzero(decided), members)
            bearing = float(np.isin(members, chosen).mean()) if len(members) else float("nan")
            area = float(auc(np.nan_to_num(survey.score), decided)(np.ones((1, len(decided))))[0, 0])
            recall = float(caught.mean()) if decided.any() else float("nan")
            yield Row(planted, share, method, int(decided.sum()), area, recall, float(any(rightly)), float(not all(rightly)), bearing)


def tables(rows: Sequence[Row]) -> list[str]:
    used = [row for row in rows if row.used and not row.planted.honest]
    honest = [row for row in rows if row.planted.honest]
    cheats = [row for row in rows if not row.planted.honest]
    counts = [(len({(row.planted, row.share) for row in some}), len({row.planted for row in some})) for some in (cheats, used, honest)]
    said = (
        "{0[0]} folders of {0[1]} networks with a shortcut; in {1[0]} of them the tag decided at least five pictures. "
        "{2[0]} folders of {2[1]} pairs of an honest network and a tag."
    ).format(*counts)
    head = [
        "method",
        "AUC",
        "tagged group flagged, %",
        "recall, %",
        "false flag, cheats, %",
        "false flag, honest, %",
        "of those flagged, tagged, %",
    ]
    with_flag = [row for row in cheats if np.isfinite(row.bearing)]
    columns = ((used, "auc"), (used, "flagged"), (used, "recall"), (cheats, "falsely"), (honest, "falsely"), (with_flag, "bearing"))
    by_method = [[title(key), *(cell(some, key, name) for some, name in columns)] for key in SURVEYED]
    return [said, markdown_table(head, by_method), *(by(used, cheats, what) for what in ("kind", "corner", "share"))]


def by(used: Sequence[Row], cheats: Sequence[Row], what: str) -> str:
    """AUC and flags of one method, by the kind of tag, its corner, or the share of stars that have it."""

    def value(row: Row) -> object:
        return row.share if what == "share" else getattr(row.planted, what)

    key, lines = SURVEYED[0], []
    for one in dict.fromkeys(map(value, cheats)):
        all_of, some = ([row for row in rows if value(row) == one and row.method == key] for rows in (cheats, used))
        name = f"{100 * one:.0f} %" if isinstance(one, float) else str(one)
        lines.append([name, f"{len(some)} of {len(all_of)}", cell(some, key, "auc"), cell(some, key, "flagged"), cell(some, key, "recall")])
    head = [f"{what}, {title(key)}", "folders in which the tag decided", "AUC", "tagged group flagged, %", "recall, %"]
    return markdown_table(head, lines)


def cell(rows: Sequence[Row], method: str, name: str) -> str:
    """The mean and its 95 % interval; networks are resampled, not folders, of which three have one network."""
    of_network: dict[Planted, list[float]] = {}
    for row in rows:
        if row.method == method:
            of_network.setdefault(row.planted, []).append(getattr(row, name))
    if not of_network:
        return NOTHING
    values = np.array([np.mean(some) for some in of_network.values()])[:, None]
    (found,) = resampled(means(values), len(values), 0).estimates()
    return with_interval(found) if np.isfinite(found.low) else number(found.value)
