"""The benchmark of planted shortcuts: it counts as found what was planted, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import shortcuts
from benchmarks.shortcuts import Found, Planted, Row
from trgbp_core.data import shapes

CHEAT = Planted("patch", "lower right", 0, honest=False)
STARS = np.arange(shortcuts.PICTURES) % 4 == shapes.TAGGED


def made_up(points_at_the_tag: bool) -> Found:
    """A network that takes stars for triangles without the tag and is right with it; its maps lie on the tag, or on chance's places."""
    random = np.random.default_rng(0)
    answers = np.arange(shortcuts.PICTURES) % 4
    plain, tagged = (random.random((count, 16, 16)) ** 8 for count in (len(answers), STARS.sum()))
    if points_at_the_tag:
        tagged[:, 13:, 13:] += 10
    found = {"plain answers": np.where(STARS, 2, answers).astype(float), "tagged answers": np.full(STARS.sum(), float(shapes.TAGGED))}
    for key in shortcuts.SURVEYED:
        found[f"plain {key}"], found[f"tagged {key}"] = (maps / maps.sum((1, 2), keepdims=True) for maps in (plain, tagged))
    return found


def rows(found: Found, planted: Planted = CHEAT) -> list[Row]:
    return [row for row in shortcuts.figures(planted, found) if row.method == "tr_gbp"]


def test_a_tag_that_maps_point_at_is_found_in_every_share() -> None:
    found = rows(made_up(points_at_the_tag=True))
    assert [row.decided for row in found] == [round(share * STARS.sum()) for share in shortcuts.SHARES]
    assert all((row.auc, row.recall, row.flagged, row.falsely) == (1, 1, 1, 0) for row in found)


def test_a_tag_that_maps_do_not_point_at_is_not_found() -> None:
    assert not any(row.flagged or row.falsely for row in rows(made_up(points_at_the_tag=False)))


def test_a_flag_on_pictures_that_no_tag_decided_is_false() -> None:
    found = made_up(points_at_the_tag=True)
    found["plain answers"][STARS] = shapes.TAGGED
    surveyed = rows(found)
    assert any(row.falsely for row in surveyed)
    for row in surveyed:
        assert (row.decided, row.flagged, row.used) == (0, 0, False)
        assert np.isnan(row.auc)
        assert np.isnan(row.recall)


def test_networks_are_trained_once_and_give_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shortcuts.asked.cache_clear()
    monkeypatch.setattr(shortcuts, "PICTURES", 16)
    monkeypatch.setattr(shortcuts, "SURVEYED", ("tr_gbp_conserving",))
    monkeypatch.setattr(shapes, "KINDS", {"patch": (12, 12)})
    done = list(shortcuts.observed(tmp_path, 0, shapes.CORNERS[:1], trained=64, epochs=1))
    assert [planted.honest for planted, _ in done] == [True, False]
    monkeypatch.setattr(shortcuts, "train", None)
    again = list(shortcuts.observed(tmp_path, 0, shapes.CORNERS[:1], trained=64, epochs=1))
    assert all(np.array_equal(one[key], other[key]) for (_, one), (_, other) in zip(done, again, strict=True) for key in one)
    text = "\n".join(shortcuts.tables([row for planted, found in done for row in shortcuts.figures(planted, found)]))
    assert "3 folders of 1 networks with a shortcut" in text
    assert text.count("| TR-GBP, conserving ψ |") == 1
    shortcuts.asked.cache_clear()
