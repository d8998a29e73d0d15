"""What is taken along from a tab: figures that open, numbers that say what they are, and text that gives the same maps again."""

from __future__ import annotations

import io
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

from trgbp_core import images, recipes, takeaway
from trgbp_core.explorer import Explorer
from trgbp_core.takeaway import take
from trgbp_core.version import VERSION

from .strangers import ROOT

LION = ROOT / "assets" / "examples" / "lion.jpg"
MODEL = "efficientnet_lite0"
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


def taken(explorer: Explorer, tab: str) -> takeaway.Taken:
    return take(explorer, explorer.ask(images.read(LION), MODEL), 291, tab, OPTIONS[tab])


@pytest.mark.parametrize("tab", OPTIONS)
def test_the_text_computes_the_maps_that_are_on_the_screen(
    tab: str, explorer: Explorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = taken(explorer, tab)
    shutil.copy(LION, tmp_path / recipes.PICTURE)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(given.python, names)
    assert set(given.maps) <= set(names["maps"])
    for name, (_, map) in given.maps.items():
        again = names["maps"][name].numpy().reshape(map.shape)
        np.testing.assert_allclose(again, map, rtol=0, atol=1e-6 * np.abs(map).max())  # batched backward passes sum in another order


@pytest.mark.parametrize("tab", ["explain", "compare"])
def test_the_command_line_runs_and_its_maps_are_those(tab: str, explorer: Explorer, tmp_path: Path) -> None:
    given = taken(explorer, tab)
    shutil.copy(LION, tmp_path / recipes.PICTURE)
    command = [sys.executable, *shlex.split(given.command, comments=True)[1:]]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    if tab == "explain":
        for name in ("raw", "tr_gbp", "tr_gbp_conserving"):
            map = given.maps[name][1]
            again = np.load(tmp_path / "out" / f"{name}.npy").reshape(map.shape)
            np.testing.assert_allclose(again, map, rtol=0, atol=1e-4 * np.abs(map).max())  # another thread count
    else:
        assert (tmp_path / "out" / "compare.png").exists()


@pytest.mark.parametrize("kind", takeaway.FORMATS)
def test_a_figure_of_each_format_opens(kind: str, explorer: Explorer) -> None:
    content = takeaway.figure(taken(explorer, "classes"), kind)
    starts = {"PNG": b"\x89PNG", "PDF": b"%PDF", "SVG": b"<?xml"}
    assert content.startswith(starts[kind])
    assert len(content) > 20_000
    if kind == "PNG":
        assert np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).std() > 20


def test_the_data_says_what_it_is(explorer: Explorer) -> None:
    given = taken(explorer, "explain")
    content = takeaway.data(given)
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
    python, command = recipes.write("mine", 3, "explain", {}, False)
    assert "the network that the page was started with" in python
    assert "from Python only" in command


def test_a_method_that_does_not_apply_is_left_out_of_the_maps(explorer: Explorer) -> None:
    assert set(taken(explorer, "compare").maps) == {"tr_gbp", "saliency", "grad_cam"}


def test_a_name_leads_nowhere(tmp_path: Path) -> None:
    path = takeaway.save(b"x", tmp_path, "../../a b\0<c>.png")
    assert path.parent == tmp_path
    assert path.read_bytes() == b"x"


def test_an_unknown_format_is_refused(explorer: Explorer) -> None:
    with pytest.raises(ValueError, match="PNG, PDF, SVG"):
        takeaway.figure(taken(explorer, "classes"), "EXE")
