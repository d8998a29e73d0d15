"""``survey.csv``, and ``index.html``: one file with its pictures in it, which opens from disk and asks nothing of a network."""

from __future__ import annotations

import html
import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data import assets
from ...drawing.render import data_uri, heat
from ...zoo.loading import Zoo
from ..formatting import title
from ..store import write
from . import words
from .analysis import FEW, Array, Cluster
from .pictures import Paths, collected
from .run import METHOD, Findings, run

if TYPE_CHECKING:
    import pandas as pd

TYPICAL = 8
"""Pictures that stand for a group."""

NAMED = 20
"""Files left out that are named in the report, of each kind."""

PICTURED = 2000
"""Pictures that are in the report as pictures; beyond them the list holds numbers only. They weigh about 10 KB each."""

MEAN_SIDE = 96
FOLDER = assets.folder("survey")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def survey(
    zoo: Zoo,
    paths: Paths,
    *,
    annotations: str | Path | None = None,
    method: str = METHOD,
    out: str | Path | None = None,
    workers: int = 0,
    shown: bool = False,
) -> tuple[pd.DataFrame, tuple[Cluster, ...]]:
    """Where a network looks in many pictures: groups that were decided alike, and which of them ask for a second look.

    Args:
        zoo: of :func:`load_model` or :func:`own_model`. paths: a folder of pictures, or several files and folders.
        annotations: of one folder, as for the command ``evaluate``; without it, class folders say what a picture shows.
        method: a key of :data:`METHODS`. out: a folder for the report, which also keeps what is done: called again, a stopped survey
            continues. workers: processes that read pictures ahead. shown: show the progress on stderr.

    Returns:
        a DataFrame with a row for every picture, also for those left out; and the groups, flagged ones first.

    Raises:
        ValueError: an argument is not what it should be, no picture can be used, the method does not apply, or ``out`` holds another run.
    """
    _check(zoo, annotations, method, out, workers)
    dataset = collected(paths, None if annotations is None else Path(annotations), zoo.labels)
    with tempfile.TemporaryDirectory() as temporary:
        found = run(zoo, dataset, Path(temporary if out is None else out), method, workers=workers, shown=shown)
        if out is not None:
            write_report(found)
    return table(found), found.analysis.clusters


def _check(zoo: Any, annotations: Any, method: Any, out: Any, workers: Any) -> None:
    """Raises ValueError: one of these is of a kind that :func:`survey` does not take."""
    if not isinstance(zoo, Zoo):
        raise ValueError(f"The network is what load_model or own_model gives, not {type(zoo).__name__}.")
    for name, value in {"annotations": annotations, "out": out}.items():
        if value is not None and not (isinstance(value, (str, Path)) and str(value).strip()):
            raise ValueError(f"{name} is the name of a file or folder (str or Path), not {value!r}.")
    if not isinstance(method, str):
        raise ValueError(f"method is one key of METHODS, such as {METHOD!r}, not {method!r}.")
    if not isinstance(workers, int) or workers < 0:
        raise ValueError(f"workers is a whole number from 0, not {workers!r}.")


def table(found: Findings) -> pd.DataFrame:
    """A row for every picture, those left out last, with the reason in ``left_out``; ``group`` is a group's number, from 1."""
    import pandas as pd

    analysis, labels = found.analysis, found.zoo.labels
    empty, failed = "its map has no positive part", "its map holds numbers that are not finite"
    reasons = dict.fromkeys(analysis.empty, empty) | dict.fromkeys(analysis.failed, failed)
    rows = []
    for i, row in enumerate(found.rows):
        cluster = analysis.clusters[analysis.cluster_of[i]] if analysis.cluster_of[i] >= 0 else None
        known = row["class_index"] != ""
        rows.append(
            {
                "image": row["image"],
                "predicted": row["predicted"],
                "predicted_name": labels[row["predicted"]],
                "confidence": row["confidence"],
                "class_index": row["class_index"] if known else None,
                "right": row["class_index"] == row["predicted"] if known else None,
                "group": cluster.number if cluster else None,
                "flagged": bool(cluster and cluster.flagged),
                "score": analysis.score[i],
                "similarity": analysis.similarity[i],
                "frame": analysis.frame[i],
                "corner": analysis.corner[i],
                "in_box": row["in_box"],
                "left_out": reasons.get(i, ""),
            }
        )
    rows += [{"image": p.name, "flagged": False, "left_out": f"{p.kind}: {p.reason}"} for p in found.problems]
    types = {"predicted": "Int64", "class_index": "Int64", "group": "Int64", "right": "boolean"}
    return pd.DataFrame(rows).astype(types)


def summary(found: Findings) -> str:
    """What was found, in sentences for the terminal and the head of the report."""
    clusters, flagged = found.analysis.clusters, found.analysis.flagged
    parts = [f"{_counted(len(found.rows), 'picture')} in {_counted(len(clusters), 'group')}, {len(flagged)} flagged."]
    parts += [f"Group {c.number}, {words.class_name(c.label, found.zoo.labels)}: {words.verdict(c)}" for c in flagged]
    if len(found.rows) == 1:
        parts.append("One picture alone: there is nothing to compare it with, so that no group can be flagged.")
    elif len({row["predicted"] for row in found.rows}) == 1:
        parts.append("All pictures are predicted as one class: there is nothing to compare it with, so that no group can be flagged.")
    elif clusters and all(c.label == FEW for c in clusters):
        parts.append("No class has five pictures: none can be tested, so that no group can be flagged.")
    parts += left_out(found)
    return "\n".join(parts)


def left_out(found: Findings) -> list[str]:
    """One sentence for each kind of thing that was left out."""
    kinds: dict[str, list[Any]] = {}
    for problem in found.problems:
        kinds.setdefault(problem.kind, []).append(problem)
    lines = [f"Left out, {kind}: {len(of)} ({_named(of)})." for kind, of in kinds.items()]
    empty, failed = len(found.analysis.empty), len(found.analysis.failed)
    lines += [f"{_counted(empty, 'map')} without a positive part: in no group."] if empty else []
    lines += [f"{_counted(failed, 'map')} with numbers that are not finite: in no group."] if failed else []
    return lines


def write_report(found: Findings) -> str:
    """Write both files into the run's folder; returns the summary."""
    frame = table(found)
    write(found.store.folder / "survey.csv", frame.to_csv(index=False, lineterminator="\n"))
    write(found.store.folder / "index.html", page(found, frame))
    return summary(found)


def page(found: Findings, frame: pd.DataFrame) -> str:
    """The whole report as HTML."""
    name = html.escape(f"Where {found.zoo.title} looks")
    style, script = ((FOLDER / file).read_text(encoding="utf-8") for file in ("report.css", "report.js"))
    head, *rest = summary(found).split("\n")
    flagged = len(found.analysis.flagged)
    notes = "".join(f"<li>{html.escape(line)}</li>" for line in rest if not line.startswith("Group "))
    more = f"<p>The list shows pictures for {PICTURED} of them.</p>" if len(found.rows) > PICTURED else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{name}</title><style>{style}</style></head><body>'
        f"<header><h1>{name}</h1><p>{html.escape(head)} Maps of {html.escape(title(found.method))} for the predicted class.</p>"
        f'<p class="question">{words.QUESTION}</p><ul>{notes}</ul>{words.meanings()}</header>'
        f"{_section('Flagged: look at these', [_cluster(c, found) for c in found.analysis.flagged]) if flagged else ''}"
        f"{''.join(_class(label, found) for label in dict.fromkeys(c.label for c in found.analysis.clusters))}"
        f"<section><h2>All pictures</h2>{more}{_list(frame)}</section><dialog><button autofocus>Close</button><div></div><p></p></dialog>"
        f'<script type="application/json" id="pictures">{json.dumps(_pictured(found))}</script><script>{script}</script></body></html>\n'
    )


def _section(heading: str, parts: list[str]) -> str:
    return f"<section><h2>{html.escape(heading)}</h2>{''.join(parts)}</section>"


def _class(label: int, found: Findings) -> str:
    """One class: its mean attention and its groups."""
    clusters = [c for c in found.analysis.clusters if c.label == label]
    count = sum(len(c.members) for c in clusters)
    mean = sum((c.mean * len(c.members) for c in clusters), 0 * clusters[0].mean) / count
    heading = f"{words.class_name(label, found.zoo.labels)}: {_counted(count, 'picture')}"
    above = ", ".join(str(c.number) for c in clusters if c.flagged)
    caption = "Mean attention" + (f"; flagged, above: group {above}" if above else "")
    figure = f'<div class="mean">{_mean(mean)}<p>{caption}</p></div>'
    return _section(heading, [figure, *(_cluster(c, found) for c in clusters if not c.flagged)])


def _cluster(cluster: Cluster, found: Findings) -> str:
    facts = {
        "pictures": str(len(cluster.members)),
        "confidence": words.percent(cluster.confidence),
        "accuracy": words.percent(cluster.accuracy),
        "in the boxes": words.percent(cluster.in_boxes),
        "at the frame": words.percent(cluster.frame),
        f"in the {cluster.corner} corner": words.percent(cluster.corner_share),
        "half of it lies on": words.percent(cluster.area),
        "likeness": f"{cluster.tightness:.2f}",
        "in common": words.percent(cluster.common),
        "sameness": "–" if math.isnan(cluster.sameness) else f"{cluster.sameness:.2f}",
        "probability, corrected": "–" if math.isnan(cluster.probability) else words.chance(cluster.probability),
    }
    shown = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items() if value != "–")
    pairs = "".join(
        f'<button class="pair" data-show="{i}" title="{html.escape(found.rows[i]["image"])}">'
        f'<img data-picture="{i}" alt=""><img data-map="{i}" alt=""></button>'
        for i in cluster.members[:TYPICAL]
    )
    name = f"Group {cluster.number}" + (f" of {words.class_name(cluster.label, found.zoo.labels)}" if cluster.flagged else "")
    return (
        f'<article class="{"flagged" if cluster.flagged else ""}"><h3>{html.escape(name)}</h3><p>{html.escape(words.verdict(cluster))}</p>'
        f'<div class="group"><div class="mean">{_mean(cluster.mean)}</div><div class="pairs">{pairs}</div></div><dl>{shown}</dl></article>'
    )


def _mean(shares: Array) -> str:
    return f'<img alt="mean attention" src="{data_uri(heat(shares, (MEAN_SIDE, MEAN_SIDE)), "PNG")}">'


COLUMNS = {
    "image": "picture",
    "predicted_name": "predicted",
    "confidence": "confidence",
    "right": "right",
    "group": "group",
    "score": "suspicion",
    "frame": "at the frame",
    "in_box": "in its box",
}


def _list(frame: pd.DataFrame) -> str:
    """All pictures as a table that a click on a column's head sorts."""
    columns = {key: name for key, name in COLUMNS.items() if key in frame and (key in ("image", "group") or frame[key].notna().any())}
    head = "".join(f'<th aria-sort="none"><button data-sort="{i}">{name}</button></th>' for i, name in enumerate(columns.values(), 1))
    rows = []
    for i, row in enumerate(frame[frame["predicted"].notna()].to_dict("records")):
        cells = "".join(_cell(row[key]) for key in columns)
        rows.append(
            f'<tr data-show="{i}" class="{"flagged" if row["flagged"] else ""}"><td><img data-picture="{i}" alt=""></td>{cells}</tr>'
        )
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return f"<td>{html.escape(value)}</td>"
    if value is None or value != value or str(value) == "<NA>":
        return '<td data-value="-1">–</td>'
    if isinstance(value, bool):
        return f'<td data-value="{int(value)}">{"yes" if value else "no"}</td>'
    return f'<td data-value="{value}">{value:.2f}</td>' if isinstance(value, float) else f'<td data-value="{value}">{value}</td>'


def _pictured(found: Findings) -> dict[int, list[str]]:
    """Index of a picture → its small picture and its map; the typical ones first, then by suspicion, :data:`PICTURED` at most."""
    typical = [i for cluster in found.analysis.clusters for i in cluster.members[:TYPICAL]]
    score = found.analysis.score
    order = dict.fromkeys([*typical, *sorted(range(len(found.rows)), key=lambda i: -score[i] if score[i] == score[i] else 0)])
    wanted = {found.rows[i]["place"]: i for i in list(order)[:PICTURED]}
    pictures = {}
    for number, piece in enumerate(found.store.pieces("survey", found.count)):
        for within, row in enumerate(piece.rows):
            if (number, within) in wanted:
                pictures[wanted[number, within]] = [row["picture"], row["map"]]
    return pictures


def _named(problems: list[Any]) -> str:
    """The first :data:`NAMED` of what was left out, each with its reason; the CSV names all."""
    shown = "; ".join(f"{problem.name}: {problem.reason.rstrip('.')}" for problem in problems[:NAMED])
    return shown + ("; and others, in survey.csv" if len(problems) > NAMED else "")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
