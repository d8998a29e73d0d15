"""Pictures that endpoints give out: whole or not at all, and written once for all who are given the same one."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from trgbp_core.serving.uploads import Uploads, written


def noise(seed: int, side: int = 64) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def test_the_same_picture_is_written_once_and_another_one_elsewhere(tmp_path: Path) -> None:
    first = written(noise(0), tmp_path)
    with Image.open(first) as found:
        assert found.format == "PNG"
        assert np.array_equal(np.asarray(found), np.asarray(noise(0)))
    os.utime(first, (1, 1))
    before = os.stat(first)
    assert written(noise(0), tmp_path) == first
    after = os.stat(first)
    assert after.st_ino == before.st_ino
    assert after.st_mtime > before.st_mtime, "who was given it last is the last to lose it"
    others = [noise(1), noise(0).convert("L"), Image.fromarray(np.asarray(noise(0)).reshape(32, 128, 3))]
    assert len({first, *(written(other, tmp_path) for other in others)}) == 4
    assert not list(tmp_path.rglob("*.part"))


def test_who_is_being_sent_a_picture_gets_all_of_it_whoever_else_is_given_it(tmp_path: Path) -> None:
    uploads, picture, done, seen = Uploads(tmp_path, max_bytes=0), noise(0, 256), threading.Event(), list[int]()
    path = Path(written(picture, tmp_path))
    whole = path.stat().st_size

    def give() -> None:
        while not done.is_set():
            written(picture, tmp_path)

    def remove() -> None:
        while not done.wait(0.02):
            uploads.tidy()

    threads = [threading.Thread(target=work, daemon=True) for work in (give, give, remove)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 20
    try:
        while len(seen) < 200 and time.monotonic() < end:
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:  # it may be removed, and not there again yet
                promised = os.fstat(file.fileno()).st_size
                seen.append(promised)
                assert len(file.read()) == promised == whole
    finally:
        done.set()
    assert len(seen) == 200
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
