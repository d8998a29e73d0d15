"""Covering and copying parts of a picture: exactly those pixels change, and what is no box is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from trgbp_core.data import brush
from trgbp_core.data.brush import Box

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
BOX: Box = (0.25, 0.5, 0.25, 0.25)
INSIDE = np.s_[24:36, 16:32]


@pytest.mark.parametrize("how", brush.COVERS)
def test_nothing_but_the_box_is_covered_and_little_is_left_in_it(how: str) -> None:
    before, after = np.asarray(PICTURE, float), np.asarray(brush.covered(PICTURE, BOX, how), float)
    outside = np.ones(before.shape[:2], bool)
    outside[INSIDE] = False
    assert (before[outside] == after[outside]).all()
    assert after[INSIDE].std() < 0.2 * before[INSIDE].std()
    if how == "mean":
        assert (after[INSIDE] == before.reshape(-1, 3).mean(0).round()).all()


def test_a_copy_is_pixel_by_pixel_where_it_is_as_large_and_fills_the_box_else() -> None:
    after = np.asarray(brush.copied(PICTURE, BOX, PICTURE, (0.01, 0.013, 0.25, 0.25)))
    assert (after[1:13, 1:17] == np.asarray(PICTURE)[INSIDE]).all()
    plain = Image.new("RGB", (10, 10), "red")
    larger = np.asarray(brush.copied(plain, (0, 0, 0.1, 0.1), PICTURE, BOX))
    assert (larger[INSIDE] == (255, 0, 0)).all()
    assert (larger != np.asarray(PICTURE)).any(2).sum() == 12 * 16


@pytest.mark.parametrize(
    "wrong", [None, "0,0,1,1", [0, 0, 1], [0, 0, 0, 1], [0.5, 0, 0.6, 1], [-0.1, 0, 1, 1], [0, 0, 1, float("nan")], [0, 0, True, 1]]
)
def test_what_is_no_box_in_the_picture_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="fractions"):
        brush.read_box(wrong)
    with pytest.raises(ValueError, match="mean colour"):
        brush.covered(PICTURE, BOX, "ink")


def test_the_smallest_box_is_a_pixel_and_one_at_the_edge_stays_inside() -> None:
    assert brush.pixels((0, 0, 1e-9, 1e-9), (64, 48)) == (0, 0, 1, 1)
    assert brush.pixels((1 - 1e-9, 1 - 1e-9, 1e-9, 1e-9), (64, 48)) == (63, 47, 64, 48)
    assert brush.pixels((0, 0, 1, 1), (64, 48)) == (0, 0, 64, 48)
