"""A group of pictures in sentences, and what of the flag's four conditions it meets."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .analysis import FEW, LEAST, OFF, SMALL, SURE, TIGHT, Cluster

REASONS = 2
"""Of those why a group is not flagged, so many are named."""

QUESTION = "A flag is a question, not a verdict: look at the pictures, and ask whether what decides them belongs to the class."


def percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.0f} %"


def class_name(label: int, labels: Sequence[str]) -> str:
    return f"of classes with fewer than {LEAST} pictures each" if label == FEW else labels[label]


def place(cluster: Cluster) -> str:
    """Where the group's pictures look, in words."""
    if cluster.corner_share >= OFF:
        return f"in the {cluster.corner} corner ({percent(cluster.corner_share)} of their attention)"
    if cluster.frame >= OFF:
        return f"at the frame ({percent(cluster.frame)} of their attention)"
    return f"inside the picture (only {percent(cluster.frame)} of their attention at the frame)"


def verdict(cluster: Cluster) -> str:
    """One sentence: why the group is flagged, or what it lacks."""
    count = len(cluster.members)
    same = ", and all show nearly the same there" if cluster.same else ""
    if cluster.flagged:
        return (
            f"These {count} pictures were decided at the same small place, {place(cluster)}{same}. Of the pictures that look there as "
            f"clearly as most of these do, {cluster.alike} are of this class and {cluster.elsewhere} of others: if the class had nothing "
            f"to do with it, the probability would be {chance(cluster.probability)}."
        )
    lacking = [words for missing, words in conditions(cluster) if missing]
    return f"No flag: {'; '.join(lacking[:REASONS])}."


def conditions(cluster: Cluster) -> list[tuple[bool, str]]:
    """Each condition of the flag: whether it is not met, and then why."""
    off = f"{percent(cluster.in_boxes)} of the attention lies in the boxes" if not math.isnan(cluster.in_boxes) else None
    tested = not math.isnan(cluster.probability)
    others = f"other classes look there too ({cluster.elsewhere} of their pictures)"
    few = f"so few pictures may meet there by chance (probability {chance(cluster.probability)})"
    return [
        (len(cluster.members) < LEAST, f"fewer than {LEAST} pictures"),
        (cluster.label == FEW, f"classes of fewer than {LEAST} pictures are not tested"),
        (cluster.tightness < TIGHT, f"its pictures look at different places (likeness {cluster.tightness:.2f})"),
        (cluster.area > SMALL, f"the place is large (half of the attention covers {percent(cluster.area)} of the picture)"),
        (cluster.off < OFF and not cluster.same, off or f"it lies {place(cluster)}"),
        (tested and cluster.probability > SURE, others if cluster.elsewhere else few),
    ]


def chance(probability: float) -> str:
    return "below 0.0001" if probability < 1e-4 else f"{probability:.2g}"
