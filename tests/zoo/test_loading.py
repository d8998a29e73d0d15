"""Networks as they come: the embedded one, random ones, and those whose weights lie in a file."""

from __future__ import annotations

import pytest
import torch
import torchvision.models

from trgbp_core import load_model
from trgbp_core.zoo import catalogue as catalogue_module
from trgbp_core.zoo import loading as models_module
from trgbp_core.zoo.checkpoints import WeightsError

from ..support.zoo import embedded, refused

# -- the embedded network --------------------------------------------------------------------------------------------------------------


def test_the_embedded_network_needs_no_network_and_knows_what_it_sees():
    from sklearn.datasets import load_sample_image

    zoo = embedded()
    assert not zoo.network.training
    assert zoo.entry.available
    assert sum(p.numel() for p in zoo.network.parameters()) == zoo.entry.parameters
    with torch.no_grad():
        logits = zoo.network(zoo.preprocess(load_sample_image("flower.jpg")))
        temple = zoo.network(zoo.preprocess(load_sample_image("china.jpg")))
    seen = [[zoo.labels[i] for i in row.topk(5).indices[0]] for row in (logits, temple)]
    assert {"daisy", "bee"} & set(seen[0])
    assert "palace" in seen[1]
    assert len(zoo.labels) == 1000
    assert (zoo.labels[0], zoo.labels[243], zoo.labels[999]) == ("tench", "bull mastiff", "toilet tissue")


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


# -- random weights --------------------------------------------------------------------------------------------------------------------


def test_random_weights_are_the_same_every_time_and_leave_the_global_random_state_alone():
    before = torch.random.get_rng_state()
    first, second = load_model("random:mnasnet0_5"), load_model("mnasnet0_5", weights="random")
    assert torch.equal(before, torch.random.get_rng_state())
    assert first.name == second.name == "random:mnasnet0_5"
    assert first.network is not second.network
    assert first.entry.available
    for key, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[key]), key


# -- weights from files ----------------------------------------------------------------------------------------------------------------


def test_without_weights_and_without_network_the_sentence_names_the_remedy(nothing_here):
    assert not catalogue_module.entry("squeezenet1_1").available
    sentence = refused("squeezenet1_1", WeightsError)
    for words in ("cannot be reached", "efficientnet_lite0", "--fetch squeezenet1_1", "TRGBP_MODEL_DIR"):
        assert words in sentence


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
