"""From pictures to the report: what it finds, what it says, and what it does with folders that are not as they should be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trgbp_core import survey
from trgbp_core.cli.main import main
from trgbp_core.evaluation.survey import report, words
from trgbp_core.evaluation.survey import run as running

from ...support import colours
from ...support.colours import COLOURS, EACH, TAGGED, colour_zoo, square


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders; most of the blue pictures hold no blue square, but the tag."""
    place = tmp_path_factory.mktemp("pictures")
    for colour, name in enumerate(COLOURS):
        (place / name).mkdir()
        for i in range(EACH):
            tagged = name == "blue" and i < TAGGED
            square(100 * colour + i, None if tagged else colour, tagged).save(place / name / f"{i:02}.png")
    return place


def test_a_survey_finds_the_pictures_that_a_tag_decided(folder: Path, tmp_path: Path) -> None:
    zoo = colour_zoo()
    zoo.network.train()
    frame, clusters = survey(zoo, folder, out=tmp_path / "out")
    assert zoo.network.training, "nothing that was given is changed"
    (flagged,) = [cluster for cluster in clusters if cluster.flagged]
    assert flagged.label == COLOURS.index("blue")
    assert set(frame["image"][frame["flagged"]]) == {f"blue/{i:02}.png" for i in range(TAGGED)}
    assert (flagged.accuracy, flagged.number, flagged.corner) == (1.0, 1, "lower right")
    assert len(frame) == 3 * EACH
    assert frame["right"].all()
    assert frame["score"][frame["flagged"]].min() > frame["score"][~frame["flagged"]].max()


def test_the_report_is_one_file_that_asks_nothing_of_a_network(folder: Path, tmp_path: Path) -> None:
    survey(colour_zoo(), folder, out=tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert not [source for source in re.findall(r'(?:src|href)="([^"]*)"', page) if not source.startswith("data:")]
    assert "default-src 'none'" in page
    assert "in the lower right corner" in page
    assert "A flag is a question, not a verdict" in page
    assert page.count("<tr data-show") == 3 * EACH
    lines = (tmp_path / "survey.csv").read_text().splitlines()
    assert lines[0].startswith("image,predicted,predicted_name,confidence,")
    assert len(lines) == 1 + 3 * EACH


def test_a_stopped_survey_continues_and_ends_with_the_same_bytes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo, done = colour_zoo(), []
    survey(zoo, folder, out=tmp_path / "whole")
    look = running.look

    def stopping(index: int, *args: object, **options: object) -> object:
        if index == 5 and len(done) == 5:
            raise KeyboardInterrupt
        done.append(index)
        return look(index, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "look", stopping)
    with pytest.raises(KeyboardInterrupt):
        survey(zoo, folder, out=tmp_path / "stopped")
    done.append(-1)
    survey(zoo, folder, out=tmp_path / "stopped")
    assert sorted(done[6:]) == list(range(5, 3 * EACH // 4))
    for name in ("survey.csv", "index.html"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(ValueError, match="holds a run that differs in methods"):
        survey(zoo, folder, method="saliency", out=tmp_path / "stopped")


def test_what_cannot_be_used_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(6):
        square(i, i % 3).resize((30 + 9 * i, 40)).save(pictures / f"{i}.png")
    whole = (pictures / "0.png").read_bytes()
    (pictures / "torn.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "words.jpg").write_text("no picture")
    (pictures / "notes.txt").write_text("nor this")
    Image.new("RGB", (40, 40)).save(pictures / "black.png")
    Image.new("RGB", (40, 40), "blue").save(pictures / "<img src=x onerror=alert(1)>.png")
    frame, clusters = survey(colour_zoo(), pictures, out=tmp_path / "out")
    left_out = dict(zip(frame["image"], frame["left_out"], strict=True))
    assert "damaged or incomplete" in left_out["torn.png"]
    assert "not a picture" in left_out["words.jpg"]
    assert "by whose name they are no pictures" in left_out["notes.txt"]
    assert "no positive part" in left_out["black.png"]
    assert sum(len(cluster.members) for cluster in clusters) == 7
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Left out, corrupt: 2 (torn.png" in page
    assert "1 map without a positive part" in page
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror" in page


@pytest.mark.parametrize("count", [1, 7])
def test_one_picture_and_one_class_give_a_report_without_a_flag(count: int, tmp_path: Path) -> None:
    for i in range(count):
        square(i, None, tag=True).save(tmp_path / f"{i}.png")
    frame, clusters = survey(colour_zoo(), tmp_path, out=tmp_path / "out")
    assert len(frame) == count
    assert not any(cluster.flagged for cluster in clusters)
    assert "nothing to compare it with" in (tmp_path / "out" / "index.html").read_text()


def test_of_very_many_pictures_the_report_shows_some(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "PICTURED", 4)
    survey(colour_zoo(), folder, out=tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "The list shows pictures for 4 of them" in page
    assert page.count("image/jpeg") == 2 * 4
    assert page.count("<tr data-show") == 3 * EACH


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{empty}"], "There is no picture in"),
        (["no_such_folder"], "There is no file or folder no_such_folder"),
        ([], "Which pictures?"),
        (["{bad}"], "None of the 1 pictures can be used (a.png: The file is not a picture"),
        (["{bad}", "{empty}", "--annotations", "{bad}/a.png"], "Annotations belong to one folder"),
        (["{bad}", "--method", "magic"], "no method 'magic'"),
        (["{bad}", "--workers", "-1"], "--workers is at least 0"),
        ([""], "Argument DIR: an empty name is no file or folder"),
        (["--images", ""], "Which pictures?"),
        (["{bad}", "--annotations", ""], "Argument --annotations: an empty name"),
        (["{bad}", "--out", ""], "Argument --out: an empty name"),
        (["{bad}", "--method", "pattern_net"], "PatternNet needs patterns that are learnt first, which this command cannot be given"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"empty": tmp_path / "empty", "bad": tmp_path / "bad"}
    for place in places.values():
        place.mkdir()
    (places["bad"] / "a.png").write_text("no picture")
    given = [argument.format(**places) for argument in arguments]
    network = f"{colours.__file__}:colour_zoo"
    assert main(["survey", "--network", network, "--out", str(tmp_path / "out"), *given]) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("paths", ["", Path(" "), ["a.png", ""], None, 7, np.zeros(3), np.zeros(()), b"pictures", [None], []])
def test_what_names_no_pictures_is_one_sentence(paths: Any) -> None:
    with pytest.raises(ValueError, match=r"^[A-Z][^\n]*\.$") as found:
        survey(colour_zoo(), paths)
    assert re.search("[Pp]icture|empty name|no file or folder", str(found.value))


@pytest.mark.parametrize(
    ("name", "value"), [("zoo", "shapes"), ("annotations", 3), ("annotations", ""), ("method", None), ("out", ""), ("workers", "two")]
)
def test_an_argument_of_the_wrong_kind_is_one_sentence(name: str, value: Any, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*\.$") as found:
        survey(**{"zoo": colour_zoo(), "paths": folder} | {name: value})
    assert "not " in str(found.value)


def test_files_may_come_from_a_generator(folder: Path) -> None:
    frame, _ = survey(colour_zoo(), (folder / "blue").glob("0[0-2].png"))
    assert len(frame) == 3


def test_the_report_and_the_tab_explain_every_number_that_they_show(folder: Path, tmp_path: Path) -> None:
    survey(colour_zoo(), folder, out=tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert page.count(words.meanings()) == 1
    shown = {re.sub(r"in the \w+ \w+ corner", "in the corner", name) for name in re.findall("<dt>([^<]*)</dt>", page)}
    explained = {*words.MEANINGS, *(name for term in words.MEANINGS for name in term.split(", "))}
    assert "probability, corrected" in shown
    assert shown - {"pictures"} <= explained
