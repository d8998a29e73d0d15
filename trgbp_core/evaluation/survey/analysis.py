"""Groups of pictures that were decided alike, and which of them ask for a second look.

Pictures of one predicted class are grouped by their attention. A group is flagged if it is *tight* (its pictures look at the same place),
*small* (that place is), *off the object* (outside the boxes where boxes are given, otherwise at the frame; or all pictures show the same
there), and *of its class*: if attentions were shuffled between the classes, so many that look there would hardly ever meet in one.
A class whose pictures have a small place at the frame in common, whatever else they look at, is a group for that reason.
A flag is a question for a person, not a verdict.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from . import attention as places
from .chance import alike, at_place, common, permutation_test
from .spectral import groups, similarities, unit

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

LEAST = 5
"""Pictures that a class needs to be looked at on its own, and a group to be flagged."""

MOST = 1000
"""Pictures of a class that are grouped by eigenvalues; those beyond them join the group that they are most like."""

FEW = -1
"""Stands for all classes with fewer than :data:`LEAST` pictures, which are grouped together."""

SAME_PLACE = 0.9
"""Two groups of a class whose mean attentions are so alike (cosine) are one."""

TIGHT, SMALL, OFF, SAME, SURE = 0.75, 1 / 8, 0.5, 0.8, 0.01
"""A flagged group's least tightness, largest area, least share off the object or sameness, and largest corrected probability."""

COMMON = SMALL
"""Or its least share in common, in place of tightness: more than an even attention has on the largest place that is small."""


@dataclass(frozen=True)
class Cluster:
    """Pictures of one predicted class whose attentions are alike.

    Attributes:
        label: the predicted class, or :data:`FEW`. number: its place in :attr:`Analysis.clusters`, from 1.
        members: indices of its pictures, the most typical first. mean: their mean attention (16, 16).
        tightness: mean cosine between a member's attention and the mean. common: of pictures that are a group because of one place that
            their class has in common, the share of attention in common; NaN otherwise. where: what says where the group looks: in such a
            group what is in common, otherwise the mean, (16, 16).
        area: the share of the picture that holds half of ``where``. frame: its share in the outer three cells.
        corner, corner_share: the corner (4×4 cells) with the largest share of it, and that.
        in_boxes: mean share inside the members' boxes, NaN without boxes.
        sameness: 1 − variance of the members' colours / that of all pictures', where the core of ``where`` lies; NaN without pictures.
        confidence, accuracy: means over the members; NaN where unknown.
        alike, elsewhere: pictures that look there as the typical members do, in this class and in all others.
        probability: of at least ``alike`` such pictures in this class if attentions were shuffled between the classes (exact permutation
            test), times the number of groups tested; NaN where it cannot be tested.
    """

    label: int
    number: int
    members: tuple[int, ...]
    mean: Array
    tightness: float
    common: float
    where: Array
    area: float
    frame: float
    corner: str
    corner_share: float
    in_boxes: float
    sameness: float
    confidence: float
    accuracy: float
    alike: int
    elsewhere: int
    probability: float

    @property
    def off(self) -> float:
        """The share that lies off the object: outside the boxes where there are some, otherwise in the frame."""
        return self.frame if math.isnan(self.in_boxes) else 1 - self.in_boxes

    @property
    def same(self) -> bool:
        """Whether all its pictures show the same where they were decided."""
        return self.sameness >= SAME

    @property
    def suspicion(self) -> float:
        """Tight, small and off the object as one number from 0 to 1, to sort by."""
        return self.tightness * float(np.fmax(self.off, self.sameness)) * (1 - self.area)

    @property
    def flagged(self) -> bool:
        looks = (self.tightness >= TIGHT or self.common >= COMMON) and self.area <= SMALL and (self.off >= OFF or self.same)
        return looks and len(self.members) >= LEAST and self.probability <= SURE


@dataclass(frozen=True)
class Analysis:
    """What :func:`analyse` found.

    Attributes:
        clusters: flagged ones first, then by class, the largest first. means: predicted class → its mean attention (16, 16).
        cluster_of: each picture's index in ``clusters``, −1 for a picture without attention. similarity: cosine with that one's mean.
        frame, corner: each picture's share in the outer three cells, and in the corner with the most.
        score: each picture's suspicion, from 0 to 1: that of a group of its class times the cosine with where the group looks, the largest.
        empty, failed: indices of pictures whose map has no positive part, or numbers that are not finite.
    """

    clusters: tuple[Cluster, ...]
    means: dict[int, Array]
    cluster_of: Indices
    similarity: Array
    score: Array
    frame: Array
    corner: Array
    empty: tuple[int, ...]
    failed: tuple[int, ...]

    @property
    def flagged(self) -> tuple[Cluster, ...]:
        return tuple(cluster for cluster in self.clusters if cluster.flagged)


def analyse(
    attentions: Array,
    predicted: Sequence[int] | Indices,
    *,
    confidence: Sequence[float] | Array | None = None,
    right: Sequence[float] | Array | None = None,
    in_boxes: Sequence[float] | Array | None = None,
    colours: Array | None = None,
    seed: int = 0,
) -> Analysis:
    """Group the attentions of every predicted class, and test the groups.

    Args:
        attentions: (N, 16, 16), see :func:`~trgbp_core.evaluation.survey.attention.attention`. predicted: class indices (N,).
        confidence: the predicted class's probabilities. right: 1 where the prediction is right, 0 where it is wrong.
        in_boxes: shares of the attentions in the pictures' boxes. All three (N,), NaN where unknown.
        colours: the pictures themselves, pooled to (N, 16, 16, channels).
        seed: of the draw from a class of more than :data:`MOST` pictures.
    """
    shares = np.asarray(attentions, np.float64).reshape(-1, places.SIDE**2)
    classes = np.asarray(predicted, np.intp)
    usable = np.isfinite(shares).all(1) & (np.nan_to_num(shares).sum(1) > 0)
    facts = [np.full(len(classes), np.nan) if values is None else np.asarray(values, float) for values in (confidence, right, in_boxes)]
    counts = Counter(classes[usable].tolist())
    looked_at = np.where([counts[label] >= LEAST for label in classes.tolist()], classes, FEW)
    clusters = _with_sameness(_clusters(shares, looked_at, usable, facts, seed), colours, usable)
    clusters.sort(key=lambda cluster: (not cluster.flagged, cluster.label == FEW))
    clusters = [replace(cluster, number=number) for number, cluster in enumerate(clusters, 1)]
    means = {label: shares[usable & (classes == label)].mean(0).reshape(places.SIDE, places.SIDE) for label in sorted(counts)}
    failed = ~np.isfinite(shares).all(1)
    nothing = tuple(np.flatnonzero(~usable & ~failed).tolist()), tuple(np.flatnonzero(failed).tolist())
    return Analysis(tuple(clusters), means, *_of_pictures(shares, looked_at, usable, clusters), *nothing)


def _clusters(shares: Array, looked_at: Indices, usable: npt.NDArray[np.bool_], facts: Sequence[Array], seed: int) -> list[Cluster]:
    """The groups of every class, tested."""
    found = [
        (label, members, place)
        for label in sorted({*looked_at[usable].tolist()})
        for members, place in _parts(shares, np.flatnonzero(usable & (looked_at == label)), label, seed)
    ]
    tested, clusters, among = sum(label != FEW for label, _, _ in found), [], usable.cumsum() - 1
    pool, directions = shares[usable], unit(shares[usable])
    for label, members, place in found:
        inside, outside, chance = 0, 0, math.nan
        if label != FEW and len(members) >= LEAST:
            looking = alike(directions, pool, among[members]) if place is None else at_place(pool, place)
            inside, outside, chance = permutation_test(looking, among[members], (looked_at == label)[usable])
        tests = inside, outside, float(np.minimum(1, chance * tested))
        clusters.append(_described(label, members, shares, facts, tests, place is not None))
    return clusters


def _parts(shares: Array, members: Indices, label: int, seed: int) -> list[tuple[Indices, npt.NDArray[np.bool_] | None]]:
    """The groups of a class. Where it has a small place at the frame in common, those that look there are one, with the place."""
    shared = common(shares[members])
    place = places.square(shared)
    there = at_place(shares[members], place)
    looking = there >= np.median(there) / 2
    if label == FEW or not _stands_out(shared) or looking.sum() < LEAST:
        return [(group, None) for group in _groups(shares, members, seed)]
    rest = members[~looking]
    return [(members[looking], place), *((group, None) for group in (_groups(shares, rest, seed) if len(rest) else []))]


def _stands_out(shared: Array) -> bool:
    """Whether what a class has in common is enough, half of it in one small square, and at the frame. All of the frame is no such place."""
    total = float(shared.sum())
    return total >= COMMON and shared[places.square(shared)].sum() >= total / 2 and places.frame(shared / total) >= OFF


def _with_sameness(clusters: Sequence[Cluster], colours: Array | None, usable: npt.NDArray[np.bool_]) -> list[Cluster]:
    """The groups with how much less their members' colours differ, where they look, than those of all pictures do."""
    if colours is None:
        return list(clusters)
    shown = np.asarray(colours).reshape(len(usable), places.SIDE, places.SIDE, -1)
    of_all = shown[usable].var(0)

    def sameness(cluster: Cluster) -> float:
        there = places.core(cluster.where)
        spread = float(of_all[there].mean())
        if len(cluster.members) < LEAST or not spread:
            return math.nan
        return 1 - float(shown[list(cluster.members)][:, there].var(0).mean()) / spread

    return [replace(cluster, sameness=sameness(cluster)) for cluster in clusters]


def _groups(shares: Array, members: Indices, seed: int) -> list[Indices]:
    """The pictures ``members`` in groups, the largest first."""
    drawn = members
    if len(members) > MOST:
        drawn = np.sort(np.random.default_rng(seed).choice(members, MOST, replace=False))
    of = groups(shares[drawn])
    means = _merged([shares[drawn[of == group]] for group in np.unique(of)])
    nearest = similarities(shares[members], means).argmax(1)
    parts = [members[nearest == group] for group in range(len(means))]
    return sorted((part for part in parts if len(part)), key=len, reverse=True)


def _merged(parts: list[Array]) -> Array:
    """The mean attentions of groups (K, 256), when those that look at one place are made one."""
    while len(parts) > 1:
        means = np.stack([part.mean(0) for part in parts])
        alike = np.triu(similarities(means, means), 1)
        first, second = np.unravel_index(alike.argmax(), alike.shape)
        if alike[first, second] < SAME_PLACE:
            break
        parts = [part for i, part in enumerate(parts) if i not in (first, second)] + [np.concatenate([parts[first], parts[second]])]
    return np.stack([part.mean(0) for part in parts])


def _described(
    label: int, members: Indices, shares: Array, facts: Sequence[Array], tests: tuple[int, int, float], in_common: bool
) -> Cluster:
    mean, shared = shares[members].mean(0), common(shares[members])
    likeness = similarities(shares[members], mean[None])[:, 0]
    cells = mean.reshape(places.SIDE, places.SIDE)
    where = shared / shared.sum() if in_common else cells
    corner, corner_share = places.corner(where)
    confidence, accuracy, in_boxes = (_mean(values[members]) for values in facts)
    return Cluster(
        label=label,
        number=0,
        members=tuple(members[np.argsort(-likeness, kind="stable")].tolist()),
        mean=cells,
        tightness=float(likeness.mean()),
        common=float(shared.sum()) if in_common else math.nan,
        where=where,
        area=float(places.core(where).mean()),
        frame=places.frame(where),
        corner=corner,
        corner_share=corner_share,
        in_boxes=in_boxes,
        sameness=math.nan,
        confidence=confidence,
        accuracy=accuracy,
        alike=tests[0],
        elsewhere=tests[1],
        probability=tests[2],
    )


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _of_pictures(
    shares: Array, looked_at: Indices, usable: npt.NDArray[np.bool_], clusters: Sequence[Cluster]
) -> tuple[Indices, Array, Array, Array, Array]:
    """For every picture: its group, the cosine with that group's mean, its score, and its shares at the frame and in a corner."""
    cluster_of, similarity, score = np.full(len(shares), -1, np.intp), np.full(len(shares), np.nan), np.full(len(shares), np.nan)
    for index, cluster in enumerate(clusters):
        members = list(cluster.members)
        same_class = np.flatnonzero(usable & (looked_at == cluster.label))
        there = similarities(shares[same_class], cluster.where.reshape(1, -1))[:, 0]
        score[same_class] = np.fmax(score[same_class], there * cluster.suspicion)
        cluster_of[members] = index
        similarity[members] = similarities(shares[members], cluster.mean.reshape(1, -1))[:, 0]
    cells = shares.reshape(-1, places.SIDE, places.SIDE)
    at_frame, in_corner = np.array([(places.frame(one), places.corner(one)[1]) for one in cells]).reshape(-1, 2).T
    return cluster_of, similarity, score, at_frame, in_corner
