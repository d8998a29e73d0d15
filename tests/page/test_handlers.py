"""Long answers piece by piece, as the page receives them."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from trgbp_core.data import images
from trgbp_core.data.preprocessing import Preprocess
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.methods import METHODS
from trgbp_core.page import handlers
from trgbp_core.zoo.custom import named, own_model
from trgbp_core.zoo.loading import ModelCache

from ..support.nets import randomise

LION = Path(__file__).parents[2] / "assets" / "examples" / "lion.jpg"
DEPTH = 6


@pytest.fixture(autouse=True)
def no_instants(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small network's stages are finished as soon after one another as kept ones are."""
    monkeypatch.setattr(handlers, "INSTANT_SECONDS", 0)


@pytest.fixture
def explorer() -> Explorer:
    layers = [part for _ in range(DEPTH - 1) for part in (nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 7))
    zoo = own_model(randomise(network).float(), [f"class {i}" for i in range(7)], preprocess=Preprocess(size=32, resize=None))
    return Explorer(ModelCache(own=named({"small": zoo})))


def sent(explorer: Explorer) -> list[list[int]]:
    """The stages of every answer that brings some."""
    answered = handlers.cascade(explorer, images.read(LION), "small", "class 3", "saliency", "gaussian", 0)
    return [[stage["index"] for stage in payload["stages"]] for payload, _ in answered if payload is not None]


def test_stages_that_come_quickly_are_sent_together_the_first_ones_at_once(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "TOGETHER_SECONDS", 1000)
    monkeypatch.setattr("trgbp_core.serving.jobs.BEAT_SECONDS", 1000)
    monkeypatch.setattr("trgbp_core.serving.jobs.TELL_SECONDS", 1000)
    assert sent(explorer) == [[0], [0, 1], [1, 2, 3, 4, 5, 6]]


def test_every_stage_is_sent_twice_but_the_last(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "TOGETHER_SECONDS", 0)
    assert sent(explorer) == [[0], *([i, i + 1] for i in range(DEPTH))]


def test_what_has_not_been_sent_goes_with_the_next_sentence(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "TOGETHER_SECONDS", 1000)
    monkeypatch.setattr("trgbp_core.serving.jobs.TELL_SECONDS", 0.001)
    found = sent(explorer)
    assert len(found) > 3
    assert sorted({index for some in found for index in some}) == list(range(DEPTH + 1))


def test_a_class_that_does_not_exist_is_a_sentence(explorer: Explorer) -> None:
    ((payload, sentence),) = handlers.cascade(explorer, images.read(LION), "small", "no such class", "saliency", "gaussian", 0)
    assert payload is None
    assert sentence.startswith("**")


def test_a_run_that_the_page_has_is_not_sent_again_and_one_that_is_kept_comes_whole(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "TOGETHER_SECONDS", 0)
    asked = (explorer, images.read(LION), "small", "class 3", "saliency", "gaussian", 0)
    *_, last = [payload for payload, _ in handlers.cascade(*asked) if payload]
    assert [payload for payload, _ in handlers.cascade(*asked, there=last["id"])] == [None]
    assert [payload for payload, _ in handlers.cascade(*asked[:-1], 1, there=last["id"]) if payload], "another seed is another run"
    monkeypatch.setattr(handlers, "INSTANT_SECONDS", 1000)
    monkeypatch.setattr(handlers, "TOGETHER_SECONDS", 1000)
    *_, whole = [payload for payload, _ in handlers.cascade(*asked) if payload]
    assert [stage["index"] for stage in whole["stages"]] == list(range(DEPTH + 1)), "the page may receive the last alone"


def test_methods_have_their_places_in_one_order_whichever_were_fastest(explorer: Explorer) -> None:
    methods = ["saliency", "guided_backprop", "tr_gbp"]
    for seconds in (0.0, 9.0):
        explorer._seconds["small", "saliency"] = seconds
        first, *_, last = [payload for payload, _ in handlers.measure(explorer, images.read(LION), "small", "", methods) if payload]
        assert [place["key"] for place in first["places"]] == [key for key in METHODS if key in methods]
        assert first["places"][0]["key"] == "tr_gbp"
        assert not first["panels"]
        assert [panel["key"] for panel in last["panels"]] == [place["key"] for place in last["places"]]
