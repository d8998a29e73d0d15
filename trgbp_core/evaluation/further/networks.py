"""Several networks measured alike: each one's results in a folder of its own, and over them a report of what holds for all."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations
from pathlib import Path

from ...data.datasets import Dataset
from ...zoo.loading import Zoo
from .. import tables
from ..formatting import NOTHING, markdown_table, number, signed, title
from ..report import measured, summary
from ..results import Results
from ..settings import Settings
from ..statistics import FEWEST, Estimate
from ..store import Team, write

PLACES = 3
UNKNOWN = f"not measured, or too few pictures (an interval needs {FEWEST})"
FIGURES = "figures.csv"
COLUMNS = ("network", "measure", "method", "value", "low", "high", "place", "lead", "lead_low", "lead_high")


def folder_of(name: str) -> str:
    """The folder of a network's results in that of the run: its name, without what a file's name cannot hold."""
    return re.sub(r"[^\w.+-]", "-", name)


def evaluate_networks(
    networks: Iterable[tuple[Zoo, Dataset]],
    names: Sequence[str],
    out: str | os.PathLike[str],
    settings: Settings,
    *,
    processes: Team,
    workers: int = 0,
    shown: bool = False,
) -> str:
    """:func:`trgbp_core.evaluation.report.evaluate` of one network after the other, and ``report.md`` and ``figures.csv`` over them.

    Args:
        networks: with their labelled pictures, each loaded when its turn comes. names: all of theirs.
        out: the folder; a network's results lie in ``out``/NAME as a run of it alone would have written them there.

    Returns:
        a summary in words.

    Raises:
        ValueError: two networks of one name; ``out`` holds a run of one network; as ``evaluate``.
    """
    folder = Path(out)
    folders = [folder_of(name) for name in names]
    if len(set(folders)) < len(folders):
        raise ValueError(f"Name each network once, and each by a name of its own: {', '.join(names)}.")
    if (folder / "settings.json").exists():
        raise ValueError(f"{folder} holds the run of one network: choose another --out for several.")
    found, words = [], []
    for zoo, dataset in networks:
        results = measured(zoo, dataset, folder / folder_of(zoo.name), settings, processes=processes, workers=workers, shown=shown)
        if results is not None:
            found.append(results)
            words.append(f"{results.network}: {summary(results)}")
    if not processes.leads:
        return ""
    write(folder / "report.md", report(found))
    write(folder / FIGURES, figures(found))
    return "\n\n".join([*words, str(folder / "report.md")])


def report(found: Sequence[Results]) -> str:
    """What holds for all networks, and a block for each."""
    count = f"{len(found)} networks"
    first, shared = with_dashes(best(found), f"no further method, or {UNKNOWN}"), with_dashes(common(found), "no such pair")
    parts = [f"# {count}", f"## The best of each measure\n\n{first}", f"## What holds for all {count}\n\n{shared}"]
    for r in found:
        link = f"All tables: [{r.folder.name}/report.md]({r.folder.name}/report.md)."
        shown = with_dashes(tables.all_figures(r), UNKNOWN)
        parts.append(f"## {r.network}\n\n{tables.data(r)}\n\n{tables.counts(r)}\n\n{shown}\n\n{link}")
    return "\n\n".join(parts) + "\n"


def best(found: Sequence[Results]) -> str:
    """The first three methods of every measure and network."""
    rows = []
    for key, name in tables.measures(*found).items():
        for r in found:
            cells = [f"{title(method)} {_value(key, value)}, {_lead(key, lead)}" for method, value, lead in ordered(r, key)][:PLACES]
            rows.append([name, r.network, *cells, *[NOTHING] * (PLACES - len(cells))])
    return (
        "Behind each figure: the method's lead over the next one on the same pictures, with its 95 % interval; bold where that excludes "
        f"zero: that lead is more than chance (not corrected for the number of comparisons). {tables.fewer(*found)}: less is better.\n\n"
        + markdown_table(["", "network", "first", "second", "third"], rows, "lllll")
    )


def common(found: Sequence[Results]) -> str:
    """Which orders of two methods all networks share, and which are reversed between them."""
    methods = [method for method in found[0].methods if all(method in r.methods for r in found)]
    rows = []
    for key, name in tables.measures(*found).items():
        shared: dict[str, list[str]] = {}
        turned = []
        for a, b in permutations(methods, 2):
            leads = [lead_of(r, key, a, b) for r in found]
            if all(lead.low > 0 for lead in leads):
                shared.setdefault(a, []).append(b)
            elif a < b and any(lead.low > 0 for lead in leads) and any(lead.high < 0 for lead in leads):
                turned.append(f"{title(a)} and {title(b)}")
        above = [f"{title(a)} above {', '.join(map(title, others))}" for a, others in shared.items()]
        rows.append([name, "; ".join(above) or NOTHING, "; ".join(turned) or NOTHING])
    return (
        "Left: pairs of methods whose paired difference has the same sign in every network, each with a 95 % interval that excludes zero. "
        "Right: pairs whose order differs between two networks, each time with such an interval. Nothing is corrected for the "
        "number of pairs.\n\n" + markdown_table(["", "the same in all", "reversed"], rows, "lll")
    )


def with_dashes(table: str, meaning: str) -> str:
    """A table, and beneath it what a dash means, if there is one."""
    return f"{table}\n\n{NOTHING}: {meaning}." if NOTHING in table else table


def ordered(r: Results, key: str) -> Iterator[tuple[str, Estimate, Estimate | None]]:
    """The methods of a measure from the best to the worst, with their figures and their leads over the next one."""
    of = r.figures[key]
    values = {method: of.estimate(method) for method in r.methods}
    known = [method for method in r.methods if values[method].value == values[method].value]
    known.sort(key=lambda method: -tables.sense(key) * values[method].value)
    for place, method in enumerate(known):
        yield method, values[method], lead_of(r, key, method, known[place + 1]) if place + 1 < len(known) else None


def lead_of(r: Results, key: str, method: str, other: str) -> Estimate:
    """How much better a method is than another, on the same pictures."""
    pair = (method, other) if tables.sense(key) > 0 else (other, method)
    return r.figures[key].difference(*pair)


def figures(found: Sequence[Results]) -> str:
    """Every figure of every network, with its place and its lead, as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for r in found:
        for key in tables.measures(r):
            place, last = 0, None
            for count, (method, value, lead) in enumerate(ordered(r, key), start=1):
                place, last = (place if value.value == last else count), value.value  # equal figures share their place
                numbers = (
                    value.value,
                    value.low,
                    value.high,
                    place,
                    *(("", "", "") if lead is None else (lead.value, lead.low, lead.high)),
                )
                writer.writerow([r.network, key, method, *numbers])
    return stream.getvalue()


def _value(key: str, value: Estimate) -> str:
    return number(value.value, *tables.digits(key))


def _lead(key: str, lead: Estimate | None) -> str:
    return NOTHING if lead is None else signed(lead, *tables.digits(key))
