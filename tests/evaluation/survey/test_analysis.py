"""Groups of attentions, and their flags, on attentions whose truth is known."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from trgbp_core.evaluation.survey import spectral, words
from trgbp_core.evaluation.survey.analysis import COMMON, FEW, TIGHT, analyse
from trgbp_core.evaluation.survey.attention import attention, core, corner, frame, inside
from trgbp_core.evaluation.survey.chance import at_least

CLASSES, EACH = 4, 40


def spot(row: float, column: float, width: float) -> np.ndarray:
    """An attention (16, 16) around one place."""
    cells = np.arange(16)
    shares = np.exp(-((cells[:, None] - row) ** 2 + (cells - column) ** 2) / (2 * width**2))
    return shares / shares.sum()


def objects(seed: int, tagged: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Attentions on objects that lie anywhere, of four classes; the first ``tagged`` of the last class lie on a tag in a corner."""
    chance = np.random.default_rng(seed)
    shares = np.stack([spot(*chance.uniform(4, 12, 2), chance.uniform(1.5, 2.5)) for _ in range(CLASSES * EACH)])
    labels = np.repeat(np.arange(CLASSES), EACH)
    for i in np.flatnonzero(labels == CLASSES - 1)[:tagged]:
        shares[i] = 0.8 * spot(13, 13, 1) + 0.2 * shares[i]
    return shares, labels


@pytest.mark.parametrize("tagged", [8, 15, EACH])
def test_pictures_decided_by_a_tag_are_flagged_as_one_group(tagged: int) -> None:
    shares, labels = objects(1, tagged)
    found = analyse(shares, labels)
    (cluster,) = found.flagged
    by_tag = set(np.flatnonzero(labels == CLASSES - 1)[:tagged].tolist())
    assert set(cluster.members) == by_tag
    assert (cluster.label, cluster.number) == (CLASSES - 1, 1)
    assert [each.number for each in found.clusters] == list(range(1, len(found.clusters) + 1))
    assert cluster.corner == "lower right"
    assert min(found.score[list(by_tag)]) > max(np.delete(found.score, list(by_tag)))


def test_where_no_tag_is_nothing_is_flagged() -> None:
    assert not [seed for seed in range(20) if analyse(*objects(seed)).flagged]


def test_a_place_that_every_class_looks_at_is_not_flagged() -> None:
    shares, labels = objects(2)
    shares[::2] = spot(13, 13, 1)
    assert not analyse(shares, labels).flagged
    assert not analyse(shares[labels == 0], labels[labels == 0]).flagged  # one class: nothing to compare with


def test_boxes_say_what_is_off_the_object() -> None:
    shares, labels = objects(3, 15)
    on_it = analyse(shares, labels, in_boxes=np.full(len(labels), 0.9))
    assert not on_it.flagged
    middle = shares.copy()
    middle[labels == CLASSES - 1] = spot(8, 8, 1)
    assert not analyse(middle, labels).flagged
    assert [c.label for c in analyse(middle, labels, in_boxes=np.full(len(labels), 0.1)).flagged] == [CLASSES - 1]


def test_a_place_in_the_middle_is_flagged_where_all_pictures_show_the_same() -> None:
    shares, labels = objects(9)
    tagged = np.flatnonzero(labels == CLASSES - 1)[:15]
    shares[tagged] = 0.9 * spot(8, 8, 1) + 0.1 * shares[tagged]
    colours = np.random.default_rng(0).integers(0, 256, (len(labels), 16, 16, 3))
    assert not analyse(shares, labels).flagged
    assert not analyse(shares, labels, colours=colours).flagged
    colours[tagged, 6:11, 6:11] = 200, 30, 200
    (cluster,) = analyse(shares, labels, colours=colours).flagged
    assert set(cluster.members) == set(tagged.tolist())
    assert cluster.sameness > 0.99
    assert cluster.frame < 0.5


def test_a_faint_place_that_most_of_a_class_look_at_is_flagged_wherever_else_they_look() -> None:
    shares, labels = objects(10)
    faint = np.flatnonzero(labels == CLASSES - 1)[:25]
    chance = np.random.default_rng(10)
    shares[faint] = [0.35 * spot(13, 13, 1) + 0.65 * spot(*chance.uniform(3, 12, 2), 1) for _ in faint]
    (cluster,) = analyse(shares, labels).flagged
    assert set(cluster.members) >= set(faint.tolist())
    assert len(cluster.members) <= len(faint) + 1
    assert cluster.tightness < TIGHT
    assert cluster.common >= COMMON
    assert cluster.corner == "lower right"
    assert "of the attention is in common, most of it in the lower right corner" in words.verdict(cluster)


def test_all_of_the_frame_is_no_place() -> None:
    shares, labels = objects(11)
    ring = np.pad(np.zeros((14, 14)), 1, constant_values=1 / 60)
    own = labels == CLASSES - 1
    shares[own] = 0.5 * ring + 0.5 * shares[own]
    assert not analyse(shares, labels).flagged


def test_confidence_and_accuracy_are_means_of_what_is_known() -> None:
    shares, labels = objects(4, 15)
    right = np.where(labels == CLASSES - 1, 0.0, 1.0)
    right[np.flatnonzero(labels == CLASSES - 1)[0]] = np.nan
    (cluster,) = analyse(shares, labels, right=right, confidence=np.full(len(labels), 0.75)).flagged
    assert (cluster.accuracy, cluster.confidence) == (0.0, 0.75)
    assert math.isnan(analyse(shares, labels).clusters[0].accuracy)


def test_empty_and_failed_maps_are_counted_and_left_out() -> None:
    shares, labels = objects(5)
    shares[3], shares[50] = 0, np.nan
    found = analyse(shares, labels)
    assert (found.empty, found.failed) == ((3,), (50,))
    assert sum(len(cluster.members) for cluster in found.clusters) == len(labels) - 2
    assert (found.cluster_of[[3, 50]] == -1).all()
    nothing = analyse(np.zeros((2, 16, 16)), [0, 1])
    assert not nothing.clusters
    assert not analyse(np.zeros((0, 16, 16)), []).clusters


def test_classes_of_few_pictures_are_grouped_together_without_a_flag() -> None:
    shares, _ = objects(6, 15)
    found = analyse(shares, np.arange(len(shares)))
    assert {cluster.label for cluster in found.clusters} == {FEW}
    assert not found.flagged
    assert len(found.means) == len(shares)


def test_of_a_large_class_a_part_is_drawn_and_the_rest_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    from trgbp_core.evaluation.survey import analysis

    monkeypatch.setattr(analysis, "MOST", 30)
    shares, labels = objects(7, 20)
    (cluster,) = analyse(shares, labels).flagged
    assert set(cluster.members) == set(np.flatnonzero(labels == CLASSES - 1)[:20].tolist())


def test_the_probability_is_the_share_of_all_shuffles() -> None:
    classes = np.array([0, 0, 0, 1, 1, 1, 1])
    there = np.array([1, 1, 0, 1, 0, 0, 0])
    shuffles = [there[list(chosen)].sum() for chosen in combinations(range(7), 3)]
    observed = int(there[classes == 0].sum())
    assert at_least(observed, 3, 3, 7) == pytest.approx(np.mean(np.array(shuffles) >= observed))
    assert at_least(0, 3, 3, 7) == pytest.approx(1)


def test_the_groups_are_those_of_scikit_learn() -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    shares = objects(8, 15)[0][-EACH:].reshape(EACH, -1)
    ours = spectral.groups(shares)
    theirs = cluster.SpectralClustering(int(ours.max()) + 1, affinity="precomputed", assign_labels="cluster_qr", random_state=0)
    theirs = theirs.fit_predict(spectral.neighbourhood(shares))
    assert ours.max() > 0
    assert (np.equal.outer(ours, ours) == np.equal.outer(theirs, theirs)).all()


def test_attention_is_the_positive_part_in_shares() -> None:
    maps = torch.zeros(4, 1, 64, 64)
    maps[0, 0, :4, :4], maps[0, 0, 60:, 60:], maps[0, 0, 30, 30] = 3, 1, -50
    maps[1], maps[3, 0, 0, 0] = -1, float("inf")
    shares = attention(maps)
    assert (shares[0, 0, 0], shares[0, 15, 15], shares[0].sum()) == (0.75, 0.25, 1)
    assert not shares[1:3].any()
    assert np.isnan(shares[3]).all()
    assert attention(torch.ones(1, 1, 7, 9)).sum() == pytest.approx(1)


def test_numbers_about_an_attention() -> None:
    even = np.full((16, 16), 1 / 256)
    assert frame(even) == pytest.approx(156 / 256)
    assert corner(even)[1] == pytest.approx(16 / 256)
    assert core(even).mean() == pytest.approx(0.5, abs=0.01)
    assert corner(spot(1, 14, 1))[0] == "upper right"
    assert inside(even, [(0, 0, 0.5, 0.5), (0.25, 0, 0.5, 0.5)]) == pytest.approx(0.25)
    assert inside(even, [(0.01, 0, 0.02, 1)]) == pytest.approx(0.01)
