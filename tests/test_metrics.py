"""Correlations and ranks against scipy, ties and constants included."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from brainfit.metrics import midranks, pearson, spearman, temporal_correlation

TABLE = {
    "continuous": lambda rng: rng.normal(size=(4, 30)),
    "counts with ties": lambda rng: rng.poisson(0.3, size=(4, 30)).astype(float),
    "far from zero": lambda rng: 1e3 + rng.normal(size=(4, 30)),
    "float32": lambda rng: rng.normal(size=(4, 30)).astype(np.float32),
    "two images": lambda rng: rng.normal(size=(4, 2)),
}


@pytest.mark.parametrize(("ours", "theirs"), [(pearson, stats.pearsonr), (spearman, stats.spearmanr)])
@pytest.mark.parametrize("make", TABLE.values(), ids=TABLE)
def test_correlations_equal_scipy(make, ours, theirs, rng):
    x, y = make(rng), make(rng)
    wanted = [theirs(a, b).statistic for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(ours(x, y), wanted, atol=1e-6)


def test_a_constant_side_is_undefined_not_zero():
    x = np.arange(5.0)
    assert np.isnan(pearson(x, np.full(5, 3.0)))
    assert np.isnan(spearman(np.zeros(5), x))


def test_rounding_dust_counts_as_constant(rng):
    dust = np.float32(1.7) * (1 + 6e-8 * rng.integers(0, 2, size=50)).astype(np.float32)
    assert np.isnan(pearson(rng.normal(size=50), dust))


def test_nan_in_is_nan_out():
    assert np.isnan(pearson(np.array([1.0, np.nan, 2.0]), np.array([1.0, 2.0, 3.0])))


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.integers(-3, 3).map(np.float32)))
def test_midranks_equal_scipy_whatever_the_ties(x):
    np.testing.assert_array_equal(midranks(torch.from_numpy(x)).numpy(), stats.rankdata(x))


def test_temporal_correlation_is_the_median_over_images(rng):
    response, predicted = rng.normal(size=(2, 7, 3, 20))
    wanted = [
        np.median([stats.pearsonr(response[i, u], predicted[i, u])[0] for i in range(7)]) for u in range(3)
    ]
    np.testing.assert_allclose(temporal_correlation(response, predicted), wanted)


def test_temporal_correlation_of_flat_predictions_is_undefined(rng):
    assert np.isnan(temporal_correlation(rng.normal(size=(4, 2, 5)), np.ones((4, 2, 5)))).all()


def test_nothing_correlates_with_nothing() -> None:
    assert np.isnan(pearson(np.zeros((3, 0)), np.zeros((3, 0)))).all()
    assert np.isnan(temporal_correlation(np.zeros((4, 3, 0)), np.zeros((4, 3, 0)))).all()
