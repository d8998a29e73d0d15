"""``python -m benchmarks results``: the tables of docs/results.md, drawn anew from the numbers in ``results/``.

``--keep OUT NAME`` puts the numbers of a finished ``trgbp evaluate`` there: without pictures and their names, to four digits, without the
curves, whose areas stay, and compressed (``zcat results/NAME/results.csv.gz`` shows them, pandas reads them as they are).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import re
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from trgbp_core.evaluation import tables
from trgbp_core.evaluation.formatting import interval, markdown_table, number, title, with_interval
from trgbp_core.evaluation.further import choices, faithfulness, fills, networks
from trgbp_core.evaluation.picture_measures import CURVES, FACTS
from trgbp_core.evaluation.results import Results, compressed, of_files
from trgbp_core.evaluation.run import MOSAICS, RESULTS, SANITY, SKIPPED
from trgbp_core.evaluation.settings import Settings

from . import slow
from .pixels import VARIANTS, known

ROOT = Path(__file__).parent.parent
KEPT, DOCUMENT = ROOT / "results", ROOT / "docs" / "results.md"
BLOCK = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
LEFT_OUT = {name for name in CURVES if "_area_" not in name}
DIGITS = {"ibd": 5}
"""What is ranked keeps more of them than 4."""


def add(names: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = names.add_parser("results", help="draw the tables of docs/results.md anew from the numbers in results/")
    command.set_defaults(run=run)
    command.add_argument("--keep", nargs=2, metavar=("OUT", "NAME"), help="first put the numbers of a finished run into results/NAME")
    command.add_argument("--methods", nargs="+", metavar="KEY", help="of these methods only")


def run(arguments: argparse.Namespace) -> None:
    if arguments.keep:
        keep(Path(arguments.keep[0]), KEPT / arguments.keep[1], arguments.methods)
    DOCUMENT.write_text(redrawn(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{DOCUMENT}: its tables are those of {KEPT}")


def redrawn(text: str) -> str:
    """The document with every table between ``<!-- table NAME -->`` and ``<!-- end -->`` made from the files."""
    return BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def keep(run: Path, folder: Path, methods: Sequence[str] | None = None) -> None:
    """The numbers of a run's files, of all its methods or of these, and how they were made."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers: dict[str, str] = {}
    applied = set[str]()  # the methods that the network allows
    for name in (RESULTS, MOSAICS, SANITY, fills.FILE, faithfulness.FILE):
        if (run / name).exists():
            with (run / name).open(encoding="utf-8", newline="") as stream:
                rows = [_shortened(row, numbers) for row in csv.DictReader(stream) if not methods or row["method"] in methods]
            if name == RESULTS:
                applied = {row["method"] for row in rows}
            seen = set[str]()
            for row in rows:
                if name == RESULTS and row["image"] in seen:
                    row.update(dict.fromkeys(set(FACTS) - {"image", "method"}, ""))  # the picture's first row has them
                seen.add(row.get("image", ""))
            columns = list(rows[0]) if rows else (run / name).read_text(encoding="utf-8").strip().split(",")
            _write(folder / name, columns, rows)
    _write(folder / SKIPPED, ["image", "kind", "reason"], [])
    made = json.loads((run / "run.json").read_text(encoding="utf-8"))
    heading = (run / "report.md").read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# ").rsplit(": ", 1)[0]
    about = {"network": heading, "date": time.strftime("%Y-%m-%d", time.gmtime((run / "run.json").stat().st_mtime))}
    made["settings"]["methods"] = [method for method in made["settings"]["methods"] if method in applied]
    about |= {key: made[key] for key in ("settings", "versions", "machine", "counts")}
    (folder / "run.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write(path: Path, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    compressed(path).write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def _shortened(row: dict[str, str], numbers: dict[str, str]) -> dict[str, str]:
    """A row with its picture's number in the place of its name, floats to a few digits, and without curves."""
    short = {key: value for key, value in row.items() if key not in LEFT_OUT}
    if "image" in short:
        short["image"] = numbers.setdefault(short["image"], str(len(numbers)))
    floats = {key for key, value in short.items() if re.fullmatch(r"-?\d*\.\d+(e-?\d+)?", value)}
    return {key: f"{float(value):.{DIGITS.get(key, 4)}g}" if key in floats else value for key, value in short.items()}


@cache
def kept(name: str, methods: tuple[str, ...] | None = None) -> Results:
    """A run's numbers in ``results/``, of all its methods or of these."""
    about = json.loads((KEPT / name / "run.json").read_text(encoding="utf-8"))
    known()
    slow.known()
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in about["settings"].items()}
    values |= {} if methods is None else {"methods": methods}
    return of_files(KEPT / name, Settings(**values), network=about["network"], layout="CSV")


def made(name: str) -> str:
    """How a run's numbers were made, in a line."""
    about = json.loads((KEPT / name / "run.json").read_text(encoding="utf-8"))
    machine, versions = about["machine"], about["versions"]
    what = f"{about['counts']['pictures']} pictures, {about['counts']['EBPG protocol']} of them in the EBPG protocol"
    where = f"{machine['system']} {machine['processor']}, {machine['cores']} cores, {machine['threads']} thread, {machine['device']}"
    seed = f"seed {about['settings']['seed']}"
    software = f"Python {versions['python']}, torch {versions['torch']}"
    return f"`results/{name}`: {about['network']}, {what}; {seed}; {about['date']}; {where}; {software}"


def sources() -> str:
    return "\n".join(f"- {made(folder.name)}" for folder in sorted(KEPT.iterdir()) if (folder / "run.json").exists())


def pixels() -> str:
    """EBPG, grid and IBD of TR-GBP with both ψ and every pixel term, for each network."""
    keys = ("ebpg", "grid_pointing_game", "ibd_auc_upper_half")
    methods = ("tr_gbp", "tr_gbp_contribution", "tr_gbp_none", "tr_gbp_conserving", "tr_gbp_conserving_gradient", "tr_gbp_conserving_none")
    rows = []
    for method in methods:
        psi, pixel = VARIANTS.get(method, ("paper", "gradient") if method == "tr_gbp" else ("conserving", "contribution"))
        cells = [kept(name).figures[key].estimate(method) for name in PIXEL_RUNS for key in keys]
        rows.append([psi, pixel, *(f"{number(e.value)} [{interval(e)}]" for e in cells)])
    head = [f"{kept(name).network}: {what}" for name in PIXEL_RUNS for what in ("EBPG", "grid", "IBD's AUC")]
    return markdown_table(["ψ", "pixel", *head], rows, "ll" + "r" * len(head))


def paper() -> str:
    """Tables 1 and 2 and Figure 6 for the embedded network, beside the paper's figures for ResNet-50."""
    r = kept(EMBEDDED)
    network = tables.PAPER_TABLE_1[1].network
    rows = [[f"EBPG (Table 1), paper, {network}", *tables.PAPER_TABLE_1[1].cells(r.methods)]]
    rows += tables.rows_of(r, "ebpg", "pointing_game", "grid_pointing_game")
    rows += [[f"IBD's AUC (Table 2), paper, {network}", *tables.PAPER_TABLE_2[1].cells(r.methods)]]
    rows += tables.rows_of(r, "ibd_auc_upper_half", "ibd_auc", "morf_area_10", "morf_area_90", "lerf_area_10", "lerf_area_90")
    return markdown_table(["", *map(title, r.methods)], rows)


def by_method(name: str, measures: Sequence[str]) -> str:
    """A run's figures, a row a method: its columns would be too many."""
    r = kept(name)
    names = tables.measures(r)
    rows = []
    for method in r.methods:
        values = [(r.figures[key].estimate(method), tables.digits(key)) for key in measures]
        rows.append([title(method), *(with_interval(value, *digits) for value, digits in values)])
    return markdown_table(["", *(names[key] for key in measures)], rows)


EMBEDDED, OTHER = "efficientnet_lite0", "squeezenet1_1"
FURTHER = ("efficientnet_lite1", "efficientnet_lite2", OTHER)
ALL, SLOW, CAMERAS, FAITHFUL = (f"{EMBEDDED}_{part}" for part in ("all", "slow", "cameras", "faithfulness"))
WHERE = ("ebpg", "pointing_game", "grid_pointing_game", "ibd_auc_upper_half", "ibd_auc", "morf_area_10", "lerf_area_10")
PIXEL_RUNS = ("efficientnet_lite0_pixels", "squeezenet1_1_pixels", "squeezenet1_1_unit_pixels")
TABLES: dict[str, Callable[[], str]] = {
    "sources": sources,
    "paper": paper,
    "differences": lambda: tables.differences(kept(EMBEDDED)),
    "against_the_paper": lambda: tables.against_the_paper(kept(EMBEDDED)),
    "every": lambda: by_method(ALL, WHERE),
    "best_of_every": lambda: networks.best([kept(ALL)]),
    "slow": lambda: by_method(SLOW, WHERE),
    "best_of_slow": lambda: networks.best([kept(SLOW)]),
    "cameras": lambda: by_method(CAMERAS, WHERE),
    "best_of_cameras": lambda: networks.best([kept(CAMERAS)]),
    "faithful": lambda: choices.faithful(kept(FAITHFUL)),
    "best": lambda: networks.best(_all_networks()),
    "common": lambda: networks.common(_all_networks()),
    "pixels": pixels,
    "fills": lambda: choices.sensitivities(kept("efficientnet_lite0_fills")),
    "empty": lambda: choices.empty_maps(kept("efficientnet_lite0_pixels")),
}
"""What stands between the marks of docs/results.md."""
PLACES = "no first second third fourth fifth sixth seventh eighth ninth tenth".split()


def _all_networks() -> Sequence[Results]:
    embedded = kept(EMBEDDED)
    return [embedded, *(kept(name, embedded.methods) for name in FURTHER)]


def claims() -> dict[str, list[str]]:
    """What the documents say in figures outside of those tables: document → pieces of its text."""
    all_four = _all_networks()
    embedded, _, lite2, other = all_four
    every = kept(ALL)
    pixels, caffe, scaled = map(kept, PIXEL_RUNS)

    def value(r: Results, key: str, method: str) -> str:
        return number(r.figures[key].estimate(method).value)

    def lead(r: Results, key: str, method: str, over: str) -> str:
        return number(r.figures[key].difference(method, over).value)

    def grid(method: str, last: str = " and ") -> str:
        *first, end = (value(r, "grid_pointing_game", method) for r in all_four)
        return f"{', '.join(first)}{last}{end}"

    def area(r: Results, key: str, method: str) -> str:
        return number(r.figures[key].estimate(method).value, 3, 1)

    faithful, some, cameras = map(kept, (FAITHFUL, SLOW, CAMERAS))
    shares = sorted(f"{share:.2f}" for share in faithful.figures["infidelity_share"].values)
    ours, boxed = "tr_gbp_conserving", int(pixels.boxed.sum())
    pairs = list(zip(pixels.numbers["ebpg"][pixels.boxed].T, pixels.numbers["ebpg_empty"][pixels.boxed].T, strict=True))
    empty = int(pairs[0][1].sum())
    without = dict(zip(pixels.methods, [number(float(shares[none == 0].mean())) for shares, none in pairs], strict=True))
    none_there = not caffe.numbers["ebpg_empty"][caffe.boxed].any()
    units = [value(r, "grid_pointing_game", "tr_gbp") for r in (caffe, scaled)]
    *right, last = (number(1 - r.wrong.mean()) for r in all_four[1:])
    place = 1 + [method for method, *_ in networks.ordered(every, "ebpg")].index(ours)
    both = [f"{value(r, 'ebpg', ours)} and {value(r, 'ebpg', 'grad_cam')}" for r in (embedded, lite2)]
    return {
        "README.md": [
            f"{grid('tr_gbp')} % of its map on the class's own picture (conserving ψ {grid(ours, ', ')}); the next, Grad-CAM, "
            f"{grid('grad_cam')} %",
            f"by {lead(embedded, 'ebpg', 'grad_cam', 'tr_gbp')} and {lead(embedded, 'ebpg', 'guided_backprop', 'tr_gbp')} points",
            f"first of the six on SqueezeNet ({value(other, 'ebpg', ours)} %)",
            f"{PLACES[place]} of {len(every.methods)} on {embedded.network}",
            f"({both[0]} % on EfficientNet-Lite0, {both[1]} % on -Lite2)",
            f"{units[0]} % or {units[1]} %",
        ],
        "docs/results.md": [
            f"its EBPG would be {value(pixels, 'ebpg', 'tr_gbp_conserving_gradient')}",
            f"the paper's ψ is {lead(embedded, 'ebpg', ours, 'tr_gbp')} points below",
            f"({area(other, 'lerf_area_10', ours)}, FullGrad {area(other, 'lerf_area_10', 'full_grad')})",
            f"lowest deletion AUC ({area(faithful, 'deletion_auc', ours)})",
            f"the paper's ψ is fifth of six ({area(faithful, 'deletion_auc', 'tr_gbp')})",
            f"({shares[0]} to {shares[-1]} of it is left)",
            f"over CAM, the next, by {lead(every, 'grid_pointing_game', 'tr_gbp', 'cam')} and "
            f"{lead(every, 'grid_pointing_game', ours, 'cam')} points",
            f"With every size ({value(cameras, 'grid_pointing_game', slow.EVERY_SIZE)}) it is level with TR-GBP "
            f"({value(cameras, 'grid_pointing_game', 'tr_gbp')}, conserving ψ {value(cameras, 'grid_pointing_game', ours)}:",
            f"with the other choice ({value(cameras, 'grid_pointing_game', 'cameras')})",
            f"VarGrad ({value(some, 'ebpg', 'var_grad')}) is above the conserving ψ ({value(some, 'ebpg', ours)})",
            f"come first ({value(some, 'grid_pointing_game', ours)} and {value(some, 'grid_pointing_game', 'tr_gbp')}), CAMERAS with every "
            f"size not far behind ({value(some, 'grid_pointing_game', slow.EVERY_SIZE)})",
            f"LRP-αβ ({value(every, 'ebpg', 'lrp_alpha_beta')}), Guided Grad-CAM ({value(every, 'ebpg', 'guided_grad_cam')})",
            f"in the grid pointing game ({value(every, 'grid_pointing_game', 'guided_grad_cam')}; LRP-αβ "
            f"{value(every, 'grid_pointing_game', 'lrp_alpha_beta')}, the other two "
            f"{value(every, 'grid_pointing_game', 'excitation_backprop')} and {value(every, 'grid_pointing_game', 'deep_taylor')}",
            f"Of the same {len(other.images)} pictures they give {', '.join(f'{each} %' for each in right)} and {last} % their label",
            f"EBPG on SqueezeNet ({value(other, 'ebpg', ours)}, the next {value(other, 'ebpg', 'guided_backprop')})",
            f"EfficientNet-Lite2 ({both[1]})",
            f"grid pointing game is {units[0]} in Caffe's units, where a gradient per pixel is small, and {units[1]} in torchvision's",
            f"falls from {' to '.join(value(r, 'grid_pointing_game', ours + '_gradient') for r in (caffe, scaled))}, below chance",
            f"({value(pixels, 'ebpg', ours + '_gradient')}, the contribution {value(pixels, 'ebpg', ours)}, none "
            f"{value(pixels, 'ebpg', ours + '_none')})",
            f"higher ({value(caffe, 'grid_pointing_game', ours + '_none')}) than with the contribution "
            f"({value(caffe, 'grid_pointing_game', ours)})",
            f"{empty} of the {boxed} maps that EBPG measures are empty",
            f"({without['tr_gbp']} without them), the conserving ψ",
            f"({without[ours]}). On SqueezeNet {'no map is' if none_there else 'maps are'} empty",
        ],
    }
