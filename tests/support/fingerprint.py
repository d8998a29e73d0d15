"""``python -m tests.support.fingerprint --threads N``: the SHA-256 of what one picture's explanation, a cascade and every method give."""

from __future__ import annotations

import argparse
import hashlib
import json

import torch
from torch import Tensor

from trgbp_core import METHODS, TRGBP, NotApplicable, cascade, load_model
from trgbp_core.data import images

from .strangers import ROOT

SLOW = ("score_cam", "guided_ig", "cameras")
"""Minutes in all with little new to see: their parts are forward passes and gradients, like the others'."""


def prints(network: str, threads: int, methods: bool) -> dict[str, str]:
    torch.set_num_threads(threads)
    zoo = load_model(network)
    torch.manual_seed(7 + threads)  # the global state must not matter
    x = zoo.preprocess(images.read(ROOT / "assets" / "examples" / "cheetah_and_lion.jpg"))
    e = TRGBP(zoo.network).explain(x, [291, 293])
    found = {
        "input": x,
        "logits": e.logits,
        "raw": e.raw(293),
        "tr_gbp": e.attribution(293),
        "conserving": e.attribution(293, "conserving"),
    }
    found |= {f"layer {i}": e.layer_attribution(i, 291) for i in range(len(e.layers) + 1)}
    for stage in cascade(zoo.network, seed=3):
        if stage.index == 3:
            found["cascade"] = TRGBP(stage.network).explain(x, [293]).attribution(293)
            break
    for key, method in METHODS.items() if methods else ():
        if key not in SLOW:
            try:
                found[key] = method.attribute(zoo.network, x, 293)
            except NotApplicable:
                continue
    return {name: digest(value) for name, value in found.items()}


def digest(value: Tensor) -> str:
    return hashlib.sha256(value.detach().contiguous().numpy().tobytes()).hexdigest()[:16]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", default="efficientnet_lite0")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--methods", action="store_true")
    given = parser.parse_args()
    print(json.dumps(prints(given.network, given.threads, given.methods)))
