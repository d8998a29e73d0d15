"""What is computed for many people: once for all who ask the same, counted in full, and equal to the engine's own numbers."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from trgbp_core import TRGBP, own_model
from trgbp_core.data import images
from trgbp_core.data.preprocessing import Preprocess
from trgbp_core.drawing.render import read_tile, shown
from trgbp_core.explorer import explorer as module
from trgbp_core.explorer.explorer import Explorer, Payload, Question
from trgbp_core.explorer.layer_pictures import class_maps, class_pictures
from trgbp_core.zoo.loading import ModelCache, Zoo

from ..support.nets import NETS, picture, randomise

LION = Path(__file__).parents[2] / "assets" / "examples" / "lion.jpg"


def counted() -> tuple[Zoo, list[int]]:
    """A small network of twenty classes, and a list that grows with every forward pass."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 20))
    randomise(network).float()
    zoo = own_model(network, [f"class {i}" for i in range(20)], preprocess=Preprocess(size=32, resize=None))
    calls = list[int]()
    network.register_forward_hook(lambda *_: calls.append(1))
    return zoo, calls


def explained(explorer: Explorer, question: Question, k: int | None = None) -> Payload:
    """Both parts of the answer in one."""
    first, rest = explorer.explain_at_once(question, k)
    return first | {"classes": [*first["classes"], *rest["classes"]]}


def test_thirty_who_ask_for_the_same_picture_cost_one_forward_pass_and_get_one_answer() -> None:
    zoo, calls = counted()
    explorer = Explorer(ModelCache(own={"small": zoo}))
    answers = list[object]()

    def ask() -> None:
        answers.append(explained(explorer, explorer.ask(images.read(LION), "small"), 7))

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(calls) == 1
    assert len(answers) == 30
    assert all(answer == answers[0] for answer in answers)


def test_every_class_that_is_asked_for_counts_and_recordings_stay_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    zoo, _ = counted()
    monkeypatch.setattr(module, "RECORDING_BYTES", 400_000)
    explorer = Explorer(ModelCache(own={"small": zoo}))
    kept = explorer._recordings
    question = explorer.ask(images.read(LION), "small")
    sizes = []
    for k in range(20):
        explorer.explanation(question, k)
        sizes.append(kept.bytes)
    assert sizes[-1] > sizes[0]
    for shift in range(40):
        explained(explorer, explorer.ask(images.read(LION).rotate(shift), "small"), 7)
        assert kept.bytes <= 400_000


def test_pictures_are_the_engines_maps() -> None:
    e = TRGBP(randomise(NETS["functional"]())).explain(picture(), [6])
    found = class_pictures(class_maps(e, 6), "six", ["picture", *(layer.name for layer in e.layers)])
    expected = [e.raw(6), e.attribution(6), e.attribution(6, "conserving")]
    panels = [*found["panels"], *(frame[kind] for frame in found["frames"] for kind in ("raw", "own"))]
    for index in range(len(e.layers) + 1):
        expected += [e.layer_raw(index, 6), e.layer_attribution(index, 6)]
    assert len(panels) == len(expected)
    for panel, map in zip(panels, expected, strict=True):
        sheet = read_tile(found["sheets"][panel["sheet"]])
        height = sheet.shape[0] // panel["of"]
        tile = sheet[panel["at"] * height : (panel["at"] + 1) * height]
        assert np.abs(tile - shown(map)).max() < 0.5 / 255 + 1e-6  # small maps are sent as they are, in 255 steps


def test_a_map_of_no_numbers_says_so() -> None:
    e = TRGBP(randomise(NETS["plain"]())).explain(picture())
    maps = class_maps(e, e.classes[0])
    maps.panels[0] = float("nan")
    found = class_pictures(maps, "broken", ["picture", *(layer.name for layer in e.layers)])
    assert "Not a number" in found["panels"][0]["empty"]
    assert torch.isfinite(torch.tensor(read_tile(found["sheets"][0]))).all()


def test_a_further_class_comes_alone_and_one_of_the_top_5_is_not_made_anew() -> None:
    zoo, calls = counted()
    explorer = Explorer(ModelCache(own={"small": zoo}))
    question = explorer.ask(images.read(LION), "small")
    whole = explained(explorer, question)
    other = next(k for k in range(20) if k not in whole["top"])
    further = explorer.further_class(question, other)
    assert [item["index"] for item in further["classes"]] == [other]
    assert explorer.further_class(question, whole["top"][2])["classes"][0] is whole["classes"][2]
    assert len(calls) == 1


def test_older_pictures_are_kept_packed_and_a_further_class_of_theirs_is_the_same() -> None:
    zoo, _ = counted()
    explorer = Explorer(ModelCache(own={"small": zoo}))
    questions = [explorer.ask(images.read(LION).rotate(angle), "small") for angle in (0, 90, 180)]
    sizes = []
    for question in questions:
        explorer.explanation(question)
        sizes.append(explorer._recordings.bytes)
    assert sizes[2] < 3 * sizes[0]
    assert sizes[1] == 2 * sizes[0]
    fresh = TRGBP(zoo.network).explain(questions[0].x, [7])
    again = explorer.explanation(questions[0], 7).attribution(7)
    # float32; a matrix product of one class rounds otherwise than one of six
    torch.testing.assert_close(again, fresh.attribution(7), rtol=0, atol=1e-5 * float(again.abs().max()))
