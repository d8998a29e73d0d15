"""What the tab Predict is sent: numbers that any browser reads, and sentences that follow the counts."""

from __future__ import annotations

import json

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
    assert "nothing is said about how suspect" in found["boundary"]["said"][1]
    assert found["boundary"]["picked"]["name"] == LABELS[k]
    with pytest.raises(ValueError, match="2 to 50"):
        next(predict.measure(explorer, question, k, 1))


def test_the_sentences_follow_the_counts() -> None:
    strong = predict.sentences(0.4, 0.2, 0.55, "lion", table(Estimate(0.05, 0.01, 0.09)))
    assert strong[0] == "Strong frame: of 10 real pictures with a frame at least this strong, 60 % were misclassified (95 %: 31 % to 83 %)."
    assert "6 of 10 with a strong frame were misclassified, 2 of 40 with a weak one" in strong[2]
    assert "+5.0 points (+1.0 to +9.0)." in strong[2]
    weak = predict.sentences(0.1, 0.2, 0.55, "lion", table(Estimate(-0.01, -0.05, 0.03)))
    assert weak[0].startswith("Weak frame, as theory predicts: of 40 real pictures with a weak frame, 5 % were misclassified")
    assert "−1.0 points (−5.0 to +3.0), which may be chance." in weak[2]
    assert "none of 50 real pictures" in predict.sentences(0.9, 0.2, 0.55, "lion", table(SOME))[0]
