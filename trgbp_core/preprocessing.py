"""From a person's picture to what a network sees of it, and on to the numbers that it reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from . import images

Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocess:
    """Resize, crop the middle, ``(x/255 − mean)/std``. Calling it takes a picture all the way: (1, 3, size, size), float32.

    Attributes:
        size: side of the square that the network sees.
        resize: length of the shorter side before the crop; ``None`` squeezes the whole picture into the square instead.
        bicubic: the interpolation, bilinear otherwise; both with antialiasing.
        mean, std: one number a channel, on the scale 0..1.
    """

    size: int = 224
    resize: int | None = 256
    bicubic: bool = False
    mean: Channels = (0.485, 0.456, 0.406)
    std: Channels = (0.229, 0.224, 0.225)

    def picture(self, image: images.Source) -> Image.Image:
        """The square RGB picture that the network sees, for laying maps over it.

        Args:
            image: anything that :func:`images.read` takes.

        Raises:
            images.ImageError: it holds no picture.
        """
        image = images.read(image)
        method = Image.Resampling.BICUBIC if self.bicubic else Image.Resampling.BILINEAR
        if self.resize is None:
            return image.resize((self.size, self.size), method)
        width, height = image.size
        # torchvision's rounding, so that the network's accuracy is the published one: the longer side is cut down, the corner rounded.
        if width <= height:
            width, height = self.resize, int(self.resize * height / width)
        else:
            width, height = int(self.resize * width / height), self.resize
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        return image.resize((width, height), method).crop((left, top, left + self.size, top + self.size))

    def normalise(self, picture: Image.Image) -> Tensor:
        """A picture of any size as a network's input, (1, 3, H, W), float32."""
        x = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None].contiguous().float() / 255
        return x.sub_(_column(self.mean)).div_(_column(self.std))

    def denormalise(self, x: Tensor) -> Tensor:
        """The inverse of :meth:`normalise` on the scale 0..1, for (…, 3, H, W)."""
        return x * _column(self.std)[0].to(x) + _column(self.mean)[0].to(x)

    @property
    def black(self) -> Tensor:
        """A black pixel as the network reads it, (1, 3, 1, 1)."""
        return (0 - _column(self.mean)) / _column(self.std)

    def __call__(self, image: images.Source) -> Tensor:
        return self.normalise(self.picture(image))


def _column(values: Channels) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)
