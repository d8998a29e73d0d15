"""Links: what they may ask for, and the sentence for everything else."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import pytest

from trgbp_core.data import examples
from trgbp_core.data.images import read
from trgbp_core.explorer import links
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.explorer.lessons import lessons
from trgbp_core.explorer.links import Known, Link
from trgbp_core.page import layout

MODEL = "efficientnet_lite0"
FIRST = Link(MODEL, examples.FIRST, tab="explain")
PICTURES = examples.pictures()
SHELF = lessons.load(pictures=PICTURES, models=[MODEL])
KNOWN = Known(FIRST, [MODEL, "vgg16"], PICTURES, ["explain", "cascade", "learn"], SHELF.lessons)


@pytest.mark.parametrize(
    ("query", "link"),
    [
        *((query, FIRST) for query in ("", "?", None, "?__theme=dark&utm_source=&utm_medium=x")),
        (
            "?model=vgg16&image=coffee.jpg&class=967&layer=12&stage=3&tab=cascade&beside=saliency&mode=reset&seed=2147483647",
            Link("vgg16", "coffee.jpg", "967", 12, 3, "cascade", "saliency", "reset", 2**31 - 1),
        ),
        ("?image=own&class=3&crop=0.5,0,0.8", replace(FIRST, image=links.OWN, wanted="3", crop="0.5,0,0.8")),
        (
            "?crop=whole&colours=jet&opacity=100&psi=conserving&box=0,0.25,1.0,0.5",
            replace(FIRST, crop="whole"),
        ),  # the rest is the browser's
    ],
)
def test_a_link_is_read_exactly_and_no_link_is_the_page_as_it_opens(query: object, link: Link) -> None:
    assert links.read(query, KNOWN) == (link, "")


def test_a_known_name_may_hold_any_sign() -> None:
    known = replace(KNOWN, models=["mine/<1>"])
    assert links.read("?model=mine%2F%3C1%3E", known)[0].model == "mine/<1>"


def test_a_lesson_sets_everything_and_what_stands_beside_it_wins() -> None:
    lesson = SHELF.lessons[2]
    assert links.read("?lesson=2", KNOWN)[0] == Link(lesson.model, lesson.picture, lesson.wanted, lesson.layer, tab="learn", lesson=2)
    other, _ = links.read("?lesson=2&image=lion.jpg&layer=3", KNOWN)
    assert (other.image, other.wanted, other.layer, other.lesson) == ("lion.jpg", "", 3, 2)


@pytest.mark.parametrize(
    "bad", ["<img src=x onerror=alert(1)>", "[x](http://elsewhere)", "../../etc/passwd", "\x00", "٣", "1e9", "-1", "a" * 500]
)
@pytest.mark.parametrize("key", [key for key in links.KEYS if key not in ("class", "against")])
def test_nonsense_is_a_sentence_that_repeats_no_markup(key: str, bad: str) -> None:
    link, sentence = links.read(f"?{urlencode({key: bad})}", KNOWN)
    assert link == FIRST
    assert sentence.startswith("Not followed in this link: ")
    assert sentence.endswith(".")
    assert not set("<>[]/\x00") & set(sentence)
    assert len(sentence) < 200


def test_every_part_that_is_wrong_is_named_and_the_rest_is_followed() -> None:
    link, sentence = links.read(
        "?image=no.jpg&tab=nothing&layer=x&crop=left&model=vgg16&stage=3&colours=pink&class=<b>&seed=1&seed=2", KNOWN
    )
    assert link == replace(FIRST, model="vgg16", stage=3)
    named = ["an example picture", "a tab", "layer", "a crop", "colours", "a class", "seed, which is set more than once"]
    assert all(part in sentence for part in named), sentence
    assert sentence.count(";") == len(named) - 1


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?class=%3Cb%3Elion%3C/b%3E", "a class that no network has"),
        ("?layer=1&layer=2", "more than once"),
        ("?lesson=9", "there are 1, 2, 3, 4, 5"),
        ("?opacity=101", "no multiple of 5 from 0 to 100"),
        ("?opacity=33", "no multiple of 5 from 0 to 100"),
        ("?seed=2147483648", "seed, which is no whole number from 0 to 2,147,483,647"),
        ("?box=0,0,1", "four numbers"),
        ("?box=0.9,0,0.1,1", "box, which holds no cell"),
        ("?box=0.5,0,0.508,1", "box, which holds no cell"),
        ("?psi=sharp", "paper nor conserving"),
        ("?layer=&image=", "this link: image, which is empty; layer, which is empty."),
        ("?class=%3Cb%3E&against=%3Cb%3E", "this link: a class that no network has; a second class that no network has."),
    ],
)
def test_what_is_wrong_is_named(query: str, sentence: str) -> None:
    assert sentence in links.read(query, KNOWN)[1]


@pytest.mark.parametrize(("query", "sentence"), [("?" + "x=1&" * 60, "too many parts"), ("?x=" + "1" * 3000, "longer than 2000")])
def test_of_some_links_nothing_is_followed(query: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        links.read(query, KNOWN)


def test_a_class_layer_or_stage_that_the_network_lacks_is_named_and_the_rest_is_followed() -> None:
    explorer = Explorer()
    question = layout.ask(explorer, read(PICTURES["lion.jpg"]), MODEL)
    k, link, missing = layout.follow(explorer, question, Link(MODEL, "lion.jpg", "0", 50, 50))
    assert (k, link.layer, link.stage, missing) == (0, 50, 50, [])
    k, link, missing = layout.follow(explorer, question, Link(MODEL, "lion.jpg", "unicorn", 51, 51))
    assert (k, link.layer, link.stage) == (291, None, 0)
    assert len(missing) == 3
    _, link, missing = layout.follow(explorer, question, Link(MODEL, "lion.jpg", "unicorn", against="unicorn"))
    assert link.against == ""
    assert len(missing) == 1
    assert missing[0].endswith("The best class is explained instead, and compared with no other.")
