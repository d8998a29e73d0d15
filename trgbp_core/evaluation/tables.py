"""The tables of ``evaluate``'s report: each function is one section, from the results to Markdown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.datasets import KINDS
from ..metrics.perturbation import ABSOLUTE_LERF
from .formatting import NOTHING, interval, listed, markdown_table, number, signed, title, with_interval
from .results import Results
from .settings import PAPER
from .statistics import FEWEST, Array, Estimate, Resampled, auc, cross_validated, joined, repeated_sample, resampled

OURS = ("tr_gbp", "tr_gbp_conserving")


@dataclass(frozen=True)
class PaperRow:
    """A line of a table of the paper, per cent. ``spread`` is the standard deviation over repeats, where the paper gives it."""

    network: str
    values: tuple[float, ...]
    spread: tuple[float, ...] = ()

    def cells(self, methods: tuple[str, ...]) -> list[str]:
        return [self._cell(PAPER.index(method)) if method in PAPER else NOTHING for method in methods]

    def _cell(self, index: int) -> str:
        return f"{self.values[index]:.1f} ± {self.spread[index]:.1f}" if self.spread else f"{self.values[index]:.2f}"

    def difference(self, method: str) -> float:
        """TR-GBP minus that method."""
        return self.values[PAPER.index("tr_gbp")] - self.values[PAPER.index(method)]


PAPER_TABLE_1 = (
    PaperRow("VGG16", (40.2, 56.1, 41.2, 41.3, 45.7, 45.9, 52.2), (0.3, 0.4, 0.6, 0.4, 1.1, 1.0, 1.4)),
    PaperRow("ResNet50", (36.9, 55.4, 40.6, 35.0, 40.8, 50.1, 53.4), (0.5, 0.5, 0.7, 0.6, 1.0, 1.2, 1.1)),
)
"""Table 1 of the paper: EBPG, higher is better."""

PAPER_TABLE_2 = (
    PaperRow("VGG16", (52.84, 53.03, 53.85, 53.72, 56.86, 57.00, 60.95)),
    PaperRow("ResNet50", (51.44, 51.96, 53.79, 54.04, 53.06, 54.99, 62.16)),
)
"""Table 2 of the paper: the AUC of IBD without the half of the images with the smaller IBD, higher is better."""


def data(r: Results) -> str:
    """What was measured, and what was left out."""
    explained = "the label for localisation, the prediction elsewhere" if r.settings.target == "protocol" else f"the {r.settings.target}"
    lines = [
        f"{r.network} on {len(r.images)} pictures ({r.layout}); {number(1 - r.wrong.mean())} % of its predictions are right, its mean "
        f"confidence is {number(r.confidence.mean())} %. {int(r.boxed.sum())} pictures have one box that covers less than half of what the "
        f"network sees: the EBPG protocol (appendix C). Explained class: {explained}. Intervals are of 95 %, from resampled pictures; "
        f"of fewer than {FEWEST} pictures there are none.",
    ]
    for kind in KINDS:
        names = [p.name for p in r.problems if p.kind == kind]
        if names:
            lines.append(f"- {len(names)} {kind}: {listed(names)}")
    if r.problems:
        lines.append("\nReasons are in skipped.csv.")
    lines += [f"- {title(method)} does not apply: {reason}" for method, reason in r.refused.items()]
    return "\n".join(lines)


def localisation(r: Results) -> str:
    """Table 1, and the pointing games beside it."""
    s, count, mosaics = r.settings, int(r.boxed.sum()), len(r.grid)
    rows = [[f"EBPG, {row.network} (paper)", *row.cells(r.methods)] for row in PAPER_TABLE_1]
    drawn = [repeated_sample(_finite(values), s.sample, s.repeats, s.seed) for values in r.numbers["ebpg"][r.boxed].T]
    rows.append([f"EBPG, {r.network}", *(number(mean) + (f" ± {number(spread)}" if np.isfinite(spread) else "") for mean, spread in drawn)])
    rows.append(_two_rows("", r.figures["ebpg"])[1])
    rows += _two_rows("Pointing game", r.figures["pointing_game"])
    rows += _two_rows("Grid pointing game", r.figures["grid_pointing_game"])
    protocol = (
        f"EBPG is the mean ± standard deviation over {s.repeats} draws of {s.sample} of the {count} pictures"
        if count > s.sample
        else f"All {count} pictures that the protocol allows are taken (it asks for {s.sample}), so that repeats do not differ"
    )
    return (
        f"Per cent, higher is better. {protocol}; the intervals are over pictures. The pointing game asks whether the maximum lies in the "
        f"box. The grid pointing game has {mosaics} mosaics of 2×2 pictures that the network gets right, halved to its input size; chance "
        "is 25.\n\n" + markdown_table(_head(r, ""), rows)
    )


def perturbation(r: Results) -> str:
    """The areas under the curves of Figure 6."""
    rows = []
    for order, name in (("morf", "MoRF"), ("lerf", "LeRF")):
        for highest in (10, 90):
            rows += _two_rows(f"{name}, to {highest} %", r.figures[f"{order}_area_{highest}"], 3, 1)
    if r.settings.perturbed == 0:
        return "Not measured."
    which = "" if r.settings.perturbed is None else f"Of {r.settings.perturbed} of the pictures, drawn at random. "
    return (
        f"![Relative change of the class score, MoRF and LeRF](perturbation.png)\n\n{which}The mean relative change of the class score "
        "between the first fraction of pixels that turn black (0.1 %) and 10 % or 90 %. Taking the most relevant first (MoRF) higher is "
        f"better, the least relevant first (LeRF) lower is better{_ranked_by_size(r)}.\n\n" + markdown_table(_head(r, "area"), rows)
    )


def _ranked_by_size(r: Results) -> str:
    """Which of the methods are ranked by |R| for LeRF, as the paper has it."""
    names = [title(method) for method in ABSOLUTE_LERF if method in r.methods]
    return f"; there, {' and '.join(names)} {'rank' if len(names) > 1 else 'ranks'} |R| (appendix D)" if names else ""


def boundary(r: Results) -> str:
    """Table 2, in the paper's protocol and on all pictures."""
    rows = [[f"{row.network} (paper)", *row.cells(r.methods)] for row in PAPER_TABLE_2]
    rows += _two_rows(f"{r.network}, upper half of IBD", r.figures["ibd_auc_upper_half"], 2)
    rows += _two_rows(f"{r.network}, all pictures", r.figures["ibd_auc"], 2)
    return (
        "AUC of IBD (Eq. 12) against 'prediction wrong', per cent, higher is better, 50 is chance. The paper drops the half of the "
        f"pictures with the smaller IBD. {int(r.wrong.sum())} of {len(r.images)} predictions are wrong.\n\n"
        + markdown_table(_head(r, ""), rows)
    )


def confidence(r: Results) -> str:
    """What IBD adds to the network's own confidence (beyond the paper)."""
    values, seed = r.numbers["ibd"], r.settings.seed
    known = np.isfinite(values).all(1)
    doubt, wrong, count = 1 - r.confidence[known], r.wrong[known], int(known.sum())
    if count == 0:
        return "Nothing to compare."
    alone = cross_validated(doubt[:, None], wrong, seed)
    rows = []
    for method, ibd in zip(r.methods, values[known].T, strict=True):
        both = cross_validated(np.column_stack([doubt, ibd]), wrong, seed)
        if not np.isfinite(both).all():
            return f"Too few predictions are right or wrong ({int(wrong.sum())} of {count} are wrong) for a cross-validated regression."
        statistic = joined(auc(doubt, wrong), auc(ibd, wrong), auc(both, wrong), auc(alone, wrong))
        of = resampled(statistic, count, seed, ("confidence", "ibd", "both", "alone"))
        cells = [with_interval(e) for e in of.estimates()[:3]]
        rows.append([title(method), *cells, signed(of.difference("both", "alone"), 2)])
    return (
        "AUC against 'prediction wrong' on all pictures, per cent: of 1 − confidence, of IBD, and of both in a logistic regression, "
        "five-fold cross-validated. The gain is over the same regression on 1 − confidence alone, on the same folds.\n\n"
        + markdown_table(["", "1 − confidence", "IBD", "both", "gain"], rows)
    )


FIGURE_NAMES = {
    "ebpg": "EBPG",
    "pointing_game": "pointing game",
    "grid_pointing_game": "grid pointing game",
    "ibd_auc_upper_half": "IBD AUC, upper half",
    "ibd_auc": "IBD AUC, all",
    "morf_area_10": "MoRF area to 10 %",
    "morf_area_90": "MoRF area to 90 %",
    "lerf_area_10": "LeRF area to 10 %",
    "lerf_area_90": "LeRF area to 90 %",
    "deletion_auc": "deletion AUC",
    "insertion_auc": "insertion AUC",
    "infidelity": "infidelity",
    "infidelity_share": "infidelity, share",
    "sensitivity_max": "sensitivity-max",
}
PER_CENT = ("ebpg", "pointing", "grid", "ibd")
LOWER = ("lerf", "deletion", "infidelity", "sensitivity")


def measures(*found: Results) -> dict[str, str]:
    """The figures that all of these have, with their names."""
    return {key: name for key, name in FIGURE_NAMES.items() if all(key in r.figures for r in found)}


def fewer(*found: Results) -> str:
    """Of which figures a lower one is better, in words."""
    return "LeRF, deletion, infidelity and sensitivity-max" if "deletion_auc" in measures(*found) else "LeRF"


def sense(key: str) -> int:
    """1 where a higher figure is better, −1 where a lower one is."""
    return -1 if key.startswith(LOWER) else 1


def digits(key: str) -> tuple[int | None, float]:
    """How a figure is written: digits behind the point, None for three significant ones, and its factor (100 for per cent)."""
    if key.startswith(PER_CENT):
        return 1, 100.0
    return (None if key == "infidelity" else 3), 1.0  # squared scores are of any size


def counts(r: Results) -> str:
    """Of how many pictures or mosaics the figures are."""
    of: dict[int, list[str]] = {}
    for key, name in measures(r).items():
        values = r.grid if key == "grid_pointing_game" else r.numbers["ibd" if key.startswith("ibd") else key]
        values = values[r.boxed] if key in ("ebpg", "pointing_game") else values
        of.setdefault(int(np.isfinite(values).any(1).sum()), []).append(name)
    parts = [f"{count} ({', '.join(names)})" for count, names in of.items()]
    return f"Pictures behind each figure, or mosaics: {'; '.join(parts)}."


def all_figures(r: Results) -> str:
    """Every figure of every method, in one table."""
    return markdown_table(_head(r, ""), rows_of(r, *measures(r)))


def rows_of(r: Results, *keys: str) -> list[list[str]]:
    """Figures by their keys, each with its intervals below."""
    return [row for key in keys for row in _two_rows(FIGURE_NAMES[key], r.figures[key], *digits(key))]


def differences(r: Results) -> str:
    """TR-GBP minus every other method, on the same pictures."""
    parts = []
    for own in (m for m in OURS if m in r.methods):
        others = [m for m in r.methods if m != own]
        rows = []
        for key, name in measures(r).items():
            rows.append([name, *(signed(r.figures[key].difference(own, m), *digits(key)) for m in others)])
        parts.append(f"{title(own)} minus:\n\n" + markdown_table(["", *map(title, others)], rows))
    words = f"With 95 % intervals of the paired difference; bold where zero lies outside. {fewer(r)}: negative is better."
    return "\n\n".join([words, *parts])


def against_the_paper(r: Results) -> str:
    """Does TR-GBP stand to the others as in the paper?"""
    if "tr_gbp" not in r.methods:
        return "TR-GBP was not measured."
    rows = []
    for name, of, lines in (
        ("EBPG", r.figures["ebpg"], PAPER_TABLE_1),
        ("IBD AUC", r.figures["ibd_auc_upper_half"], PAPER_TABLE_2),
    ):
        for method in (m for m in r.methods if m in PAPER and m != "tr_gbp"):
            here, there = of.difference("tr_gbp", method), [line.difference(method) for line in lines]
            rows.append([f"{name}, TR-GBP − {title(method)}", *(f"{d:+.1f}" for d in there), signed(here), _verdict(here, there)])
    return markdown_table(["difference", *(f"{line.network} (paper)" for line in PAPER_TABLE_1), r.network, ""], rows)


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
    rows = []
    for stage, index in enumerate(r.stages):
        shown = [[_mean(r.similarities[m, name][:, stage]) for name in ("spearman_abs", "ssim_relu")] for m in r.methods]
        rows.append([str(index), *(f"{number(a, 2, 1)} / {number(b, 2, 1)}" for a, b in shown)])
    pictures = len(next(iter(r.similarities.values())))
    return (
        "![Similarity with the trained network's map](sanity.png)\n\nSimilarity with the trained network's map after so many of "
        f"{r.layers} layers are randomised, logits first; mean of {pictures} pictures: Spearman's rank correlation of |R| / SSIM of "
        "relu(R). A map without any positive relevance resembles nothing and is left out. The figure has all six similarities with their "
        "intervals.\n\n" + markdown_table(_head(r, "layers"), rows)
    )


def _head(r: Results, first: str) -> list[str]:
    return [first, *map(title, r.methods)]


def _two_rows(name: str, of: Resampled, places: int | None = 1, scale: float = 100.0) -> list[list[str]]:
    """A figure of every method, and its interval below."""
    estimates = of.estimates()
    return [
        [name, *(number(e.value, places, scale) for e in estimates)],
        ["95 % interval", *(interval(e, places, scale) for e in estimates)],
    ]


def _finite(values: Array) -> Array:
    return values[np.isfinite(values)]


def _mean(values: Array) -> float:
    known = _finite(values)
    return float(known.mean()) if len(known) else float("nan")
