"""Moments against the plain definitions, intervals against known truth."""

import numpy as np
import pytest

from brainfit.bootstrap import Moments, median_interval, normalized_from_moments, window_moments
from brainfit.ceiling import spearman_brown, split_half
from brainfit.metrics import pearson


def simulate(rng, n_images=120, n_trials=8, n_units=5, n_bins=3, quality: np.typing.ArrayLike = 0.8):
    signal = rng.normal(size=(n_images, n_units, n_bins)) + np.arange(n_bins)
    trials = signal[:, None] + 2 * rng.normal(size=(n_images, n_trials, n_units, n_bins))
    quality = np.asarray(quality)
    predicted = quality * signal + np.sqrt(1 - quality**2) * rng.normal(size=signal.shape)
    return predicted, trials


@pytest.mark.parametrize("missing", [False, True])
def test_moments_give_the_score_that_the_definitions_give(missing, rng):
    predicted, trials = simulate(rng)
    if missing:
        trials[:30, 5:] = np.nan
    bins = np.array([True, False, True])
    moments = window_moments(predicted, trials, bins)
    ours = normalized_from_moments(moments, np.ones((1, 120)))[0]

    mean = np.nanmean(trials, axis=1)
    flat = [np.moveaxis(v[..., bins], 1, 0).reshape(5, -1) for v in (predicted, mean)]
    rho = split_half(trials, bins[None], n_splits=2000, rng=rng).pearson[0]
    np.testing.assert_allclose(ours, pearson(*flat) / np.sqrt(spearman_brown(rho)), atol=5e-3)


def test_a_resample_counts_its_images(rng):
    predicted, trials = simulate(rng)
    bins = np.ones(3, bool)
    drawn = rng.integers(120, size=120)
    counts = np.bincount(drawn, minlength=120)[None].astype(float)
    ours = normalized_from_moments(window_moments(predicted, trials, bins), counts)
    again = normalized_from_moments(window_moments(predicted[drawn], trials[drawn], bins), np.ones((1, 120)))
    np.testing.assert_allclose(ours, again, rtol=1e-9)


def test_moments_of_units_join(rng):
    predicted, trials = simulate(rng)
    bins = np.ones(3, bool)
    whole = window_moments(predicted, trials, bins)
    parts = [window_moments(predicted[:, s], trials[:, :, s], bins) for s in (slice(0, 2), slice(2, 5))]
    np.testing.assert_array_equal(Moments.of_units(parts).half_sq, whole.half_sq)


def test_the_interval_holds_the_truth_and_is_not_much_wider_than_it_must_be():
    """Units of unequal quality; the truth is the median of the population they come from."""
    hits, widths, estimates = 0, [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        quality = rng.uniform(0.4, 0.8, 20)[:, None]
        predicted, trials = simulate(rng, n_units=20, n_bins=1, quality=quality)
        moments = window_moments(predicted, trials, np.ones(1, bool))
        low, high = median_interval(moments, np.ones(20, bool), rng=rng, n_resamples=200)
        hits += low <= 0.6 <= high
        widths.append(high - low)
        estimates.append(np.median(normalized_from_moments(moments, np.ones((1, 120)))))
    assert hits >= 35
    assert 0.8 < np.mean(widths) / 3.92 / np.std(estimates) < 2
    assert abs(np.mean(estimates) - 0.6) < 0.03


def test_a_constant_prediction_scores_nothing(rng):
    predicted, trials = simulate(rng)
    moments = window_moments(np.ones_like(predicted), trials, np.ones(3, bool))
    assert (normalized_from_moments(moments, np.ones((1, 120))) == 0).all()


def test_no_unit_no_interval(rng):
    predicted, trials = simulate(rng)
    moments = window_moments(predicted, trials, np.ones(3, bool))
    assert np.isnan(median_interval(moments, np.zeros(5, bool), rng=rng)).all()
