"""Gradients gathered on paths and around the picture: agreement with captum and with the authors' own code."""

import captum.attr
import numpy as np
import pytest
import saliency.core as authors
import torch
from saliency.core import guided_ig as authors_guided_ig

from trgbp_core.methods import METHODS
from trgbp_core.methods.gradients import input_gradient
from trgbp_core.methods.paths import Noise

from .networks import KINDS, ROUNDING, largest_difference, picture, without_biases

TARGET = 3


def scores(network, x):
    with torch.no_grad():
        return network(x)[:, TARGET]


def feeding(network):
    """The authors' interface, given the same gradients; their pictures are (H, W, C)."""

    def model(pictures, call_model_args=None, expected_keys=None):
        x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.asarray(pictures), -1, 1)))
        gradient = input_gradient(network, x, TARGET)
        return {authors.INPUT_OUTPUT_GRADIENTS: np.moveaxis(gradient.numpy(), 1, -1)}

    return model


def as_authors(x):
    return np.ascontiguousarray(np.moveaxis(x.numpy(), 0, -1))


def as_map(mask):
    return torch.from_numpy(np.asarray(mask)).sum(-1)[None]


@pytest.mark.parametrize("start", [0.0, -1.5])
@pytest.mark.parametrize("kind", KINDS)
def test_integrated_gradients_equal_captum(kind, start):
    network, x = KINDS[kind](), picture()
    theirs = captum.attr.IntegratedGradients(network).attribute(x, torch.full_like(x, start), target=TARGET, n_steps=32)
    ours = METHODS["integrated_gradients"].attribute(network, x, TARGET, baseline=start)
    # captum rounds the weights of the steps to float32.
    assert largest_difference(ours, theirs.sum(1, keepdim=True)) < 1e-6


def test_integrated_gradients_of_a_network_without_biases_are_exactly_complete():
    network, x = without_biases(KINDS["plain"]()), picture()
    shares = METHODS["integrated_gradients"].attribute(network, x, TARGET).sum((1, 2, 3))
    # Along a ray from zero the gradient of a homogeneous function is constant, so that any quadrature is exact.
    assert largest_difference(shares, scores(network, x)) < ROUNDING


@pytest.mark.parametrize("kind", KINDS)
def test_integrated_gradients_become_complete_with_more_steps(kind):
    network, x = KINDS[kind](), picture(1)
    start = torch.full_like(x, -0.5)
    expected = scores(network, x) - scores(network, start)
    errors = {}
    for steps in (8, 2048):
        maps = METHODS["integrated_gradients"].attribute(network, x, TARGET, baseline=start, steps=steps)
        errors[steps] = float((maps.sum((1, 2, 3)) - expected).abs().max())
    print(f"error of 8 steps {errors[8]:.1e}, of 2048 steps {errors[2048]:.1e}, mass {float(maps.abs().sum()):.1f}")
    # The gradient jumps at every kink of the network, so that the error falls with the distance of the steps and hardly faster. It is
    # an error of the masses that are summed; their sum, the difference of two scores, may be much smaller than they are.
    assert errors[2048] < 5e-3 * float(maps.abs().sum())
    assert errors[2048] < errors[8] / 10


def noisy(x):
    spread = 0.15 * (x.amax((1, 2, 3), keepdim=True) - x.amin((1, 2, 3), keepdim=True))
    return [spread * draw for draw in Noise().draws(x)]


@pytest.mark.parametrize("kind", KINDS)
def test_smooth_grad_and_var_grad_equal_captum_given_the_same_noise(kind, monkeypatch):
    network, x = KINDS[kind](), picture(1)
    monkeypatch.setattr(torch, "normal", lambda *_: torch.cat(noisy(x)))
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(network))
    smooth = tunnel.attribute(x, nt_type="smoothgrad", nt_samples=25, target=TARGET, abs=False)
    variance = tunnel.attribute(x, nt_type="vargrad", nt_samples=25, target=TARGET, abs=False)
    ours = METHODS["smooth_grad"].attribute(network, x, TARGET)
    assert largest_difference(ours, smooth.abs().amax(1, keepdim=True)) < ROUNDING
    ours = METHODS["var_grad"].attribute(network, x, TARGET)
    # captum subtracts the squared mean from the mean of squares, both up to some hundred times the difference.
    assert largest_difference(ours, variance.sum(1, keepdim=True)) < 1e-10


@pytest.mark.parametrize("kind", KINDS)
def test_smooth_grad_equals_the_authors_code_given_the_same_noise(kind, monkeypatch):
    network, x = KINDS[kind](), picture(1)
    draws = iter(noisy(x))
    monkeypatch.setattr(np.random, "normal", lambda *_: as_authors(next(draws)[0]))
    mask = authors.GradientSaliency().GetSmoothedMask(as_authors(x[0]), feeding(network), magnitude=False)
    theirs = torch.from_numpy(mask).abs().amax(-1)[None, None]
    # Their sum is kept in float32.
    assert largest_difference(METHODS["smooth_grad"].attribute(network, x, TARGET).float(), theirs) < 1e-5


@pytest.mark.parametrize("key", ["smooth_grad", "var_grad"])
def test_noise_is_the_seeds_alone(key):
    network, x = KINDS["plain"](), picture()
    attribute = METHODS[key].attribute
    torch.manual_seed(1)
    first = attribute(network, x, TARGET, noise=Noise(4, seed=5))
    torch.manual_seed(2)
    assert torch.equal(attribute(network, x, TARGET, noise=Noise(4, seed=5)), first)
    assert not torch.allclose(attribute(network, x, TARGET, noise=Noise(4, seed=6)), first)


@pytest.mark.parametrize(("kind", "size"), [("plain", (24, 24)), ("residual", (32, 20)), ("relu6", (20, 32))])
def test_blur_ig_equals_the_authors_code(kind, size):
    network, x = KINDS[kind](), picture(1, size=size)
    theirs = as_map(authors.BlurIG().GetMask(as_authors(x[0]), feeding(network), max_sigma=9, steps=30))
    ours = METHODS["blur_ig"].attribute(network, x, TARGET, max_sigma=9, steps=30)
    # They divide the difference of two blurred pictures by 0.01, and scipy's filter rounds in another order than a matrix.
    assert largest_difference(ours[0], theirs) < 1e-9


def test_blur_ig_has_the_authors_settings():
    network, x = KINDS["plain"](), picture(1)
    theirs = as_map(authors.BlurIG().GetMask(as_authors(x[0]), feeding(network)))
    assert largest_difference(METHODS["blur_ig"].attribute(network, x, TARGET)[0], theirs) < 1e-9


def test_blur_ig_in_float32_is_no_rounding_noise():
    network, x = KINDS["residual"](), picture(1)
    exact = METHODS["blur_ig"].attribute(network, x, TARGET, steps=20, max_sigma=5)
    single = METHODS["blur_ig"].attribute(network.float(), x.float(), TARGET, steps=20, max_sigma=5)
    # float32 carries seven digits; the difference of two blurred float32 pictures, divided by 0.01, would keep two fewer.
    assert largest_difference(single.double(), exact) < 1e-5


@pytest.mark.parametrize(
    ("kind", "steps", "fraction", "distance", "start"),
    [
        *((kind, 200, 0.25, 0.02, 0.0) for kind in KINDS),
        *(("relu6", 23, fraction, distance, 0.7) for fraction, distance in ((0.1, 0.3), (0.5, 0.0), (1.0, 0.02), (0.25, 1.0))),
    ],
)
def test_guided_ig_equals_the_authors_code(kind, steps, fraction, distance, start, monkeypatch):
    # The authors call numpy's quantile with an argument that numpy has since renamed.
    quantile = np.quantile
    monkeypatch.setattr(authors_guided_ig.np, "quantile", lambda a, q, interpolation: quantile(a, q, method=interpolation))
    network, x = KINDS[kind](), picture(1)
    x[:, :, :6] = 0.7 if start else x[:, :, :6]  # as the baseline there: values without a way to go
    baseline = np.full((24, 24, 3), start)
    mask = authors.GuidedIG().GetMask(as_authors(x[0]), feeding(network), None, baseline, steps, fraction, distance)
    given = {} if steps == 200 else {"baseline": start, "steps": steps, "fraction": fraction, "max_distance": distance}
    # A path is kept as what is left of it, which rounds in another place.
    assert largest_difference(METHODS["guided_ig"].attribute(network, x, TARGET, **given)[0], as_map(mask)) < 1e-9


def test_guided_ig_is_nearly_complete():
    network, x = KINDS["residual"](), picture(1)
    shares = METHODS["guided_ig"].attribute(network, x, TARGET).sum((1, 2, 3))
    # 200 left Riemann steps: each takes the slope at its beginning.
    assert largest_difference(shares, scores(network, x) - scores(network, torch.zeros_like(x))) < 0.05


def test_guided_ig_takes_one_gradient_a_step_for_all_pictures():
    seen = []
    METHODS["guided_ig"].attribute(KINDS["plain"](), picture(3), TARGET, steps=7, progress=seen.append)
    assert seen == pytest.approx([i / 7 for i in range(1, 8)])


def test_a_picture_that_is_the_baseline_gets_nothing():
    network, x = KINDS["plain"](), picture()
    x[0] = 0
    for key in ("integrated_gradients", "guided_ig"):
        maps = METHODS[key].attribute(network, x, TARGET, steps=6)
        assert float(maps[0].abs().max()) == 0
        assert float(maps[1].abs().max()) > 0


@pytest.mark.parametrize("key", ["integrated_gradients", "guided_ig"])
def test_a_baseline_of_another_size_is_refused(key):
    with pytest.raises(ValueError, match=r"baseline of shape \(1, 3, 8, 8\) does not fit"):
        METHODS[key].attribute(KINDS["plain"](), picture(), TARGET, baseline=torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5])
def test_guided_ig_refuses_what_is_no_fraction(fraction):
    with pytest.raises(ValueError, match="fraction is the share"):
        METHODS["guided_ig"].attribute(KINDS["plain"](), picture(), TARGET, fraction=fraction)
