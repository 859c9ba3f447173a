"""Moments against the plain definitions, intervals and tests against known truth."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from brainfit.statistics.bootstrap import (
    Median,
    Moments,
    median_interval,
    median_of_units,
    normalized_from_moments,
    window_moments,
)
from brainfit.statistics.correlation import pearson
from brainfit.statistics.split_half import spearman_brown, split_half

STUDY = runpy.run_path(str(Path(__file__).resolve().parents[3] / "perf" / "calibration.py"))


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


@pytest.mark.parametrize(
    ("n_units", "n_images", "score", "spread"),
    [
        pytest.param(3, 100, 0.6, 0.2, id="few units, all different"),
        pytest.param(20, 60, 1.0, 0.0, id="a perfect model: all that differs is noise"),
        pytest.param(40, 40, 0.6, 0.0, id="many units alike: all that matters is images"),
    ],
)
def test_calibration(n_units, n_images, score, spread):
    """The small version of docs/calibration.md: 120 recordings of known truth for each design.

    At a true rate of 95 % fewer than 106 hits, or all 120, come in under 0.5 % of cases; more than 12
    rejections at one of 5 % in under 1 %.
    """
    design = STUDY["Design"](n_units, n_images, 4, "high", score, spread)
    found = [STUDY["observe"](design, seed, n_splits=2, n_resamples=200) for seed in range(1000, 1120)]
    total = {name: sum(getattr(o, name) for o in found) for name in vars(found[0])}
    assert 106 <= total["covered"] < 120
    assert 1 <= total["rejected"] <= 12
    assert abs(total["ceiling_error"] / 120) < 0.01
    assert abs(total["score_error"] / 120) < 0.02
    if n_units > 3:
        assert total["width"] < 0.85 * total["two_way_width"]


@pytest.mark.parametrize("n_units", [3, 8, 30])
def test_the_error_has_the_parts_that_it_was_made_of(n_units, rng):
    """Units of variance 4; of resamples, 1 is the variance of what they share, 9 of what not."""
    errors = []
    for _ in range(200):
        observed = 2 * rng.normal(size=n_units)
        noise = 3 * rng.normal(size=(400, n_units)) + rng.normal(size=(400, 1))
        errors.append(median_of_units(observed, observed + noise, 50, rng).error ** 2)
    medians = np.median(2 * rng.normal(size=(20000, n_units)), axis=1)
    assert 0.4 * medians.var() + 1 < np.mean(errors) < 1.5 * medians.var() + 1.2


def test_units_that_share_nothing_are_a_sample_like_any(rng):
    """For normal numbers the interval of the median is known to be pi / 2 as wide, squared, as the mean's."""
    observed = rng.normal(size=4001)
    median = median_of_units(observed, np.tile(observed, (200, 1)), 100, rng)
    assert median.error == pytest.approx(np.sqrt(np.pi / 2 / 4001), rel=0.2)
    assert median.df == pytest.approx(4000)
    low, high = median.interval(0.9)
    assert (high - low) / 2 / median.error == pytest.approx(1.645, abs=2e-3)
    assert Median(1.96, 1.0, np.inf).p() == pytest.approx(0.05, abs=1e-4)
    assert Median(4.303, 1.0, 2).p() == pytest.approx(0.05, abs=1e-4)


def test_a_constant_prediction_scores_nothing(rng):
    predicted, trials = simulate(rng)
    moments = window_moments(np.ones_like(predicted), trials, np.ones(3, bool))
    assert (normalized_from_moments(moments, np.ones((1, 120))) == 0).all()


@pytest.mark.parametrize("n_units", [0, 1, 2])
def test_under_three_units_no_interval(n_units, rng):
    """Two units say next to nothing about how others differ."""
    predicted, trials = simulate(rng)
    moments = window_moments(predicted, trials, np.ones(3, bool))
    assert np.isnan(median_interval(moments, np.arange(5) < n_units, rng=rng)).all()
