"""Caches, labels, tiles and words."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from trgbp_core.cache import Cache
from trgbp_core.labels import find_class
from trgbp_core.render import describe, heat, lookup, overlay, read_tile, shown, tile

LABELS = ["tench", "great white shark", "tiger shark", "tiger", "tiger cat", "crane", "crane"]


@pytest.mark.parametrize(
    ("wanted", "index"), [(3, 3), ("3", 3), (3.0, 3), ("tiger", 3), ("TIGER CAT", 4), ("tenc", 0), ("2 tiger shark", 2), ("white", 1)]
)
def test_a_class_is_found_by_number_name_or_part(wanted: object, index: int) -> None:
    assert find_class(wanted, LABELS) == index


@pytest.mark.parametrize("wanted", ["", "shark", "lion", 7, -1, "99", None, "<b>", 2.5, float("nan")])
def test_a_class_that_is_not_there_gets_a_sentence(wanted: object) -> None:
    with pytest.raises(ValueError, match=r"class"):
        find_class(wanted, LABELS)


def test_the_cache_computes_once_for_many_who_ask_together_and_stays_in_bounds() -> None:
    cache: Cache[bytes] = Cache(250, len)
    runs = []

    def compute() -> bytes:
        runs.append(1)
        time.sleep(0.1)
        return b"x" * 100

    threads = [threading.Thread(target=lambda: cache.get("a", compute)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1
    for key in "bcd":
        cache.get(key, lambda: b"y" * 100)
    assert cache.bytes == 200
    cache.get("a", compute)  # it was the least recently used, and is gone
    assert len(runs) == 2
    assert len(cache.get("large", lambda: b"z" * 1000)) == 1000
    assert cache.bytes == 200


def test_an_error_in_the_cache_reaches_the_asker_and_is_not_kept() -> None:
    cache: Cache[bytes] = Cache(100, len)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: bytes(1 // 0))
    assert cache.get("a", lambda: b"ok") == b"ok"


def test_a_tile_carries_the_map_and_an_empty_map_is_black() -> None:
    ramp = torch.linspace(-1, 1, 32)[None, None, None].expand(1, 1, 32, 32)
    assert np.abs(read_tile(tile(ramp)) - shown(ramp)).max() <= 0.5 / 255 + 1e-6
    large = torch.nn.functional.interpolate(ramp, (224, 224), mode="bilinear")
    assert np.abs(read_tile(tile(large)) - shown(large)).mean() < 0.02  # lossy, below what the eye sees
    assert not read_tile(tile(-torch.ones(1, 1, 8, 8))).any()
    assert not shown(torch.full((4, 4), float("nan"))).any()


def test_colours_and_overlays() -> None:
    white = Image.new("RGB", (50, 40), "white")
    assert overlay(white, torch.zeros(4, 4), opacity=0).getpixel((0, 0)) == (255, 255, 255)
    assert overlay(white, torch.zeros(4, 4), opacity=1, colours="gray").getpixel((0, 0)) == (0, 0, 0)
    assert heat(torch.ones(4, 4), (50, 40)).size == (50, 40)
    assert lookup("jet").shape == (256, 3)
    with pytest.raises(ValueError, match="Colour maps"):
        lookup("rainbow")


def test_a_map_in_words() -> None:
    map = torch.zeros(30, 30)
    map[2, 25] = 1
    assert describe(map) == "peak top right; 0% upper left, 100% upper right, 0% lower left, 0% lower right; 0% in the frame"
    assert "empty" in describe(-map)
