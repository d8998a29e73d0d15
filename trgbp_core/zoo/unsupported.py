"""Well-known networks that the zoo does not offer, and the sentence that says why."""

from __future__ import annotations

import re

FAMILIES = {
    "convnext": "ConvNeXt (GELU, layer normalisation)",
    "deit": "DeiT (GELU, attention)",
    "efficientnet": "EfficientNet (SiLU, sigmoid gates)",
    "maxvit": "MaxViT (GELU, attention)",
    "mobilenetv3": "MobileNetV3 (hard-swish, sigmoid gates)",
    "regnety": "RegNet-Y (sigmoid gates)",
    "swin": "Swin (GELU, attention)",
    "vit": "the vision transformer (GELU, attention)",
}
"""How their names begin, without signs and capitals, and the operations that the theory does not cover."""


def plain(name: str) -> str:
    """``RegNet-Y 400MF`` and ``regnet_y_400mf`` are one name."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def family(name: str) -> str | None:
    """The family outside the theory that ``name`` belongs to, in words, or None. EfficientNet-Lite, which has neither gate, is inside."""
    known = plain(name)
    if known.startswith("efficientnetlite"):
        return None
    return next((words for beginning, words in FAMILIES.items() if known.startswith(beginning)), None)


def why(name: str) -> str | None:
    """The sentence that refuses ``name``; None if nothing speaks against it."""
    if name.startswith("quantized_"):
        return (
            f"{name} computes with integers, which have no gradient. Choose the network that it was made from, {name.partition('_')[2]}, "
            "if it is in the zoo."
        )
    words = family(name)
    if words is None:
        return None
    return (
        f"{name} is {words}: not a network of rectifiers, so the theory of guided backpropagation does not cover it. "
        "Choose for instance resnet50 or mobilenet_v2."
    )
