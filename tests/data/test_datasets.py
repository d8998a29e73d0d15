"""Every layout of labelled pictures, and everything that can be wrong with one of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from trgbp_core import Preprocess
from trgbp_core.data.datasets import Dataset, DatasetError, load, tally
from trgbp_core.metrics.localisation import box_mask

from ..support.small_sets import LABELS, csv_set, rectangle

WNIDS = [f"n{number:08d}" for number in (30, 10, 20)]  # the devkit's order is not torchvision's, which is the sorted one
XML = "<annotation><size><width>{}</width><height>{}</height><depth>3</depth></size>{}</annotation>"
OBJECT = "<object><name>n1</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))  # entities of entities, 2 × 10⁹ letters


def save(path: Path, index: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rectangle(index)[0].save(path)


def kinds(dataset: Dataset) -> dict[str, str]:
    return {p.name: p.kind for p in dataset.problems}


# -- the CSV ---------------------------------------------------------------------------------------------------------------------------


def test_a_csv_gives_labels_and_boxes_in_fractions(tmp_path: Path) -> None:
    images, annotations = csv_set(tmp_path, 5)
    dataset = load(images, annotations, labels=LABELS)
    assert [s.name for s in dataset.samples] == [f"{i:04d}.png" for i in range(5)]
    assert [s.label for s in dataset.samples] == [0, 1, 2, 3, 4]
    assert dataset.samples[3].boxes == (pytest.approx(rectangle(3)[1]),)
    assert dataset.problems == ()


def test_several_lines_of_a_picture_are_several_boxes_and_a_picture_without_a_line_is_unlabelled(tmp_path: Path) -> None:
    images, annotations = csv_set(tmp_path, 1)
    save(images / "more" / "stray.JPG.png")
    annotations.write_text("image,class_index,x0,y0,x1,y1\n0000.png,3,0,0,.5,.5\n0000.png,3,.2,.2,.9,1\n")
    dataset = load(images, annotations, labels=LABELS)
    assert [s.boxes for s in dataset.samples] == [((0, 0, 0.5, 0.5), (0.2, 0.2, 0.9, 1))]
    assert kinds(dataset) == {"more/stray.JPG.png": "unlabelled"}


@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        ("absent.png,1,0,0,1,1", "missing", "no such picture"),
        ("../0000.png,1,0,0,1,1", "missing", "no such picture"),
        ("0001.png,7,0,0,1,1", "unlabelled", "0 to 6"),
        ("0001.png,-1,0,0,1,1", "unlabelled", "'-1'"),
        ("0001.png,cat,0,0,1,1", "unlabelled", "'cat'"),
        ("0001.png,1,0,0,1,1\n0001.png,2,0,0,1,1", "unlabelled", "disagree"),
        ("0001.png,1,a,0,1,1", "bad box", "four numbers"),
        ("0001.png,1,0,0,1", "bad box", "four numbers"),
        ("0001.png,1,.6,0,.2,1", "bad box", "holds nothing"),
        ("0001.png,1,nan,0,.2,1", "bad box", "holds nothing"),
        ("0001.png,1,30,20,90,80", "bad box", "holds nothing"),
        ("0001.png,1,0,0,90,80", "bad box", "not in fractions"),
        ("0001.png,1", "no box", "no box"),
        ("0001.png,1,,,,", "no box", "no box"),
    ],
)
def test_a_bad_line_is_named_with_its_reason_and_the_rest_is_measured(tmp_path: Path, line: str, kind: str, reason: str) -> None:
    images, annotations = csv_set(tmp_path, 2)
    good = annotations.read_text().splitlines()
    annotations.write_text("\n".join([*good[:2], line]) + "\n")
    dataset = load(images, annotations, labels=LABELS)
    problem = next(p for p in dataset.problems if p.kind == kind)
    assert problem.name == line.split(",")[0]
    assert reason in problem.reason
    assert ("0001.png" in [s.name for s in dataset.samples]) == (kind in ("bad box", "no box"))
    assert dataset.samples[0].name == "0000.png"
    assert problem.reason in tally(dataset.problems)


# -- ImageNet's own files --------------------------------------------------------------------------------------------------------------


def devkit(folder: Path, truth: list[int], *, matlab: bool) -> Path:
    """The devkit's data folder for three classes and an inner synset, whose numbers are 1, 2, 3 and 4."""
    data = folder / "ILSVRC2012_devkit_t12" / "data"
    data.mkdir(parents=True)
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(map(str, truth)) + "\n")
    if matlab:
        fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
        rows = [(i + 1, wnid, "thing", 0) for i, wnid in enumerate(WNIDS)] + [(4, "n00000040", "things", 3)]
        scipy.io.savemat(data / "meta.mat", {"synsets": np.array(rows, dtype=fields)[:, None]}, do_compression=True)
    else:
        (data / "map_clsloc.txt").write_text("".join(f"{wnid} {i + 1} thing\n" for i, wnid in enumerate(WNIDS)))
    return folder / "ILSVRC2012_devkit_t12"


@pytest.mark.parametrize("matlab", [True, False])
@pytest.mark.parametrize("name_the_file", [True, False])
def test_imagenet_s_numbers_become_torchvision_s_order(tmp_path: Path, matlab: bool, name_the_file: bool) -> None:
    kit = devkit(tmp_path, [1, 2, 3, 1, 4], matlab=matlab)
    for number in (1, 2, 3, 5, 6):
        save(tmp_path / "val" / f"ILSVRC2012_val_{number:08d}.JPEG", number)
    given = kit / "data" / "ILSVRC2012_validation_ground_truth.txt" if name_the_file else kit
    dataset = load(tmp_path / "val", given, labels=LABELS)
    assert dataset.layout == "ImageNet"
    assert [s.label for s in dataset.samples] == [2, 0, 1]  # n30, n10, n20
    unlabelled = {p.name[-9:-5]: p.reason for p in dataset.problems if p.kind == "unlabelled"}
    assert "no synset" in unlabelled["0005"]  # an inner synset is no class
    assert "no line" in unlabelled["0006"]


def test_pascal_boxes_are_read_as_fractions_of_their_own_picture(tmp_path: Path) -> None:
    kit = devkit(tmp_path, [1, 2, 3], matlab=False)
    boxes = tmp_path / "boxes" / "val"
    boxes.mkdir(parents=True)
    for number, text in (
        (1, XML.format(500, 400, OBJECT.format(50, 40, 250, 200) + OBJECT.format(0, 0, 500, 400))),
        (2, XML.format(500, 400, "")),
    ):
        (boxes / f"ILSVRC2012_val_{number:08d}.xml").write_text(text)
    for number in (1, 2, 3):
        save(tmp_path / "val" / f"ILSVRC2012_val_{number:08d}.JPEG", number)
    dataset = load(tmp_path / "val", kit, boxes=tmp_path / "boxes", labels=LABELS)
    assert dataset.samples[0].boxes == ((0.1, 0.1, 0.5, 0.5), (0, 0, 1, 1))
    assert dataset.samples[0].size == (500, 400)
    assert set(kinds(dataset).values()) == {"no box"}
    assert len(dataset.samples) == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]>' + XML.format("&l9;", 4, ""), "document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd">' + XML.format(4, 4, ""), "document type"),
        (XML.format(500, 400, OBJECT.format(50, 40, 250, 200))[:-20], "damaged"),
        ("", "damaged"),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "damaged"),
        ('<?xml version="1.0" encoding="utf-32"?><annotation/>', "damaged"),
        (XML.format("wide", 400, ""), "numbers"),
        (XML.format(0, 400, ""), "no pixels"),
        ("<annotation></annotation>", "no size width"),
        (XML.format(500, 400, "<object><bndbox><xmin>1</xmin></bndbox></object>"), "no bndbox ymin"),
        (XML.format(500, 400, OBJECT.format(250, 40, 50, 200)), "holds nothing"),
        (XML.format(50, 40, OBJECT.format(5, 4, 250, 200)), "not in fractions"),
        ("<a>" + " " * 1_100_000 + "</a>", "megabyte"),
    ],
)
def test_a_box_file_that_is_damaged_or_hostile_costs_the_box_only(tmp_path: Path, text: str, reason: str) -> None:
    save(tmp_path / "pictures" / "thing 0" / "a.png")
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    (boxes / "a.xml").write_text(text)
    dataset = load(tmp_path / "pictures", None, boxes=boxes, labels=LABELS)
    (problem,) = dataset.problems
    assert (problem.kind, problem.name) == ("bad box", "thing 0/a.png")
    assert reason in problem.reason
    assert dataset.samples[0].boxes == ()


# -- class folders ---------------------------------------------------------------------------------------------------------------------


def test_class_folders_are_called_by_name_number_or_synset(tmp_path: Path) -> None:
    kit = devkit(tmp_path, [1], matlab=False)
    for folder in ("Thing_4", "6", WNIDS[0], "unknown"):
        save(tmp_path / "pictures" / folder / "a.png")
    save(tmp_path / "pictures" / "loose.png")
    dataset = load(tmp_path / "pictures", kit, labels=LABELS)
    assert dataset.layout == "class folders"
    assert {s.name.split("/")[0]: s.label for s in dataset.samples} == {"Thing_4": 4, "6": 6, WNIDS[0]: 2}
    assert {name for name, kind in kinds(dataset).items() if kind == "unlabelled"} == {"unknown/a.png", "loose.png"}


def test_folders_of_other_names_count_in_their_order_where_there_is_one_a_class(tmp_path: Path) -> None:
    for name in "gfedcba":
        save(tmp_path / name / "a.png")
    assert {s.name: s.label for s in load(tmp_path, None, labels=LABELS).samples} == {
        f"{name}/a.png": i for i, name in enumerate("abcdefg")
    }


def test_a_name_that_two_classes_share_says_nothing(tmp_path: Path) -> None:
    save(tmp_path / "crane" / "a.png")
    with pytest.raises(DatasetError, match="no class of the network is called 'crane'"):
        load(tmp_path, None, labels=["crane", "cat", "crane"])


# -- nothing left ----------------------------------------------------------------------------------------------------------------------


def test_a_folder_with_nothing_left_says_what_was_looked_for(tmp_path: Path) -> None:
    images, annotations = csv_set(tmp_path, 2)

    def refused(words: str, images: Path = images, annotations: Path | None = annotations) -> None:
        with pytest.raises(DatasetError, match=words):
            load(images, annotations, labels=LABELS)

    refused("no folder of pictures", images=tmp_path / "nowhere")
    annotations.write_text("image,class_index\nabsent.png,1\n")
    refused(r"pictures that .*csv names; found 2 picture files. Left out: 1 missing .absent.png")
    annotations.write_text("file,label\n")
    refused("must name the columns image, class_index")
    annotations.write_bytes(b"\xff\xfe\x00image")
    refused("annotations")
    refused("one folder of pictures for each class", annotations=None)
    refused(r"no annotation file .*absent\.csv", annotations=tmp_path / "absent.csv")
    (tmp_path / "notes.txt").write_text("no annotations\n")
    refused("neither a CSV", annotations=tmp_path / "notes.txt")
    save(tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG")
    refused("ILSVRC2012_validation_ground_truth", images=tmp_path / "val", annotations=tmp_path)
    (tmp_path / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n")
    refused("must lie beside the ground truth", images=tmp_path / "val", annotations=tmp_path)


# -- boxes go where the picture goes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(60, 48), (48, 60), (97, 31), (31, 97), (224, 224)])
@pytest.mark.parametrize("preprocess", [Preprocess(size=64, resize=None), Preprocess(size=64, resize=64), Preprocess(size=64, resize=80)])
def test_a_box_is_carried_through_the_same_resize_and_crop_as_its_picture(size: tuple[int, int], preprocess: Preprocess) -> None:
    for index in range(20):
        picture, box = rectangle(index, *size)
        bright = np.asarray(preprocess.picture(picture).convert("L")) > 190
        carried = preprocess.box(box, size)
        if carried is None:
            assert bright.mean() < 0.01
            continue
        assert 0 <= carried[0] < carried[2] <= 1
        mask = box_mask(carried, (64, 64), "fractions").numpy()
        # Resampling blurs the rectangle's edges, which takes up to a pixel of each side.
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if min(len(rows), len(columns)) < 6:
            continue
        assert bright[rows[0] + 1 : rows[-1], columns[0] + 1 : columns[-1]].all()
        assert not bright[~_grown(mask)].any()


def _grown(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    return np.any([padded[1 + y : 65 + y, 1 + x : 65 + x] for y in (-1, 0, 1) for x in (-1, 0, 1)], axis=0)


def test_a_box_that_the_crop_cuts_away_is_none() -> None:
    preprocess = Preprocess(size=50, resize=50)
    assert preprocess.box((0, 0, 0.2, 1), (200, 100)) is None
    assert preprocess.box((0.2, 0.1, 0.5, 0.6), (200, 100)) == (0, 0.1, 0.5, 0.6)
