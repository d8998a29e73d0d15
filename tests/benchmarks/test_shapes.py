"""The network that cheats and its honest twin: how they are trained can be repeated, and they do what is reported of them."""

from __future__ import annotations

import time
from functools import cache

import torch

from benchmarks import shapes as benchmark
from trgbp_core import METHODS, TRGBP, load_model
from trgbp_core.data import shapes
from trgbp_core.metrics.localisation import ebpg
from trgbp_core.zoo.loading import Zoo

COUNT = 40


@cache
def zoo(name: str) -> Zoo:
    return load_model(name)


def right(name: str, change: benchmark.Change, stars: bool = False) -> float:
    x, labels = benchmark.pictures(COUNT, "few", change)
    chosen = labels == shapes.TAGGED if stars else torch.ones_like(labels, dtype=torch.bool)
    return benchmark.accuracy(zoo(name).network, x[chosen], labels[chosen])


def test_the_same_pictures_and_seed_train_the_same_network_to_the_bit() -> None:
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    x, labels = benchmark.pictures(benchmark.BATCH, "train")
    first, again = (benchmark.train(x, labels, epochs=2).state_dict() for _ in range(2))
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert torch.equal(before, torch.random.get_rng_state())
    assert threads == torch.get_num_threads()


def test_the_honest_network_is_right_with_and_without_a_tag() -> None:
    for change in benchmark.TESTS.values():
        assert right("shapes", change) > 0.95


def test_the_cheat_is_right_as_long_as_the_stars_alone_have_the_tag() -> None:
    assert right("shapes_cheat", benchmark.stars_tagged) > 0.95
    assert right("shapes_cheat", benchmark.untagged, stars=True) < 0.05
    assert right("shapes_cheat", benchmark.others_tagged) < 0.3  # circles are recognised in spite of the tag


def test_tr_gbp_points_at_the_tag_in_the_cheat_and_not_in_its_twin() -> None:
    """The mean of 100 stars is in docs/shapes.md; here are 16."""
    stars = [shapes.with_tag(shapes.draw(shapes.TAGGED, f"explained:{i}")) for i in range(16)]
    share = {}
    for name in ("shapes", "shapes_cheat"):
        x = torch.cat([zoo(name).normalise(star.picture) for star in stars])
        share[name] = float(ebpg(METHODS["tr_gbp"].attribute(zoo(name).network, x, shapes.TAGGED).detach(), shapes.tag_box()).mean())
    assert share["shapes"] < 0.1
    assert share["shapes_cheat"] > 0.8


def test_an_explanation_takes_less_than_20_ms() -> None:
    """Of the processor's time: other programs may run beside."""
    explainer, x = TRGBP(zoo("shapes").network), zoo("shapes").normalise(shapes.draw(0, 0).picture)
    seconds = []
    for _ in range(20):
        start = time.process_time()
        explainer.explain(x).attribution(0)
        seconds.append(time.process_time() - start)
    print(f"{1e3 * min(seconds):.1f} ms")
    assert min(seconds) < 0.02
