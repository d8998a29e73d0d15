"""Every method of the registry on networks that call layers in every way: a finite map, or the one documented error."""

from __future__ import annotations

import pytest
import torch

from tests.support.nets import NETS, picture, randomise
from trgbp_core.methods import METHODS, NotApplicable
from trgbp_core.methods.learn_patterns import fit_patterns
from trgbp_core.methods.patterns import use_patterns

# Where a method's own assumptions exclude a network: CAM needs pooling and one linear layer, CAMERAS pictures of other sizes.
EXCLUDED = {("cam", "plain"), ("cameras", "plain")}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("key", METHODS)
def test_every_method_gives_one_finite_map_a_picture_or_says_why_not(key: str, name: str) -> None:
    network, x = randomise(NETS[name]()), picture(2, 3, 32, 32)
    if key.startswith("pattern_"):
        use_patterns(network, fit_patterns(network, [picture(8, 3, 32, 32, seed=1)]))
    before = {n: t.clone() for n, t in network.state_dict().items()}
    random_state = torch.get_rng_state()
    if (key, name) in EXCLUDED:
        with pytest.raises(NotApplicable):
            METHODS[key].attribute(network, x, [1, 2])
    else:
        maps = METHODS[key].attribute(network, x, [1, 2])
        assert maps.shape == (2, 1, 32, 32)
        assert bool(torch.isfinite(maps).all())
        assert not maps.requires_grad
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_every_method_says_what_it_does_what_it_promises_and_how_it_fails() -> None:
    for method in METHODS.values():
        assert all((method.title, method.what, method.promise, method.failure, method.citation))
        assert len(method.what) < 140
