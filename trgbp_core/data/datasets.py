"""Folders of labelled pictures, in the three layouts that they come in: a CSV, ImageNet's own files, class folders.

Nothing is decoded here. What cannot be used is noted with its reason instead of stopping the rest.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .imagenet import GROUND_TRUTH, NUMBER, AnnotationError, Box, box_files, find, read_boxes, read_ground_truth, read_synsets

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".avif")
COLUMNS = ("image", "class_index", "x0", "y0", "x1", "y1")
KINDS = ("missing", "corrupt", "unlabelled", "bad box", "no box")
"""What can be wrong with a picture. All but the last two keep it from being measured; those keep it from measures that need a box."""


class DatasetError(ValueError):
    """There is nothing to measure; the message says what was looked for."""


@dataclass(frozen=True)
class Sample:
    """One picture that can be measured.

    Attributes:
        name: its path within the folder of pictures, with ``/``.
        label: its class index. boxes: (left, top, right, bottom) in fractions of its width and height.
        size: (width, height) that its boxes were drawn on, or None where they are fractions to begin with.
    """

    name: str
    path: Path
    label: int
    boxes: tuple[Box, ...] = ()
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Problem:
    """Why a picture, or its box, is left out; ``kind`` is one of :data:`KINDS`."""

    name: str
    kind: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Pictures in the order of their names, and what was left out."""

    layout: str
    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...]


def load(images: Path, annotations: Path | None, *, boxes: Path | None = None, labels: Sequence[str]) -> Dataset:
    """Read a folder of pictures with its annotations.

    Args:
        images: the folder of pictures.
        annotations: a CSV (:data:`COLUMNS`, a row a box, boxes in fractions and optional); or ImageNet's devkit (its folder, or the
            ground truth file in it); or None for class folders, which are called by WordNet ID, class name or class number.
        boxes: a folder of PASCAL-style XML files, found by the pictures' names.
        labels: the network's class names.

    Raises:
        DatasetError: no picture is left; an annotation file that cannot be used at all.
    """
    if not images.is_dir():
        raise DatasetError(f"There is no folder of pictures {images}.")
    found = _pictures(images)
    try:
        if annotations is not None and annotations.is_file() and annotations.suffix.lower() == ".csv":
            dataset = _from_csv(images, found, annotations, len(labels))
        elif annotations is not None and any(NUMBER.search(name) for name in found):
            dataset = _from_devkit(images, found, annotations)
        else:
            dataset = _from_folders(images, found, annotations, labels)
    except (AnnotationError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{annotations}: {error}") from error
    dataset = dataset if boxes is None else _with_boxes(dataset, boxes)
    spoiled = {p.name for p in dataset.problems if p.kind == "bad box"}
    boxless = [Problem(s.name, "no box", "no box is given") for s in dataset.samples if not s.boxes and s.name not in spoiled]
    dataset = Dataset(dataset.layout, dataset.samples, (*dataset.problems, *boxless))
    if not dataset.samples:
        looked = _looked_for(images, annotations, dataset.layout, found)
        raise DatasetError(f"No picture is left to measure. {looked} {tally(dataset.problems)}")
    return dataset


def tally(problems: Sequence[Problem]) -> str:
    """How many problems of each kind there are, with the first of each, as one sentence."""
    parts = []
    for kind in KINDS:
        of_kind = [p for p in problems if p.kind == kind]
        if of_kind:
            parts.append(f"{len(of_kind)} {kind} ({of_kind[0].name}: {of_kind[0].reason})")
    return f"Left out: {'; '.join(parts)}." if parts else "Nothing was left out."


def _looked_for(images: Path, annotations: Path | None, layout: str, found: dict[str, Path]) -> str:
    wanted = {
        "CSV": f"the pictures that {annotations} names",
        "ImageNet": "ILSVRC2012_val_*.JPEG with a line of the ground truth each",
        "class folders": "one folder of pictures for each class, called by WordNet ID, class name or class number",
    }[layout]
    return f"Looked in {images} for {wanted}; found {len(found)} picture file{'' if len(found) == 1 else 's'}."


def _pictures(folder: Path) -> dict[str, Path]:
    files = (Path(top) / name for top, _, names in os.walk(folder) for name in names if name.lower().endswith(SUFFIXES))
    return {path.relative_to(folder).as_posix(): path for path in sorted(files)}


def _from_csv(images: Path, found: dict[str, Path], file: Path, classes: int) -> Dataset:
    rows: dict[str, list[dict[str, str]]] = {}
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        if not {"image", "class_index"} <= set(reader.fieldnames or ()):
            raise AnnotationError(f"the first line must name the columns {', '.join(COLUMNS)}, boxes being optional")
        for row in reader:
            rows.setdefault(PurePosixPath(row["image"] or "").as_posix(), []).append(row)
    samples, problems = [], [Problem(name, "unlabelled", "the annotations do not name it") for name in found if name not in rows]
    for name, lines in sorted(rows.items()):
        if name not in found:
            problems.append(Problem(name, "missing", "there is no such picture in the folder"))
            continue
        label = _class(lines, classes)
        if isinstance(label, str):
            problems.append(Problem(name, "unlabelled", label))
            continue
        boxes, bad = _csv_boxes(lines)
        problems += [Problem(name, "bad box", reason) for reason in bad]
        samples.append(Sample(name, found[name], label, () if bad else boxes))
    return Dataset("CSV", tuple(samples), tuple(problems))


def _class(lines: list[dict[str, str]], classes: int) -> int | str:
    given = {(line["class_index"] or "").strip() for line in lines}
    if len(given) > 1:
        return f"its lines disagree about the class: {', '.join(sorted(given))}"
    (text,) = given
    if not (text.isascii() and text.isdigit() and int(text) < classes):
        return f"its class {text!r} is no number from 0 to {classes - 1}"
    return int(text)


def _csv_boxes(lines: list[dict[str, str]]) -> tuple[tuple[Box, ...], list[str]]:
    boxes, bad = [], []
    for line in lines:
        texts = [(line.get(column) or "").strip() for column in COLUMNS[2:]]
        if not any(texts):
            continue
        try:
            left, top, right, bottom = (float(text) for text in texts)
        except ValueError:
            bad.append(f"its box {', '.join(texts)} is not four numbers")
            continue
        box = (left, top, right, bottom)
        problem = _box_problem(box)
        boxes.append(box)
        bad += [problem] if problem else []
    return tuple(boxes), bad


def _box_problem(box: Box) -> str:
    left, top, right, bottom = box
    if not all(map(math.isfinite, box)) or not (left < right and top < bottom and left < 1 and top < 1 and right > 0 and bottom > 0):
        return f"its box {', '.join(f'{edge:g}' for edge in box)} (fractions) holds nothing of the picture"
    # A pixel or two beyond the edge is an annotator's slip; more is another unit.
    if min(box) < -0.05 or max(box) > 1.05:
        return f"its box {', '.join(f'{edge:g}' for edge in box)} is not in fractions of the picture"
    return ""


def _from_devkit(images: Path, found: dict[str, Path], annotations: Path) -> Dataset:
    folder = annotations if annotations.is_dir() else annotations.parent
    truth = find(folder, GROUND_TRUTH) if annotations.is_dir() else annotations
    if truth is None or not truth.is_file():
        raise AnnotationError(f"there is no {GROUND_TRUTH} (the devkit's), and no CSV with the columns {', '.join(COLUMNS)}")
    synsets = read_synsets(folder)
    if synsets is None or not synsets.identifiers:
        raise AnnotationError(
            "the devkit's meta.mat or map_clsloc.txt must lie beside the ground truth, whose class numbers are not torchvision's"
        )
    classes = read_ground_truth(truth, synsets)
    samples, problems = [], []
    for name, path in found.items():
        match = NUMBER.search(name)
        number = int(match.group(1)) if match else 0
        label = classes[number - 1] if 1 <= number <= len(classes) else None
        if label is None:
            reason = (
                "no synset has its number in the ground truth" if 1 <= number <= len(classes) else "the ground truth has no line for it"
            )
            problems.append(Problem(name, "unlabelled", reason))
        else:
            samples.append(Sample(name, path, label))
    return Dataset("ImageNet", tuple(samples), tuple(problems))


def _from_folders(images: Path, found: dict[str, Path], annotations: Path | None, labels: Sequence[str]) -> Dataset:
    synsets = read_synsets(annotations if annotations.is_dir() else annotations.parent) if annotations is not None else None
    if annotations is not None and synsets is None:
        raise AnnotationError(
            f"neither a CSV with the columns {', '.join(COLUMNS)}, nor ImageNet's devkit for pictures called ILSVRC2012_val_*.JPEG, "
            "nor a list of synsets for class folders"
        )
    folders = sorted({name.split("/")[0] for name in found if "/" in name})
    named = _class_names(folders, synsets.indices if synsets is not None else {}, labels)
    samples, problems = [], []
    for name, path in found.items():
        label = named.get(name.split("/")[0]) if "/" in name else None
        if label is None:
            reason = f"no class of the network is called {name.split('/')[0]!r}" if "/" in name else "it lies in no class folder"
            problems.append(Problem(name, "unlabelled", reason))
        else:
            samples.append(Sample(name, path, label))
    return Dataset("class folders", tuple(samples), tuple(problems))


def _class_names(folders: list[str], synsets: dict[str, int], labels: Sequence[str]) -> dict[str, int]:
    """Folder → class index: by WordNet ID, name or number; where none of these says anything, one folder a class in their sorted order."""
    # ImageNet has two classes called crane and two called maillot: such a name says nothing.
    plain = [label.lower().replace("_", " ") for label in labels]
    spoken = {label: index for index, label in enumerate(plain) if plain.count(label) == 1}
    named: dict[str, int] = {}
    for folder in folders:
        index = synsets.get(folder, spoken.get(folder.lower().replace("_", " ")))
        if index is None and folder.isascii() and folder.isdigit() and int(folder) < len(labels):
            index = int(folder)
        if index is not None:
            named[folder] = index
    if not named and len(folders) == len(labels):
        return {folder: index for index, folder in enumerate(folders)}
    return named


def _with_boxes(dataset: Dataset, folder: Path) -> Dataset:
    if not folder.is_dir():
        raise DatasetError(f"There is no folder of box files {folder}.")
    files, samples, problems = box_files(folder), list[Sample](), list(dataset.problems)
    for sample in dataset.samples:
        file = files.get(Path(sample.name).stem)
        if file is None:
            samples.append(sample)
            continue
        try:
            read = read_boxes(file)
            reason = next(filter(None, map(_box_problem, read.boxes)), "")
        except AnnotationError as error:
            read, reason = None, str(error)
        if read is None or reason:
            problems.append(Problem(sample.name, "bad box", reason))
            samples.append(sample)
        else:
            samples.append(Sample(sample.name, sample.path, sample.label, read.boxes, read.size))
    return Dataset(dataset.layout, tuple(samples), tuple(problems))
