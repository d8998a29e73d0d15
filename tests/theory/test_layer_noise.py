"""Estimators of noise find the noise that was put in."""

from __future__ import annotations

import math

import pytest
import torch

from trgbp_core.engine.geometry import Window, spread
from trgbp_core.theory.layer_noise import finest_scale, redrawn

from ..support.nets import picture as noise


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0])
def test_redrawn_maps_give_back_the_noise_that_was_added(epsilon: float) -> None:
    signal = 1 + torch.linspace(0, 1, 32, dtype=torch.float64).expand(1, 1, 32, 32)
    strength = float(signal.square().mean().sqrt())
    found = redrawn(signal + epsilon * strength * noise(8, 1, 32, 32))
    assert found.noise == pytest.approx(epsilon, rel=0.15)  # 1,024 places × 7 degrees of freedom, and the signal's own error at ε = 3
    assert found.share == pytest.approx(epsilon**2 / (1 + epsilon**2), rel=0.05)


def test_noise_around_zero_is_all_noise_and_a_constant_map_none() -> None:
    assert redrawn(noise(6, 1, 32, 32)).share > 0.97
    assert redrawn(torch.ones(4, 1, 8, 8)).noise == 0
    with pytest.raises(ValueError, match="two draws"):
        redrawn(torch.ones(1, 1, 8, 8))


@pytest.mark.parametrize(
    "window", [None, Window((56, 56), (56, 56), (3, 3), (1, 1), (1, 1)), Window((56, 56), (28, 28), (5, 5), (2, 2), (2, 2))]
)
def test_white_noise_reads_one_also_after_it_was_spread(window: Window | None) -> None:
    shares = []
    for seed in range(8):
        map = noise(1, 1, 56, 56, seed=seed) if window is None else spread(noise(1, 1, *window.output_size, seed=seed), window)
        shares.append(finest_scale(map, window))
    assert sum(shares) / 8 == pytest.approx(1, abs=0.1)  # clipped at 1, so that chance can only lower it


def test_slopes_and_straight_edges_are_no_noise_and_noise_is_found_among_them() -> None:
    map = torch.linspace(0, 1, 64, dtype=torch.float64).expand(1, 1, 64, 64) + (torch.arange(64) > 30).double()[:, None]
    assert finest_scale(map) < 1e-12
    strength = float(map.square().mean().sqrt())
    assert finest_scale(map + 0.3 * strength * noise(1, 1, 64, 64)) == pytest.approx(0.09 / 1.09, rel=0.15)
    assert math.isnan(finest_scale(torch.ones(1, 1, 1, 1)))
    assert math.isnan(finest_scale(torch.ones(1, 1, 7, 7), Window.whole((7, 7))))
    assert finest_scale(torch.zeros(1, 1, 8, 8)) == 0
