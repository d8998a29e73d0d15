"""Long answers piece by piece, as the page receives them."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from trgbp_core.data import images
from trgbp_core.data.preprocessing import Preprocess
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.page import handlers
from trgbp_core.zoo.custom import named, own_model
from trgbp_core.zoo.loading import ModelCache

from ..support.nets import randomise

LION = Path(__file__).parents[2] / "assets" / "examples" / "lion.jpg"
DEPTH = 6


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
