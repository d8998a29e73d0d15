"""From a picture to the numbers that a network reads: as its weights' publishers do it, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.models
from PIL import Image

from trgbp_core import available_models, load_model
from trgbp_core.zoo import catalogue as catalogue_module
from trgbp_core.zoo.loading import Preprocess

from ..support.pictures import photo
from ..support.zoo import embedded

NAMES = [entry.name for entry in available_models()]
SIZES = [(640, 480), (480, 640), (300, 300), (97, 41), (31, 500), (224, 224), (1, 1)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["vgg16", "resnet50@IMAGENET1K_V2", "inception_v3"])
def test_preprocessing_equals_torchvisions_bit_for_bit(name, size):
    entry = catalogue_module.entry(name)
    plain, _, tag = name.partition("@")
    transforms = torchvision.models.get_model_weights(plain)[tag or "IMAGENET1K_V1"].transforms()
    x = entry.preprocess(photo(*size))
    assert x.shape == (1, 3, entry.input_size, entry.input_size)
    assert torch.equal(x[0], transforms(photo(*size)))


def test_the_embedded_network_reads_rgb_minus_127_over_128_of_the_whole_picture():
    image = photo(500, 300)
    expected = (np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC)).astype(np.float64) - 127) / 128
    x = embedded().preprocess(image)
    difference = np.abs(x[0].permute(1, 2, 0).numpy() - expected).max()
    assert difference < 1e-6  # float32 against float64
    assert x.shape == (1, 3, 224, 224)


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_carries_its_weights_own_numbers(name):
    entry = catalogue_module.entry(name)
    assert entry.name == name
    assert all((entry.title, entry.source, entry.licence))
    assert len(entry.sha256) >= 8
    if entry.labels:  # of this project, and not for ImageNet
        assert entry.embedded
        assert entry.parameters == sum(parameter.numel() for parameter in load_model(name).network.parameters())
        return
    assert entry.parameters > 10**6
    assert 50 < entry.accuracy < 90
    if not entry.embedded:
        chosen = torchvision.models.get_model_weights(name.partition("@")[0])[entry.source.rpartition(" ")[2]]
        assert name.partition("@")[2] in ("", chosen.name)
        assert entry.url == chosen.url
        assert entry.accuracy == chosen.meta["_metrics"]["ImageNet-1K"]["acc@1"]
        assert entry.parameters == chosen.meta["num_params"]
        assert abs(entry.download_size / 2**20 - chosen.meta["_file_size"]) < 1e-3


def test_the_picture_is_what_the_network_sees():
    for preprocess in (Preprocess(), embedded().preprocess):
        image = photo(640, 480)
        picture = preprocess.picture(image)
        assert picture.size == (224, 224)
        assert torch.equal(preprocess.normalise(picture), preprocess(image))


def test_black_is_a_black_pixel():
    for zoo in (embedded(), load_model("random:squeezenet1_1")):
        x = zoo.preprocess(Image.new("RGB", (50, 50)))
        assert torch.equal(zoo.preprocess.black.expand_as(x), x)


def test_a_picture_of_any_size_can_be_normalised_and_nothing_is_changed():
    image = photo(31, 17)
    before = np.array(image)
    assert embedded().normalise(image).shape == (1, 3, 17, 31)
    embedded().preprocess(image)
    np.testing.assert_array_equal(np.asarray(image), before)
