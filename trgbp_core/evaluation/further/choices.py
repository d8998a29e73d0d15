"""Sections of the report on what the paper leaves open (how pixels are removed, what an empty map counts) and on measures of others."""

from __future__ import annotations

from itertools import product

import numpy as np

from ...methods.registry import SLOW
from ...metrics.faithfulness import STEPS
from ..formatting import markdown_table, number, signed, title
from ..results import Results, read_csv
from ..statistics import means
from ..tables import rows_of
from . import faithfulness, fills

BELOW = ("grad_cam", "full_grad", "cameras")
"""The methods above which Figure 6 of the paper has TR-GBP."""

RANKS = (1, 2, 3, 4, 5)


def sensitivities(r: Results) -> str:
    """MoRF under every fill, ranking and class, and whether the paper's order appears."""
    if not r.settings.fills:
        return "Not measured: see `--fills`."
    rows = read_csv(r.folder / fills.FILE, fills.COLUMNS)
    others = [method for method in BELOW if method in r.methods] if "tr_gbp" in r.methods else []
    lines = []
    for fill, ranking, name in product(r.settings.fills, fills.RANKINGS, fills.CLASSES):
        chosen = rows[rows["class"] == name].pivot(index="image", columns="method", values=f"{fill}_{ranking}")
        values = chosen[list(r.methods)].to_numpy(float)
        of = r.resampled(means(values), len(values))
        areas = [number(value, 3, 1) for value in of.values]
        lines.append([f"{fill}, {ranking}, {name}", *areas, *(signed(of.difference("tr_gbp", method), 3, 1) for method in others)])
    return (
        f"The area under MoRF to 10 % of {rows['image'].nunique()} pictures, higher is better: what a removed pixel becomes (black; mean, "
        "zero after normalisation; the blurred picture), whether maps are ranked with their signs or by relu(R), where all pixels without "
        "positive relevance are taken in random order, and whose class is explained and scored. The paper does not say which it took; it "
        f"has TR-GBP above {', '.join(map(title, BELOW))}. On the right, TR-GBP minus those, paired, with 95 % intervals.\n\n"
        + markdown_table(["", *map(title, r.methods), *(f"− {title(method)}" for method in others)], lines)
    )


def empty_maps(r: Results) -> str:
    """How many maps have no positive relevance, by the place of the explained class, and what the tables do with them."""
    if not r.boxed.any() or not np.isfinite(r.label_rank).any():
        return "Not measured."
    rank, empty = r.label_rank[r.boxed], r.numbers["ebpg_empty"][r.boxed]
    groups = [*((str(place), rank == place) for place in RANKS), ("lower", rank > RANKS[-1]), ("all", rank > 0)]
    rows = [[f"label, place {name}" if name != "all" else "all", str(int(of.sum())), *_counts(empty[of])] for name, of in groups]
    values = r.numbers["ebpg"][r.boxed]
    without = [number(float(values[empty[:, i] == 0, i].mean())) if (empty[:, i] == 0).any() else "–" for i in range(len(r.methods))]
    rows.append(["EBPG without empty maps, per cent", "", *without])
    rows.append(["maps of the prediction (IBD)", str(len(r.images)), *_counts(r.numbers["ibd_empty"])])
    return (
        "Maps without any positive relevance: where the class lies below the mean of the five best everywhere, nothing is left of relu(R). "
        "Such a map counts 0 in EBPG, in the pointing games and as IBD, and its pixels are removed in the order of its negative values. "
        "Above: the maps that EBPG measures, of the label, by the label's place among the network's classes. Below: those of the "
        "prediction.\n\n" + markdown_table(["empty maps", "pictures", *map(title, r.methods)], rows)
    )


def faithful(r: Results) -> str:
    """Deletion, insertion, infidelity and sensitivity-max, as other papers report them."""
    if not r.settings.faithfulness:
        return "Not measured: see `--faithfulness`."
    count = int(np.isfinite(r.numbers["deletion_auc"]).any(1).sum())
    return (
        f"Of {count} {'picture' if count == 1 else 'pictures'}; one without a value is left out of that measure's mean.\n\n"
        "- **Deletion and insertion** (Petsiuk et al. 2018, RISE): the area under the class's probability, 0 to 1, while pixels of the "
        "picture become zero after normalisation, or pixels of the blurred picture become the picture's, most relevant first, in "
        f"{STEPS} equal steps (RISE's code: 224). Deletion: lower is better; insertion: higher.\n"
        f"- **Infidelity** (Yeh et al. 2019), lower is better: {faithfulness.PERTURBATIONS} random squares, 1/{faithfulness.SIDE} of the "
        "picture's side wide, become zero one by one; the mean square of what the map, times the factor that fits best, leaves "
        "unexplained of how the score falls, in squared units of the score.\n"
        "- Its share: the same, divided by the falls' mean square; 0: the map tells all about how the score falls, 1: it tells nothing.\n"
        "- **Sensitivity-max** (Yeh et al. 2019), lower is better: the largest relative change of the map, ‖R(x + δ) − R(x)‖ / ‖R(x)‖, "
        f"over {faithfulness.CHANGES} random δ of at most {faithfulness.RADIUS} in each value after normalisation, captum's defaults; "
        f"not of methods that take some {SLOW} forward passes or more.\n\n"
        + markdown_table(["", *map(title, r.methods)], rows_of(r, *faithfulness.NUMBERS))
    )


def _counts(empty: np.ndarray) -> list[str]:
    return [str(int(np.nansum(column))) for column in empty.T]
