"""Sums compared with the plain definitions, and intervals and tests with known truth."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from brainfit.statistics.bootstrap import (
    Median,
    Sums,
    median_interval,
    median_of_units,
    normalized_of_resamples,
    resample,
)
from brainfit.statistics.correlation import pearson
from brainfit.statistics.reliability import TrialNoise, pearson_reliability

STUDY = runpy.run_path(str(Path(__file__).resolve().parents[3] / "perf" / "calibration.py"))


def simulate(rng, n_images=120, n_trials=8, n_units=5, n_bins=3, quality: np.typing.ArrayLike = 0.8):
    signal = rng.normal(size=(n_images, n_units, n_bins)) + np.arange(n_bins)
    trials = signal[:, None] + 2 * rng.normal(size=(n_images, n_trials, n_units, n_bins))
    quality = np.asarray(quality)
    predicted = quality * signal + np.sqrt(1 - quality**2) * rng.normal(size=signal.shape)
    return predicted, trials


def moments(predicted, trials, bins, image_driven=False):
    """Return sums and noise of units, as in a score."""
    noises = [TrialNoise.of(trials[:, :, unit]) for unit in range(trials.shape[2])]
    mean = np.stack([noise.mean for noise in noises], axis=1)
    of_units = [
        noise.per_bin()[:, bins].mean(axis=1) if image_driven else noise.over(bins) for noise in noises
    ]
    predicted, mean = (values - values.mean(axis=(0, 2), keepdims=True) for values in (predicted, mean))
    return Sums.over(predicted, mean, bins, image_driven=image_driven), np.stack(of_units, axis=1)


@pytest.mark.parametrize("image_driven", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_scores_from_sums_equal_their_definitions(missing, image_driven, rng):
    predicted, trials = simulate(rng)
    if missing:
        trials[:30, 5:] = np.nan
    bins = np.array([True, False, True])
    sums, noise = moments(predicted, trials, bins, image_driven)
    ours = normalized_of_resamples(sums, noise, np.ones((1, 120)))[0]

    sides = [predicted[..., bins], np.nanmean(trials, axis=1)[..., bins]]
    if image_driven:
        sides = [side - side.mean(axis=0) for side in sides]
    r = pearson(*(np.moveaxis(side, 1, 0).reshape(5, -1) for side in sides))
    np.testing.assert_allclose(ours, r / np.sqrt(pearson_reliability(sides[1], noise)))


@pytest.mark.parametrize("image_driven", [False, True])
def test_counts_of_a_resample_equal_repeated_images(image_driven, rng):
    predicted, trials = simulate(rng)
    trials[:30, 5:] = np.nan  # without blocks the noise of an image does not depend on the others
    bins = np.ones(3, bool)
    drawn = rng.integers(120, size=120)
    counts = np.bincount(drawn, minlength=120)[None].astype(float)
    ours = normalized_of_resamples(*moments(predicted, trials, bins, image_driven), counts)
    drawn_again = moments(predicted[drawn], trials[drawn], bins, image_driven)
    again = normalized_of_resamples(*drawn_again, np.ones((1, 120)))
    np.testing.assert_allclose(ours, again, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_units", "n_images", "score", "spread"),
    [
        pytest.param(3, 100, 0.6, 0.2, id="few units, all different"),
        pytest.param(20, 60, 1.0, 0.0, id="a perfect model: all that differs is noise"),
        pytest.param(40, 40, 0.6, 0.0, id="many units alike: all that matters is images"),
    ],
)
def test_intervals_and_tests_are_calibrated(n_units, n_images, score, spread):
    """Run a small version of docs/calibration.md: 120 recordings of known truth per design.

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
    assert abs(total["plain_error"] / 120) < 0.02


@pytest.mark.parametrize("n_units", [3, 8, 30])
def test_the_standard_error_combines_unit_and_shared_variance(n_units, rng):
    """Units have variance 4; between resamples, the shared part has variance 1 and the private part 9."""
    errors = []
    for _ in range(200):
        observed = 2 * rng.normal(size=n_units)
        noise = 3 * rng.normal(size=(400, n_units)) + rng.normal(size=(400, 1))
        errors.append(median_of_units(observed, observed + noise, 50, rng).error ** 2)
    medians = np.median(2 * rng.normal(size=(20000, n_units)), axis=1)
    assert 0.4 * medians.var() + 1 < np.mean(errors) < 1.5 * medians.var() + 1.2


def test_independent_units_give_the_interval_of_a_plain_sample(rng):
    """For normal numbers the squared width of the median's interval is pi / 2 times that of the mean's."""
    observed = rng.normal(size=4001)
    median = median_of_units(observed, np.tile(observed, (200, 1)), 100, rng)
    assert median.error == pytest.approx(np.sqrt(np.pi / 2 / 4001), rel=0.2)
    assert median.df == pytest.approx(4000)
    low, high = median.interval(0.9)
    assert (high - low) / 2 / median.error == pytest.approx(1.645, abs=2e-3)
    assert Median(1.96, 1.0, np.inf).p() == pytest.approx(0.05, abs=1e-4)
    assert Median(4.303, 1.0, 2).p() == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize("repeats", [1, 2, 4])
def test_intervals_hold_the_truth_whatever_the_number_of_names_a_picture_has(repeats):
    """No unit is predicted: over 120 recordings of 48 images, 0 lies in about 95 % of intervals."""
    covered = 0
    groups = np.repeat(np.arange(48 // repeats), repeats)
    for seed in range(120):
        rng = np.random.default_rng(seed)
        common, own = rng.normal(size=(2, 48 // repeats, 8, 1))
        signal = (own + common[:, :1])[groups]
        response = signal[:, None] + rng.normal(size=(48, 4, 8, 2))
        predicted = rng.normal(size=(48 // repeats, 1, 1))[groups] + np.zeros((48, 8, 2))
        sums, noise = moments(predicted, response, np.ones(2, bool), image_driven=True)
        low, high = median_interval(sums, noise, np.ones(8, bool), rng=rng, groups=groups, n_resamples=200)
        covered += low <= 0 <= high
    assert covered >= 106  # fewer in under 0.5 % of cases


def test_images_of_one_picture_are_drawn_together_whatever_their_labels(rng):
    labels = np.array(["b", "a", "b", "c", "a", "b"])
    counts = resample(labels, 300, np.random.default_rng(1))
    assert (counts[:, [0, 0, 1]] == counts[:, [2, 5, 4]]).all()
    np.testing.assert_array_equal(counts[:, [0, 1, 3]].sum(axis=1), 3)
    each = resample(np.arange(6), 300, np.random.default_rng(1))
    np.testing.assert_array_equal(resample(np.array(list("fabcde")), 300, np.random.default_rng(1)), each)


def test_a_constant_prediction_scores_zero(rng):
    predicted, trials = simulate(rng)
    for image_driven in (False, True):
        sums, noise = moments(np.ones_like(predicted), trials, np.ones(3, bool), image_driven)
        assert (normalized_of_resamples(sums, noise, np.ones((1, 120))) == 0).all()


@pytest.mark.parametrize("n_units", [0, 1, 2])
def test_fewer_than_three_units_have_no_interval(n_units, rng):
    """Two units are too few to estimate the variation between units."""
    predicted, trials = simulate(rng)
    sums, noise = moments(predicted, trials, np.ones(3, bool))
    assert np.isnan(median_interval(sums, noise, np.arange(5) < n_units, rng=rng)).all()


def test_the_order_of_units_does_not_matter():
    rng = np.random.default_rng(3)
    observed, resampled = rng.normal(size=20), rng.normal(size=(200, 20))
    order = rng.permutation(20)
    first, second = (
        median_of_units(values, draws, 50, np.random.default_rng(1))
        for values, draws in ((observed, resampled), (observed[order], resampled[:, order]))
    )
    assert first == second
