"""From a person's picture to what a network sees of it, and on to the numbers that it reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from . import images
from .crop import CENTRE, Crop

Channels = tuple[float, ...]
"""One number a channel: three for RGB, one for grey."""


@dataclass(frozen=True)
class Preprocess:
    """Resize, crop the middle, ``(x/255 − mean)/std``. Calling it takes a picture all the way: (1, C, size, size), float32.

    Attributes:
        size: side of the square that the network sees.
        resize: length of the shorter side before the crop; ``None`` squeezes the whole picture into the square instead.
        bicubic: the interpolation, bilinear otherwise; both with antialiasing.
        mean, std: one number a channel, on the scale 0..1; three (RGB), or one for a network that sees grey.
        device: where the numbers are put; None leaves them on the processor. It makes no other preprocessing.
    """

    size: int = 224
    resize: int | None = 256
    bicubic: bool = False
    mean: Channels = (0.485, 0.456, 0.406)
    std: Channels = (0.229, 0.224, 0.225)
    device: torch.device | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.mean) not in (1, 3) or len(self.std) != len(self.mean):
            raise ValueError(f"mean and std hold three numbers each (RGB), or one (grey); got {len(self.mean)} and {len(self.std)}.")
        if self.size < 1 or (self.resize is not None and self.resize < 1) or not all(s > 0 for s in self.std):
            raise ValueError("size, resize and std are above zero.")

    def on(self, device: torch.device | None) -> Preprocess:
        """The same, with its numbers on ``device``."""
        return self if device == self.device else replace(self, device=device)

    def picture(self, image: images.Source, crop: str = CENTRE) -> Image.Image:
        """The square RGB picture that the network sees, for laying maps over it.

        Args:
            image: anything that :func:`images.read` takes.
            crop: which part of it, see :meth:`crop.Crop.read`; without it what ``resize`` says, as the network was trained.

        Raises:
            images.ImageError: it holds no picture. ValueError: there is no such crop.
        """
        part = Crop.read(crop)
        image = images.read(image)
        if len(self.mean) == 1:
            image = image.convert("L").convert("RGB")
        method = Image.Resampling.BICUBIC if self.bicubic else Image.Resampling.BILINEAR
        if part.kind != CENTRE:
            return image.crop(part.region(*image.size)).resize((self.size, self.size), method)  # no pixel from beyond the edge
        size, (left, top) = self._centred(*image.size)
        resized = image.resize(size, method)
        return resized if self.resize is None else resized.crop((left, top, left + self.size, top + self.size))

    def box(self, box: Sequence[float], size: tuple[int, int], crop: str = CENTRE) -> tuple[float, float, float, float] | None:
        """A box carried through the same resize and crop as its picture.

        Args:
            box: (left, top, right, bottom) in fractions of the picture. size: the picture's (width, height) in pixels.
            crop: as in :meth:`picture`.

        Returns:
            the box in fractions of the square that the network sees, cut off at its edges; None where no pixel of it is left.
        """
        (width, height), (x, y) = self._placed(*size, crop)
        left, right = ((edge * width - x) / self.size for edge in (box[0], box[2]))
        top, bottom = ((edge * height - y) / self.size for edge in (box[1], box[3]))
        seen = (max(left, 0.0), max(top, 0.0), min(right, 1.0), min(bottom, 1.0))
        # A pixel belongs to a box if its centre does.
        holds = all(math.ceil(low * self.size - 0.5) < high * self.size - 0.5 for low, high in ((seen[0], seen[2]), (seen[1], seen[3])))
        return seen if holds else None

    def region(self, size: tuple[int, int], crop: str = CENTRE) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of what the network sees of a picture of that (width, height), in fractions of the picture."""
        (width, height), (x, y) = self._placed(*size, crop)
        return x / width, y / height, (x + self.size) / width, (y + self.size) / height

    def _placed(self, width: int, height: int, crop: str) -> tuple[tuple[float, float], tuple[float, float]]:
        """The (width, height) that the whole picture is resized to, and the left upper corner of the square in it."""
        part = Crop.read(crop)
        if part.kind == CENTRE:
            return self._centred(width, height)
        left, top, right, bottom = part.region(width, height)
        across, down = self.size / (right - left), self.size / (bottom - top)
        return (width * across, height * down), (left * across, top * down)

    def _centred(self, width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """The same in whole pixels for the network's own crop."""
        if self.resize is None:
            return (self.size, self.size), (0, 0)
        # torchvision's rounding, so that the network's accuracy is the published one: the longer side is cut down, the corner rounded.
        if width <= height:
            width, height = self.resize, int(self.resize * height / width)
        else:
            width, height = int(self.resize * width / height), self.resize
        return (width, height), (round((width - self.size) / 2), round((height - self.size) / 2))

    def normalise(self, picture: Image.Image) -> Tensor:
        """A picture of any size as a network's input, (1, C, H, W), float32."""
        # By numpy, on one core: trgbp_core/serving/workers.py says what it costs all others if every asker's thread computes on several.
        pixels = np.array(picture.convert("RGB" if len(self.mean) == 3 else "L"))
        x = np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)[None], dtype=np.float32)
        x /= np.float32(255)
        x -= _column(self.mean).numpy()
        x /= _column(self.std).numpy()
        return torch.from_numpy(x) if self.device is None else torch.from_numpy(x).to(self.device)

    @property
    def black(self) -> Tensor:
        """A black pixel as the network reads it, (1, C, 1, 1)."""
        return (0 - _column(self.mean)) / _column(self.std)

    def __call__(self, image: images.Source, crop: str = CENTRE) -> Tensor:
        return self.normalise(self.picture(image, crop))


def _column(values: Channels) -> Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)
