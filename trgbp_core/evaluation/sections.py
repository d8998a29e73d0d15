"""The report's sections: each a function of the results that returns markdown, and may put figures beside it."""

from __future__ import annotations

import numpy as np

from ..data.datasets import KINDS
from . import figures, paper
from .paper import TABLE_1, TABLE_2
from .results import Results, title
from .statistics import FEWEST, Array, Estimate, auc, bootstrap, cross_validated, estimate, joined, means, repeated_sample
from .tables import NOTHING, Compared, compared, head, interval, named, number, signed, table, two_rows

OURS = ("tr_gbp", "tr_gbp_conserving")


def data(r: Results) -> str:
    """What was measured, and what was left out."""
    lines = [
        f"{r.network} on {len(r.images)} pictures ({r.layout}); {number(1 - r.wrong.mean())} % of its predictions are right, its mean "
        f"confidence is {number(r.confidence.mean())} %. {int(r.boxed.sum())} pictures have one box that covers less than half of what the "
        f"network sees: the EBPG protocol (appendix C). Explained class: {_explained(r)}. Intervals are of 95 %, from resampled pictures; "
        f"of fewer than {FEWEST} pictures there are none.",
    ]
    for kind in KINDS:
        names = [p.name for p in r.problems if p.kind == kind]
        if names:
            lines.append(f"- {len(names)} {kind}: {named(names)}")
    if r.problems:
        lines.append("\nReasons are in skipped.csv.")
    lines += [f"- {title(method)} does not apply: {reason}" for method, reason in r.refused.items()]
    return "\n".join(lines)


def _explained(r: Results) -> str:
    return {"protocol": "the label for localisation, the prediction elsewhere"}.get(r.settings.target, f"the {r.settings.target}")


def localisation(r: Results) -> str:
    """Table 1, and the pointing games beside it."""
    s, boxed = r.settings, r.boxed
    count = int(boxed.sum())
    rows = [[f"EBPG, {row.network} (paper)", *(row.cell(m) or NOTHING for m in r.methods)] for row in TABLE_1]
    drawn = [repeated_sample(_finite(r.numbers[m, "ebpg"][boxed]), s.sample, s.repeats, s.seed) for m in r.methods]
    rows.append([f"EBPG, {r.network}", *(number(mean) + (f" ± {number(spread)}" if np.isfinite(spread) else "") for mean, spread in drawn)])
    rows.append(two_rows("", compared(r, means(r.table("ebpg")[boxed]), count))[1])
    rows += two_rows("Pointing game", compared(r, means(r.table("pointing_game")[boxed]), count))
    grid, mosaics = _grid(r)
    rows += two_rows("Grid pointing game", grid)
    protocol = (
        f"EBPG is the mean ± standard deviation over {s.repeats} draws of {s.sample} of the {count} pictures"
        if count > s.sample
        else f"All {count} pictures that the protocol allows are taken (it asks for {s.sample}), so that repeats do not differ"
    )
    return (
        f"Per cent, higher is better. {protocol}; the intervals are over pictures. The pointing game asks whether the maximum lies in the "
        f"box. The grid pointing game has {mosaics} mosaics of 2×2 pictures that the network gets right, halved to its input size; chance "
        "is 25.\n\n" + table(head(r, ""), rows)
    )


def _finite(values: Array) -> Array:
    return values[np.isfinite(values)]


def _grid(r: Results) -> tuple[Compared, int]:
    """The grid pointing game; mosaics are resampled whole, for their four cells depend on each other."""
    shares = np.column_stack([r.grid[m].mean(1) for m in r.methods])
    return compared(r, means(shares), len(shares)), len(shares)


def perturbation(r: Results) -> str:
    """Figure 6 and the areas under its curves."""
    rows = []
    for order, name in (("morf", "MoRF"), ("lerf", "LeRF")):
        for highest in (10, 90):
            rows += two_rows(f"{name}, to {highest} %", compared(r, means(r.table(f"{order}_area_{highest}")), len(r.images)), 3, 1)
    files = figures.perturbation(r)
    return (
        f"![Relative change of the class score, MoRF and LeRF]({files[0].name})\n\nThe mean relative change of the class score between "
        "the first fraction of pixels that turn black (0.1 %) and 10 % or 90 %. Taking the most relevant first (MoRF) higher is better, "
        "the least relevant first (LeRF) lower is better; GBP and GIG rank |R| for LeRF (appendix D).\n\n" + table(head(r, "area"), rows)
    )


def boundary(r: Results) -> str:
    """Table 2, in the paper's protocol and on all pictures."""
    rows = [[f"{row.network} (paper)", *(row.cell(m) or NOTHING for m in r.methods)] for row in TABLE_2]
    rows += two_rows(f"{r.network}, upper half of IBD", _boundary(r, 0.5), 2)
    rows += two_rows(f"{r.network}, all pictures", _boundary(r, 0.0), 2)
    return (
        "AUC of IBD (Eq. 12) against 'prediction wrong', per cent, higher is better, 50 is chance. The paper drops the half of the "
        f"pictures with the smaller IBD. {int(r.wrong.sum())} of {len(r.images)} predictions are wrong.\n\n" + table(head(r, ""), rows)
    )


def _boundary(r: Results, drop: float) -> Compared:
    values = r.table("ibd")
    known = np.isfinite(values).all(1)
    statistic = joined(*(auc(values[known, i], r.wrong[known], drop=drop) for i in range(len(r.methods))))
    return compared(r, statistic, int(known.sum()))


def confidence(r: Results) -> str:
    """What IBD adds to the network's own confidence (beyond the paper)."""
    values, doubt = r.table("ibd"), 1 - r.confidence
    known = np.isfinite(values).all(1)
    wrong, count = r.wrong[known], int(known.sum())
    if count == 0:
        return "Nothing to compare."
    alone = cross_validated(doubt[known, None], wrong, r.settings.seed)
    rows = []
    for i, method in enumerate(r.methods):
        ibd = values[known, i]
        both = cross_validated(np.column_stack([doubt[known], ibd]), wrong, r.settings.seed)
        if not np.isfinite(both).all():
            return f"Too few predictions are right or wrong ({int(wrong.sum())} of {count} are wrong) for a cross-validated regression."
        statistic = joined(auc(doubt[known], wrong), auc(ibd, wrong), auc(both, wrong), auc(alone, wrong))
        point, draws = statistic(np.ones((1, count)))[0], bootstrap(statistic, count, r.settings.seed)
        cells = [estimate(point[j], draws[:, j]) for j in range(3)]
        gain = estimate(point[2] - point[3], draws[:, 2] - draws[:, 3])
        rows.append([title(method), *(f"{number(e.value)} [{interval(e)}]" for e in cells), signed(gain, 2)])
    return (
        "AUC against 'prediction wrong' on all pictures, per cent: of 1 − confidence, of IBD, and of both in a logistic regression, "
        "five-fold cross-validated. The gain is over the same regression on 1 − confidence alone, on the same folds.\n\n"
        + table(["", "1 − confidence", "IBD", "both", "gain"], rows)
    )


def differences(r: Results) -> str:
    """TR-GBP minus every other method, on the same pictures."""
    boxed = r.boxed
    everything = [
        ("EBPG", compared(r, means(r.table("ebpg")[boxed]), int(boxed.sum())), 1, 100.0),
        ("pointing game", compared(r, means(r.table("pointing_game")[boxed]), int(boxed.sum())), 1, 100.0),
        ("grid pointing game", _grid(r)[0], 1, 100.0),
        ("IBD AUC, upper half", _boundary(r, 0.5), 1, 100.0),
        ("IBD AUC, all", _boundary(r, 0.0), 1, 100.0),
        ("MoRF area to 10 %", compared(r, means(r.table("morf_area_10")), len(r.images)), 3, 1.0),
        ("MoRF area to 90 %", compared(r, means(r.table("morf_area_90")), len(r.images)), 3, 1.0),
        ("LeRF area to 10 %", compared(r, means(r.table("lerf_area_10")), len(r.images)), 3, 1.0),
        ("LeRF area to 90 %", compared(r, means(r.table("lerf_area_90")), len(r.images)), 3, 1.0),
    ]
    parts = []
    for own in (m for m in OURS if m in r.methods):
        others = [m for m in r.methods if m != own]
        rows = [[name, *(signed(of.difference(own, m), digits, scale) for m in others)] for name, of, digits, scale in everything]
        parts.append(f"{title(own)} minus:\n\n" + table(["", *(title(m) for m in others)], rows))
    return "With 95 % intervals of the paired difference; bold where zero lies outside. LeRF: negative is better.\n\n" + "\n\n".join(parts)


def against_the_paper(r: Results) -> str:
    """Does TR-GBP stand to the others as in the paper?"""
    if "tr_gbp" not in r.methods:
        return "TR-GBP was not measured."
    boxed, rows = r.boxed, []
    for name, of, lines in (
        ("EBPG", compared(r, means(r.table("ebpg")[boxed]), int(boxed.sum())), TABLE_1),
        ("IBD AUC", _boundary(r, 0.5), TABLE_2),
    ):
        for method in (m for m in r.methods if m in paper.COLUMNS and m != "tr_gbp"):
            here, there = of.difference("tr_gbp", method), [line.difference(method) for line in lines]
            rows.append([f"{name}, TR-GBP − {title(method)}", *(f"{d:+.1f}" for d in there), signed(here), _verdict(here, there)])
    return table(["difference", *(f"{line.network} (paper)" for line in TABLE_1), r.network, ""], rows)


def _verdict(here: Estimate, there: list[float]) -> str:
    if not np.isfinite(here.low):
        return NOTHING
    if here.low <= 0 <= here.high:
        return "undecided here"
    return "as in the paper" if all((d > 0) == (here.value > 0) for d in there) else "other than in the paper"


def sanity_checks(r: Results) -> str:
    """How alike the maps stay while layers are randomised."""
    if not r.stages:
        return "Not measured."
    files, rows = figures.sanity(r), []
    for stage, index in enumerate(r.stages):
        shown = [[_mean(r.similarities[m, name][:, stage]) for name in ("spearman_abs", "ssim_relu")] for m in r.methods]
        rows.append([str(index), *(f"{number(a, 2, 1)} / {number(b, 2, 1)}" for a, b in shown)])
    pictures = len(next(iter(r.similarities.values())))
    return (
        f"![Similarity with the trained network's map]({files[0].name})\n\nSimilarity with the trained network's map after so many of "
        f"{r.layers} layers are randomised, logits first; mean of {pictures} pictures: Spearman's rank correlation of |R| / SSIM of "
        "relu(R). A map without any positive relevance resembles nothing and is left out. The figure has all six similarities with their "
        "intervals.\n\n" + table(head(r, "layers"), rows)
    )


def _mean(values: Array) -> float:
    known = _finite(values)
    return float(known.mean()) if len(known) else float("nan")
