"""A map over a picture: whatever kind of picture it is, and one map at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from trgbp_core import overlay

BYTES = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
PICTURES = {
    "image": Image.fromarray(BYTES),
    "bytes": BYTES,
    "integers": BYTES.astype(np.int64),
    "numbers, as captum takes them": BYTES / 255,
    "tensor": torch.from_numpy(BYTES / 255).permute(2, 0, 1),
    "a batch of one": torch.from_numpy(BYTES / 255).permute(2, 0, 1)[None].float(),
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_kind_of_picture_gives_the_same_overlay(name: str) -> None:
    map = torch.rand(1, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    found = np.asarray(overlay(PICTURES[name], map))
    assert found.shape == BYTES.shape
    assert np.array_equal(found, np.asarray(overlay(PICTURES["image"], map)))
    assert np.array_equal(np.asarray(overlay(PICTURES[name], map, opacity=0)), BYTES)


def test_a_grey_picture_stays_grey_beneath() -> None:
    grey = BYTES[..., 0]
    for kind in (grey, grey[..., None], torch.from_numpy(grey)[None]):
        assert np.array_equal(np.asarray(overlay(kind, np.zeros((2, 2)), opacity=0)), np.repeat(grey[..., None], 3, 2))


@pytest.mark.parametrize(
    "wrong", [torch.randn(3, 8, 8), BYTES.astype(float), BYTES[..., :2], BYTES[None], np.zeros((0, 0, 3)), np.zeros(5)]
)
def test_what_is_no_picture_gets_a_sentence(wrong: object) -> None:
    with pytest.raises(ValueError, match="picture"):
        overlay(wrong, torch.rand(4, 4))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (2, 8, 8), (8,), (0, 0)])
def test_several_maps_at_once_get_a_sentence(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="One map"):
        overlay(BYTES, np.zeros(shape))
