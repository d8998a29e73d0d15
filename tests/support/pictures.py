"""Pictures for tests, made here: noise, a ramp, colours as wild as a photograph, and the files that hold them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from trgbp_core.data.images import ImageError, read


def noise(height: int = 24, width: int = 32, channels: int = 3) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return values if channels > 1 else values[:, :, 0]


def smooth(height: int = 24, width: int = 32) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 255 // height, x * 255 // width, (x + y) * 255 // (height + width)], 2).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, file_format, **options)
    return buffer.getvalue()


def heic(image: Image.Image | np.ndarray) -> bytes:
    """What a telephone saves; by the optional package ``pillow-heif``, which ``requirements-dev.txt`` brings."""
    from pillow_heif import from_pillow

    buffer = io.BytesIO()
    from_pillow(Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer)
    return buffer.getvalue()


def refusal(source: object) -> str:
    with pytest.raises(ImageError) as caught:
        read(source)  # type: ignore[arg-type]
    sentence = str(caught.value)
    print(sentence)
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert not any(sign in sentence for sign in ("/", "Traceback", "Error", "0x"))
    return sentence


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return colour * share + 255 * (1 - share)


def photo(width: int = 97, height: int = 61, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))
