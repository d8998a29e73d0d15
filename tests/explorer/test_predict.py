"""What the tab Predict is sent: numbers that any browser reads, and sentences that follow the counts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image

from trgbp_core.explorer import predict
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.metrics.estimate import Estimate
from trgbp_core.theory import frame_calibration
from trgbp_core.theory.frame_calibration import Calibration
from trgbp_core.zoo.loading import ModelCache

from ..support.small_sets import LABELS, rectangle, small_zoo

SOME = Estimate(0.8, 0.7, 0.9)


def table(gain: Estimate) -> Calibration:
    wrong = [False] * 38 + [True] * 2 + [True] * 6 + [False] * 4
    counts = frame_calibration.counted(np.full(40, 0.1).tolist() + [0.4] * 10, [0.55] * 50, wrong)
    return Calibration("small", "", "0", "python", "50", *counts, Estimate(0.6, 0.5, 0.7), SOME, SOME, gain, SOME)


def test_what_is_sent_is_plain_json_and_a_network_without_a_table_says_so() -> None:
    explorer = Explorer(ModelCache(own={"small": small_zoo()}))
    picture: Image.Image = rectangle(0)[0]
    question = explorer.ask(picture, "small")
    k = explorer.explanation(question).top5[1]
    predicted = predict.prediction(explorer, question, k)
    *_, found = predict.measure(explorer, question, k, 2)
    json.dumps([predicted, found], allow_nan=False)
    assert predicted["key"] == found["key"]
    assert len(predicted["layers"]) == len(found["random"]["layers"])
    assert "nothing is said about how often it was wrong" in found["boundary"]["said"][2]
    assert found["boundary"] == predict.edge(explorer, question, k)
    assert found["boundary"]["picked"]["name"] == LABELS[k]
    with pytest.raises(ValueError, match="2 to 50"):
        next(predict.measure(explorer, question, k, 1))


def test_the_sentences_follow_the_counts() -> None:
    strong = predict.sentences(0.4, 0.2, 0.55, "lion", table(Estimate(0.05, 0.01, 0.09)))
    assert strong[0].startswith("Strong edge")
    assert strong[1] == "40 % of the map for “lion” lies at the edge; theory expects 20 % of a map without error."
    kinds = "The network was wrong on 5 % of 40 real pictures with a weak edge and on 60 % of 10 real pictures with a strong edge."
    assert strong[2] == f"{kinds} Of the 10 with at least this much at the edge it was wrong on 60 % (95 % interval: 31 % to 83 %)."
    assert "wrong on 6 of 10 pictures with a strong edge, on 2 of 40 with a weak one" in strong[3]
    assert "+5.0 points (+1.0 to +9.0)." in strong[3]
    weak = predict.sentences(0.1, 0.2, 0.55, "lion", table(Estimate(-0.01, -0.05, 0.03)))
    assert weak[0].startswith("Weak edge, as theory predicts")
    assert weak[2].startswith(f"{kinds} Of the 50 with at least this much at the edge, the strong ones included, it was wrong on 16 %")
    assert "−1.0 points (−5.0 to +3.0), which may be chance." in weak[3]
    assert "None of them has as much" in predict.sentences(0.9, 0.2, 0.55, "lion", table(SOME))[2]


def test_how_often_the_network_was_wrong_is_the_curves_height_at_the_pictures_edge() -> None:
    of = table(SOME)
    for value in (0.05, 0.1, 0.25, 0.4):
        (height,) = (rate for at, rate in of.curve() if math.isclose(at, math.floor(100 * value + 1e-9) / 100))
        said = predict.sentences(value, 0.2, 0.55, "lion", of)[2]
        assert f"Of the {height.number} with at least this much" in said
        assert f"wrong on {100 * height.share:.0f} %" in said


@pytest.mark.parametrize(
    ("rings", "words"),
    [
        ([0.5, 1, 1], "Weakest at the border, 50 % of the strongest"),
        ([1.0, 0.9, 0.8], "Weakest in the centre, 80 % of the strongest"),
        ([1.0, 0.5, 0.9, 1.0], "Weakest between border and centre (ring 2 of 4), 50 % of the strongest"),
        ([0.97, 1, 1], "The same everywhere"),
        ([1.0], "The same everywhere"),
        ([-0.2, 1.0], "Weakest at the border"),
    ],
)
def test_a_caption_reads_its_own_numbers(rings: list[float], words: str) -> None:
    assert predict.weakest(rings) == words


def test_every_layers_caption_names_the_ring_where_its_profile_is_lowest() -> None:
    explorer = Explorer()
    question = explorer.ask(rectangle(0)[0], "shapes")
    layers = predict.prediction(explorer, question, 0)["layers"]
    for layer in layers:
        assert predict.weakest(layer["profile"]) in layer["map"]["caption"], layer["index"]
    assert len({layer["map"]["caption"] for layer in layers}) > 2
    assert "between" in layers[3]["map"]["caption"], "the last is stronger at the border"
