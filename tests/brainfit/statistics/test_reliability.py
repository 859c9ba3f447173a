"""Closed-form reliability compared with analyses of variance, all halvings, and known truth."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainfit.statistics.blocks import are_blocks
from brainfit.statistics.reliability import ALPHA, TrialNoise, pearson_reliability


def simulate(rng, n_images=30, n_trials=6, n_bins=3, signal=1.0, noise=1.5, drift=0.0):
    tuning = signal * rng.normal(size=(n_images, 1, n_bins)) + 3 * np.arange(n_bins)
    level = drift * rng.normal(size=(1, n_trials, 1))
    return tuning + level + noise * rng.normal(size=(n_images, n_trials, n_bins))


def plain(noise, bins):
    return pearson_reliability(noise.mean[:, bins], noise.over(bins))


def image_driven(noise, bins):
    mean = noise.mean[:, bins]
    return pearson_reliability(mean - mean.mean(axis=0), noise.per_bin()[:, bins].mean(axis=1))


def test_with_blocks_it_equals_the_two_way_analysis_of_variance(rng):
    """ICC(3, k) of Shrout & Fleiss (1979): mean squares of images and of the residual."""
    x = simulate(rng, n_bins=1, drift=2.0)[..., 0]
    n, k = x.shape
    grand, images, blocks = x.mean(), x.mean(axis=1, keepdims=True), x.mean(axis=0, keepdims=True)
    of_images = k * ((images - grand) ** 2).sum() / (n - 1)
    residual = ((x - images - blocks + grand) ** 2).sum() / ((n - 1) * (k - 1))
    noise = TrialNoise.of(x[..., None])
    assert noise.blocks
    assert plain(noise, np.array([True])) == pytest.approx((of_images - residual) / of_images)


def test_incomplete_blocks_give_unbalanced_least_squares(rng):
    """Noise is the residual of a dense two-way fit; what levels add to averages is noise as well."""
    x = simulate(rng, n_images=60, n_bins=1, drift=2.0)[..., 0]
    x[(rng.random(x.shape) < 0.2) & (np.arange(6) > 1)] = np.nan
    present = np.isfinite(x)
    image, block = np.nonzero(present)
    design = np.concatenate([np.eye(60)[image], np.eye(6)[block]], axis=1)
    effects = np.linalg.lstsq(design, x[present], rcond=None)[0]
    residual = x[present] - design @ effects
    variance = (residual**2).sum() / (len(residual) - np.linalg.matrix_rank(design))
    level = np.array([effects[60:][has].mean() for has in present])
    # Each image weighs its own noise, so with equal noise both agree in expectation only.
    wanted = variance * (1 / present.sum(axis=1)).mean() * (1 - 1 / 60) + level.var()
    assert TrialNoise.of(x[..., None]).per_bin().mean() == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize("missing", [0.0, 0.02, 0.1, 0.4])
@pytest.mark.parametrize("drift", [0.0, 1.0, 2.0])
def test_the_truth_reaches_the_ceiling_whatever_drifts_and_is_missing(drift, missing, rng):
    """The squared correlation of the truth with the averages is their reliability, drift included."""
    ratios = []
    for _ in range(60):
        truth = rng.normal(size=(150, 4)) + np.arange(4)
        x = truth[:, None] + 2 * drift * rng.normal(size=(1, 8, 1)) + 2 * rng.normal(size=(150, 8, 4))
        x[(rng.random((150, 8)) < missing) & (np.arange(8) > 1)] = np.nan
        noise, bins = TrialNoise.of(x), np.ones(4, bool)
        pairs = [
            (truth - truth.mean(axis=0), noise.mean - noise.mean.mean(axis=0), image_driven(noise, bins)),
            (truth, noise.mean, plain(noise, bins)),
        ]
        ratios.append([np.corrcoef(a.ravel(), b.ravel())[0, 1] / np.sqrt(rho) for a, b, rho in pairs])
    np.testing.assert_allclose(np.median(ratios, axis=0), 1, atol=0.02)


@pytest.mark.parametrize(("drift", "found"), [(0.0, False), (1.0, True)])
def test_drift_is_noticed_where_blocks_cannot_be_told(drift, found, rng):
    x = simulate(rng, n_images=200, drift=drift)
    x[:100, 4:] = np.nan
    noise = TrialNoise.of(x)
    assert not noise.blocks
    assert (noise.drift_p() < ALPHA) == found


def covariance(a, b, driven):
    a, b = (v - v.mean(axis=0) if driven else v - v.mean() for v in (a, b))
    return np.mean(a * b)


@pytest.mark.parametrize("driven", [False, True])
@pytest.mark.parametrize("n_trials", [2, 3, 5, 6])
def test_reliability_is_the_mean_over_all_halves_of_blocks(n_trials, driven, rng):
    x = simulate(rng, n_trials=n_trials, drift=1.0)
    found = []
    for chosen in combinations(range(n_trials), n_trials // 2):
        rest = [k for k in range(n_trials) if k not in chosen]
        found.append(covariance(x[:, list(chosen)].mean(axis=1), x[:, rest].mean(axis=1), driven))
    average = x.mean(axis=1)
    wanted = np.mean(found) / covariance(average, average, driven)
    noise, bins = TrialNoise.of(x), np.ones(3, bool)
    assert (image_driven if driven else plain)(noise, bins) == pytest.approx(wanted)


@pytest.mark.parametrize("driven", [False, True])
def test_reliability_is_the_mean_over_all_halves_of_trials_per_image(driven, rng):
    """Average over all combinations of halves of four images with 2, 3, 4 and 2 trials."""
    x, counts = simulate(rng, n_images=4, n_trials=4), [2, 3, 4, 2]
    for image, count in enumerate(counts):
        x[image, count:] = np.nan
    halves = [list(combinations(range(count), count // 2)) for count in counts]
    sides = []
    for image, (count, options) in enumerate(zip(counts, halves, strict=True)):
        pairs = [(list(c), [k for k in range(count) if k not in c]) for c in options]
        # The order of the two halves is random too.
        sides.append(
            [(x[image, a].mean(axis=0), x[image, b].mean(axis=0)) for c in pairs for a, b in (c, c[::-1])]
        )
    found = []
    for chosen in product(*sides):
        a, b = (np.array(side) for side in zip(*chosen, strict=True))
        found.append(covariance(a, b, driven))
    average = np.nanmean(x, axis=1)
    wanted = np.mean(found) / covariance(average, average, driven)
    noise, bins = TrialNoise.of(x), np.ones(3, bool)
    assert (image_driven if driven else plain)(noise, bins) == pytest.approx(wanted)


@pytest.mark.parametrize(("unequal", "drift"), [(False, 0.0), (False, 3.0), (True, 0.0)])
def test_reliability_is_unbiased_with_few_trials_despite_drift(unequal, drift, rng):
    """The average of K trials has reliability 1 / (1 + 2.25 / K); unequal K enter by their mean 1 / K."""
    found = []
    for _ in range(60):
        x = simulate(rng, n_images=200, n_trials=4, n_bins=1, drift=drift)
        if unequal:
            x[:100, 2:] = np.nan
        found.append(plain(TrialNoise.of(x), np.array([True])))
    inverse = (1 / 2 + 1 / 4) / 2 if unequal else 1 / 4
    assert np.mean(found) == pytest.approx(1 / (1 + 2.25 * inverse), abs=0.012)


@settings(max_examples=40, deadline=None)
@given(
    n_trials=st.lists(st.integers(2, 6), min_size=5, max_size=12),
    n_bins=st.integers(1, 4),
    scale=st.sampled_from([-3.0, 1e-9, 1e-3, 1.0, 1e3, 1e9]),
    offset=st.sampled_from([0.0, -1.0, 1e3, 1e7]),
    holes=st.booleans(),
    seed=st.integers(0, 99),
)
def test_order_scale_and_offset_do_not_matter(n_trials, n_bins, scale, offset, holes, seed):
    """Trials that are only counted may change places in each image, blocks in all images together."""
    rng = np.random.default_rng(seed)
    x = simulate(rng, n_images=len(n_trials), n_bins=n_bins)
    if holes:
        x[0, 1], x[1, 4] = np.nan, np.nan
    if holes or are_blocks(np.arange(6) < np.array(n_trials)[:, None]):
        turned = x[:, rng.permutation(6)]
    else:
        turned = x.copy()
        for image, count in enumerate(n_trials):
            turned[image, :count] = x[image, rng.permutation(count)]
            x[image, count:] = turned[image, count:] = np.nan
    bins = np.ones(n_bins, bool)
    changed, same = TrialNoise.of(scale * (turned + offset)), TrialNoise.of(x)
    for reliability in (plain, image_driven):
        assert reliability(changed, bins) == pytest.approx(reliability(same, bins), abs=1e-6)
        assert reliability(same, bins) <= 1
    np.testing.assert_allclose(changed.p_values(bins[None]), same.p_values(bins[None]), atol=1e-6)


def noisy_images(rng, few, many):
    """Noise that all bins share, in 80 images with two trials and 80 with six."""
    x = rng.normal(size=(160, 6, 1)) + 0.1 * rng.normal(size=(160, 6, 4))
    x[:80] *= few
    x[80:] *= many
    x[:80, 2:] = np.nan
    return x


NULL = {
    "independent bins": lambda rng: rng.normal(size=(40, 4, 10)),
    "bins with common noise": lambda rng: rng.normal(size=(40, 4, 1)) + rng.normal(size=(40, 4, 10)),
    "one bin, two trials": lambda rng: rng.normal(size=(40, 2, 1)),
    "counts": lambda rng: rng.poisson(0.5, size=(40, 4, 10)).astype(float),
    "block drift": lambda rng: rng.normal(size=(1, 6, 1)) + rng.normal(size=(40, 6, 5)),
    "unequal trials": lambda rng: np.where(
        (np.arange(5) < rng.integers(2, 6, size=(40, 1)))[..., None], rng.normal(size=(40, 5, 6)), np.nan
    ),
    "incomplete blocks that drift": lambda rng: np.where(
        (rng.random((40, 6)) < 0.8)[..., None] | (np.arange(6) < 2)[:, None],
        2 * rng.normal(size=(1, 6, 1)) + rng.normal(size=(40, 6, 5)),
        np.nan,
    ),
    "noisy images with few trials": lambda rng: noisy_images(rng, few=2.0, many=0.5),
    "noisy images with many trials": lambda rng: noisy_images(rng, few=0.5, many=2.0),
    "images of all kinds": lambda rng: np.exp(rng.normal(size=(160, 1, 1))) * rng.normal(size=(160, 4, 5)),
    "overlapping bins": lambda rng: np.lib.stride_tricks.sliding_window_view(
        rng.normal(size=(40, 4, 12)), 3, axis=2
    ).mean(axis=-1),
}


@pytest.mark.parametrize("make", NULL.values(), ids=NULL)
def test_units_without_signal_pass_at_the_stated_rate(make, rng):
    """At a rate of 1 %, more than 14 of 600 are rare; 3 % allows for the approximation."""
    n_bins = make(rng).shape[2]
    p = [TrialNoise.of(make(rng)).p_values(np.ones((1, n_bins), bool))[0] for _ in range(600)]
    assert np.mean(np.array(p) < ALPHA) < 0.03
    assert 0.25 < np.mean(np.array(p) < 0.5) < 0.75


def test_reliable_units_pass_even_with_few_images(rng):
    """With a tenth of trial variance as signal, 15 bins of 20 images suffice, and one bin does not."""
    p = np.array(
        [
            TrialNoise.of(rng.normal(size=(20, 1, 15)) + 3 * rng.normal(size=(20, 10, 15))).p_values(
                np.vstack([np.ones(15, bool), np.eye(15, dtype=bool)[:1]])
            )
            for _ in range(100)
        ]
    )
    assert (p[:, 0] < ALPHA).all()
    assert (p[:, 1] < ALPHA).mean() < 0.8


def test_constant_responses_are_undefined():
    trials = np.full((5, 4, 3), 1 / 3)
    trials[..., 1] += 1e-16 * np.arange(5)[:, None]
    np.testing.assert_array_equal(
        TrialNoise.of(trials).p_values(np.vstack([np.eye(3, dtype=bool), [[False] * 3]])), 1
    )
    assert np.isnan(pearson_reliability(np.zeros((5, 3)), np.zeros(5)))
    noiseless = np.tile(np.arange(5.0)[:, None, None], (1, 4, 1))
    assert TrialNoise.of(noiseless).p_values(np.ones((1, 1), bool)) == 0
