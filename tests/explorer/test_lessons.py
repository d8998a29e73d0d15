"""Lessons are true for their pictures, and a broken file is told by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trgbp_core.data import examples
from trgbp_core.explorer import links
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.explorer.lessons import equations, handouts, lessons, presenting
from trgbp_core.explorer.lessons.claims import Condition, read_claim, read_condition, read_map, read_measure
from trgbp_core.explorer.lessons.lessons import Lesson
from trgbp_core.explorer.links import Known, Link

PICTURES = examples.pictures()
MODELS = ["efficientnet_lite0"]
TABS = ["explain", "classes", "compare", "cascade", "measure", "predict", "learn"]
SHELF = lessons.load(pictures=PICTURES, models=MODELS)
GOOD = (lessons.FOLDER / "1-a-sharp-picture.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    return Explorer()


def written(lesson: Lesson) -> list[str]:
    return [lesson.introduction, lesson.explanation, lesson.further]


def test_all_five_lessons_can_be_read() -> None:
    assert not SHELF.broken
    assert list(SHELF.lessons) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("number", SHELF.lessons)
def test_a_lessons_answer_and_all_that_it_claims_are_what_the_engine_computes(number: int, explorer: Explorer) -> None:
    lesson = SHELF.lessons[number]
    room = presenting.laboratory(explorer, lesson, PICTURES)
    measured, right = presenting.answer(room, lesson)
    assert right == lesson.answer, f"{measured} makes choice {right} the right one"
    found = presenting.findings(room, lesson)
    assert found
    assert all(f.holds for f in found), [(f.claim.label, f.measured, f.stated) for f in found if not f.holds]


@pytest.mark.parametrize("number", SHELF.lessons)
def test_what_a_lesson_shows_before_the_answer_does_not_hold_the_answer(number: int, explorer: Explorer) -> None:
    lesson = SHELF.lessons[number]
    payload = presenting.asked(explorer, lesson, PICTURES)
    assert len(payload["panels"]) == len(lesson.before)
    assert not {"right", "answer", "rows", "explanation", "stated"} & payload.keys()
    assert all("the lesson" in panel["alt"] for panel in payload["panels"]), "the words of a map name no class"


@pytest.mark.parametrize("number", SHELF.lessons)
def test_every_link_in_a_lesson_leads_somewhere(number: int) -> None:
    lesson = SHELF.lessons[number]
    known = Known(Link("efficientnet_lite0", examples.FIRST, tab="explain"), MODELS, PICTURES, TABS, SHELF.lessons)
    pages = "".join(map(lessons.html, written(lesson)))
    assert "](" not in pages, "a link that Markdown does not take for one"
    for target in re.findall(r'href="([^"]*)"', pages):
        target = target.replace("&amp;", "&")
        if target.startswith("#"):
            assert target.removeprefix("#tg-eq-") in equations.load()
        else:
            links.read(target, known)
    assert set(lesson.equations) <= equations.load().keys()
    assert links.read(links.query_of(lesson), known) == Link(
        lesson.model, lesson.picture, lesson.wanted, lesson.layer, lesson.stage, lesson.tab
    )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("title: ", "titel: ", "line 2"),
        ("layer: 0\n", "", "there is no layer"),
        ("layer: 0\n", "layer: 0\nlayer: 1\n", "a second time"),
        ("layer: 0\n", "layer: deep\n", "layer is a whole number"),
        ("answer: 3", "answer: 4", "there are 3 choices"),
        ("cheetah_and_lion.jpg\n", "unicorn.jpg\n", "no example picture 'unicorn.jpg'"),
        ("efficientnet_lite0", "vgg99", "no network 'vgg99'"),
        ("< 0.3: The", "about 0.3: The", "is no condition"),
        ("class=lion vs", "colour=lion vs", "is not understood"),
        ("measure: Rank correlation of the two maps (1 is the same map): ", "measure: ", "has no label"),
        ("spearman guided_backprop class=lion vs", "likeness guided_backprop class=lion vs", "there is no measure 'likeness'"),
        ("## Explanation", "## Explanations", "its headings are"),
        ("## What to try next", "", "its text needs"),
        ("---\nThe network", "The network", "front matter"),
    ],
)
def test_a_broken_lesson_is_told_by_name_with_what_is_wrong_and_the_others_stay(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in GOOD
    (tmp_path / "1-good.md").write_text(GOOD, encoding="utf-8")
    (tmp_path / "2-broken.md").write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    found = lessons.load(tmp_path, pictures=PICTURES, models=MODELS)
    assert list(found.lessons) == [1]
    assert len(found.broken) == 1
    assert found.broken[0].startswith("2-broken.md is left out: ")
    assert sentence in found.broken[0]


def test_files_of_a_wrong_name_number_or_encoding_are_told_and_left_out(tmp_path: Path) -> None:
    for name in ("1-good.md", "1-twin.md", "seven.md"):
        (tmp_path / name).write_text(GOOD, encoding="utf-8")
    (tmp_path / "8-latin.md").write_bytes(GOOD.encode("utf-16"))
    found = lessons.load(tmp_path, pictures=PICTURES, models=MODELS)
    assert list(found.lessons) == [1]
    assert [sentence.split()[0] for sentence in found.broken] == ["1-twin.md", "8-latin.md", "seven.md"]


def test_markup_in_a_lesson_is_shown_and_never_run() -> None:
    page = lessons.html("<script>alert(1)</script> ![x](http://elsewhere/x.png) [y](javascript:alert(1))")
    assert "<script" not in page
    assert "<img" not in page
    assert 'href="javascript' not in page


def test_the_language_of_claims_means_what_it_says() -> None:
    spec = read_map('layer_attribution layer=3 stage=2 class="Egyptian cat" crop=0,0.5,1,1')
    assert (spec.method, spec.layer, spec.stage, spec.wanted, spec.crop) == ("layer_attribution", 3, 2, "Egyptian cat", (0, 0.5, 1, 1))
    assert read_measure("share tr_gbp box=right").box == (0.5, 0, 1, 1)
    assert read_measure('right truth="missile, space shuttle"').truth == ("missile", "space shuttle")
    claim = read_claim("x", "spearman raw vs tr_gbp <= -0.5")
    assert claim.condition == Condition("<=", -0.5)
    assert not claim.condition.holds(float("nan"))
    assert read_condition("= 0").holds(0.0)
    for wrong in (
        "spearman raw",
        "share raw",
        "mass raw vs",
        "ibd raw vs raw",
        "ibd nothing",
        'right truth="open',
        "share raw box=1,0,0,1",
        "",
    ):
        with pytest.raises(ValueError, match=r"\w+ \w+"):
            read_measure(wrong)
    with pytest.raises(ValueError, match="there is no map"):
        read_map("")


def test_a_stage_or_class_that_does_not_exist_is_a_sentence(explorer: Explorer) -> None:
    room = presenting.laboratory(explorer, SHELF.lessons[1], PICTURES)
    with pytest.raises(ValueError, match="fewer than 51 layers"):
        room.map(read_map("raw stage=51"))
    with pytest.raises(ValueError, match="No class is called"):
        room.map(read_map("raw class=unicorn"))
    with pytest.raises(ValueError, match="there is no layer 51"):
        room.map(read_map("layer_raw layer=51"))


@pytest.mark.parametrize("number", SHELF.lessons)
def test_a_handout_stands_alone_and_keeps_the_answer_to_itself(number: int, explorer: Explorer) -> None:
    lesson = SHELF.lessons[number]
    student = handouts.sheet(explorer, lesson, PICTURES)
    teacher = handouts.sheet(explorer, lesson, PICTURES, answers=True)
    for sheet in (student, teacher):
        assert not re.search(r'(?:src|href)="(?!data:|#)', sheet), "it needs no other file"
        assert sheet.count("<img") >= 1 + len(lesson.before)
    assert "class=right" not in student
    assert teacher.count("<li class=right>") == 1
    assert lessons.html(lesson.explanation)[:60] not in student


def test_an_uploaded_picture_is_no_example_and_an_example_is_known_by_what_it_shows() -> None:
    from trgbp_core.data import images

    lion = images.read(PICTURES["lion.jpg"])
    assert examples.name_of(lion, PICTURES) == "lion.jpg"
    lion.putpixel((0, 0), (1, 2, 3))
    assert examples.name_of(lion, PICTURES) == ""
