"""What the README says of the embedded network, measured anew; run with -s for the tables."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scipy.stats import spearmanr

from trgbp_core import METHODS, TRGBP
from trgbp_core.data import images
from trgbp_core.sanity.cascade import cascade
from trgbp_core.theory.coverage import cosine, coverage, predicted_sum
from trgbp_core.theory.randomised_weights import sanity_table
from trgbp_core.zoo.loading import Zoo, load_model

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
CHEETAH, LION = 293, 291


@pytest.fixture(scope="module")
def zoo() -> Zoo:
    return load_model("efficientnet_lite0")


def ask(zoo: Zoo, name: str) -> torch.Tensor:
    return zoo.preprocess(images.read(EXAMPLES / name))


def test_each_animals_class_lights_that_animal_in_the_mosaic(zoo: Zoo) -> None:
    x = ask(zoo, "cheetah_and_lion.jpg")
    print("\n| share of relu(R) in its own half | cheetah | lion |\n|---|---:|---:|")
    for key in ("tr_gbp", "tr_gbp_conserving", "guided_backprop"):
        shares = []
        for k, half in ((CHEETAH, slice(0, 112)), (LION, slice(112, 224))):
            heat = METHODS[key].attribute(zoo.network, x, k).relu()
            shares.append(float(heat[..., half].sum() / heat.sum()))
        print(f"| {METHODS[key].title} | {shares[0]:.2f} | {shares[1]:.2f} |")
        if key != "guided_backprop":
            assert min(shares) >= 0.9
        else:
            assert min(shares) < 0.7  # it hardly depends on the class


@pytest.mark.parametrize("name", ["cheetah.jpg", "chelsea.jpg", "coffee.jpg"])
def test_guided_backprop_survives_randomising_ten_layers_and_tr_gbp_does_not(zoo: Zoo, name: str) -> None:
    x = ask(zoo, name)
    e = TRGBP(zoo.network).explain(x)
    k = e.top5[0]
    tenth = next(s for s in cascade(zoo.network) if s.index == 10)
    after = TRGBP(tenth.network).explain(x, [k])
    rows = {
        "Guided backprop": (e.layer_raw(0, k), after.layer_raw(0, k)),
        "TR-GBP": (e.attribution(k), after.attribution(k)),
        "TR-GBP, conserving": (e.attribution(k, "conserving"), after.attribution(k, "conserving")),
    }
    found = {title: float(spearmanr(a.abs().flatten(), b.abs().flatten())[0]) for title, (a, b) in rows.items()}
    print(f"\n{name}, top ten layers randomised, Spearman of |R|: " + ", ".join(f"{title} {value:.2f}" for title, value in found.items()))
    assert found["Guided backprop"] >= 0.8
    assert found["TR-GBP"] < found["Guided backprop"]
    assert found["TR-GBP, conserving"] < found["Guided backprop"]


# Five draws leave noise that depends on the picture: for Chelsea, who fills hers, 0.950 were measured, too near to 0.95 to ask for it.
@pytest.mark.parametrize(("name", "least"), [("cheetah.jpg", 0.95), ("cheetah_and_lion.jpg", 0.95), ("chelsea.jpg", 0.93)])
def test_the_fully_randomised_network_draws_the_predicted_map(zoo: Zoo, name: str, least: float) -> None:
    table = sanity_table(zoo.network, ask(zoo, name), CHEETAH, seeds=5)
    print(f"\n{name}\n{table}")
    _, predicted, uniform = (float(cell) for cell in table.splitlines()[-1].strip("| ").split("|"))
    assert predicted >= least
    assert predicted > uniform


def test_the_prediction_sees_neither_picture_nor_randomised_weights(zoo: Zoo) -> None:
    """Two draws from one law have the same mean squares up to chance, and hence the same prediction."""
    (*_, a) = cascade(zoo.network, seed=1)
    (*_, b) = cascade(zoo.network, seed=2)
    shape = (1, 3, 224, 224)
    maps = [predicted_sum(coverage(network, shape), (224, 224)) for network in (a.network, b.network)]
    assert cosine(*maps) > 0.999


def test_coverage_is_weaker_at_the_borders_and_uniform_inside(zoo: Zoo) -> None:
    layers = coverage(zoo.network, (1, 3, 224, 224))
    assert len(layers) == 50
    assert sum(layer.rectified for layer in layers) == 33  # 16 linear bottlenecks and the logits are not
    total = predicted_sum(layers, (224, 224))
    assert float(total[..., :8, :].mean()) < 0.7 * float(total[..., 100:124, 100:124].mean())
    assert all(float(layer.map.min()) >= 0 for layer in layers)
