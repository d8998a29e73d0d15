"""A batch of pictures → what is kept of each: class, confidence, attention, and two small pictures for the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor, nn

from ...data.datasets import UNKNOWN, Problem
from ...drawing.render import data_uri, overlay
from ...engine import devices
from ...engine.plain_passes import scores
from ...zoo.loading import Zoo
from ..attributions import Attributions
from ..reading import Seen, stacked, without_problems
from ..store import Piece, Row
from .attention import attention, colours, inside

THUMBNAIL = 144
"""Side of the small pictures in pixels, at most."""


def look(index: int, unit: Sequence[Seen | Problem], *, zoo: Zoo, watched: nn.Module, method: str) -> Piece:
    """One unit of a survey; ``watched`` is the network once more, for plain forward passes.

    Raises:
        ValueError: the method does not apply to this network.
    """
    piece = Piece()
    seen = without_problems(unit, piece)
    if seen:
        x = stacked(seen, zoo.device, devices.layout(zoo.device))
        pictures = [_as_seen(one, zoo) for one in seen]
        for one, found in zip(seen, explained(x, pictures, zoo, watched, method, piece), strict=True):
            boxes = [] if one.box is None else [one.box]
            cells = np.array(found["attention"]).reshape(-1, round(len(found["attention"]) ** 0.5))
            label = "" if one.sample.label == UNKNOWN else one.sample.label
            piece.rows.append({"image": one.sample.name, "class_index": label, "in_box": inside(cells, boxes)} | found)
    return piece


def explained(x: Tensor, pictures: Sequence[Image.Image], zoo: Zoo, watched: nn.Module, method: str, piece: Piece) -> list[Row]:
    """What is kept of each of the pictures ``x`` (N, C, H, W), which look like ``pictures``."""
    logits = scores(watched, lambda start, stop: x[start:stop].clone(), len(x), batch=devices.explained_together(x.device))
    predicted = logits.argmax(1)
    maps = Attributions(zoo.network, x, {"prediction": predicted}, piece).maps(method)
    if maps is None:
        raise ValueError(piece.refused[method])
    shares, confidence = attention(maps["prediction"]), logits.double().softmax(1).amax(1).tolist()
    return [
        {
            "predicted": int(predicted[i]),
            "confidence": confidence[i],
            "attention": [float(f"{value:.6g}") for value in shares[i].flat],
            "colours": colours(picture),
            "picture": data_uri(small(picture), "JPEG", quality=80),
            "map": data_uri(small(overlay(picture, maps["prediction"][i])), "JPEG", quality=80),
        }
        for i, picture in enumerate(pictures)
    ]


def small(picture: Image.Image) -> Image.Image:
    """The picture with sides of at most :data:`THUMBNAIL`."""
    return picture if max(picture.size) <= THUMBNAIL else picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)


def _as_seen(one: Seen, zoo: Zoo) -> Image.Image:
    """The picture back from the network's input."""
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (zoo.mean, zoo.std))
    pixels = ((one.x[0] * std + mean) * 255).round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]).convert("RGB")
