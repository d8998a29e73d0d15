"""Drawn pictures of shapes: the same for the same seed, with a tag where it is said to be and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from trgbp_core.data import assets, examples, images, shapes


def test_the_same_seed_draws_the_same_picture_and_another_another():
    first, again, other = (np.asarray(shapes.draw(0, seed).picture) for seed in ("a", "a", "b"))
    assert first.shape == (shapes.SIDE, shapes.SIDE, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_shape_lies_in_its_box_and_in_the_picture():
    for label in range(len(shapes.LABELS)):
        for seed in range(20):
            left, top, right, bottom = shapes.draw(label, seed).box
            assert 0 <= left < right <= shapes.SIDE
            assert 0 <= top < bottom <= shapes.SIDE


@pytest.mark.parametrize("kind", shapes.KINDS)
@pytest.mark.parametrize("corner", shapes.CORNERS)
def test_a_tag_changes_the_pixels_of_its_box_and_no_other(corner, kind):
    plain = shapes.draw(shapes.TAGGED, 3)
    tagged = shapes.with_tag(plain, corner, kind)
    before, after = (np.asarray(one.picture).astype(int) for one in (plain, tagged))
    left, top, right, bottom = tagged.tag
    changed = np.abs(after - before).max(2)
    inside = np.zeros_like(changed, dtype=bool)
    inside[top:bottom, left:right] = True
    assert (corner.startswith("upper"), corner.endswith("left")) == (bottom <= shapes.SIDE / 2, right <= shapes.SIDE / 2)
    assert not changed[~inside].any()
    assert (changed[inside] > 0).mean() > 0.5
    assert changed.max() <= 2 * shapes.FAINT or kind != "watermark"
    assert plain.tag is None


def test_the_drawn_examples_are_drawn_as_their_numbers_say():
    for name, number in examples.DRAWN.items():
        shape, _, tag = name.removesuffix(".png").partition("_with_")
        drawn = shapes.draw(shapes.LABELS.index(shape), f"example:{number}")
        expected = shapes.with_tag(drawn) if tag else drawn
        found = np.asarray(images.read(examples.pictures()[name])).astype(int)
        assert np.abs(found - np.asarray(expected.picture)).mean() < 1  # of 255: an edge may be drawn otherwise by another Pillow


def test_every_example_and_every_weights_file_has_its_source_and_licence():
    said = assets.folder("SOURCES.md").read_text(encoding="utf-8")
    files = [*examples.pictures().values(), *assets.folder("networks").iterdir()]
    assert len(files) >= 12 + 2
    for path in files:
        assert f"`{path.name}`" in said
        assert path.stat().st_size <= 300_000 or path.suffix != ".safetensors"
