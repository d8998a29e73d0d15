"""The folder of temporary files: whose they are and when they go; pictures that endpoints give out are whole or not there at all."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from trgbp_core.serving.uploads import Uploads, written

from ..support.pictures import photo
from ..support.serving import until


def filled(folder: Path, count: int, size: int) -> list[Path]:
    paths = [folder / str(i) / f"{i}.png" for i in range(count)]
    for age, path in enumerate(reversed(paths)):
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(size))
        os.utime(path, (time.time() - 100 * age - 100,) * 2)
    return paths


def test_the_oldest_uploads_go_when_there_are_too_many_and_the_examples_stay(tmp_path: Path) -> None:
    (tmp_path / "example").mkdir()
    example = tmp_path / "example" / "lion.jpg"
    example.write_bytes(bytes(50))
    os.utime(example, (0, 0))
    uploads = Uploads(tmp_path, max_bytes=300)
    uploads.keep_what_is_here()
    paths = filled(tmp_path, 5, 100)
    uploads.tidy()
    assert [path.exists() for path in paths] == [False, False, True, True, True]
    assert not paths[0].parent.exists()
    assert example.exists()


def test_the_files_of_who_leaves_are_removed_unless_others_have_them(tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.touch()
    folder = tmp_path / "folder"
    paths = filled(folder, 3, 1)
    uploads = Uploads(folder, grace=0)
    for path in (*paths, outside):
        uploads.remember("one", path)
    uploads.remember("two", paths[1])
    uploads.forget("one")
    until(lambda: [path.exists() for path in paths] == [False, True, False])
    assert outside.exists()
    uploads.forget("two")
    uploads.forget("nobody")
    until(lambda: not paths[1].exists())


def test_a_page_that_is_reloaded_in_time_keeps_its_visitors_file(tmp_path: Path) -> None:
    one, other = filled(tmp_path, 2, 1)
    uploads = Uploads(tmp_path, grace=0.5)
    for path in (one, other):
        uploads.remember("before", path)
    uploads.forget("before")
    uploads.remember("after", one)
    until(lambda: not other.exists())
    assert one.exists()


def test_only_files_of_the_folder_are_held(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (inside,) = filled(folder, 1, 1)
    outside = tmp_path / "outside.png"
    outside.touch()
    (folder / "link.png").symlink_to(outside)
    uploads = Uploads(folder)
    assert uploads.holds(str(inside))
    for path in (
        outside,
        folder,
        folder / "link.png",
        folder / ".." / "outside.png",
        folder / "nothing.png",
        "/etc/passwd",
        "a\0b",
        "",
        "x" * 9999,
    ):
        assert not uploads.holds(str(path)), path


def test_the_folder_is_the_processes_own_and_gone_when_it_ends() -> None:
    program = (
        "import os, stat; from trgbp_core.serving.uploads import private_folder as f; a = f(); assert f() == a;"
        "assert stat.S_IMODE(a.stat().st_mode) == 0o700; (a / 'x').touch(); print(a)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "GRADIO_TEMP_DIR"}
    folder = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment).stdout.strip()
    assert "trgbp-" in folder
    assert not Path(folder).exists()


def test_the_same_picture_is_written_once_and_another_one_elsewhere(tmp_path: Path) -> None:
    first = written(photo(seed=0), tmp_path)
    with Image.open(first) as found:
        assert found.format == "PNG"
        assert np.array_equal(np.asarray(found), np.asarray(photo(seed=0)))
    os.utime(first, (1, 1))
    before = os.stat(first)
    assert written(photo(seed=0), tmp_path) == first
    after = os.stat(first)
    assert after.st_ino == before.st_ino
    assert after.st_mtime > before.st_mtime, "who was given it last is the last to lose it"
    others = [photo(seed=1), photo(seed=0).convert("L"), Image.fromarray(np.asarray(photo(seed=0)).reshape(97, 61, 3))]
    assert len({first, *(written(other, tmp_path) for other in others)}) == 4
    assert not list(tmp_path.rglob("*.part"))


def test_a_picture_is_sent_whole_whoever_else_is_given_it(tmp_path: Path) -> None:
    uploads, picture, done, seen = Uploads(tmp_path, max_bytes=0), photo(256, 256), threading.Event(), list[int]()
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
