"""A group of pictures in sentences, and what of the flag's four conditions it meets."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .analysis import COMMON, FEW, LEAST, OFF, SAME, SMALL, SURE, TIGHT, Cluster
from .attention import CORNER, RIM, SIDE

REASONS = 2
"""Of those why a group is not flagged, so many are named."""

QUESTION = "A flag is a question, not a verdict: look at the pictures, and ask whether what decides them belongs to the class."


def percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.0f} %"


MEANINGS = {
    "attention": f"""where the evidence for the answer lies: the positive part of the map of the predicted class, cut into
        {SIDE}×{SIDE} cells, as shares that add up to 100 %""",
    "group": """pictures with the same predicted class whose attentions are alike. The groups are found without knowing what the
        pictures show""",
    "confidence, accuracy": "the mean probability of the predicted class; and how many of the group's pictures really show that class",
    "half of it lies on": f"""the smallest part of the picture that holds half of the group's mean attention. A flag needs
        {100 * SMALL:g} % or less""",
    "likeness": f"""whether the group's pictures look at the same place: the mean cosine between a picture's attention and the group's
        mean, from 0 (nothing in common) to 1 (the same everywhere). A flag needs {TIGHT} or more""",
    "in common": f"""only where a class has a small place at the frame in common, wherever else its pictures look: the share of attention
        in common, in each cell what half of the pictures have at least. Those that look there are a group, and the numbers about the place
        are those of the part in common. A flag needs {100 * COMMON:g} % or more, or the likeness above""",
    "at the frame": f"""the share of the mean attention in the outer {RIM} of {SIDE} cells on each side. Without boxes, a flag needs
        {percent(OFF)} or more. An attention that is the same everywhere has {percent(1 - (1 - 2 * RIM / SIDE) ** 2)} here, so that this
        share alone says little""",
    "in the boxes": f"""the share inside the boxes of the objects, where boxes were given. With boxes, a flag needs {percent(1 - OFF)}
        or less""",
    "in the corner": f"""the share in the corner that holds most: {CORNER}×{CORNER} cells, {percent((CORNER / SIDE) ** 2)} of the
        picture""",
    "sameness": f"""whether the group's pictures show the same where they were decided: 1 if their colours are equal there, 0 or less
        if they vary there as much as those of all pictures. At {SAME} or more a group may be flagged wherever it looks""",
    "probability, corrected": f"""the test behind a flag. Count the pictures that look at the group's place. If the class had nothing
        to do with it, shuffling the predicted classes among all pictures would change nothing; this is the probability that, after a
        shuffle, this class has as many of them as it has now, or more. It is multiplied by the number of groups tested, for who tries
        often finds something by chance. A flag needs {SURE} or less""",
    "suspicion": """a number from 0 to 1 to sort by, no probability: of a group, likeness × the share off the object (or sameness, if
        that is larger) × (1 − the part that half of it lies on); of a picture, that of a group of its class × the cosine between its
        attention and where that group looks, whichever group gives most""",
}
"""What is shown of a group or a picture, in words."""

NO_FLAG = """A flag does not mean that the network cheats, or that its answers are wrong: what belongs to a class and always lies at the
same place, such as the water below ships, is flagged, too. And no flag does not mean that all is well: shortcuts without a fixed place (a
colour, a texture), in fewer than five pictures, or faint ones in a smaller part of a class are not found; nor is any where all pictures are
predicted as one class."""


def meanings() -> str:
    """What the numbers mean, as HTML that can be folded; the same for the report and the page."""
    terms = "".join(f"<p><b>{term}</b>: {' '.join(text.split())}.</p>" for term, text in MEANINGS.items())
    return f"<details class='tg-fold'><summary>What the numbers mean</summary>{terms}<p>{' '.join(NO_FLAG.split())}</p></details>"


def class_name(label: int, labels: Sequence[str]) -> str:
    return f"of classes with fewer than {LEAST} pictures each" if label == FEW else labels[label]


def place(cluster: Cluster) -> str:
    """Where the group's pictures look, in words."""
    part = "their attention" if math.isnan(cluster.common) else "what they have in common"
    if cluster.corner_share >= OFF:
        return f"in the {cluster.corner} corner ({percent(cluster.corner_share)} of {part})"
    if cluster.frame >= OFF:
        return f"at the frame ({percent(cluster.frame)} of {part})"
    return f"inside the picture (only {percent(cluster.frame)} of their attention at the frame)"


def verdict(cluster: Cluster) -> str:
    """One sentence: why the group is flagged, or what it lacks."""
    count = len(cluster.members)
    same = ", and all show nearly the same there" if cluster.same else ""
    if cluster.flagged:
        decided = f"These {count} pictures were decided at the same small place,"
        if cluster.tightness < TIGHT:
            decided = f"Wherever else these {count} pictures look, {percent(cluster.common)} of the attention is in common, most of it"
        return (
            f"{decided} {place(cluster)}{same}. Of the pictures that look there as "
            f"clearly as most of these do, {cluster.alike} are of this class and {cluster.elsewhere} of others: if the class had nothing "
            f"to do with it, the probability would be {chance(cluster.probability)}."
        )
    lacking = [words for missing, words in conditions(cluster) if missing]
    return f"No flag: {'; '.join(lacking[:REASONS])}."


def conditions(cluster: Cluster) -> list[tuple[bool, str]]:
    """Each condition of the flag: whether it is not met, and then why."""
    off = f"{percent(cluster.in_boxes)} of the attention lies in the boxes" if not math.isnan(cluster.in_boxes) else None
    spread = cluster.tightness < TIGHT and not cluster.common >= COMMON
    tested = not math.isnan(cluster.probability)
    others = f"other classes look there too ({cluster.elsewhere} of their pictures)"
    few = f"so few pictures may meet there by chance (probability {chance(cluster.probability)})"
    return [
        (len(cluster.members) < LEAST, f"fewer than {LEAST} pictures"),
        (cluster.label == FEW, f"classes of fewer than {LEAST} pictures are not tested"),
        (spread, f"its pictures look at different places (likeness {cluster.tightness:.2f})"),
        (cluster.area > SMALL, f"the place is large (half of the attention covers {percent(cluster.area)} of the picture)"),
        (cluster.off < OFF and not cluster.same, off or f"it lies {place(cluster)}"),
        (tested and cluster.probability > SURE, others if cluster.elsewhere else few),
    ]


def chance(probability: float) -> str:
    return "below 0.0001" if probability < 1e-4 else f"{probability:.2g}"
