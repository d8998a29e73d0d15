"""Folders of labelled pictures, in the three layouts that they come in: a CSV, ImageNet's own files, class folders.

Nothing is decoded here. What cannot be used is noted with its reason instead of stopping the rest.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .imagenet import GROUND_TRUTH, NUMBER, AnnotationError, Box, BoxFile, box_files, find, read_boxes, read_ground_truth, read_synsets

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".avif")
COLUMNS = ("image", "class_index", "x0", "y0", "x1", "y1")
UNKNOWN = -1
"""The label of a picture that nobody has labelled."""

KINDS = ("missing", "corrupt", "unlabelled", "bad box", "no box")
"""What can be wrong with a picture. All but the last two keep it from being measured; those keep it from measures that need a box."""


Row = dict[str, str]
"""One line of a CSV, by its columns."""


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


@dataclass(frozen=True)
class _Layout:
    """One way in which pictures are labelled.

    Attributes:
        name: as reports call it. wanted: the pictures that it looks for, in words.
        label: a picture's name → its class index, or why it has none. rows: a CSV's, by their picture.
    """

    name: str
    wanted: str
    label: Callable[[str], int | str]
    rows: Mapping[str, list[Row]] = field(default_factory=dict)


def load(images: Path, annotations: Path | None, *, boxes: Path | None = None, labels: Sequence[str], unlabelled: bool = False) -> Dataset:
    """Read a folder of pictures with its annotations.

    Args:
        images: the folder of pictures.
        annotations: a CSV (:data:`COLUMNS`, a row a box, boxes in fractions and optional); or ImageNet's devkit (its folder, or the
            ground truth file in it); or None for class folders, which are called by WordNet ID, class name or class number.
        boxes: a folder of PASCAL-style XML files, found by the pictures' names.
        labels: the network's class names. unlabelled: keep pictures without a label, as :data:`UNKNOWN`.

    Raises:
        DatasetError: no picture is left; an annotation file that cannot be used at all.
    """
    for folder, what in ((images, "pictures"), (boxes, "box files")):
        if folder is not None and not folder.is_dir():
            raise DatasetError(f"There is no folder of {what} {folder}.")
    if annotations is not None and not annotations.exists():
        raise DatasetError(f"There is no annotation file {annotations}.")
    found = pictures_in(images)
    try:
        layout = _layout(found, annotations, labels)
    except (AnnotationError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{annotations}: {error}") from error
    files = {} if boxes is None else box_files(boxes)
    samples, problems = (
        [],
        [Problem(name, "missing", "there is no such picture in the folder") for name in sorted({*layout.rows} - {*found})],
    )
    for name, path in found.items():
        label = layout.label(name)
        if isinstance(label, str) and not unlabelled:
            problems.append(Problem(name, "unlabelled", label))
            continue
        index = UNKNOWN if isinstance(label, str) else label
        file, drawn = files.get(path.stem), BoxFile(None, ())
        try:
            drawn = _checked(_csv_boxes(layout.rows.get(name, [])) if file is None else read_boxes(file))
            problems += [] if drawn.boxes else [Problem(name, "no box", "no box is given")]
        except AnnotationError as error:
            problems.append(Problem(name, "bad box", str(error)))
        samples.append(Sample(name, path, index, drawn.boxes, drawn.size))
    if not samples:
        looked = f"Looked in {images} for {layout.wanted}; found {len(found)} picture file{'' if len(found) == 1 else 's'}."
        raise DatasetError(f"No picture is left to measure. {looked} {tally(problems)}")
    return Dataset(layout.name, tuple(samples), tuple(problems))


def tally(problems: Sequence[Problem]) -> str:
    """How many problems of each kind there are, with the first of each, as one sentence."""
    parts = []
    for kind in KINDS:
        of_kind = [p for p in problems if p.kind == kind]
        if of_kind:
            parts.append(f"{len(of_kind)} {kind} ({of_kind[0].name}: {of_kind[0].reason})")
    return f"Left out: {'; '.join(parts)}." if parts else "Nothing was left out."


def pictures_in(folder: Path) -> dict[str, Path]:
    """Every file in a folder that is called like a picture: its path within the folder → the file, by name."""
    files = (Path(top) / name for top, _, names in os.walk(folder) for name in names if name.lower().endswith(SUFFIXES))
    return {path.relative_to(folder).as_posix(): path for path in sorted(files)}


def _layout(found: Collection[str], annotations: Path | None, labels: Sequence[str]) -> _Layout:
    if annotations is not None and annotations.is_file() and annotations.suffix.lower() == ".csv":
        return _csv(annotations, len(labels))
    if annotations is not None and any(NUMBER.search(name) for name in found):
        return _devkit(annotations)
    return _class_folders(found, annotations, labels)


def _csv(file: Path, classes: int) -> _Layout:
    rows: dict[str, list[Row]] = {}
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        if not {"image", "class_index"} <= set(reader.fieldnames or ()):
            raise AnnotationError(f"the first line must name the columns {', '.join(COLUMNS)}, boxes being optional")
        for row in reader:
            rows.setdefault(PurePosixPath(row["image"] or "").as_posix(), []).append(row)

    def label(name: str) -> int | str:
        given = sorted({(row["class_index"] or "").strip() for row in rows.get(name, ())})
        if not given:
            return "the annotations do not name it"
        if len(given) > 1:
            return f"its lines disagree about the class: {', '.join(given)}"
        if not (given[0].isascii() and given[0].isdigit() and int(given[0]) < classes):
            return f"its class {given[0]!r} is no number from 0 to {classes - 1}"
        return int(given[0])

    return _Layout("CSV", f"the pictures that {file} names", label, rows)


def _csv_boxes(rows: list[Row]) -> BoxFile:
    boxes = []
    for row in rows:
        texts = [(row.get(column) or "").strip() for column in COLUMNS[2:]]
        if any(texts):
            try:
                left, top, right, bottom = map(float, texts)
            except ValueError:
                raise AnnotationError(f"its box {', '.join(texts)} is not four numbers") from None
            boxes.append((left, top, right, bottom))
    return BoxFile(None, tuple(boxes))


def _checked(drawn: BoxFile) -> BoxFile:
    """Raises AnnotationError: a box that holds nothing of its picture, or is not in fractions of it."""
    for box in drawn.boxes:
        left, top, right, bottom = box
        edges = ", ".join(f"{edge:g}" for edge in box)
        if not all(map(math.isfinite, box)) or not (left < right and top < bottom and left < 1 and top < 1 and right > 0 and bottom > 0):
            raise AnnotationError(f"its box {edges} (fractions) holds nothing of the picture")
        # A pixel or two beyond the edge is an annotator's slip; more is another unit.
        if min(box) < -0.05 or max(box) > 1.05:
            raise AnnotationError(f"its box {edges} is not in fractions of the picture")
    return drawn


def _devkit(annotations: Path) -> _Layout:
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

    def label(name: str) -> int | str:
        match = NUMBER.search(name)
        number = int(match[1]) if match else 0
        if not 1 <= number <= len(classes):
            return "the ground truth has no line for it"
        index = classes[number - 1]
        return "no synset has its number in the ground truth" if index is None else index

    return _Layout("ImageNet", "ILSVRC2012_val_*.JPEG with a line of the ground truth each", label)


def _class_folders(found: Collection[str], annotations: Path | None, labels: Sequence[str]) -> _Layout:
    synsets = read_synsets(annotations if annotations.is_dir() else annotations.parent) if annotations is not None else None
    if annotations is not None and synsets is None:
        raise AnnotationError(
            f"neither a CSV with the columns {', '.join(COLUMNS)}, nor ImageNet's devkit for pictures called ILSVRC2012_val_*.JPEG, "
            "nor a list of synsets for class folders"
        )
    folders = sorted({name.split("/")[0] for name in found if "/" in name})
    named = _class_names(folders, synsets.indices if synsets is not None else {}, labels)

    def label(name: str) -> int | str:
        folder, slash, _ = name.partition("/")
        return named.get(folder, f"no class of the network is called {folder!r}") if slash else "it lies in no class folder"

    wanted = "one folder of pictures for each class, called by WordNet ID, class name or class number"
    return _Layout("class folders", wanted, label)


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
