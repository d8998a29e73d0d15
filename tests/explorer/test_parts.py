"""Labels, tiles and words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from trgbp_core.data.labels import find_class
from trgbp_core.drawing.figures import comparison
from trgbp_core.drawing.render import (
    COLOUR_MAPS,
    Look,
    describe,
    heat,
    lookup,
    overlay,
    page_overlay,
    read_tile,
    shown,
    tile,
    why_empty,
)
from trgbp_core.explorer.layer_pictures import panel

LABELS = ["tench", "great white shark", "tiger shark", "tiger", "tiger cat", "crane", "crane"]


@pytest.mark.parametrize(
    ("wanted", "index"), [(3, 3), ("3", 3), (3.0, 3), ("tiger", 3), ("TIGER CAT", 4), ("tenc", 0), ("2 tiger shark", 2), ("white", 1)]
)
def test_a_class_is_found_by_number_name_or_part(wanted: object, index: int) -> None:
    assert find_class(wanted, LABELS) == index


@pytest.mark.parametrize("wanted", ["", "shark", "lion", 7, -1, "99", None, "<b>", 2.5, float("nan")])
def test_a_class_that_is_not_there_gets_a_sentence(wanted: object) -> None:
    with pytest.raises(ValueError, match=r"class"):
        find_class(wanted, LABELS)


def test_a_tile_carries_the_map_and_an_empty_map_is_black() -> None:
    ramp = torch.linspace(-1, 1, 32)[None, None, None].expand(1, 1, 32, 32)
    assert np.abs(read_tile(tile(ramp)) - shown(ramp)).max() <= 0.5 / 255 + 1e-6
    large = torch.nn.functional.interpolate(ramp, (224, 224), mode="bilinear")
    assert np.abs(read_tile(tile(large)) - shown(large)).mean() < 0.02  # lossy, below what the eye sees
    assert not read_tile(tile(-torch.ones(1, 1, 8, 8))).any()
    assert not shown(torch.full((4, 4), float("nan"))).any()


def test_colours_and_overlays() -> None:
    white = Image.new("RGB", (50, 40), "white")
    assert overlay(white, torch.zeros(4, 4), opacity=0).getpixel((0, 0)) == (255, 255, 255)
    assert overlay(white, torch.zeros(4, 4), opacity=1, colours="gray").getpixel((0, 0)) == (0, 0, 0)
    assert heat(torch.ones(4, 4), (50, 40)).size == (50, 40)
    assert lookup("jet").shape == (256, 3)
    with pytest.raises(ValueError, match="Colour maps"):
        lookup("rainbow")


@pytest.mark.parametrize("colours", COLOUR_MAPS)
def test_zero_is_transparent_in_every_colour_map_and_the_most_is_as_opaque_as_asked(colours: str) -> None:
    white, map = Image.new("RGB", (4, 4), "white"), torch.tensor([[0.0, 1.0], [0.0, 1.0]]).repeat_interleave(2, 0).repeat_interleave(2, 1)
    whole = page_overlay(white, map, Look(colours, 1.0))
    assert whole.getpixel((0, 0)) == (255, 255, 255)
    assert whole.getpixel((3, 0)) == tuple(lookup(colours)[255])
    half = page_overlay(white, map, Look(colours, 0.5)).getpixel((3, 0))
    np.testing.assert_allclose(half, (255 + lookup(colours)[255].astype(float)) / 2, atol=1)
    assert page_overlay(white, torch.zeros(4, 4), Look(colours, 1.0), signed=True).getpixel((0, 0)) == (255, 255, 255)
    for wrong in (("rainbow", 0.5), (colours, 1.5), (colours, float("nan"))):
        with pytest.raises(ValueError, match=r"Colour maps|opacity"):
            Look(*wrong)


def test_a_map_in_words() -> None:
    map = torch.zeros(30, 30)
    map[2, 25] = 1
    assert describe(map) == "peak top right; 0% upper left, 100% upper right, 0% lower left, 0% lower right; 0% in the frame"
    assert "empty" in describe(-map)


def test_a_map_with_two_signs_keeps_them() -> None:
    ramp = torch.linspace(-1, 0.5, 40).repeat(40, 1)
    assert np.abs(read_tile(tile(ramp, signed=True), signed=True) - shown(ramp, signed=True)).max() <= 0.5 / 127 + 1e-6
    assert not read_tile(tile(torch.zeros(8, 8), signed=True), signed=True).any()
    left, right = (np.asarray(heat(ramp, (40, 40), signed=True))[20, x].astype(int) for x in (0, 39))
    assert left[2] > left[0], "blue speaks against the class"
    assert right[0] > right[2], "red speaks for it"
    assert left.sum() > right.sum(), "twice as strong"
    assert max(lookup("diverging")[128]) <= 4, "nothing is black"
    assert describe(torch.tensor([[3.0, -1.0], [0.0, 0.0]]), signed=True).endswith("; 25% speaks against the class")
    assert why_empty(-ramp.abs(), signed=True) == ""
    assert "zero everywhere" in why_empty(torch.zeros(2, 2), signed=True)
    scarce = -torch.ones(100, 100)
    scarce.view(-1)[:9] = 1
    assert why_empty(scarce) == "Nearly empty: above zero at 9 of 10000 places only."
    scarce.view(-1)[:10] = 1
    assert why_empty(scarce) == ""


def test_the_figure_of_a_comparison_shows_every_map_and_names_what_does_not_apply() -> None:
    about = {"seconds": 0.5, "citation": "Somebody 2026"}
    panels = [
        panel(torch.randn(1, 1, 32, 32), key, "", "x", signed=signed) | about | {"key": key}
        for key, signed in (("lrp_epsilon", True), ("saliency", False))
    ]
    panels.append({"key": "pattern_net", "title": "PatternNet", "empty": "needs patterns", "seconds": None, "citation": "Somebody else"})
    picture = Image.new("RGB", (32, 32))
    text = comparison(picture, panels, "a title", "svg").decode()
    for words in (
        "a title",
        "the picture",
        "saliency",
        "lrp_epsilon",
        "Somebody 2026; 0.50 s",
        "does not apply here: PatternNet",
        "99.9 % quantile",
    ):
        assert f"<!-- {words}" in text or words in text, words
    assert text.index("saliency") < text.index("lrp_epsilon"), "in the order of METHODS"
    assert text.count("<image") == 5, "the picture, two maps, two scales"
    assert comparison(picture, panels, "a title", "png").startswith(b"\x89PNG")
