"""What is no picture, or a hostile one: refused with a sentence, and before it can do harm."""

from __future__ import annotations

import io
import os
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageFile

from trgbp_core.data import images
from trgbp_core.data.images import read

from ..support.pictures import encoded, heic, noise, png, refusal, smooth

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
STRANGE = {
    "one letter": b"x",
    "text": b"hello, I am a text" * 100,
    "png's first bytes": b"\x89PNG\r\n\x1a\n",
    "jpeg's first bytes": b"\xff\xd8\xff\xe0",
    "gif's first bytes": b"GIF89a",
    "webp's first bytes": b"RIFF\0\0\0\0WEBPVP8X",
    "noise": np.random.default_rng(0).bytes(4096),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "eps": EPS,
    "pdf": b"%PDF-1.7\n%%EOF",
    "wmf": b"\xd7\xcd\xc6\x9a" + bytes(60),
    "zip": b"PK\x03\x04" + bytes(60),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_picture_is_refused_with_a_sentence(kind):
    assert "picture" in refusal(STRANGE[kind])


def test_an_empty_or_missing_file_a_folder_and_a_device_are_refused_without_their_path(tmp_path):
    assert "empty" in refusal(b"")
    (tmp_path / "empty.png").touch()
    assert "empty" in refusal(tmp_path / "empty.png")
    assert "no such" in refusal(tmp_path / "nothing.png")
    assert "folder" in refusal(tmp_path)
    assert "device" in refusal(os.devnull)
    assert "opened" in refusal("a\0b.png")
    assert "no such" in refusal("https:example.png")


@pytest.mark.parametrize("source", [None, 3, {"a": 1}, io.StringIO("text"), [[1, 2], [3, 4]]])
def test_a_source_of_the_wrong_kind_is_refused(source):
    refusal(source)


def test_a_telephones_heic_gets_a_hint_where_its_package_is_missing(monkeypatch):
    monkeypatch.setattr(images, "HEIC", False)
    assert "telephone's HEIC: export it as JPEG" in refusal(heic(smooth()))


def test_a_heic_that_is_damaged_or_too_large_is_refused():
    whole = heic(smooth(120, 160))
    refusal(b"\0\0\0\x18ftypheic" + bytes(64))
    refusal(whole[: len(whole) // 2])
    assert "megapixels" in refusal(heic(Image.new("RGB", (8000, 6000))))
    size = struct.pack(">II", 6000, 6000)
    large = heic(Image.new("RGB", (6000, 6000)))
    assert size in large
    lying = large.replace(size, struct.pack(">II", 60, 60))
    try:
        assert read(lying).size == (60, 60)  # libheif cuts it, or
    except images.ImageError as error:
        print(error)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_truncated_file_is_refused(file_format, share):
    data = encoded(noise(100, 150), file_format)
    refusal(data[: int(share * len(data))])


def test_damaged_pixels_and_numbers_that_are_not_finite_are_refused():
    values = np.zeros((4, 4), np.float32)
    values[1, 1] = np.nan
    assert "finite" in refusal(encoded(Image.fromarray(values), "TIFF"))
    data = bytearray(encoded(noise(100, 150), "PNG"))
    start = data.index(b"IDAT") + 40
    data[start : start + 200] = bytes(200)
    assert "damaged" in refusal(bytes(data))


def test_a_format_that_needs_an_interpreter_is_refused_even_when_pil_has_opened_it():
    assert "EPS" in refusal(Image.open(io.BytesIO(EPS)))


def big_tiff(width: int, height: int) -> bytes:
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1)]
    tags += [(278, 4, 1, height), (279, 4, 1, 16)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)


def big_gif(screen: int, frame: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", screen, screen, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, frame, frame, 0) + b"\2\1\0\0;"


BOMBS = {
    "png": png(50_000, 50_000, 8, 2, bytes(1000)),
    "png, just over": png(8_000, 5_001, 1, 0, bytes(1000)),
    "png, where PIL only warns": png(10_000, 10_000, 1, 0, bytes(1000)),
    "gif": big_gif(65_535, 65_535),
    "gif, frame larger than its screen": big_gif(1, 60_000),
    "tiff": big_tiff(60_000, 60_000),
    "webp": b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\x00" * 2 + bytes(8),
    "bmp": b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0),
    "ppm": b"P6 60000 60000 255\n" + bytes(100),
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_before_a_pixel_is_decoded(bomb, monkeypatch):
    def decoded(self, *_):
        raise AssertionError("a pixel was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    assert "megapixels" in refusal(BOMBS[bomb])


@pytest.mark.parametrize("size", [(1, 1), (8_000, 5_000)])
def test_the_smallest_picture_and_one_of_exactly_forty_megapixels_are_read(size):
    assert read(encoded(Image.new("1", size), "PNG")).size == size


def test_a_bomb_is_refused_also_where_warnings_are_errors_and_no_filter_is_changed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
        assert "megapixels" in refusal(BOMBS["png, where PIL only warns"])
        read(encoded(noise(), "PNG"))
        assert list(warnings.filters) == before
    assert limit == Image.MAX_IMAGE_PIXELS
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_file_of_too_many_bytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 2**20)
    path = tmp_path / "large.png"
    path.write_bytes(bytes(2**20 + 1))
    assert "larger than 1 MB" in refusal(path)
    assert "larger than 1 MB" in refusal(path.read_bytes())


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (10, 201)])
def test_a_sliver_is_refused_with_its_size(size):
    assert f"{size[0]}×{size[1]}" in refusal(encoded(Image.new("RGB", size), "PNG"))
    assert f"{size[0]}×{size[1]}" in refusal(Image.new("RGB", size))


def test_a_picture_without_pixels_is_refused():
    assert "no pixels" in refusal(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.full((4, 4), np.nan), "NaN"),
        (np.full((4, 4, 3), np.inf, np.float32), "NaN"),
        (np.full((4, 4), 1.5), "between 0 and 1"),
        (np.full((4, 4), -0.1), "between 0 and 1"),
        (np.zeros((4, 4), np.int64), "int64"),
        (np.zeros((4, 4), np.uint16), "uint16"),
        (np.zeros((4, 4), bool), "bool"),
        (np.zeros((4, 4), complex), "complex"),
        (np.array([["a", "b"]]), "uint8"),
        (np.array([[None, None]]), "object"),
        (np.zeros((4, 4, 2), np.uint8), "shape"),
        (np.zeros((3, 24, 32), np.uint8), "shape"),
        (np.zeros((1, 24, 32, 3), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
        (np.zeros((0, 4), np.uint8), "no pixels"),
        (np.zeros((4, 0, 3), np.uint8), "no pixels"),
        (np.zeros((1, 400, 3), np.uint8), "times as long"),
        (np.broadcast_to(np.uint8(0), (10_000, 10_000, 3)), "megapixels"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(array, word):
    assert word in refusal(array)
