"""A run over small generated sets, in this process: its numbers and its files."""

from __future__ import annotations

import gc
import json
import math
import re
import shutil
import weakref
from pathlib import Path

import pytest
import torch
from PIL import Image

import trgbp_core
from trgbp_core import METHODS, TRGBP, cascade
from trgbp_core.data import datasets
from trgbp_core.data.datasets import Dataset, DatasetError
from trgbp_core.evaluation import reading, settings
from trgbp_core.evaluation.mosaic_measures import Measured, choose
from trgbp_core.evaluation.report import write_report
from trgbp_core.evaluation.sanity_measures import watched_stages
from trgbp_core.evaluation.settings import Settings, chosen_methods
from trgbp_core.evaluation.store import Piece, Store, Team
from trgbp_core.metrics.localisation import ebpg, ibd, pointing_game
from trgbp_core.metrics.perturbation import perturbation_curve
from trgbp_core.metrics.similarity import similarity
from trgbp_core.zoo.loading import Zoo

from ..support.comparison import JUMP
from ..support.small_runs import METHODS_HERE, SMALL, Done, finished_run, rows, work
from ..support.small_sets import LABELS, csv_set, small_zoo


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return finished_run(tmp_path_factory.mktemp("done"))


# -- numbers ---------------------------------------------------------------------------------------------------------------------------


def test_every_row_is_what_the_measures_say_of_that_method_and_picture(done: Done) -> None:
    store, _, dataset, zoo = done
    found = {(row["image"], row["method"]): row for row in rows(store.folder / "results.csv")}
    assert len(found) == 14 * len(METHODS_HERE)
    for sample in dataset.samples[8:12]:
        x = zoo.preprocess(sample.path)
        predicted = int(zoo.network(x).argmax())
        box = zoo.preprocess.box(sample.boxes[0], Image.open(sample.path).size)
        for key in METHODS_HERE:
            row = found[sample.name, key]
            at_prediction, at_label = (METHODS[key].attribute(zoo.network, x, k) for k in (predicted, sample.label))
            ranked = at_prediction.abs() if key == "guided_backprop" else at_prediction
            expected = {
                "ebpg": ebpg(at_label, box, "fractions"),
                "pointing_game": pointing_game(at_label, box, "fractions"),
                "ibd": ibd(at_prediction),
                "morf_0.1": _change(zoo, x, at_prediction, predicted, "morf"),
                "lerf_0.1": _change(zoo, x, ranked, predicted, "lerf"),
            }
            assert int(row["predicted"]) == predicted
            for name, value in expected.items():
                # A batch of four adds up in another order than one picture, and pixels of nearly equal rank may change places.
                assert float(row[name]) == pytest.approx(float(value), rel=JUMP, abs=1e-3), (sample.name, key, name)


def _change(zoo: Zoo, x: torch.Tensor, maps: torch.Tensor, k: int, order: str) -> torch.Tensor:
    return perturbation_curve(zoo.network, x, maps, k, fill=zoo.preprocess.black, order=order, fractions=[0.1]).change


@pytest.mark.parametrize("target", ["label", "prediction"])
def test_target_chooses_the_class_everywhere(tmp_path: Path, target: str) -> None:
    images, annotations = csv_set(tmp_path, 3)
    dataset = datasets.load(images, annotations, labels=LABELS)
    store, _, zoo = work(tmp_path / "out", dataset, Settings(methods=("saliency",), target=target, mosaics=0, sanity=0))
    for row, sample in zip(rows(store.folder / "results.csv"), dataset.samples, strict=True):
        x = zoo.preprocess(sample.path)
        k = sample.label if target == "label" else int(zoo.network(x).argmax())
        assert float(row["ibd"]) == pytest.approx(float(ibd(METHODS["saliency"].attribute(zoo.network, x, k))), rel=JUMP)


def test_one_recording_gives_a_batch_what_each_picture_gets_alone() -> None:
    zoo = small_zoo()
    x = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    network = zoo.network.double()
    labels = torch.tensor([0, 6, 2, 3, 1])
    batch = TRGBP(network).explain_batch(x, [[None, k] for k in labels])
    for i in range(5):
        e = TRGBP(network).explain(x[i : i + 1], [int(labels[i])])
        for place, k in enumerate((e.top5[0], int(labels[i]))):
            for psi in ("paper", "conserving"):
                assert torch.allclose(batch.attribution(psi)[place, i], e.attribution(k, psi)[0], rtol=0, atol=1e-12)
            assert torch.allclose(batch.guided[place, i], e.layer_raw(0, k)[0], rtol=0, atol=1e-12)


def test_grid_pointing_finds_the_class_of_its_own_cell(done: Done) -> None:
    store, _, _, _ = done
    found = rows(store.folder / "mosaics.csv")
    assert len(found) == 4 * len(METHODS_HERE) * len({row["mosaic"] for row in found})
    assert len({row["mosaic"] for row in found}) == 2
    assert all(0 <= float(row["grid_pointing_game"]) <= 1 for row in found)
    assert len({row["grid_pointing_game"] for row in found}) > len(found) / 2
    for key in METHODS_HERE:
        for number in {row["mosaic"] for row in found}:
            own = [row for row in found if row["method"] == key and row["mosaic"] == number]
            assert len({row["class_index"] for row in own}) == 4


def test_mosaics_hold_four_classes_and_no_picture_twice() -> None:
    pictures = [Measured(f"{i}", i % 5) for i in range(23)]
    chosen = choose(pictures, 100, seed=0)
    names = [name for mosaic in chosen for name in mosaic]
    assert len(names) == len(set(names)) == 4 * len(chosen) >= 16
    assert all(len({int(name) % 5 for name in mosaic}) == 4 for mosaic in chosen)
    assert choose(pictures, 100, seed=0) == chosen != choose(pictures, 100, seed=1)
    assert choose(pictures[:3], 100, seed=0) == []


def test_sanity_rows_are_the_similarities_of_the_cascade(done: Done) -> None:
    store, _, _, zoo = done
    found = rows(store.folder / "sanity.csv")
    assert {int(row["stage"]) for row in found} == {1, 2, 4}
    row = next(row for row in found if row["method"] == "tr_gbp" and row["stage"] == "2")
    x = zoo.preprocess(store.folder.parent / "images" / row["image"])
    stage = list(cascade(zoo.network, seed=0))[1]
    k = int(row["class_index"])
    maps = [METHODS["tr_gbp"].attribute(network, x, k) for network in (stage.network, zoo.network)]
    expected = similarity(*maps, "abs")
    assert float(row["spearman_abs"]) == pytest.approx(float(expected.spearman), abs=JUMP)  # another batch
    assert float(row["ssim_abs"]) == pytest.approx(float(expected.ssim), abs=JUMP)


@pytest.mark.parametrize(("total", "count"), [(50, 12), (16, 12), (13, 12), (5, 12), (3, 2), (2, 1), (150, 7), (1, 3)])
def test_watched_stages_run_from_the_first_to_the_last(total: int, count: int) -> None:
    stages = watched_stages(total, count)
    assert len(stages) == min(total, count)
    assert stages == sorted(set(stages))
    assert stages[0] == 1
    assert count == 1 or stages[-1] == total


# -- files -----------------------------------------------------------------------------------------------------------------------------


def test_every_float_reads_back_as_the_same_bits(done: Done) -> None:
    store, finished, _, _ = done
    written = iter(rows(store.folder / "results.csv"))
    for piece in store.pieces("pictures", finished.counts["pictures"]):
        for row in piece.rows:
            text = next(written)
            assert all(float(text[name] or "nan") == value or math.isnan(value) for name, value in row.items() if isinstance(value, float))
    assert next(written, None) is None
    assert Piece.from_json(piece.to_json()) == piece


def test_broken_pictures_are_named_and_the_rest_is_measured(tmp_path: Path) -> None:
    images, annotations = csv_set(tmp_path, 6)
    (images / "0001.png").write_bytes(b"not a picture")
    (images / "0002.png").write_bytes((images / "0002.png").read_bytes()[:200])
    (images / "0003.png").unlink()
    lines = annotations.read_text().splitlines()
    lines[2], lines[3] = "0001.png,1,,,,", "0002.png,2,0.9,0.9,0.1,0.1"  # of what cannot be read nothing else is said
    lines[5] = "0004.png,99,0,0,1,1"
    lines[6] = "0005.png,5,,,,"
    annotations.write_text("\n".join(lines))
    dataset = datasets.load(images, annotations, labels=LABELS)
    settings = Settings(methods=("saliency",), mosaics=0, sanity=0)
    store, finished, zoo = work(tmp_path / "out", dataset, settings)
    assert {row["image"] for row in rows(store.folder / "results.csv")} == {"0000.png", "0005.png"}
    skipped = {row["image"]: row["kind"] for row in rows(store.folder / "skipped.csv")}
    broken = {"0001.png": "corrupt", "0002.png": "corrupt", "0003.png": "missing", "0004.png": "unlabelled", "0005.png": "no box"}
    assert skipped == broken
    assert len(rows(store.folder / "skipped.csv")) == len(broken), "each is named once"
    write_report(store, finished, dataset, zoo, settings, Team())
    report = (store.folder / "report.md").read_text()
    for name, kind in broken.items():
        assert re.search(rf"^- \d+ {kind}: .*{name}", report, re.MULTILINE)
    counts = json.loads((store.folder / "run.json").read_text())["counts"]
    assert (counts["corrupt"], counts["missing"], counts["pictures"], counts["EBPG protocol"]) == (2, 1, 2, 1)


def test_a_set_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    images, annotations = csv_set(tmp_path, 2)
    for file in images.iterdir():
        file.write_bytes(b"")
    dataset = datasets.load(images, annotations, labels=LABELS)
    with pytest.raises(DatasetError, match=r"None of the 2 pictures could be measured. Left out: 2 corrupt \(0000.png: The file is empty"):
        work(tmp_path / "out", dataset)


def test_pictures_too_small_for_the_sanity_checks_are_refused_before_the_first_is_measured(tmp_path: Path) -> None:
    dataset, out = datasets.load(*csv_set(tmp_path, 2), labels=LABELS), tmp_path / "out"
    with pytest.raises(ValueError, match=r"windows of 7×7 pixels \(SSIM\).* only 6×6: leave them out with --sanity 0\.$"):
        work(out, dataset, zoo=small_zoo(6))
    assert not list(out.rglob("*.csv"))


def test_the_digest_of_the_sources_is_a_copys_too_and_not_a_changed_ones(tmp_path: Path) -> None:
    package = Path(trgbp_core.__file__).parent
    copy = shutil.copytree(package, tmp_path / "elsewhere" / "named_otherwise", ignore=shutil.ignore_patterns("__pycache__"))
    assert settings.code().endswith(settings.sources(copy))
    file = copy / "engine" / "rules.py"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))  # as some systems check it out
    assert settings.sources(copy) == settings.sources(package)
    file.write_bytes(file.read_bytes() + b"x = 1\n")
    assert settings.sources(copy) != settings.sources(package)


def test_a_folder_with_another_run_is_not_mixed_up(tmp_path: Path, done: Done) -> None:
    store, _, dataset, _ = done
    with pytest.raises(ValueError, match="differs in seed, batch"):
        Store(store.folder).open(Settings(**vars(SMALL) | {"seed": 1, "batch": 2}).fingerprint(dataset))
    with pytest.raises(ValueError, match="differs in the pictures"):
        Store(store.folder).open(SMALL.fingerprint(Dataset("CSV", dataset.samples[1:], ())))
    Store(store.folder).open(Settings(**vars(SMALL) | {"sample": 3}).fingerprint(dataset))  # only the report reads it
    for old in ({"code": "0.0.9 0123456789abcdef"}, {}):  # of another version; of one that did not write its own
        mark = SMALL.fingerprint(dataset)
        del mark["code"]
        (tmp_path / "old").mkdir(exist_ok=True)
        (tmp_path / "old" / "settings.json").write_text(json.dumps(mark | old))
        with pytest.raises(ValueError, match="differs in this program's version or sources: choose another --out"):
            Store(tmp_path / "old").open(SMALL.fingerprint(dataset))
    shutil.rmtree(tmp_path / "old")
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ValueError, match="not empty and holds no run"):
        Store(tmp_path).open(SMALL.fingerprint(dataset))


def test_limit_draws_pictures_with_the_seed(tmp_path: Path) -> None:
    images, annotations = csv_set(tmp_path, 12)
    dataset = datasets.load(images, annotations, labels=LABELS)
    chosen = []
    for seed in (0, 0, 1):
        settings = Settings(methods=("saliency",), limit=4, seed=seed, mosaics=0, sanity=0)
        store, _, _ = work(tmp_path / f"out{len(chosen)}", dataset, settings)
        chosen.append([row["image"] for row in rows(store.folder / "results.csv")])
    assert chosen[0] == chosen[1] != chosen[2]
    assert all(len(names) == 4 and names == sorted(names) for names in chosen)


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, annotations = csv_set(tmp_path, 20)
    dataset = datasets.load(images, annotations, labels=LABELS)
    alive: list[weakref.ref[reading.Seen]] = []
    most, see = 0, reading.see

    def watching(*arguments: object) -> object:
        nonlocal most
        seen = see(*arguments)
        alive.append(weakref.ref(seen))
        gc.collect()
        most = max(most, sum(ref() is not None for ref in alive))
        return seen

    monkeypatch.setattr(reading, "see", watching)
    gc.freeze()  # what is there already is not looked through twenty times
    try:
        work(tmp_path / "out", dataset, Settings(methods=("saliency",), batch=4, mosaics=0, sanity=0))
    finally:
        gc.unfreeze()
    assert len(alive) == 20
    assert most == 4


def test_every_method_there_is_can_be_measured(tmp_path: Path) -> None:
    images, annotations = csv_set(tmp_path, 1)
    dataset = datasets.load(images, annotations, labels=LABELS)
    settings = Settings(methods=chosen_methods(["all"]), mosaics=0, sanity=0)
    store, finished, _ = work(tmp_path / "out", dataset, settings)
    refused = set().union(*(piece.refused for piece in store.pieces("pictures", finished.counts["pictures"])))
    measured = {row["method"] for row in rows(store.folder / "results.csv")}
    assert measured | refused == set(METHODS)
    assert refused <= {"pattern_net", "pattern_attribution"}, "they need patterns that nobody has fitted"
    assert all(0 <= float(row["ibd"]) <= 1 for row in rows(store.folder / "results.csv"))
