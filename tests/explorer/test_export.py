"""What a tab exports: figures that open, numbers that say what they are, and code that gives the same maps again."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from trgbp_core.cli.main import main
from trgbp_core.data import images
from trgbp_core.data.version import VERSION
from trgbp_core.drawing.render import Look
from trgbp_core.engine.geometry import upsample
from trgbp_core.explorer import export, export_code
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.serving.workers import Workers

from ..support.comparison import SAME_FORWARD
from ..support.strangers import ROOT

LION, STAR = (ROOT / "assets" / "examples" / name for name in ("lion.jpg", "star.png"))
MODEL = "efficientnet_lite0"
SMALL = ("cascade", "predict")
"""What is long with the large network is exported of the small one."""

OPTIONS: dict[str, dict[str, Any]] = {
    "explain": {},
    "classes": {},
    "compare": {"methods": ["tr_gbp", "saliency", "grad_cam", "pattern_net"]},
    "measure": {"methods": ["guided_backprop", "full_grad"]},
    "cascade": {"baseline": "saliency", "mode": "gaussian", "seed": 3},
    "predict": {"draws": 2},
}


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    return Explorer()


def exported(explorer: Explorer, tab: str) -> export.Export:
    picture, model, k = (STAR, "shapes", 3) if tab in SMALL else (LION, MODEL, 291)
    return export.collect(explorer, explorer.ask(images.read(picture), model), k, tab, OPTIONS[tab])


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """An exported command line, in a shell that has no settings of its own."""
    words = shlex.split(command, comments=True)
    place = words.index("python")
    chosen = dict(word.split("=", 1) for word in words[:place])
    line = [sys.executable, *words[place + 1 :]]
    return subprocess.run(line, cwd=folder, env={"PYTHONPATH": str(ROOT)} | chosen, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("tab", OPTIONS)
def test_the_text_computes_the_maps_that_are_on_the_screen(
    tab: str, explorer: Explorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = exported(explorer, tab)
    shutil.copy(STAR if tab in SMALL else LION, tmp_path / export_code.PICTURE)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(given.python, names)
    assert set(given.maps) <= set(names["maps"])
    for name, (_, map) in given.maps.items():
        same(names["maps"][name].numpy(), map)


@pytest.mark.parametrize("crop", ["centre", "whole", "0.25,1,0.6"])
def test_the_texts_compute_with_the_same_part_of_the_picture(
    crop: str, explorer: Explorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = explorer.ask(images.read(LION), MODEL, crop)
    python, command = export_code.write(MODEL, 291, "explain", {}, True, 1, question.crop)
    assert (f"--crop {crop}" in command) == (crop != "centre")
    shutil.copy(LION, tmp_path / export_code.PICTURE)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    threads = torch.get_num_threads()
    exec(python.partition("\ne = ")[0], names)
    torch.set_num_threads(threads)
    assert torch.equal(names["x"], question.x)


@pytest.mark.parametrize(("whole", "pixels"), [("tr_gbp", "layer_000"), ("tr_gbp_conserving", "layer_000_contribution")])
def test_the_exported_layers_add_up_to_the_map(whole: str, pixels: str, explorer: Explorer) -> None:
    maps = {name: torch.from_numpy(map) for name, (_, map) in exported(explorer, "explain").maps.items()}
    names = [name for name in maps if name.startswith("layer_") and name[6:].isdigit() and name != "layer_000"]
    assert len(names) == 50
    psi = "conserving" if whole.endswith("conserving") else "paper"
    total = maps[pixels] + sum(upsample(maps[name][None, None], (224, 224), psi)[0, 0] for name in names)
    assert float((total - maps[whole]).abs().max()) < 1e-5 * float(maps[whole].abs().max())  # float32, added in another order


BOX = [0.25, 0.25, 0.75, 0.5]


@pytest.mark.parametrize("options", [{"against": 2}, {"box": BOX}, {"against": 2, "box": BOX}])
def test_the_second_class_and_the_box_are_in_the_figure_the_data_and_the_texts(
    options: dict[str, Any], explorer: Explorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = explorer.ask(images.read(STAR), "shapes")
    given = export.collect(explorer, question, 3, "explain", options)
    with np.load(io.BytesIO(export.data(given)), allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files if name != "README.txt"}
    shutil.copy(STAR, tmp_path / export_code.PICTURE)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(given.python, names)
    compared = "against" in options
    shown = ("contrast", "contrast_conserving") if compared else ("raw", "tr_gbp", "tr_gbp_conserving")
    assert given.shown == shown
    for name in shown:
        same(names["maps"][name].numpy(), arrays[name])
    drawn = []
    monkeypatch.setattr(export, "grid", lambda picture, cells, title, note, **_: drawn.extend([*cells, title, note]))
    monkeypatch.setattr(export, "written", lambda *_: b"")
    export.figure(given, "PNG", Look())
    *cells, title, note = drawn
    assert title.endswith("rather than triangle") == compared
    assert ("Red places speak for star, blue ones for triangle" in note) == compared
    assert [cell.signed for cell in cells if cell.image] == [compared] * len(shown)
    assert ("--against 2" in given.command) == compared
    assert ("; of contrast, contrast_conserving both signs, what is positive red" in export.readme(given)) == compared
    assert "Drawn is relu of a map" in export.readme(given)
    bars = [cell.bars for cell in cells if cell.bars]
    if "box" in options:
        assert "--box 0.25,0.25,0.75,0.5" in given.command
        for name, parts in zip(shown[-2:], bars, strict=True):
            np.testing.assert_array_equal(parts, arrays[f"shares_{name}"])
            np.testing.assert_allclose(names["shares"][name].numpy(), parts)
            side = arrays[name].shape[0]
            assert sum(parts) == pytest.approx(arrays[name][side // 4 : side // 2, side // 4 : 3 * side // 4].sum(dtype=float), rel=1e-5)
        assert [cell.box is not None for cell in cells if cell.image] == [name != "raw" for name in shown]
    else:
        assert not bars
    words = shlex.split(given.command)
    assert main(words[words.index("trgbp_core") + 1 :]) == 0
    assert (tmp_path / "out" / "contrast.npy").exists() == compared
    assert (tmp_path / "out" / "shares.csv").exists() == ("box" in options)


def test_several_networks_are_exported_with_what_each_of_them_saw(
    explorer: Explorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (explorer.ask(images.read(STAR), name) for name in ("shapes", "shapes_cheat"))
    given = export.collect(explorer, first, 3, "compare", {"methods": ["tr_gbp", "saliency"], "further": [second]})
    assert set(given.maps) == {"tr_gbp", "saliency", "network2_tr_gbp", "network2_saliency"}
    assert [title for title, *_ in given.rows] == [first.zoo.title, second.zoo.title]
    assert export.figure(given, "PNG", Look()).startswith(b"\x89PNG")
    with np.load(io.BytesIO(export.data(given)), allow_pickle=False) as data:
        np.testing.assert_array_equal(data["network2_picture"], np.asarray(second.picture))
        assert data["ibd"].shape == (4,)
    assert "--models shapes,shapes_cheat" in given.command
    shutil.copy(STAR, tmp_path / export_code.PICTURE)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(given.python, names)
    for name, (_, map) in given.maps.items():
        same(names["maps"][name].numpy(), map)


def same(again: np.ndarray, map: np.ndarray) -> None:
    np.testing.assert_allclose(again.reshape(map.shape), map, rtol=0, atol=SAME_FORWARD * np.abs(map).max())


def test_the_command_line_of_compare_runs(explorer: Explorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(LION, tmp_path / export_code.PICTURE)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(exported(explorer, "compare").command)
    assert main(words[words.index("trgbp_core") + 1 :]) == 0
    assert (tmp_path / "out" / "compare.png").exists()


def test_the_texts_compute_the_same_map_in_a_process_of_other_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's maps, computed with one thread, by processes that would compute with all cores by themselves."""
    for threads, model, k in ((2, "shapes", 3), (1, MODEL, 291)):
        monkeypatch.setattr("trgbp_core.serving.queue.WORKERS", Workers(lambda count, threads=threads: threads))
        explorer = Explorer()
        given = export.collect(explorer, explorer.ask(images.read(LION), model), k, "explain", {})
        assert f"set_num_threads({threads})" in given.python
        assert f"--threads {threads}" in given.command
    shutil.copy(LION, tmp_path / export_code.PICTURE)
    python = given.python + '\nimport numpy\nnumpy.savez("again.npz", **{name: m.numpy() for name, m in maps.items()})'
    environment = {name: value for name, value in os.environ.items() if name not in (*export_code.INSTRUCTION_SETS, "OMP_NUM_THREADS")}
    command = [sys.executable, "-c", python]
    subprocess.run(command, cwd=tmp_path, env=environment | {"PYTHONPATH": str(ROOT)}, check=True, timeout=600)
    done = run(given.command, tmp_path)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "again.npz") as by_python:
        for name in ("raw", "tr_gbp", "tr_gbp_conserving"):
            same(by_python[name], given.maps[name][1])
            same(np.load(tmp_path / "out" / f"{name}.npy"), given.maps[name][1])


def test_the_texts_set_the_instructions_that_the_page_was_started_with(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in export_code.INSTRUCTION_SETS:
        monkeypatch.delenv(name, raising=False)
    plain = export_code.write(MODEL, 291, "explain", {}, True, 2)
    assert "environ" not in plain[0]
    assert plain[1].startswith("python -m trgbp_core")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    python, command = export_code.write(MODEL, 291, "explain", {}, True, 2)
    assert python.index("os.environ['ATEN_CPU_CAPABILITY'] = 'avx2'") < python.index("import torch")
    assert command.startswith("ATEN_CPU_CAPABILITY=avx2 python -m trgbp_core")


@pytest.mark.parametrize("kind", export.FORMATS)
def test_a_figure_of_each_format_opens(kind: str, explorer: Explorer) -> None:
    content = export.figure(exported(explorer, "classes"), kind, Look())
    starts = {"PNG": b"\x89PNG", "PDF": b"%PDF", "SVG": b"<?xml"}
    assert content.startswith(starts[kind])
    assert len(content) > 20_000
    assert "lion (" in exported(explorer, "classes").prediction
    if kind == "PNG":
        assert np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).std() > 20


def test_the_data_says_what_it_is(explorer: Explorer) -> None:
    given = exported(explorer, "explain")
    content = export.data(given)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        text = archive.read("README.txt").decode()
    arrays = np.load(io.BytesIO(content), allow_pickle=False)
    names = [name for name in arrays.files if name != "README.txt"]
    assert {"picture", "raw", "tr_gbp", "layer_050", "logits", "ibd"} <= set(names)
    for name in names:
        assert f"{name}: {arrays[name].shape}" in text
    assert all(word in text for word in (VERSION, torch.__version__, np.__version__, "load_model", "Towards Predictable"))
    assert arrays["ibd"].shape == (len(given.maps),)


def test_a_networks_owner_is_told_where_the_text_needs_the_network() -> None:
    python, command = export_code.write("mine", 3, "explain", {}, False, 1)
    assert "the network that the page was started with" in python
    assert "from Python only" in command


def test_a_method_that_does_not_apply_is_left_out_of_the_maps(explorer: Explorer) -> None:
    assert set(exported(explorer, "compare").maps) == {"tr_gbp", "saliency", "grad_cam"}


def test_a_name_leads_nowhere(tmp_path: Path) -> None:
    path = export.save(b"x", tmp_path, "../../a b\0<c>.png")
    assert path.parent == tmp_path
    assert path.read_bytes() == b"x"


def test_an_unknown_format_is_refused(explorer: Explorer) -> None:
    with pytest.raises(ValueError, match="PNG, PDF, SVG"):
        export.figure(exported(explorer, "classes"), "EXE", Look())
