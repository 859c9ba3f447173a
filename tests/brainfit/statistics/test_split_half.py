"""Split-half correlations compared with a plain loop and with known noise."""

import numpy as np
import pytest
from scipy import stats

from brainfit.errors import ContractError
from brainfit.statistics import ranks, unit_scale
from brainfit.statistics import split_half as split_half_module
from brainfit.statistics.blocks import are_blocks
from brainfit.statistics.halves import halves_of_blocks, halves_of_incomplete_blocks, trial_order
from brainfit.statistics.split_half import RandomHalves, spearman_brown, split_half


def simulate(rng, n_images=60, n_trials=10, n_units=3, n_bins=4, noise=2.0):
    signal = rng.normal(size=(n_images, 1, n_units, n_bins))
    return signal + noise * rng.normal(size=(n_images, n_trials, n_units, n_bins))


def first_halves(trials, n_splits, rng):
    """Yield the trials of each image's first and second half for each random division, by plain loops."""
    n_images, n_trials, _ = trials.shape
    present = np.isfinite(trials).all(axis=2)
    seed, keys = int(rng.integers(2**63)), None
    if are_blocks(present):
        slots = trial_order(np.nan_to_num(trials), present)[0, : present.any(axis=0).sum()]
        rng = np.random.default_rng(seed)
        first = halves_of_blocks(len(slots), n_splits, rng)
        for chosen in halves_of_incomplete_blocks(first, present[:, slots], rng):
            both = [chosen, present[:, slots] & ~chosen]
            yield [tuple(slots[half[image]] for half in both) for image in range(n_images)]
        return
    keys = np.random.default_rng(seed).random((n_splits, n_images, n_trials), dtype=np.float32)
    order = trial_order(np.where(present[..., None], trials, 0), present)
    for of_split in keys:
        halves = []
        for i, there in enumerate(order[k, : present[k].sum()] for k in range(n_images)):
            drawn = there[np.argsort(of_split[i, : len(there)])]
            halves.append((drawn[: len(there) // 2], drawn[len(there) // 2 :]))
        yield halves


def plain_loop(trials, groups, n_splits, make_rng):
    """Halve, average and correlate with scipy, one image, unit and group at a time."""
    n_images, _, n_units, n_bins = trials.shape
    spearman, pearson = np.zeros((2, len(groups), n_units))
    for u in range(n_units):
        found = []
        for division in first_halves(trials[:, :, u], n_splits, make_rng()):
            halves = np.zeros((2, n_images, n_bins))
            for i, sides in enumerate(division):
                for half, side in zip(halves, sides, strict=True):
                    half[i] = trials[i, side, u].mean(axis=0)
            rows = []
            for bins in groups:
                a, b = halves[0][:, bins].ravel(), halves[1][:, bins].ravel()
                rho = stats.spearmanr(a.astype("f4"), b.astype("f4"))[0]  # type: ignore[arg-type]
                rows.append((rho, stats.pearsonr(a, b)[0]))  # type: ignore[arg-type]
            found.append(rows)
        spearman[:, u], pearson[:, u] = np.mean(found, axis=0).T
    return spearman, pearson


CASES = {
    "continuous": lambda rng: simulate(rng),
    "counts": lambda rng: rng.poisson(1 + rng.random((60, 1, 3, 4)), size=(60, 10, 3, 4)).astype(float),
    "odd number of trials": lambda rng: simulate(rng, n_trials=7),
    "two trials": lambda rng: simulate(rng, n_trials=2),
}


def unequal_trials(rng):
    trials = simulate(rng)
    trials[:20, 7:] = np.nan  # these images have fewer trials …
    trials[5, 2, 1, 3] = np.nan  # … and this unit lacks one bin of one trial
    return trials


def every_unit_its_own_trials(rng):
    trials = rng.poisson(2, size=(60, 11, 3, 4)).astype(float)
    missing = rng.random((60, 11, 3, 1)) < 0.3
    missing[:, :2] = False
    return np.where(missing, np.nan, trials)


def negative_counts(rng):
    return rng.poisson(2, size=(60, 10, 3, 4)) - 3.0


CASES |= {
    "unequal trials": unequal_trials,
    "every unit its own trials": every_unit_its_own_trials,
    "whole numbers below zero": negative_counts,
    "float32": lambda rng: simulate(rng).astype(np.float32),
    "counts too many for a table": lambda rng: rng.poisson(30, size=(60, 10, 3, 4)),
    "whole multiples": lambda rng: 0.25 * rng.poisson(1, size=(60, 10, 3, 4)),
}


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_split_half_correlations_equal_a_plain_loop(make, rng):
    trials = make(rng)
    groups = np.vstack([np.eye(4, dtype=bool), [[True, True, False, True]]])
    ours = split_half(trials, groups, n_splits=3, rng=np.random.default_rng(1))
    spearman, pearson = plain_loop(trials, groups, 3, lambda: np.random.default_rng(1))
    np.testing.assert_allclose(ours.spearman, spearman, atol=1e-6)
    np.testing.assert_allclose(ours.pearson, pearson, atol=1e-6)


@pytest.mark.parametrize("name", ["_CHUNK_BYTES", "_BLOCK"])
def test_the_size_of_chunks_does_not_matter(name, rng, monkeypatch):
    trials, groups = unequal_trials(rng), np.vstack([np.eye(4, dtype=bool), [[True] * 4]])
    whole = split_half(trials, groups, n_splits=3, rng=np.random.default_rng(1))
    monkeypatch.setattr(split_half_module, name, 1)
    monkeypatch.setattr(ranks, "_BLOCK", 1)
    monkeypatch.setattr(unit_scale, "_BLOCK", 1)
    parts = split_half(trials, groups, n_splits=3, rng=np.random.default_rng(1))
    np.testing.assert_allclose(parts.spearman, whole.spearman, atol=1e-6)
    np.testing.assert_allclose(parts.pearson, whole.pearson, atol=1e-6)


def test_units_in_chunks_have_the_same_halves(rng):
    trials, groups = every_unit_its_own_trials(rng), np.eye(4, dtype=bool)
    whole = split_half(trials, groups, n_splits=3, rng=np.random.default_rng(1))
    halves = RandomHalves(60, 11, 3, np.random.default_rng(1))
    for u in (2, 0, 1):
        part = halves.correlate(trials[:, :, [u]], groups)
        np.testing.assert_array_equal(part.spearman[:, 0], whole.spearman[:, u])


def test_each_group_may_be_image_driven_or_not(rng):
    trials, groups = simulate(rng) + 5 * np.arange(4), np.ones((2, 4), dtype=bool)
    mixed, plain, driven = (
        split_half(trials, groups, image_driven=flag, n_splits=3, rng=np.random.default_rng(1)).spearman
        for flag in (np.array([False, True]), False, True)
    )
    np.testing.assert_array_equal(mixed, [plain[0], driven[1]])
    assert (plain[0] > driven[1] + 0.1).all()


def test_a_bin_that_is_constant_to_rounding_is_undefined(rng):
    trials = simulate(rng)
    trials[..., 2] = 1 / 3
    halves = split_half(trials, np.eye(4, dtype=bool), n_splits=3, rng=rng)
    assert np.isnan(halves.spearman[2]).all()
    assert np.isnan(halves.pearson[2]).all()
    assert np.isfinite(halves.spearman[[0, 1, 3]]).all()


def test_ties_of_counts_survive_normalisation_by_blanks(rng):
    counts = rng.poisson(0.2, size=(80, 20, 2, 3)).astype(np.float32)
    groups = np.eye(3, dtype=bool)
    plain, normalised = (
        split_half(values, groups, n_splits=5, rng=np.random.default_rng(1)).spearman
        for values in (counts, counts / np.float32(0.137))
    )
    np.testing.assert_allclose(normalised, plain, atol=1e-6)


@pytest.mark.parametrize(("scale", "offset"), [(1, 1e4), (1e-30, 0), (1e18, 0)])
def test_scale_and_offset_do_not_matter(scale, offset, rng):
    trials = simulate(rng)
    groups = np.eye(4, dtype=bool)
    plain, other = (
        split_half(values, groups, n_splits=5, rng=np.random.default_rng(1)).spearman
        for values in (trials, trials * scale + offset)
    )
    np.testing.assert_allclose(other, plain, atol=1e-3)


def test_a_time_course_alone_has_no_image_driven_correlation(rng):
    trials = rng.normal(size=(100, 10, 6, 5)) + 5 * np.arange(5)
    pooled = np.ones((1, 5), bool)
    plain, driven = (
        split_half(trials, pooled, image_driven=flag, n_splits=10, rng=np.random.default_rng(1))
        for flag in (False, True)
    )
    assert (plain.pearson > 0.9).all()
    assert (np.abs(driven.pearson) < 0.2).all()


def test_trajectories_of_halves_correlate_over_time(rng):
    trials = simulate(rng, n_trials=4, n_bins=9, noise=1.0) + 5 * np.sin(np.arange(9))
    bins = np.arange(9) > 2
    found = split_half(trials, bins[None], trajectory_bins=bins, rng=rng)
    wanted = np.zeros((2, 3, 3))
    for split, first in enumerate(([0, 1], [0, 2], [0, 3])):
        halves = [
            trials[:, k].mean(axis=1)[..., bins] for k in (first, [k for k in range(4) if k not in first])
        ]
        for kind, (a, b) in enumerate((halves, [half - half.mean(axis=0) for half in halves])):
            for u in range(3):
                wanted[kind, split, u] = np.median(
                    [np.corrcoef(x, y)[0, 1] for x, y in zip(a[:, u], b[:, u], strict=True)]
                )
    np.testing.assert_allclose(found.trajectories, wanted[0].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.driven_trajectories, wanted[1].mean(axis=0), atol=1e-6)


def drifting(rng):
    return simulate(rng) + 3 * rng.normal(size=(1, 10, 1, 1))


def test_a_drift_from_block_to_block_does_not_lower_the_correlation_of_halves(rng):
    """Halves drawn per image would differ by the drift, which is constant in the average over trials."""
    steady = simulate(rng, n_images=400, n_bins=1)
    drifts = steady + 5 * rng.normal(size=(1, 10, 1, 1))
    one_bin = np.ones((1, 1), bool)
    first, second = (
        split_half(t, one_bin, n_splits=20, rng=np.random.default_rng(1)) for t in (steady, drifts)
    )
    np.testing.assert_allclose(second.spearman, first.spearman, atol=0.02)
    np.testing.assert_allclose(second.pearson, first.pearson, atol=0.02)


@pytest.mark.parametrize("make", [*CASES.values(), drifting], ids=[*CASES, "drifting"])
def test_the_order_of_trials_does_not_matter(make, rng):
    trials, groups = make(rng), np.vstack([np.eye(4, dtype=bool), [[True] * 4]])
    turned = trials[:, rng.permutation(trials.shape[1])]
    first, second = (
        split_half(t, groups, n_splits=3, rng=np.random.default_rng(1)) for t in (trials, turned)
    )
    np.testing.assert_allclose(second.spearman, first.spearman, atol=1e-6)
    np.testing.assert_allclose(second.pearson, first.pearson, atol=1e-6)


def test_reliability_is_that_of_the_average_over_all_trials(rng):
    trials = simulate(rng, n_images=4000, n_trials=16, n_bins=1, noise=3.0)
    halves = split_half(trials, np.ones((1, 1), bool), n_splits=10, rng=rng)
    truth = 1 / (1 + 9 / 16)  # variance of the signal over that of the average
    np.testing.assert_allclose(spearman_brown(halves.pearson), truth, atol=0.02)


def test_permuting_units_permutes_ceilings_and_permuting_images_does_not(rng):
    trials = simulate(rng)
    groups = np.eye(4, dtype=bool)
    first = split_half(trials, groups, n_splits=4, rng=np.random.default_rng(1)).spearman
    swapped = split_half(trials[:, :, ::-1], groups, n_splits=4, rng=np.random.default_rng(1)).spearman
    np.testing.assert_allclose(swapped[:, ::-1], first, atol=1e-6)
    shuffled = split_half(trials[::-1], groups, n_splits=50, rng=np.random.default_rng(1)).spearman
    many = split_half(trials, groups, n_splits=50, rng=np.random.default_rng(1)).spearman
    np.testing.assert_allclose(shuffled, many, atol=0.05)


def test_one_trial_is_refused_in_one_line(rng):
    trials = simulate(rng, n_trials=3)
    trials[4, 1:, 2] = np.nan
    with pytest.raises(ContractError, match="at least 2 trials of each image, but unit 2 has 1 of image 4"):
        split_half(trials, np.eye(4, dtype=bool), n_splits=2, rng=rng)


def test_groups_without_bins_are_undefined(rng):
    halves = split_half(simulate(rng), np.zeros((2, 4), dtype=bool), n_splits=2, rng=rng)
    assert np.isnan(halves.spearman).all()
    assert halves.pearson.shape == (2, 3)


def test_empty_groups_and_silent_units_are_undefined(rng):
    trials = simulate(rng)
    trials[:, :, 1] = 0
    halves = split_half(trials, np.array([[False] * 4, [True] * 4]), n_splits=2, rng=rng)
    assert np.isnan(halves.spearman[0]).all()
    assert np.isnan(halves.spearman[1, 1])
    assert np.isfinite(halves.spearman[1, [0, 2]]).all()
