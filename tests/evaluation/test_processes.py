"""The command as people start it: killed in the middle and continued, and by two processes together."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from trgbp_core.cli.main import main
from trgbp_core.data.shapes import LABELS, SIDE, draw

ROOT = Path(__file__).parents[2]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # as torchrun has it: with as many threads, sums are added up in the same order
FILES = ("results.csv", "mosaics.csv", "sanity.csv", "skipped.csv", "report.md")
FIGURES = ("perturbation.pdf", "sanity.pdf")
PICTURES, BATCH, MOSAICS = 40, 2, 8


def command(folder: Path, out: str) -> list[str]:
    options = f"--model shapes --methods saliency,tr_gbp --mosaics {MOSAICS} --sanity 2 --stages 2".split()
    given = ["--images", str(folder / "images"), "--annotations", str(folder / "annotations.csv"), "--out", str(folder / out)]
    return ["-m", "trgbp_core", "evaluate", *given, *options, "--batch", str(BATCH)]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **ONE_THREAD}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=500, env=environment)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """The files of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("set")
    images = folder / "images"
    images.mkdir()
    with (folder / "annotations.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "class_index", "x0", "y0", "x1", "y1"])
        for index in range(PICTURES):
            shape = draw(index % len(LABELS), index)
            shape.picture.save(images / f"{index:04d}.png")
            writer.writerow([f"{index:04d}.png", shape.label, *(side / SIDE for side in shape.box)])
    (images / "0003.png").write_bytes(b"no picture")
    with redirect_stdout(io.StringIO()) as printed:
        assert main([*command(folder, "whole")[2:], "--threads", "1"]) == 0
    assert f"{PICTURES - 1} pictures" in printed.getvalue()
    assert (folder / "whole" / "mosaics.csv").read_text().count("\n") == 1 + MOSAICS * 4 * 2, "a row a cell and method"
    assert "seconds per picture" in printed.getvalue()
    return folder, read(folder / "whole")


def read(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (*FILES, *FIGURES)}


def parts(folder: Path, phase: str) -> int:
    return len(list((folder / "parts").glob(f"{phase}-*.json")))


def test_a_run_that_is_killed_continues_to_the_same_bytes(uninterrupted: tuple[Path, dict[str, bytes]]) -> None:
    folder, expected = uninterrupted
    out = folder / "killed"
    for phase, units in (("pictures", PICTURES // BATCH), ("mosaics", MOSAICS)):
        process = subprocess.Popen(
            [sys.executable, *command(folder, "killed")], cwd=ROOT, env={**os.environ, **ONE_THREAD}, stderr=subprocess.DEVNULL
        )
        while not parts(out, phase) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert 1 <= parts(out, phase) < units, "it was not killed in the middle"
        assert not (out / "results.csv").exists()
    before = {file.name: file.stat().st_mtime_ns for file in (out / "parts").glob("*.json")}
    done = run(*command(folder, "killed"))
    assert done.returncode == 0, done.stderr
    assert read(out) == expected
    assert before.items() <= {file.name: file.stat().st_mtime_ns for file in (out / "parts").glob("*.json")}.items(), "done twice"


@pytest.mark.further  # the test after it lets two processes end a run, too
def test_two_processes_write_the_same_report(uninterrupted: tuple[Path, dict[str, bytes]]) -> None:
    folder, expected = uninterrupted
    done = run("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *command(folder, "two"))
    assert done.returncode == 0, done.stderr
    assert read(folder / "two") == expected
    assert done.stdout.count("seconds per picture") == 1, "only the first process speaks"
    assert "process 1 of 2" in done.stderr


def test_several_networks_have_each_a_folder_as_alone_and_one_report_killed_or_not(uninterrupted: tuple[Path, dict[str, bytes]]) -> None:
    """Begun by one process, which is killed in the second network, and continued by two."""
    folder, _ = uninterrupted
    few = "--limit 24 --perturbed 0 --mosaics 2 --sanity 0 --fills black --faithfulness 5".split()
    both = [*few, "--models", "shapes_cheat"]  # after --model shapes
    alone, undisturbed, killed = folder / "alone", folder / "both", folder / "both_killed"
    assert main([*command(folder, alone.name)[2:], *few, "--threads", "1"]) == 0
    assert main([*command(folder, undisturbed.name)[2:], *both, "--threads", "1"]) == 0
    process = subprocess.Popen(
        [sys.executable, *command(folder, killed.name), *both], cwd=ROOT, env={**os.environ, **ONE_THREAD}, stderr=subprocess.DEVNULL
    )
    while not parts(killed / "shapes_cheat", "pictures") and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 1 <= parts(killed / "shapes_cheat", "pictures") < 24 // BATCH, "it was not killed in the middle"
    assert not (killed / "report.md").exists()
    done = run("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *command(folder, killed.name), *both)
    assert done.returncode == 0, done.stderr
    for name in (*FILES, "fills.csv", "faithfulness.csv"):
        assert (alone / name).read_bytes() == (undisturbed / "shapes" / name).read_bytes() == (killed / "shapes" / name).read_bytes(), name
        assert (killed / "shapes_cheat" / name).read_bytes() == (undisturbed / "shapes_cheat" / name).read_bytes(), name
    for name in ("report.md", "figures.csv"):
        assert (killed / name).read_bytes() == (undisturbed / name).read_bytes(), name


def test_the_first_process_needs_no_folder_in_common_with_the_others(tmp_path: Path) -> None:
    script = tmp_path / "gather.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from trgbp_core.evaluation.store import Piece, Store, team\n"
        "with team() as here:\n"
        "    store = Store(Path(sys.argv[1]) / str(here.rank))\n"
        "    store.open({})\n"
        "    for index in here.mine(5):\n"
        "        store.save('phase', index, Piece(rows=[{'unit': index, 'by': here.rank}]))\n"
        "    here.collect(store, 'phase', 5)\n"
        "    assert here.broadcast('first' if here.leads else None) == 'first'\n"
    )
    done = run("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script), str(tmp_path))
    assert done.returncode == 0, done.stderr
    from trgbp_core.evaluation.store import Store

    found = [row for piece in Store(tmp_path / "0").pieces("phase", 5) for row in piece.rows]
    assert found == [{"unit": index, "by": index % 2} for index in range(5)]
    assert len(list((tmp_path / "1" / "parts").iterdir())) == 2
