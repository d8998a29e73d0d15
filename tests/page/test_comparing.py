"""Several networks compared: the class found by its name, a row for each, and a sentence where there is nothing to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from trgbp_core import Preprocess, own_model
from trgbp_core.data import images
from trgbp_core.drawing import figures
from trgbp_core.explorer import networks
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.page import comparing
from trgbp_core.zoo.custom import named
from trgbp_core.zoo.loading import ModelCache

from ..support.nets import small_classifier

LION = Path(__file__).parents[2] / "assets" / "examples" / "lion.jpg"
METHODS = ["saliency", "guided_backprop"]
LABELS = {"one": "abcdef", "other": "fedcba", "strange": "uvwxyz"}


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    sizes = {"one": 32, "other": 40, "strange": 32}
    zoos = {
        name: own_model(small_classifier((8, 8)), [*labels], preprocess=Preprocess(size=sizes[name], resize=None))
        for name, labels in LABELS.items()
    }
    return Explorer(ModelCache(own=named(zoos)))


def compared(explorer: Explorer, *further: str) -> tuple[list[dict[str, Any]], str]:
    payloads, sentence = list[dict[str, Any]](), ""
    for payload, _, said in comparing.compare(explorer, images.read(LION), "one", "c", METHODS, further):
        payloads += [payload] if payload else []
        sentence = said or sentence
    return payloads, sentence


def test_the_class_is_matched_by_its_name_and_every_row_says_what_its_network_answers(explorer: Explorer) -> None:
    payloads, sentence = compared(explorer, "other", "strange", "one")
    last = payloads[-1]
    assert [row["model"] for row in last["rows"]] == ["one", "other", "strange"]
    assert all("%" in row["said"] for row in last["rows"])
    assert "has no class 'c'" in last["rows"][2]["said"]
    assert "no class" not in last["rows"][1]["said"]
    assert {panel["id"] for panel in last["panels"]} == {*METHODS, *(f"other/{key}" for key in METHODS)}
    assert [place["id"] for place in payloads[0]["places"]][:2] == [place["id"] for place in last["places"]][:2]
    assert sentence == "Compared 4 of 4 maps for **c** by 3 networks."
    question = explorer.ask(images.read(LION), "other")
    panels = {panel["key"]: panel for panel in explorer.compare(question, LABELS["other"].index("c"), METHODS)}
    assert all(panel["src"] == panels[panel["key"]]["src"] for panel in last["panels"] if panel["model"] == "other")


def test_one_network_is_compared_as_ever(explorer: Explorer) -> None:
    payloads, sentence = compared(explorer, "one")
    assert "rows" not in payloads[-1]
    assert {panel["id"] for panel in payloads[-1]["panels"]} == set(METHODS)
    assert sentence == "Compared 2 of 2 methods for **c**."


@pytest.mark.parametrize(
    ("further", "sentence"),
    [(["vit"], "There is no network"), (["resnet50"], "has not been downloaded yet"), (["other", "strange", "a", "b"], "At most 3")],
)
def test_what_cannot_be_compared_is_said(explorer: Explorer, further: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trgbp_core.zoo.checkpoints.find", lambda *_: None)
    payloads, said = compared(explorer, *further)
    assert not payloads
    assert sentence in said


def test_of_two_classes_with_one_name_the_same_number_is_taken() -> None:
    labels = ["crane", "cat", "Crane"]
    assert [networks.class_of_name("crane", labels, like) for like in (0, 2)] == [0, 2]
    assert networks.class_of_name("crane", ["cat", "crane"], 0) == 1
    assert networks.class_of_name("dog", labels, 0) is None


def test_the_figure_has_a_row_for_each_network_also_for_one_without_the_class(explorer: Explorer, tmp_path: Path) -> None:
    rows = networks.rows(explorer, images.read(LION), ["one", "other", "strange"], "c")
    found = [[] if row.k is None else list(explorer.compare(row.question, row.k, METHODS)) for row in rows]
    shown = [(row.question.zoo.title, row.said, row.question.picture, panels) for row, panels in zip(rows, found, strict=True)]
    heights = []
    for count in (1, 2, 3):
        (tmp_path / "figure.png").write_bytes(figures.networks(shown[:count], networks.title(rows), "png", order=METHODS))
        heights.append(Image.open(tmp_path / "figure.png").height)
    assert heights[1] - heights[0] > 200
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0], abs=2)
