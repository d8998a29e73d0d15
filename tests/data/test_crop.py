"""The part of a picture that a network sees: read strictly, always inside the picture, and by default what the publishers took."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from trgbp_core.data.crop import CENTRE, WHOLE, Crop
from trgbp_core.data.preprocessing import Preprocess

from ..support.pictures import photo

SQUARES = ["0,0,1", "1,1,1", "0.5,0.5,0.05", "0.3333,0.6667,0.7123"]
SIZES = [(640, 480), (480, 640), (300, 300), (31, 500), (1, 1), (97, 61)]


@pytest.mark.parametrize("text", [CENTRE, WHOLE, *SQUARES])
def test_a_crop_is_written_as_it_is_read(text: str) -> None:
    assert str(Crop.read(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "middle", "0.5,0.5", "0,0,0", "0,0,0.04", "1.1,0,1", "-0.1,0,1", "0,0,1.5", "nan,0,1", "1e-1,0,1", "0, 0, 1", 3, None, [0, 0, 1]],
)
def test_anything_else_is_a_sentence_that_repeats_nothing(text: object) -> None:
    with pytest.raises(ValueError, match=r"^A crop is centre, whole, or x,y,size: .*\.$"):
        Crop.read(text)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text", [WHOLE, *SQUARES])
def test_a_part_lies_within_any_picture_and_a_square_is_square(text: str, size: tuple[int, int]) -> None:
    left, top, right, bottom = Crop.read(text).region(*size)
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert text == WHOLE or right - left == bottom - top
    assert Preprocess(size=32).picture(photo(*size), text).size == (32, 32)


@pytest.mark.parametrize("bicubic", [False, True])
def test_a_crop_shows_those_pixels(bicubic: bool) -> None:
    image, preprocess = photo(640, 480), Preprocess(size=64, resize=72, bicubic=bicubic)
    method = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    for text, part in ((WHOLE, image), ("0.5,0,0.5", image.crop((200, 0, 440, 240))), ("1,1,1", image.crop((160, 0, 640, 480)))):
        assert np.array_equal(preprocess.picture(image, text), part.resize((64, 64), method)), text


def test_without_a_crop_the_networks_own_preprocessing_is_untouched() -> None:
    image, preprocess = photo(640, 480), Preprocess(size=64, resize=72)
    own = image.resize((96, 72), Image.Resampling.BILINEAR).crop((16, 4, 80, 68))
    assert np.array_equal(preprocess.picture(image), own)
    assert np.array_equal(preprocess.picture(image, CENTRE), own)
    assert preprocess.region((640, 480)) == pytest.approx((16 / 96, 4 / 72, 80 / 96, 68 / 72))


def test_a_box_is_carried_through_every_crop() -> None:
    preprocess = Preprocess(size=64, resize=72)
    assert preprocess.box((0.5, 0, 1, 1), (640, 480), WHOLE) == pytest.approx((0.5, 0, 1, 1))
    assert preprocess.box((0.25, 0, 0.5, 0.5), (640, 480), "0,0,1") == pytest.approx((1 / 3, 0, 2 / 3, 0.5))
    assert preprocess.box((0.9, 0, 1, 1), (640, 480), "0,0,0.5") is None
    for text in (CENTRE, WHOLE, *SQUARES):
        assert preprocess.box(preprocess.region((640, 480), text), (640, 480), text) == pytest.approx((0, 0, 1, 1)), text
