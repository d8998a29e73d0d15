"""The package timm, where it is installed: its rectifier networks are explained, the others refused before they are downloaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from trgbp_core import TRGBP, load_model
from trgbp_core.zoo.checkpoints import WeightsError
from trgbp_core.zoo.custom import named, preloaded

from ..support.comparison import completeness_gap
from ..support.zoo import refused

UNSUPPORTED = {"vit_tiny_patch16_224": "layer_norm", "seresnet18": "sigmoid", "cspdarknet53": "leaky_relu", "convnext_tiny": "layer_norm"}


@pytest.mark.parametrize("name", ["dla34", "tf_efficientnet_lite0", "hrnet_w18_small", "nf_resnet26", "dpn68", "mobilenetv2_050"])
def test_rectifier_networks_of_timm_are_explained_completely(name: str) -> None:
    zoo = load_model(f"random:timm/{name}")
    config = timm.get_pretrained_cfg(name)
    assert (zoo.mean, zoo.std, zoo.input_size) == (tuple(config.mean), tuple(config.std), config.input_size[-1])
    assert zoo.entry.parameters == sum(p.numel() for p in timm.create_model(name).parameters())
    assert len(zoo.labels) == 1000
    network, x = zoo.network.double(), torch.randn(1, 3, 96, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gap = completeness_gap(TRGBP(network, guided=False).explain(x), x)
    assert gap < 1e-9  # float64: what remains is summation order


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_others_are_refused_by_the_operation_before_anything_is_downloaded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def only_here(name: str, pretrained: bool) -> nn.Module:
        assert not pretrained, "a download"
        return create(name)

    monkeypatch.setattr(timm, "create_model", only_here)
    assert UNSUPPORTED[name] in refused(f"timm/{name}")


def test_an_unknown_name_gets_a_suggestion() -> None:
    assert "timm/resnet18" in refused("timm/resnet_18")
    assert "timm/resnet18.a1_in1k" in refused("timm/resnet18.a9_in1k")
    assert refused("timm/")


def test_without_network_the_sentence_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def offline(name: str, pretrained: bool) -> nn.Module:
        if pretrained:
            raise ConnectionError("no network")
        return create(name)

    monkeypatch.setattr(timm, "create_model", offline)
    assert "efficientnet_lite0" in refused("timm/resnet10t", WeightsError)


OFFLINE = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from trgbp_core import TRGBP, load_model
original = load_model("random:timm/resnet10t")
folder, commit = Path(sys.argv[1]) / "hub" / "models--timm--resnet10t.c3_in1k", "0" * 40
(folder / "snapshots" / commit).mkdir(parents=True)
(folder / "refs").mkdir()
(folder / "refs" / "main").write_text(commit)
save_file(original.network.state_dict(), folder / "snapshots" / commit / "model.safetensors")
zoo = load_model("timm/resnet10t")
x = zoo.preprocess(sys.argv[2])
assert torch.equal(zoo.network(x), original.network(x))
assert zoo.entry.available and zoo.source == "timm, c3_in1k", zoo.entry
assert TRGBP(zoo.network).explain(x, [0]).attribution(0).any()
"""


def test_weights_in_timms_own_cache_are_loaded_without_network(tmp_path: Path) -> None:
    lion = Path(__file__).parents[2] / "assets" / "examples" / "lion.jpg"
    environment = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    program = f"import os; os.environ.update({environment!r})\n{OFFLINE}"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(lion)], cwd=lion.parents[2], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_a_network_with_other_classes_gets_numbers_for_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    def four(name: str, pretrained: bool) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    monkeypatch.setattr(timm, "create_model", four)
    zoo = load_model("random:timm/resnet10t")
    assert zoo.labels == [f"class {i}" for i in range(4)]
    assert zoo.entry.parameters == 112


def test_a_network_of_timm_can_be_put_on_the_page() -> None:
    zoo = load_model("random:timm/resnet10t")
    assert named({"small": zoo})["small"].entry.available
    assert preloaded("random:timm/resnet10t", None)["random:timm/resnet10t"].name == "random:timm/resnet10t"
