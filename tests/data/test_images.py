"""Every picture, good or odd, that a stranger may give, read as a person sees it. All of them are made here."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from trgbp_core.data.images import read

from ..support.pictures import chunk, encoded, noise, over_white, png, smooth

# -- what is a picture -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_a_lossless_file_is_read_pixel_for_pixel(file_format):
    picture = read(encoded(noise(), file_format))
    assert picture.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(picture), noise())


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP"])
def test_a_lossy_file_is_read_as_pil_reads_it(file_format):
    data = encoded(smooth(), file_format, quality=95)
    picture = np.asarray(read(data)).astype(int)
    np.testing.assert_array_equal(picture, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert np.abs(picture - smooth()).mean() < 6  # the coder's own loss at quality 95, with colours at half resolution


@pytest.mark.parametrize(
    "how", ["path", "text", "bytes", "bytearray", "memoryview", "file", "spent stream", "pipe-like", "pil", "array", "strided array"]
)
def test_every_kind_of_source_gives_the_same_picture(how, tmp_path):
    data = encoded(noise(), "PNG")
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    spent = io.BytesIO(data)
    spent.read()
    pipe = type("Pipe", (), {"read": lambda self, n: data})()
    with path.open("rb") as file, Image.open(path) as image:
        sources = {"path": path, "text": str(path), "bytes": data, "bytearray": bytearray(data), "memoryview": memoryview(data)}
        sources |= {"file": file, "spent stream": spent, "pipe-like": pipe, "pil": image, "array": noise()}
        sources["strided array"] = np.ascontiguousarray(noise()[::-1, ::-1])[::-1, ::-1]
        np.testing.assert_array_equal(np.asarray(read(sources[how])), noise())


def test_a_picture_that_was_read_can_be_read_again_and_nothing_changes():
    exif = Image.Exif()
    exif[0x0112] = 6
    once = read(encoded(noise(), "PNG", exif=exif))
    twice = read(once)
    assert twice is not once
    assert not twice.info
    np.testing.assert_array_equal(np.asarray(once), np.asarray(twice))


def test_the_given_pil_image_is_not_changed_and_shares_nothing():
    for channels in (3, 4):
        image = Image.fromarray(noise(channels=channels))
        before, info, mode = np.array(image), dict(image.info), image.mode
        read(image).paste("red", (0, 0, 32, 24))
        np.testing.assert_array_equal(np.asarray(image), before)
        assert image.mode == mode
        assert image.info == info


@pytest.mark.parametrize("shape", [(24, 32), (24, 32, 1), (24, 32, 3), (24, 32, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_an_array_is_read_as_the_picture_that_it_is(shape, dtype):
    values = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    given = values if dtype == np.uint8 else (values / 255).astype(dtype)
    before = given.copy()
    colour = values.reshape(24, 32, -1)
    expected = over_white(colour[..., :3], colour[..., 3]) if colour.shape[2] == 4 else colour * np.ones(3)
    difference = np.abs(np.asarray(read(given)) - expected).max()
    assert difference <= (1 if colour.shape[2] == 4 else 0)  # rounding of the blend
    np.testing.assert_array_equal(given, before)


# -- how a person sees it --------------------------------------------------------------------------------------------------------------

TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_exif_rotation_is_applied_once(orientation, file_format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read(encoded(noise(), file_format, exif=exif))
    np.testing.assert_array_equal(np.asarray(picture), TURNS[orientation](noise()))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_does_not_spoil_the_picture():
    np.testing.assert_array_equal(np.asarray(read(encoded(noise(), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"))), noise())


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_over_white(mode, file_format):
    values = noise(channels=len(mode))
    image = Image.merge(mode, [Image.fromarray(values[..., i]) for i in range(len(mode))])
    colour = np.repeat(values[..., :1], 3, 2) if mode == "LA" else values[..., :3]
    picture = np.asarray(read(encoded(image, file_format))).astype(int)
    difference = np.abs(picture - over_white(colour, values[..., -1])).max()
    assert difference <= 1  # rounding of the blend


def test_a_palette_is_looked_up_and_its_transparent_entry_becomes_white():
    indices = np.arange(32, dtype=np.uint8).reshape(4, 8) % 4
    image = Image.fromarray(indices)
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    colours = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)
    for file_format in ("PNG", "GIF"):
        np.testing.assert_array_equal(np.asarray(read(encoded(image, file_format))), colours[indices])
        seen = np.asarray(read(encoded(image, file_format, transparency=1)))
        np.testing.assert_array_equal(seen, np.where((indices == 1)[..., None], 255, colours[indices]))
    partly = np.asarray(read(encoded(image, "PNG", transparency=bytes([255, 128, 0, 255])))).astype(int)
    expected = over_white(colours[indices], np.array([255, 128, 0, 255])[indices])
    assert np.abs(partly - expected).max() <= 1  # rounding of the blend


def test_a_transparent_colour_becomes_white():
    values = np.array([[[1, 2, 3], [9, 9, 9]]], np.uint8)
    assert np.asarray(read(encoded(values, "PNG", transparency=(1, 2, 3)))).tolist() == [[[255] * 3, [9] * 3]]
    grey = np.array([[7, 9]], np.uint8)
    assert np.asarray(read(encoded(grey, "PNG", transparency=7))).tolist() == [[[255] * 3, [9] * 3]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "RGBX", "RGBa", "La", "PA", "HSV", "I", "F", "I;16"])
def test_every_mode_of_pil_becomes_rgb(mode):
    base = Image.fromarray(smooth())
    ways = {
        "La": lambda: base.convert("LA").convert("La"),
        "RGBa": lambda: base.convert("RGBA").convert("RGBa"),
        "PA": lambda: base.convert("P").convert("PA"),
        "I;16": lambda: Image.fromarray(np.asarray(base.convert("L")).astype(np.uint16) * 257),
    }
    image = ways.get(mode, lambda: base.convert(mode))()
    assert image.mode == mode
    picture = np.asarray(read(image)).astype(float)
    assert picture.shape == (24, 32, 3)
    grey = np.asarray(base.convert("L")).astype(float)
    likeness = np.corrcoef(picture.mean(2).ravel(), grey.ravel())[0, 1]
    assert likeness > (0.3 if mode == "1" else 0.9)  # one bit is a dithered shadow of the picture


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    values = np.linspace(0, 65535, 24 * 32).reshape(24, 32).astype(np.uint16)
    expected = np.rint(values / 257.0)
    for file_format in ("PNG", "TIFF"):
        np.testing.assert_array_equal(np.asarray(read(encoded(Image.fromarray(values), file_format)))[..., 0], expected)
    pgm = b"P5 32 24 65535\n" + values.astype(">u2").tobytes()
    np.testing.assert_array_equal(np.asarray(read(pgm))[..., 0], expected)


def test_a_transparent_grey_of_sixteen_bits_becomes_white():
    rows = b"".join(b"\0" + struct.pack(">HH", 1000, 30000) for _ in range(2))
    data = png(2, 2, 16, 0, rows, chunk(b"tRNS", struct.pack(">H", 1000)))
    assert np.asarray(read(data))[..., 0].tolist() == [[255, round(30000 / 257)]] * 2


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (0, 65535), (-3, 5), (1e6, 2e6), (-1e30, 1e30)])
def test_float_tiff_fills_the_scale_whatever_its_range(low, high):
    values = np.linspace(low, high, 24 * 32, dtype=np.float32).reshape(24, 32)
    grey = np.asarray(read(encoded(Image.fromarray(values), "TIFF")))[..., 0].astype(float)
    difference = np.abs(grey - np.linspace(0, 255, 24 * 32).reshape(24, 32)).max()
    assert difference <= 0.51  # rounding to whole numbers, and float32


def test_float_tiff_within_the_scale_is_not_stretched():
    values = np.full((4, 4), 0.5, np.float32)
    assert set(np.asarray(read(encoded(Image.fromarray(values), "TIFF"))).flat) == {128}
    assert set(np.asarray(read(encoded(Image.fromarray(values * 200), "TIFF"))).flat) == {100}


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk_keeps_its_colours_also_where_adobe_inverts_them(file_format):
    for colour in ([255, 0, 0], [0, 128, 255], [255, 255, 255], [20, 20, 20]):
        flat = Image.new("RGB", (16, 16), tuple(colour)).convert("CMYK")
        data = encoded(flat, file_format)
        assert (b"Adobe" in data) == (file_format == "JPEG")
        difference = np.abs(np.asarray(read(data)).astype(int) - colour).max()
        assert difference <= 3  # the coder's loss on a flat colour


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "TIFF", "WEBP"])
def test_the_first_frame_of_an_animation_is_taken(file_format):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(first, file_format, save_all=True, append_images=[second], **options)
    assert np.asarray(read(data))[4, 4].tolist() == [255, 0, 0]
