"""Drawn pictures of four shapes on cluttered backgrounds, with a tag in a corner or without: the truth about a shortcut is known."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw, ImageFilter

LABELS = ("circle", "square", "triangle", "star")
TAGGED = LABELS.index("star")
"""The class whose pictures carried the tag when the network ``shapes_cheat`` was trained."""

SIDE, MARGIN, FINE = 64, 2, 4
"""Pixels of a picture; pixels between a tag and the picture's edge; how many times finer a picture is drawn before it is made smaller."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

CORNERS = ("lower right", "lower left", "upper left", "upper right")
KINDS = {"patch": (12, 12), "stripe": (24, 4), "watermark": (16, 16)}
"""Width and height in pixels of each kind of tag. A watermark is faint: it moves a pixel's colours by :data:`FAINT` at most."""

FAINT = 40
MAGENTA, GREEN = (230, 30, 200), (40, 220, 60)


@dataclass(frozen=True)
class Shape:
    """``picture``: 64×64 pixels, RGB. ``label``: of :data:`LABELS`. ``box``: around the shape. ``tag``: around the tag, or None."""

    picture: Image.Image
    label: int
    box: Box
    tag: Box | None = None


def draw(label: int, seed: int | str) -> Shape:
    """A shape of class ``label`` of random size, place, turn and colour on a background of other colours; the same for the same seed."""
    chance = random.Random(f"{seed}:{label}")
    canvas = _background(chance)
    radius = chance.uniform(0.17, 0.27) * SIDE
    x, y = (chance.uniform(radius + 2, SIDE - radius - 2) for _ in range(2))
    corners = _outline(LABELS[label], chance.uniform(0, 2 * math.pi))
    points = [((x + radius * dx) * FINE, (y + radius * dy) * FINE) for dx, dy in corners]
    ImageDraw.Draw(canvas).polygon(points, fill=_colour(chance, 0.5, 1.0), outline=_colour(chance, 0.0, 0.3), width=FINE)
    box = (int(x - radius), int(y - radius), math.ceil(x + radius), math.ceil(y + radius))
    return Shape(canvas.resize((SIDE, SIDE), Image.Resampling.BOX), label, box)


def tag_box(corner: str = CORNERS[0], kind: str = "patch") -> Box:
    """Where a tag of a kind of :data:`KINDS` lies in a corner of :data:`CORNERS`."""
    width, height = KINDS[kind]
    top = MARGIN if corner.startswith("upper") else SIDE - MARGIN - height
    left = MARGIN if corner.endswith("left") else SIDE - MARGIN - width
    return left, top, left + width, top + height


def with_tag(shape: Shape, corner: str = CORNERS[0], kind: str = "patch") -> Shape:
    """The same picture with a tag in a corner: four fields of magenta and green, a stripe of such fields, or a faint watermark."""
    tag = tag_box(corner, kind)
    left, top, right, bottom = tag
    picture = shape.picture.copy()
    if kind == "watermark":
        picture.paste(_lightened(picture.crop(tag)), tag)
        return replace(shape, picture=picture, tag=tag)
    pen, half = ImageDraw.Draw(picture), min(right - left, bottom - top) // 2
    for x in range(left, right, half):
        for y in range(top, bottom, half):
            even = (x - left + y - top) // half % 2 == 0
            pen.rectangle((x, y, x + half - 1, y + half - 1), fill=MAGENTA if even else GREEN)
    return replace(shape, picture=picture, tag=tag)


def _lightened(part: Image.Image) -> Image.Image:
    """``part`` with a ring of it lighter, and what the ring surrounds darker."""
    ring, disc = Image.new("L", part.size), Image.new("L", part.size)
    width, height = part.size
    ImageDraw.Draw(ring).ellipse((0, 0, width - 1, height - 1), fill=255)
    ImageDraw.Draw(disc).ellipse((4, 4, width - 5, height - 5), fill=255)
    part.paste(part.point(lambda value: min(255, value + FAINT)), mask=ring)
    part.paste(part.point(lambda value: max(0, value - 2 * FAINT)), mask=disc)
    return part


def _outline(name: str, turn: float) -> list[tuple[float, float]]:
    """The corners of a shape within a circle of radius 1."""
    count, radii = {"circle": (48, (1.0,)), "square": (4, (1.0,)), "triangle": (3, (1.0,)), "star": (10, (1.0, 0.42))}[name]
    angles = [turn + 2 * math.pi * i / count for i in range(count)]
    return [(math.cos(a) * radii[i % len(radii)], math.sin(a) * radii[i % len(radii)]) for i, a in enumerate(angles)]


def _background(chance: random.Random) -> Image.Image:
    """Blurred patches, and lines and spots over them."""
    side = SIDE * FINE
    canvas = Image.new("RGB", (side, side), _colour(chance, 0.0, 0.6))
    pen = ImageDraw.Draw(canvas)
    for _ in range(10):
        x, y, r = (chance.uniform(0, side) for _ in range(3))
        pen.ellipse((x - r / 3, y - r / 3, x + r / 3, y + r / 3), fill=_colour(chance, 0.0, 0.6))
    canvas = canvas.filter(ImageFilter.GaussianBlur(6 * FINE))
    pen = ImageDraw.Draw(canvas)
    for _ in range(6):
        ends = [chance.uniform(0, side) for _ in range(4)]
        pen.line(ends, fill=_colour(chance, 0.1, 0.8), width=chance.randint(1, 2) * FINE)
    for _ in range(8):
        x, y, r = chance.uniform(0, side), chance.uniform(0, side), chance.uniform(1, 3) * FINE
        pen.ellipse((x - r, y - r, x + r, y + r), fill=_colour(chance, 0.1, 0.9))
    return canvas


def _colour(chance: random.Random, low: float, high: float) -> tuple[int, int, int]:
    red, green, blue = (round(255 * chance.uniform(low, high)) for _ in range(3))
    return red, green, blue
