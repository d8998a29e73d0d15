"""What is computed on a card never meets what lies on the processor, and is the same to the bit: a stand-in for a card refuses the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from trgbp_core import METHODS, TRGBP, Preprocess, cascade
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
from trgbp_core.methods.learn_patterns import fit_patterns
from trgbp_core.methods.patterns import use_patterns
from trgbp_core.metrics.localisation import ebpg, grid_pointing_game, ibd, pointing_game
from trgbp_core.metrics.perturbation import perturbation_curve
from trgbp_core.metrics.similarity import similarity
from trgbp_core.serving.jobs import Jobs, Streams
from trgbp_core.theory.coverage import coverage, predicted_sum, profile
from trgbp_core.theory.randomised_weights import sanity_table
from trgbp_core.zoo.loading import ModelCache

from ..support.card import card
from ..support.small_runs import METHODS_HERE, rows
from ..support.small_sets import LABELS, csv_set, rectangle, small_zoo


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
        monkeypatch.setattr(devices, name, lambda device, *_, value=value: value)


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


def joined_here(jobs: object, key: object, work: Callable[[SimpleNamespace], object], **_: object) -> object:
    """Jobs in this thread: the stand-in for a card is this thread's alone."""
    return work(SimpleNamespace(report=lambda *_: None, abandoned=Event()))


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
        monkeypatch.setattr(Jobs, "join", joined_here)
        assert cache.get("any").device == there


def test_what_the_page_shows_is_computed_on_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = rectangle(0)[0]

    def shown(explorer: Explorer) -> list[object]:
        monkeypatch.setattr(Jobs, "join", joined_here)
        monkeypatch.setattr(Streams, "follow", lambda streams, key, compute, step: compute(step or (lambda *_: None)))
        monkeypatch.setattr(explorer.queue, "run", lambda compute, step=None, **_: compute(step or (lambda *_: None)))
        question = explorer.ask(picture, "small")
        found: list[object] = list(explorer.explain_at_once(question, 1))
        found += [panel | {"seconds": None} for panel in explorer.compare(question, 1, ["tr_gbp", "grad_cam", "full_grad"])]
        found += list(explorer.cascade(question, 1, "grad_cam"))
        return found

    expected = shown(Explorer(ModelCache(own={"small": small_zoo()})))
    with card() as there:
        assert shown(Explorer(ModelCache(own={"small": small_zoo().to(there)}, device=there))) == expected
