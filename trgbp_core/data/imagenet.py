"""ImageNet's own files: the devkit's ground truth and synsets, and bounding boxes as PASCAL-style XML."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
SYNSETS = ("map_clsloc.txt", "LOC_synset_mapping.txt", "synset_words.txt")
NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG$", re.IGNORECASE)
WNID = re.compile(r"n\d{8}$")
MAX_XML_BYTES = 1 << 20

Box = tuple[float, float, float, float]


class AnnotationError(ValueError):
    """An annotation file cannot be used; the message is a sentence for the person who gave it."""


@dataclass(frozen=True)
class Synsets:
    """ImageNet's names of classes.

    Attributes:
        indices: WordNet ID → class index in torchvision's order, which is that of the sorted WordNet IDs.
        identifiers: the devkit's own number of a class → WordNet ID; empty where the file does not know them.
    """

    indices: dict[str, int]
    identifiers: dict[int, str]


def read_synsets(folder: Path) -> Synsets | None:
    """The synsets of a devkit: its ``meta.mat`` (needs scipy), or a text file that has a WordNet ID at the head of each line.

    Returns:
        None where there is no such file under ``folder``.

    Raises:
        AnnotationError: the file is damaged, or scipy is missing.
    """
    for name in SYNSETS:
        file = find(folder, name)
        if file is not None:
            return _synsets_from_text(file)
    file = find(folder, META)
    return None if file is None else _synsets_from_matlab(file)


def _synsets_from_text(file: Path) -> Synsets:
    identifiers, wnids = {}, []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if not words:
            continue
        if not WNID.match(words[0]):
            raise AnnotationError(f"{file.name} is not a list of synsets: a line begins with {words[0][:20]!r} instead of a WordNet ID.")
        wnids.append(words[0])
        if len(words) > 1 and words[1].isdigit():
            identifiers[int(words[1])] = words[0]
    return _synsets(wnids, identifiers)


def _synsets_from_matlab(file: Path) -> Synsets:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise AnnotationError(
            f"Reading the devkit's {META} takes scipy: pip install scipy, or put {SYNSETS[0]} beside the ground truth."
        ) from error
    try:
        rows = loadmat(file, squeeze_me=True)["synsets"]
        leaves = rows[rows["num_children"].astype(int) == 0]
        identifiers = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in leaves}
    except Exception as error:
        raise AnnotationError(f"{file.name} is not the devkit's list of synsets.") from error
    return _synsets(list(identifiers.values()), identifiers)


def _synsets(wnids: list[str], identifiers: dict[int, str]) -> Synsets:
    return Synsets({wnid: index for index, wnid in enumerate(sorted(set(wnids)))}, identifiers)


def read_ground_truth(file: Path, synsets: Synsets) -> list[int | None]:
    """The class index of every validation picture, in the order of their numbers; None for a number that no synset has.

    Raises:
        AnnotationError: the file holds something else than a number a line.
    """
    try:
        numbers = [int(line) for line in file.read_text(encoding="ascii").split()]
    except (ValueError, OSError) as error:
        raise AnnotationError(f"{file.name} is not the devkit's ground truth, which has one number a line.") from error
    return [synsets.indices.get(synsets.identifiers.get(number, "")) for number in numbers]


@dataclass(frozen=True)
class BoxFile:
    """The boxes of one picture: (left, top, right, bottom) in fractions of it.

    Attributes:
        size: its (width, height) when they were drawn, or None where they are fractions to begin with.
    """

    size: tuple[int, int] | None
    boxes: tuple[Box, ...]


def read_boxes(file: Path) -> BoxFile:
    """A PASCAL-style annotation. A file that declares a document type or entities is refused: a box needs neither.

    Raises:
        AnnotationError: no such annotation; the message does not name the file.
    """
    root = _parse(file)
    try:
        width, height = (int(_text(root, f"size/{side}")) for side in ("width", "height"))
        if width < 1 or height < 1:
            raise AnnotationError("the annotated picture has no pixels")
        boxes = []
        for item in root.iter("object"):
            left, top, right, bottom = (float(_text(item, f"bndbox/{edge}")) for edge in ("xmin", "ymin", "xmax", "ymax"))
            boxes.append((left / width, top / height, right / width, bottom / height))
    except (ValueError, OverflowError) as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError("the box file holds something else than numbers") from error
    return BoxFile((width, height), tuple(boxes))


def _text(element: Any, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise AnnotationError(f"the box file has no {path.replace('/', ' ')}")
    return str(text)


class _NoDocumentType(ET.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise AnnotationError("the box file declares a document type, which no box needs")


def _parse(file: Path) -> ET.Element:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_XML_BYTES + 1)
        if len(data) > MAX_XML_BYTES:
            raise AnnotationError("the box file is larger than a megabyte")
        return ET.fromstring(data, ET.XMLParser(target=_NoDocumentType()))
    except AnnotationError:
        raise
    except (ET.ParseError, LookupError, ValueError, OSError) as error:  # LookupError: an encoding that does not exist
        raise AnnotationError("the box file is damaged") from error


def find(folder: Path, name: str) -> Path | None:
    """The file of that name in ``folder`` or up to two folders below it."""
    for pattern in (name, f"*/{name}", f"*/*/{name}"):
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
    return None


def box_files(folder: Path) -> dict[str, Path]:
    """All XML files under ``folder`` by their stem, which is the picture's."""
    files = (Path(top) / name for top, _, names in os.walk(folder) for name in names if name.lower().endswith(".xml"))
    return {file.stem: file for file in sorted(files)}
