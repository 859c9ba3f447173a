"""Scaling of a unit's values before their halves are ranked."""

import numpy as np
import pytest

from brainfit.statistics.unit_scale import on_own_scale

ALL = np.ones((30, 6), dtype=bool)


def spikes(rng):
    return rng.poisson(0.4, size=(30, 6, 4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_counts_remain_counts(dtype, rng):
    values, counts = on_own_scale(spikes(rng).astype(dtype), ALL)
    assert counts
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, spikes(np.random.default_rng(0)))


@pytest.mark.parametrize("by", [0.137, 2.5, 1e-30, 1e30])
def test_divided_counts_are_recovered(by, rng):
    values, counts = on_own_scale((spikes(rng) / by).astype(np.float32), ALL)
    assert counts
    np.testing.assert_array_equal(values, spikes(np.random.default_rng(0)))


def test_negative_integers_are_not_counts(rng):
    values, counts = on_own_scale(spikes(rng) - 1.0, ALL)
    assert not counts
    np.testing.assert_array_equal(values, spikes(np.random.default_rng(0)) - 1)


def test_other_numbers_are_centred_and_scaled_to_one(rng):
    trials = 1e4 + rng.normal(size=(30, 6, 4))
    values, counts = on_own_scale(trials, ALL)
    assert not counts
    assert abs(values.mean()) < 1e-6
    assert np.abs(values).max() <= 1
    np.testing.assert_allclose(np.corrcoef(values.ravel(), trials.ravel())[0, 1], 1)


@pytest.mark.parametrize("noise", [0, 1])
def test_missing_values_become_zero_without_effect(noise, rng):
    present = rng.random((30, 6)) < 0.7
    whole = 3 + spikes(rng) + noise * rng.normal(size=(30, 6, 4))
    values, counts = on_own_scale(np.where(present[..., None], whole, np.nan), present)
    assert counts == (not noise)
    assert (values[~present] == 0).all()
    slope, _ = np.polyfit(values[present].ravel(), whole[present].ravel(), 1)
    there = values[present] * slope
    np.testing.assert_allclose(there - there.mean(), whole[present] - whole[present].mean(), atol=1e-5)


def test_counts_are_recognised_without_a_count_of_one(rng):
    trials = rng.integers(20, 90, size=(30, 6, 4)).astype(float)
    values, counts = on_own_scale(trials, ALL)
    assert counts
    np.testing.assert_array_equal(values, trials)


def test_counts_beyond_float32_are_centred(rng):
    trials = 2.0**26 + rng.integers(0, 900, size=(30, 6, 4))
    values, counts = on_own_scale(trials, ALL)
    assert not counts
    np.testing.assert_allclose(values * 2.0**26, trials - trials.mean(), atol=1e-2)


def test_a_silent_unit_stays_zero():
    values, _ = on_own_scale(np.zeros((30, 6, 4)), ALL)
    assert (values == 0).all()
