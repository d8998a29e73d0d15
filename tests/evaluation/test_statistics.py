"""Intervals, weighted AUC and logistic regression against scipy and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import sklearn.linear_model
import sklearn.metrics
import torch

from trgbp_core.evaluation.statistics import (
    FEWEST,
    auc,
    bootstrap,
    cross_validated,
    estimate,
    joined,
    logistic_regression,
    means,
    repeated_sample,
)
from trgbp_core.metrics.localisation import boundary_auc

from ..support.comparison import close


def labelled(count: int, seed: int, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    values = generator.random(count)
    wrong = generator.random(count) < values
    return (values.round(1) if ties else values), wrong


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_auc_equals_scikit_learn(ties: bool) -> None:
    values, wrong = labelled(101, 0, ties=ties)
    weights = np.random.default_rng(1).integers(0, 4, (20, 101)).astype(float)
    ours = auc(values, wrong)(weights)[:, 0]
    theirs = [sklearn.metrics.roc_auc_score(wrong, values, sample_weight=row) for row in weights]
    close(torch.from_numpy(ours), theirs, "weighted AUC")


@pytest.mark.parametrize("count", [100, 101])
@pytest.mark.parametrize("ties", [False, True])
def test_with_equal_weights_it_is_the_measure_s_own_boundary_auc(count: int, ties: bool) -> None:
    values, wrong = labelled(count, 2, ties=ties)
    expected = boundary_auc(torch.from_numpy(values), torch.from_numpy(wrong))
    one = np.ones((1, count))
    close(float(auc(values, wrong, drop=0.5)(one)[0, 0]), expected.kept, "upper half")
    close(float(auc(values, wrong)(one)[0, 0]), expected.everything, "all")


def test_a_picture_drawn_twice_is_two_pictures() -> None:
    values, wrong = labelled(40, 3)
    weights = np.bincount(np.random.default_rng(4).integers(0, 40, 40), minlength=40).astype(float)
    repeated = np.repeat(np.arange(40), weights.astype(int))
    expected = boundary_auc(torch.from_numpy(values[repeated]), torch.from_numpy(wrong[repeated]))
    close(float(auc(values, wrong, drop=0.5)(weights[None])[0, 0]), expected.kept, "upper half of a resample")
    table = np.column_stack([values, values**2])
    table[5] = math.nan
    kept = repeated[repeated != 5]
    close(torch.from_numpy(means(table)(weights[None])[0]), table[kept].mean(0), "means without NaN")


def test_intervals_equal_scipy_s_percentile_bootstrap() -> None:
    values = np.random.default_rng(5).exponential(size=200)
    draws = bootstrap(means(values[:, None]), 200, seed=0, resamples=20_000)[:, 0]
    ours = estimate(values.mean(), draws)
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=0).confidence_interval
    # Two random sets of 20,000 resamples: a percentile of each has a standard error of some 2 % of the standard error 0.07.
    close(ours.low, theirs.low, "lower end", 0.006)
    close(ours.high, theirs.high, "upper end", 0.006)
    assert ours.low < ours.value < ours.high


def test_resamples_do_not_depend_on_how_many_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values, wrong = labelled(50, 6)
    statistic = joined(auc(values, wrong), means(values[:, None]))
    whole = bootstrap(statistic, 50, 0, resamples=40)
    monkeypatch.setattr("trgbp_core.evaluation.statistics.BLOCK", 150)
    close(torch.from_numpy(bootstrap(statistic, 50, 0, resamples=40)), whole, "resamples by threes")


def test_what_cannot_be_estimated_is_nan() -> None:
    values, _ = labelled(10, 7)
    none_wrong = auc(values, np.zeros(10, bool))(np.ones((1, 10)))
    assert math.isnan(none_wrong[0, 0])
    assert math.isnan(estimate(float(none_wrong[0, 0]), none_wrong[:, 0]).low)
    assert np.isnan(cross_validated(values[:, None], np.arange(10) < 3, 0)).all()


@pytest.mark.parametrize("penalty", [1.0, 0.1])
def test_logistic_regression_equals_scikit_learn(penalty: float) -> None:
    generator = np.random.default_rng(8)
    features = generator.normal(size=(300, 2))
    wrong = generator.random(300) < 1 / (1 + np.exp(1 - features @ [1.5, -0.7]))
    theirs = sklearn.linear_model.LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=1000).fit(features, wrong)
    ours = logistic_regression(features, wrong, penalty=penalty)
    close(torch.from_numpy(ours), np.r_[theirs.intercept_, theirs.coef_[0]], "coefficients", 1e-5)  # lbfgs' own accuracy


def test_separable_classes_have_finite_coefficients() -> None:
    features = np.linspace(-2, 2, 60)[:, None]
    weights = logistic_regression(features, features[:, 0] > 0)
    theirs = sklearn.linear_model.LogisticRegression(tol=1e-10, max_iter=1000).fit(features, features[:, 0] > 0)
    close(torch.from_numpy(weights), np.r_[theirs.intercept_, theirs.coef_[0]], "coefficients", 1e-4)


def test_cross_validation_never_fits_on_the_picture_that_it_judges() -> None:
    generator = np.random.default_rng(9)
    noise, wrong = generator.normal(size=(400, 30)), generator.random(400) < 0.4
    judged = cross_validated(noise, wrong, 0)
    fitted = logistic_regression(noise, wrong)
    assert sklearn.metrics.roc_auc_score(wrong, noise @ fitted[1:]) > 0.6
    assert abs(sklearn.metrics.roc_auc_score(wrong, judged) - 0.5) < 0.09  # three standard errors of 400 pictures
    signal = np.column_stack([noise[:, 0], wrong + generator.normal(size=400)])
    assert sklearn.metrics.roc_auc_score(wrong, cross_validated(signal, wrong, 0)) > 0.7


def test_the_protocol_draws_its_sample_anew_for_every_repeat() -> None:
    values = np.random.default_rng(10).random(1000)
    mean, spread = repeated_sample(values, 500, 5, seed=0)
    assert mean == pytest.approx(values.mean(), abs=0.02)
    # Half of a finite population: the mean's standard error is sqrt(1/500 − 1/1000) of the standard deviation.
    assert 0.2 < spread / (values.std() * math.sqrt(1 / 1000)) < 2.5
    assert repeated_sample(values, 500, 5, seed=0) == (mean, spread)
    assert repeated_sample(values, 500, 5, seed=1) != (mean, spread)
    everything, none = repeated_sample(values, 1000, 5, seed=0)
    assert everything == values.mean()
    assert math.isnan(none)
    assert math.isnan(repeated_sample(values[:0], 500, 5, seed=0)[0])


def test_a_handful_of_pictures_has_no_interval() -> None:
    values = np.random.default_rng(0).normal(5, 1, FEWEST)
    assert np.isnan(bootstrap(means(values[: FEWEST - 1, None]), FEWEST - 1, seed=0, resamples=9)).all()
    assert np.isfinite(bootstrap(means(values[:, None]), FEWEST, seed=0, resamples=9)).all()
