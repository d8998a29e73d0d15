"""The permutation test behind a flag, and what a class's pictures have in common."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from . import attention as places
from .spectral import unit

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


def common(shares: Array) -> Array:
    """What the attentions (N, 256) have in common, (16, 16): in each cell, what half of them have at least.

    Objects lie elsewhere in each picture, so that no cell is on them in half of the pictures. A place that never moves stays.
    """
    return np.median(shares, 0).reshape(places.SIDE, places.SIDE)


def at_place(shares: Array, place: Mask) -> Array:
    """How much of each attention (N, 256) lies in the cells ``place`` (16, 16)."""
    return shares[:, place.flat].sum(1)


def alike(directions: Array, shares: Array, members: Indices) -> Array:
    """The cosine of every attention with the mean of ``members``; a member is compared with the mean of the others.

    Args:
        directions, shares: all attentions, of length 1 and of sum 1 (N, 256). members: indices.
    """
    total = shares[members].sum(0)
    found = directions @ unit(total)
    found[members] = (directions[members] * unit(total - shares[members])).sum(1)
    return np.asarray(found)


def permutation_test(looking: Array, members: Indices, own: Mask) -> tuple[int, int, float]:
    """How many pictures look where ``members`` do, in their class (``own``) and elsewhere, and the probability of so many in the class.

    Looking there means doing it as clearly (``looking``, a number for each picture) as three quarters of the members do. A shuffle of the
    classes puts a hypergeometric number of those that do into one class, so that no shuffle has to be drawn.
    """
    there = looking >= np.quantile(looking[members], 0.25)
    inside, everywhere = int((there & own).sum()), int(there.sum())
    return inside, everywhere - inside, at_least(inside, everywhere, int(own.sum()), len(own))


def at_least(found: int, marked: int, drawn: int, total: int) -> float:
    """The probability that ``drawn`` of ``total`` things, ``marked`` of them marked, hold at least ``found`` marked ones."""

    def ways(things: int, taken: int) -> float:
        """The logarithm of the number of ways to take some of these things."""
        return math.lgamma(things + 1) - math.lgamma(taken + 1) - math.lgamma(things - taken + 1)

    possible = range(max(found, drawn - (total - marked)), min(marked, drawn) + 1)
    all_ways = ways(total, drawn)
    return min(1.0, math.fsum(math.exp(ways(marked, k) + ways(total - marked, drawn - k) - all_ways) for k in possible))
