"""Any file → a safe RGB picture, or a sentence that says why not.

Only formats that are decoded by a library, never by an interpreter (no EPS, PDF, SVG, WMF), are opened, and a picture's size is read from
its header before a single pixel is decoded, so that a decompression bomb costs nothing. Colour profiles are not applied: the networks were
trained without them.
"""

from __future__ import annotations

import importlib.util
import io
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

MAX_PIXELS = 40_000_000
MAX_BYTES = 256 * 2**20
MAX_ASPECT = 20
"""A picture longer than this many times its width: the crop that a network sees would be a sliver, and its resized copy enormous."""

HEIC = importlib.util.find_spec("pillow_heif") is not None
"""Whether the optional package ``pillow-heif`` is installed: then what telephones save, HEIC, is read, too."""

FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "HEIF")
NAMES = f"JPEG, PNG, GIF, BMP, TIFF, WebP, AVIF{', HEIC' if HEIC else ''} or PNM"

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | np.ndarray | Image.Image


class ImageError(ValueError):
    """The source holds no usable picture; the message is a sentence for the person who gave it."""


def read(source: Source) -> Image.Image:
    """Read a picture as a person would see it, as 8-bit RGB.

    EXIF rotation is applied, transparency laid over white, the first frame of an animation taken. 16-bit grey is scaled to 8 bit; numbers
    without a known scale (float and 32-bit integer TIFF) are taken as 0..1, 0..255 or 0..65535 where they fit, else stretched from their
    least to their greatest.

    Args:
        source: a path, the bytes of a file, an open binary file (rewound if it can be), a PIL image, or an array (H, W),
            (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or float between 0 and 1.

    Returns:
        a new picture of mode RGB that shares nothing with the source.

    Raises:
        ImageError: no picture, damaged, empty, over 40 megapixels, or more than 20 times as long as wide.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        if isinstance(source, ImageFile.ImageFile) and source.format not in FORMATS:
            raise ImageError(f"Pictures of the format {source.format} are not opened here; give a {NAMES}.")
        return _rgb(source)
    with _open(_stream(source)) as image:
        return _rgb(image)


def _stream(source: Any) -> BinaryIO:
    """The file as a stream that can be rewound, once it is known to be of a bearable size."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        data = _file_bytes(source)
    elif hasattr(source, "read"):
        data = _read_all(source)
    else:
        raise ImageError(f"A picture cannot be made of {type(source).__name__}: give a file, its bytes, an array or a PIL image.")
    if not data:
        raise ImageError("The file is empty.")
    if len(data) > MAX_BYTES:
        raise ImageError(f"The file is larger than {MAX_BYTES >> 20} MB; save the picture smaller.")
    _check_webp(data)
    return io.BytesIO(data)


def _file_bytes(path: str | os.PathLike[str]) -> bytes:
    name = os.path.basename(path)[:80]  # not where it lies, which visitors of the page need not know
    try:
        # A pipe or a device would never end, so only ordinary files are opened.
        if stat.S_ISREG(os.stat(path).st_mode):
            with Path(path).open("rb") as file:
                return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ImageError(f"There is no such picture file ({name}).") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"The picture file cannot be opened ({name}).") from error
    raise ImageError(f"This is a folder or a device, not a picture file ({name}).")


def _read_all(file: Any) -> bytes:
    try:
        if hasattr(file, "seekable") and file.seekable():
            file.seek(0)
        data = file.read(MAX_BYTES + 1)
    except Exception as error:
        raise ImageError("The picture file cannot be read.") from error
    if not isinstance(data, (bytes, bytearray)):
        raise ImageError("The picture file was opened as text; open it as binary.")
    return bytes(data)


def _check_webp(data: bytes) -> None:
    """WebP's decoder reserves its canvas, twice, as soon as a file is opened: read the canvas from the header first."""
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X" and len(data) >= 30:
        _check_size(1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little"))


def _open(stream: BinaryIO) -> Image.Image:
    Image.init()
    try:
        try:
            return Image.open(stream, formats=[name for name in FORMATS if name in Image.OPEN])
        except UnidentifiedImageError:
            if not (HEIC and _is_heic(stream)):
                raise
            return _open_heic(stream)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # The warning comes as an error where the caller's own filters say so.
        raise ImageError(f"The picture has more than {MAX_PIXELS // 10**6} megapixels; save it smaller.") from error
    except Exception as error:
        raise ImageError(f"The file is not a picture that can be read here; give a {NAMES}.{_hint(stream)}") from error


def _hint(stream: BinaryIO) -> str:
    return " It looks like a telephone's HEIC: export it as JPEG." if _is_heic(stream) and not HEIC else ""


def _is_heic(stream: BinaryIO) -> bool:
    stream.seek(0)
    brand = stream.read(12)[4:]
    stream.seek(0)
    return brand in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1")


def _open_heic(stream: BinaryIO) -> Image.Image:
    """Not by registering the format with PIL, which would change what every other user of PIL in the process opens."""
    from pillow_heif import HeifImageFile

    return HeifImageFile(stream)


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ImageError("The picture has no pixels.")
    if width * height > MAX_PIXELS:
        size = f"{width}×{height}, {width * height / 1e6:.0f} megapixels"
        raise ImageError(f"The picture has {size}; {MAX_PIXELS // 10**6} are the limit. Save it smaller.")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(f"The picture is {width}×{height}, more than {MAX_ASPECT} times as long as wide; cut out the part that matters.")


def _rgb(image: Image.Image) -> Image.Image:
    _check_size(*image.size)
    try:
        image.load()
        _check_size(*image.size)  # HEIC's header may lie
        picture = _flattened(_upright(image))
    except ImageError:
        raise
    except Exception as error:
        raise ImageError("The picture is damaged or incomplete: its header can be read, its pixels cannot.") from error
    picture.info.clear()
    return picture


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        # Broken EXIF says nothing about the pixels: the picture stays as it lies.
        return image


def _flattened(image: Image.Image) -> Image.Image:
    """Every mode that PIL knows, as RGB."""
    if image.mode.startswith("I") or image.mode == "F":
        return _from_numbers(image)
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _from_numbers(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits, which PIL's own conversion would clip at 255."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageError("The picture holds numbers that are not finite.")
    low, high = values.min(), values.max()
    if image.mode.startswith("I;16") or image.format in ("PNG", "PPM"):
        scaled = values / 257
    elif low >= 0 and high <= 65535:
        unit = 1 if image.mode == "F" and high <= 1 else 255 if high <= 255 else 65535
        scaled = values * (255 / unit)
    else:
        scaled = (values - low) * (255 / max(high - low, np.finfo(float).tiny))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        scaled = np.where(values == transparent, 255, scaled)
    return Image.fromarray(np.rint(scaled).astype(np.uint8)).convert("RGB")


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(f"An array of shape {array.shape} is no picture; it must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).")
    _check_size(array.shape[1], array.shape[0])
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise ImageError("The array holds NaN or infinite numbers.")
        if array.min() < 0 or array.max() > 1:
            raise ImageError(f"A float array must lie between 0 and 1; this one goes from {array.min():.3g} to {array.max():.3g}.")
        array = np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ImageError(f"An array of type {array.dtype} is no picture; it must be uint8, or float between 0 and 1.")
    return _flattened(Image.fromarray(np.ascontiguousarray(array)))
