"""Correlations of many rows at once compared with scipy row by row."""

import numpy as np
import pytest
from scipy import stats

from brainfit.statistics import row_correlations
from brainfit.statistics.row_correlations import correlate_counts, correlate_rows

COUNTS = {
    "few": lambda rng: rng.poisson(1, size=(2, 5, 90)),
    "one is silent but for a spike": lambda rng: np.stack(
        [rng.poisson(3, size=(5, 90)), np.eye(5, 90, dtype=int)]
    ),
    "many": lambda rng: rng.poisson(200, size=(2, 5, 90)),
    "large and few": lambda rng: 17 * rng.integers(0, 2, size=(2, 5, 90)),
}


def by_scipy(a, b):
    found = [
        (stats.pearsonr(x, y)[0], stats.spearmanr(x, y)[0])
        for x, y in zip(a.astype(float), b.astype(float), strict=True)
    ]
    return np.array(found).T


@pytest.mark.parametrize("make", COUNTS.values(), ids=COUNTS)
def test_counts_equal_scipy_with_and_without_a_table(make, rng):
    a, b = make(rng).astype(np.float32)
    np.testing.assert_allclose(correlate_counts(a, b), by_scipy(a, b), atol=1e-12)
    np.testing.assert_allclose(correlate_rows(a, b), by_scipy(a, b), atol=1e-12)


def test_numbers_equal_scipy(rng):
    a, b = rng.normal(size=(2, 5, 90)).astype(np.float32)
    np.testing.assert_allclose(correlate_rows(a, b), by_scipy(a, b), atol=1e-12)


@pytest.mark.parametrize("correlate", [correlate_counts, correlate_rows])
def test_only_the_constant_row_is_undefined(correlate, rng):
    a, b = rng.poisson(2, size=(2, 3, 40)).astype(np.float32)
    a[1] = 4
    assert np.isnan(correlate(a, b)).tolist() == [[False, True, False]] * 2


def test_a_table_of_pairs_is_used_only_if_small(rng, monkeypatch):
    def refused(a, b):
        raise AssertionError

    monkeypatch.setattr(row_correlations, "correlate_rows", refused)
    correlate_counts(*rng.poisson(1, size=(2, 5, 90)).astype(np.float32))
    with pytest.raises(AssertionError):
        correlate_counts(*rng.poisson(200, size=(2, 5, 90)).astype(np.float32))
