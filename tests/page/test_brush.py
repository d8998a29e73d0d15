"""Strokes of the brush as a browser sends them, and as nobody should."""

from __future__ import annotations

import pytest
from PIL import Image

from trgbp_core.page.tabs.brush import painted

PICTURE, BOX = Image.new("RGB", (32, 32), "red"), [0.25, 0.25, 0.5, 0.5]


def test_a_copy_from_another_picture_is_put_where_the_box_is() -> None:
    found = painted(PICTURE, {"how": "copy", "box": BOX, "from": {"file": Image.new("RGB", (9, 9), "blue")}, "part": [0, 0, 1, 1]})
    assert [found.getpixel(place) for place in ((7, 7), (8, 8), (23, 23), (24, 24))] == [(255, 0, 0), (0, 0, 255), (0, 0, 255), (255, 0, 0)]


@pytest.mark.parametrize(
    "stroke",
    [
        None,
        "cover",
        {},
        {"how": "mean"},
        {"how": "ink", "box": BOX},
        {"how": ["mean"], "box": BOX},
        {"how": "copy", "box": BOX},
        {"how": "copy", "box": BOX, "from": {"file": PICTURE}},
        {"how": "copy", "box": BOX, "from": "/etc/passwd", "part": BOX},
        {"how": "copy", "box": BOX, "from": {"file": {"path": "/etc/passwd"}}, "part": BOX},
    ],
)
def test_what_is_no_stroke_gets_a_sentence_and_no_file_is_read(stroke: object) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        painted(PICTURE, stroke)
