"""Correlations and ranks compared with scipy, including ties and constants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from brainfit.statistics import ranks
from brainfit.statistics.correlation import pearson, spearman, temporal_correlation

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


def test_rounding_errors_count_as_constant(rng):
    dust = np.float32(1.7) * (1 + 6e-8 * rng.integers(0, 2, size=50)).astype(np.float32)
    assert np.isnan(pearson(rng.normal(size=50), dust))


def test_nan_gives_nan():
    assert np.isnan(pearson(np.array([1.0, np.nan, 2.0]), np.array([1.0, 2.0, 3.0])))


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.integers(-3, 3).map(np.float32)))
def test_midranks_equal_scipy_for_any_ties(x):
    np.testing.assert_array_equal(ranks.midranks(x), stats.rankdata(x))


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: rng.normal(size=(3, 4, 500)),
        lambda rng: rng.poisson(20, size=(3, 4, 500)),
        lambda rng: rng.integers(0, 10**6, size=(3, 4, 500)),
        lambda rng: np.round(rng.normal(size=(3, 4, 500)), 1),
        lambda rng: rng.choice([-0.0, 0.0, 1.5], size=(3, 4, 500)),
        lambda rng: 10.0 ** rng.integers(-40, 38, size=(3, 4, 500)) * rng.choice([-1, 1], size=(3, 4, 500)),
        lambda rng: np.full((2, 7), 3.0),
        lambda rng: np.zeros((5, 1)),
        lambda rng: np.zeros((0, 4)),
        lambda rng: np.zeros((4, 0)),
    ],
    ids=[
        "continuous",
        "counts",
        "large",
        "rounded",
        "zeros",
        "extreme",
        "constant",
        "one image",
        "no rows",
        "no images",
    ],
)
def test_midranks_equal_scipy(make, rng, monkeypatch):
    monkeypatch.setattr(ranks, "_BLOCK", 1500)  # three rows at a time
    x = make(rng).astype(np.float32)
    np.testing.assert_array_equal(ranks.midranks(x), stats.rankdata(x, axis=-1) if x.size else x)


def test_spearman_of_nan_is_nan():
    assert np.isnan(spearman(np.array([1.0, np.nan, 2.0]), np.array([1.0, 2.0, 3.0])))


def test_spearman_distinguishes_values_that_are_equal_in_float32():
    x = 1 + 1e-12 * np.arange(5)
    assert spearman(x, x[::-1]) == -1


def test_temporal_correlation_is_the_median_over_images(rng):
    response, predicted = rng.normal(size=(2, 7, 3, 20))
    wanted = [
        np.median([stats.pearsonr(response[i, u], predicted[i, u])[0] for i in range(7)]) for u in range(3)
    ]
    np.testing.assert_allclose(temporal_correlation(response, predicted), wanted)


def test_temporal_correlation_of_flat_predictions_is_undefined(rng):
    assert np.isnan(temporal_correlation(rng.normal(size=(4, 2, 5)), np.ones((4, 2, 5)))).all()


def test_empty_arrays_have_no_correlation() -> None:
    assert np.isnan(pearson(np.zeros((3, 0)), np.zeros((3, 0)))).all()
    assert np.isnan(temporal_correlation(np.zeros((4, 3, 0)), np.zeros((4, 3, 0)))).all()
