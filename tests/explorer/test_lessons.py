"""Lessons are true for their pictures, and a broken file is named."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from trgbp_core.data import examples, images, shapes
from trgbp_core.explorer import links
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.explorer.lessons import drawn, equations, handouts, lessons, presenting
from trgbp_core.explorer.lessons.experiments import Experiment
from trgbp_core.explorer.lessons.specs import Claim, Condition, MapSpec, Measure
from trgbp_core.explorer.links import Known, Link

PICTURES = examples.pictures()
MODELS = ["efficientnet_lite0", "shapes", "shapes_cheat"]
TABS = ["explain", "classes", "compare", "cascade", "measure", "predict", "camera", "learn"]
SHELF = lessons.load(pictures=PICTURES, models=MODELS)
GOOD = (lessons.FOLDER / "1-a-sharp-picture.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    return Explorer()


def test_all_six_lessons_can_be_read() -> None:
    assert not SHELF.broken
    assert list(SHELF.lessons) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("number", SHELF.lessons)
def test_a_lessons_answer_and_all_that_it_claims_are_what_the_engine_computes(number: int, explorer: Explorer) -> None:
    lesson = SHELF.lessons[number]
    experiment = Experiment(explorer, lesson)
    measured, right = experiment.answer()
    assert right == lesson.answer, f"{measured} makes choice {right} the right one"
    found = experiment.findings()
    assert found
    assert all(f.holds for f in found), [(f.claim.name, f.measured, f.stated) for f in found if not f.holds]


@pytest.mark.parametrize("number", SHELF.lessons)
def test_what_a_lesson_shows_before_the_answer_does_not_hold_the_answer(number: int, explorer: Explorer) -> None:
    lesson = SHELF.lessons[number]
    payload = presenting.question(explorer, lesson)
    assert len(payload["panels"]) == len(lesson.before)
    assert not {"right", "answer", "rows", "explanation", "stated"} & payload.keys()
    assert all("the lesson" in panel["alt"] for panel in payload["panels"]), "the words of a map name no class"


@pytest.mark.parametrize("number", SHELF.lessons)
def test_every_link_in_a_lesson_leads_somewhere(number: int) -> None:
    lesson = SHELF.lessons[number]
    known = Known(Link("efficientnet_lite0", examples.FIRST, tab="explain"), MODELS, PICTURES, TABS, SHELF.lessons)
    pages = "".join(map(lessons.html, (lesson.introduction, lesson.explanation, lesson.further)))
    assert "](" not in pages, "a link that Markdown does not take for one"
    for target in re.findall(r'href="([^"]*)"', pages):
        target = target.replace("&amp;", "&")
        if target.startswith("#"):
            assert target.removeprefix("#tg-eq-") in equations.load()
        else:
            assert not links.read(target, known)[1]
    assert set(lesson.equations) <= equations.load().keys()
    assert links.read(links.query_of(lesson), known)[0] == Link(
        lesson.model, lesson.picture, lesson.wanted, lesson.layer, lesson.stage, lesson.tab
    )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("title: A sharp", "titel: A sharp", "title: Field required"),
        ("layer: 0\n", "", "layer: Field required"),
        ("layer: 0\n", "layer: 0\nlayer: 1\n", "layer a second time"),
        ("layer: 0\n", "layer: deep\n", "layer: Input should be a valid integer"),
        ("layer: 0\n", "layer: {\n", "its head is not YAML"),
        ("layer: 0\n", "layer: 0\nweight: 3\n", "weight: Extra inputs are not permitted"),
        ("answer: 3", "answer: 4", "there are 3 choices"),
        ("picture: cheetah_and_lion.jpg", "picture: unicorn.jpg", "no example picture 'unicorn.jpg'"),
        ("efficientnet_lite0", "vgg99", "no network 'vgg99'"),
        ('"< 0.3"', "about 0.3", "choices.1.when: 'about 0.3' is no condition"),
        ("class: lion}\n    - ", "colour: lion}\n    - ", "measure.maps.1.colour"),
        ("method: guided_backprop,", "method: guidance,", "there is no map 'guidance'"),
        ("method: guided_backprop,", "method: contrast,", "take a second class, against"),
        ("method: guided_backprop,", "method: guided_backprop, against: lion,", "no other map takes against"),
        ("  name: Rank correlation of the two maps (1 is the same map)\n", "", "measure.name: Field required"),
        ("kind: spearman", "kind: likeness", "measure.kind: Input should be 'spearman'"),
        ("## Explanation", "## Explanations", "its text needs"),
        ("## What to try next", "", "its text needs"),
        ("---\nThe network", "The network", "a head between two lines ---"),
    ],
)
def test_a_broken_lesson_is_named_with_what_is_wrong_and_the_others_stay(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in GOOD
    (tmp_path / "1-good.md").write_text(GOOD, encoding="utf-8")
    (tmp_path / "2-broken.md").write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    found = lessons.load(tmp_path, pictures=PICTURES, models=MODELS)
    assert list(found.lessons) == [1]
    (told,) = found.broken
    assert told.startswith("2-broken.md is left out: ")
    assert sentence in told


def test_files_of_a_wrong_name_number_or_encoding_are_named_and_left_out(tmp_path: Path) -> None:
    for name in ("1-good.md", "1-twin.md", "seven.md"):
        (tmp_path / name).write_text(GOOD, encoding="utf-8")
    (tmp_path / "8-latin.md").write_bytes(GOOD.encode("utf-16"))
    found = lessons.load(tmp_path, pictures=PICTURES, models=MODELS)
    assert list(found.lessons) == [1]
    assert [sentence.split()[0] for sentence in found.broken] == ["1-twin.md", "8-latin.md", "seven.md"]


def test_a_lesson_changes_nothing_but_the_box_and_asks_the_network_that_it_names(explorer: Explorer) -> None:
    experiment, star = Experiment(explorer, SHELF.lessons[6]), images.read(PICTURES["star_with_tag.png"])
    covered = experiment.question(MapSpec.model_validate({"cover": "tag"}))[0]
    put = {"picture": "star.png", "model": "shapes", "copy": {"picture": "star_with_tag.png", "part": "tag"}}
    tagged = experiment.question(MapSpec.model_validate(put))[0]
    changed = np.argwhere((np.asarray(covered.picture) != np.asarray(star)).any(2))
    assert (*changed.min(0)[::-1], *(changed.max(0)[::-1] + 1)) == shapes.tag_box()
    assert (covered.zoo.name, tagged.zoo.name) == ("shapes_cheat", "shapes")
    assert tagged.picture.tobytes() == star.tobytes(), "the two examples differ by the tag alone"
    with pytest.raises(ValueError, match="knows other classes"):
        drawn.accuracy(explorer.network("efficientnet_lite0"), "stars with a tag")


def test_markup_in_a_lesson_is_shown_and_never_run() -> None:
    page = lessons.html("<script>alert(1)</script> ![x](http://elsewhere/x.png) [y](javascript:alert(1))")
    assert "<script" not in page
    assert "<img" not in page
    assert 'href="javascript' not in page


def test_measures_and_claims_mean_what_they_say() -> None:
    raw, two = {"method": "raw"}, [{"method": "raw"}, {"method": "tr_gbp"}]
    half = {"name": "x", "kind": "share", "maps": [raw], "box": "right"}
    assert Measure.model_validate(half).box == (0.5, 0, 1, 1)
    claim = Claim.model_validate({"name": "x", "kind": "spearman", "maps": two, "expected": "<= -0.5"})
    assert claim.expected == Condition("<=", -0.5)
    assert not claim.expected.holds(float("nan"))
    assert Condition.read("= 0").holds(0.0)
    wrong: list[dict[str, object]] = [
        {"kind": "spearman", "maps": [raw]},
        {"kind": "share", "maps": [raw]},
        {"kind": "ibd", "maps": two},
        {"kind": "ibd", "maps": [{}]},
        {"kind": "ibd", "maps": [raw], "box": "left"},
        {"kind": "accuracy", "maps": [{}]},
        {"kind": "accuracy", "maps": [raw], "drawn": "stars with a tag"},
        {"kind": "ibd", "maps": [raw], "drawn": "stars with a tag"},
        {"kind": "right"},
        {"kind": "right", "maps": [raw], "truth": ["lion"]},
        {"kind": "share", "maps": [raw], "box": [1, 0, 0, 1]},
        {"kind": "share", "maps": [raw], "box": [0, 0, 2, 1]},
    ]
    for given in wrong:
        with pytest.raises(ValueError, match=r"\d validation error"):
            Measure.model_validate({"name": "x", **given})


def test_a_stage_class_or_layer_that_does_not_exist_is_a_sentence(explorer: Explorer) -> None:
    experiment = Experiment(explorer, SHELF.lessons[1])
    for spec, words in (
        ({"stage": 51}, "fewer than 51 layers"),
        ({"class": "unicorn"}, "No class is called"),
        ({"layer": 51}, "no layer 51"),
    ):
        with pytest.raises(ValueError, match=words):
            experiment.map(MapSpec.model_validate({"method": "layer_raw", **spec}))


@pytest.mark.parametrize("number", SHELF.lessons)
def test_a_handout_stands_alone_and_keeps_the_answer_to_itself(number: int, explorer: Explorer) -> None:
    lesson = SHELF.lessons[number]
    student = handouts.sheet(explorer, lesson)
    teacher = handouts.sheet(explorer, lesson, answers=True)
    for sheet in (student, teacher):
        assert not re.search(r'(?:src|href)="(?!data:|#)', sheet), "it needs no other file"
        assert sheet.count("<img") >= len(lesson.before) + all(spec.method for spec in lesson.before), "the picture, once"
    assert "class=right" not in student
    assert teacher.count("<li class=right>") == 1
    assert lessons.html(lesson.explanation)[:60] not in student


def test_an_uploaded_picture_is_no_example_and_an_example_is_known_by_what_it_shows() -> None:
    lion = images.read(PICTURES["lion.jpg"])
    assert examples.name_of(lion) == "lion.jpg"
    lion.putpixel((0, 0), (1, 2, 3))
    assert examples.name_of(lion) == ""
