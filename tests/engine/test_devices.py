"""Where things are computed: how a device is named, and that what is computed on a card never meets what lies on the processor."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import app
from trgbp_core import METHODS, TRGBP, Preprocess, cascade, load_model
from trgbp_core.cli.main import main
from trgbp_core.cli.predict import tables
from trgbp_core.data import datasets
from trgbp_core.engine import devices
from trgbp_core.evaluation import calibration
from trgbp_core.evaluation import predictability_table as predictability
from trgbp_core.evaluation.predictability_table import PictureSample, attribute
from trgbp_core.evaluation.run import RESULTS, SANITY, run, write_results
from trgbp_core.evaluation.settings import Settings
from trgbp_core.evaluation.store import Store, Team
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.methods.patterns import use_patterns
from trgbp_core.methods.signals import fit_patterns
from trgbp_core.metrics.localisation import ebpg, grid_pointing_game, ibd, pointing_game
from trgbp_core.metrics.perturbation import perturbation_curve
from trgbp_core.metrics.similarity import similarity
from trgbp_core.serving.server import page_device
from trgbp_core.theory.coverage import coverage, predicted_sum, profile
from trgbp_core.theory.randomised_weights import sanity_table
from trgbp_core.zoo.loading import ModelCache

from ..support.card import card
from ..support.small_runs import METHODS_HERE, rows
from ..support.small_sets import LABELS, csv_set, rectangle, small_zoo

ROOT = Path(__file__).parents[2]
LION = str(ROOT / "assets" / "examples" / "cheetah_and_lion.jpg")
CARDS = torch.cuda.is_available()
COMPUTING = "explain compare patterns cascade evaluate calibrate predict predictability figure handouts bench".split()


def test_without_a_name_it_is_cuda_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.pick() == devices.pick("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.pick() == devices.pick("auto") == torch.device("cuda")
    assert devices.pick("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cuda", "There is no CUDA device here"),
        ("cuda:1", "There is no CUDA device here"),
        ("tpu", "auto, cpu, cuda .* or mps, not 'tpu'"),
        ("meta", "not 'meta'"),
        ("cuda:one", "not 'cuda:one'"),
        ("", "not ''"),
        ("mps", "There is no MPS device here"),
    ],
)
def test_a_device_that_is_not_there_gets_a_sentence(name: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(devices.DeviceError, match=sentence):
        devices.pick(name)
    with pytest.raises(devices.DeviceError, match=sentence):
        load_model("efficientnet_lite0", device=name)


def test_a_second_card_that_is_not_there_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert devices.pick("cuda:0") == torch.device("cuda", 0)
    with pytest.raises(devices.DeviceError, match=r"no cuda:1 here; the last one is cuda:0"):
        devices.pick("cuda:1")


def test_where_there_is_no_float64_what_needs_it_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.prepare("mps", float64=False) == torch.device("mps")
    for command in ("compare", "evaluate"):
        assert main([command, *ARGUMENTS[command], "--device", "mps"]) == 2
    with pytest.raises(devices.DeviceError, match="computes no float64, which this needs: give --device cpu"):
        devices.prepare("mps")


def test_a_card_takes_more_at_a_time_and_has_pictures_read_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    there = torch.device("cuda")
    assert devices.explained_together(devices.CPU) == 4 < devices.explained_together(there)
    assert devices.perturbed_together(devices.CPU) == 10 < devices.perturbed_together(there)
    assert devices.reading_processes(devices.CPU) == 0
    assert devices.layout(devices.CPU) != devices.layout(there)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(16), raising=False)
    assert devices.reading_processes(there) == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert devices.reading_processes(there) == 1


def test_on_a_card_our_programs_compute_in_full_float32_and_the_library_leaves_that_to_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    before = torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = True
        devices.pick("cuda")
        assert torch.backends.cudnn.allow_tf32
        devices.prepare("cuda")
        assert not torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("command", COMPUTING)
def test_every_command_that_computes_takes_a_device(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--device DEVICE" in text
    assert ("(default: cpu)" if command == "bench" else "(default: cuda if there is one)") in text


ARGUMENTS = {
    "explain": [LION],
    "compare": [LION],
    "cascade": [LION],
    "predict": [LION],
    "patterns": ["assets/examples", "--out", "OUT"],
    "evaluate": ["--images", "assets/examples"],
    "predictability": ["--images", "assets/examples"],
    "calibrate": ["--images", "assets/examples", "--out", "OUT"],
    "figure": ["5"],
    "handouts": [],
    "bench": [],
}


@pytest.mark.parametrize("command", COMPUTING)
def test_a_command_refuses_a_device_that_does_not_exist_in_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, *ARGUMENTS[command], "--device", "tpu"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines == ["trgbp_core: A device is auto, cpu, cuda (cuda:1 for the second card) or mps, not 'tpu'."]


@pytest.mark.skipif(CARDS, reason="there is a card here")
def test_asking_for_a_card_without_one_ends_with_exit_code_2_and_no_traceback() -> None:
    for arguments in (["-m", "trgbp_core", "explain", LION], ["app.py"]):
        done = subprocess.run([sys.executable, *arguments, "--device", "cuda"], cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 2
        assert "There is no CUDA device here" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_page_refuses_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app.launch(["--device", "tpu"])
    assert ended.value.code == 2
    assert "not 'tpu'" in capsys.readouterr().err


def test_a_zerogpu_space_stays_on_the_processor_unless_a_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # the package says so, whether or not a card is lent just now
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    before = torch.backends.cudnn.allow_tf32
    try:
        assert page_device("auto") == torch.device("cuda")
        monkeypatch.setenv("SPACES_ZERO_GPU", "true")
        assert page_device("auto") == torch.device("cuda"), "without the package it is an ordinary machine"
        monkeypatch.setitem(sys.modules, "spaces", argparse)  # any module
        assert page_device("auto") == page_device(None) == torch.device("cpu")
        assert page_device("cuda") == torch.device("cuda")
    finally:
        torch.backends.cudnn.allow_tf32 = before


# -- a card that is none ----------------------------------------------------------------------------------------------------------------


def pictures(count: int = 2, size: int = 32) -> torch.Tensor:
    return torch.cat([Preprocess(size=size, resize=size + 4)(rectangle(index)[0]) for index in range(count)])


def branched() -> nn.Module:
    """Skips, a concatenation, saturating rectifiers, biases of every kind: what the rules have cases for."""

    class Branched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
            self.deep, self.thin = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1)
            self.last = nn.Linear(16, 7)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = nn.functional.max_pool2d(self.norm(self.first(x)).relu(), 2)
            skip = nn.functional.relu6(x + 3 * self.thin(nn.functional.relu6(self.deep(x))))
            x = torch.cat([x, nn.functional.avg_pool2d(skip, 3, 1, 1)], 1)
            return self.last(x.mean((2, 3)))

    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    network = Branched().eval()
    torch.random.set_rng_state(state)
    return network


def test_the_card_refuses_what_a_card_refuses() -> None:
    with card() as there:
        far, near = torch.ones(3, device=there), torch.ones(3)
        assert (far + near.to(there)).cpu().tolist() == [2, 2, 2]
        assert float((far * 2).sum()) == 6
        for mixed in (lambda: far + near, lambda: torch.where(near > 0, far, 0), lambda: far.copy_(near) @ near):
            with pytest.raises(RuntimeError, match="on the card"):
                mixed()
        with pytest.raises(TypeError, match="numpy"):
            far.numpy()
        assert far.device == there == torch.tensor([1], device=there).device


@pytest.fixture(autouse=True)
def _one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in for a card is this processor: asked for the same layout and batches it gives the same bits."""
    for name in ("explained_together", "perturbed_together", "layout"):
        value = getattr(devices, name)(devices.CPU)
        monkeypatch.setattr(devices, name, lambda device, value=value: value)


@pytest.mark.parametrize("key", METHODS)
def test_a_method_computes_on_the_device_of_the_picture_and_as_on_the_processor(key: str) -> None:
    network, x = branched(), pictures()
    patterns = fit_patterns(network, [x]) if key.startswith("pattern") else None
    if patterns is not None:
        use_patterns(network, patterns)
    expected = METHODS[key].attribute(network, x, torch.tensor([1, 3]))
    with card() as there:
        away = branched().to(there)
        if patterns is not None:
            use_patterns(away, patterns)
        found = METHODS[key].attribute(away, x.to(there), torch.tensor([1, 3], device=there))
        assert found.device == there
        assert torch.equal(found.cpu(), expected)


def test_an_explanation_of_one_picture_lies_where_the_picture_does() -> None:
    network, x = branched(), pictures(1)
    expected = TRGBP(network).explain(x, [2])
    with card() as there:
        e = TRGBP(branched().to(there)).explain(x.to(there), [2])
        for psi in ("paper", "conserving"):
            assert torch.equal(e.attribution(2, psi).cpu(), expected.attribution(2, psi))  # type: ignore[arg-type]
        assert torch.equal(e.layer_attribution(1, 2).cpu(), expected.layer_attribution(1, 2))
        assert e.probabilities.device == there


def test_measures_take_maps_on_a_card() -> None:
    maps, other, network, x = torch.randn(4, 1, 32, 32), torch.randn(4, 1, 32, 32), branched(), pictures(4)
    black = Preprocess().black

    def numbers(maps: torch.Tensor, other: torch.Tensor, network: nn.Module, x: torch.Tensor) -> list[list[float]]:
        found = [of(maps, (0.1, 0.2, 0.7, 0.8), "fractions") for of in (ebpg, pointing_game)]
        found += [grid_pointing_game(maps, [0, 1, 2, 3]), ibd(maps), profile(maps).flatten()]
        alike = similarity(maps, other, "abs")
        found += [alike.spearman, alike.ssim, alike.hog]
        for order in ("morf", "lerf"):
            for fill in (black, "blur", "mean"):
                curve = perturbation_curve(network, x, maps, [0, 1, 2, 3], fill=fill, order=order, fractions=[0.1, 0.5])  # type: ignore[arg-type]
                found += [curve.area(), curve.change.flatten()]
        return [values.tolist() for values in found]

    expected = numbers(maps, other, network, x)
    with card() as there:
        assert numbers(maps.to(there), other.to(there), branched().to(there), x.to(there)) == expected


def test_randomisation_and_its_prediction_compute_where_the_network_lies() -> None:
    network, x = branched(), pictures(1)
    expected = sanity_table(network, x, 1, seeds=2), tables(network, x, 1, "small", seeds=2)
    stages = [stage.network(x) for stage in cascade(network, seed=0, x=x)]
    with card() as there:
        away, far = branched().to(there), x.to(there)
        assert (sanity_table(away, far, 1, seeds=2), tables(away, far, 1, "small", seeds=2)) == expected
        for stage, logits in zip(cascade(away, seed=0, x=far), stages, strict=True):
            assert torch.equal(stage.network(far).cpu(), logits)
        assert predicted_sum(coverage(away, x.shape), (32, 32)).device == there


def test_a_whole_evaluation_on_a_card_writes_the_numbers_of_the_processor(tmp_path: Path) -> None:
    folder, annotations = csv_set(tmp_path, 5)
    dataset = datasets.load(folder, annotations, labels=LABELS)
    settings = Settings(methods=(*METHODS_HERE, "full_grad"), mosaics=1, sanity=2, stages=2, batch=3)

    def results(device: torch.device) -> list[list[dict[str, str]]]:
        store = Store(tmp_path / device.type)
        store.open(settings.fingerprint(dataset, device.type))
        zoo = small_zoo()
        write_results(store, run(dataset, zoo, settings, store, Team(device=device), shown=False), dataset)
        assert zoo.device.type == "cpu", "what is given stays where it is"
        return [rows(store.folder / name) for name in (RESULTS, SANITY)]

    expected = results(devices.CPU)
    with card() as there:
        assert results(there) == expected


def test_predictability_and_calibration_measure_on_a_card(tmp_path: Path) -> None:
    folder, annotations = csv_set(tmp_path, 6)
    dataset, zoo = datasets.load(folder, annotations, labels=LABELS), small_zoo()
    line = predictability.line("tr_gbp", PictureSample(zoo, dataset, 3, 0), coverage(zoo.network, (1, 3, 32, 32)))
    raw = predictability.measure(attribute("raw"), PictureSample(zoo, dataset, 2, 0))
    measured = calibration.measure(dataset, zoo)
    with card() as there:
        away = zoo.to(there)
        assert predictability.line("tr_gbp", PictureSample(away, dataset, 3, 0), coverage(away.network, (1, 3, 32, 32))) == line
        assert predictability.measure(attribute("raw"), PictureSample(away, dataset, 2, 0)).steady.tolist() == raw.steady.tolist()
        assert calibration.measure(dataset, away).ibd.tolist() == measured.ibd.tolist()
        assert calibration.tabulate(measured, away, "").weights == calibration.tabulate(measured, zoo, "").weights


def test_a_network_of_the_zoo_brings_its_pictures_to_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = small_zoo()
    picture = rectangle(0)[0]
    with card() as there:
        away = zoo.to(there)
        assert away.to(there) is away
        assert zoo.to("cpu") is zoo
        x = away.preprocess(picture)
        assert x.device == away.normalise(away.picture(picture)).device == there == away.device
        assert torch.equal(x.cpu(), zoo.preprocess(picture))
        assert away.preprocess == zoo.preprocess, "a device makes no other preprocessing"
        assert zoo.device.type == "cpu"
        cache = ModelCache(load=lambda name, **_: small_zoo(), device=there)
        here = SimpleNamespace(report=None, abandoned=Event())  # the stand-in for a card is this thread's alone
        monkeypatch.setattr(cache._flights, "join", lambda name, work, **_: work(here))
        assert cache.get("any").device == there


def test_what_the_page_shows_is_computed_on_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = rectangle(0)[0]

    def shown(explorer: Explorer) -> list[object]:
        # Everything here, in this thread: the stand-in for a card is this thread's alone.
        monkeypatch.setattr(explorer.turns, "run", lambda compute, step=None, **_: compute(step or (lambda *_: None)))
        question = explorer.ask(picture, "small")
        found: list[object] = [explorer.explain(question, 1)]
        found += [panel | {"seconds": None} for panel in explorer.compare(question, 1, ["tr_gbp", "grad_cam", "full_grad"])]
        found += list(explorer.cascade(question, 1, "grad_cam"))
        return found

    expected = shown(Explorer(ModelCache(own={"small": small_zoo()})))
    with card() as there:
        assert shown(Explorer(ModelCache(own={"small": small_zoo().to(there)}, device=there))) == expected
