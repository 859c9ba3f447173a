"""The simulated recording: its form, its laws, and its noise compared with the known truth."""

import hashlib
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from brainfit.contracts.recording import check_recording
from brainfit.errors import ContractError
from data_loaders.simulated import recording as recording_module
from data_loaders.simulated import version1, version2
from data_loaders.simulated.recording import simulated, simulated_v1
from data_loaders.simulated.render import render_occluded
from data_loaders.simulated.streams import poisson
from data_loaders.simulated.truth import (
    image_driven_share,
    mean_from_pixels,
    mean_responses,
    true_ceiling,
    true_image_driven_ceiling,
    true_pooled_ceiling,
)

IMAGE_HASHES = ["04051228472b4f9d", "8a2071818212d54e", "2861b7a4a357413d"]
COUNT_HASH = "b47ccc4f3b21847a"
BOTH = [simulated, simulated_v1]


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@pytest.mark.parametrize("make", BOTH)
def test_the_simulation_fulfils_the_contract(make):
    recording = make(n_images=128, n_trials=3)
    check_recording(recording)
    assert recording.simulated
    assert recording.name == {simulated: "simulated", simulated_v1: "simulated-v1"}[make]
    assert recording.provenance["seed"] == 0
    responses = recording.responses
    counts = dict(zip(*np.unique(responses["region"].values, return_counts=True), strict=True))
    assert counts == {"V4": 88, "pIT": 76, "cIT": 75, "aIT": 17}
    sizes = Counter(zip(responses["animal"].values, responses["region"].values, strict=True))
    assert sizes[("Ada", "pIT")] == 6
    assert sizes[("Bo", "pIT")] == 70
    assert sizes[("Ada", "aIT")] == 17
    assert ("Bo", "aIT") not in sizes
    assert responses["time_bin_start"].values.tolist() == list(range(0, 250, 10))
    assert len(set(responses["object_name"].values)) == 64
    assert len(set(responses["category_name"].values)) == 8


@pytest.mark.parametrize("make", BOTH)
def test_every_prefix_is_balanced(make):
    responses = make(n_images=5120, n_trials=1).responses
    for n in (64, 128, 640, 5120):
        some = responses.isel(image=slice(n))
        assert set(np.unique(some["variation"].values, return_counts=True)[1]) == {n // 2}
        assert set(np.unique(some["object_name"].values, return_counts=True)[1]) == {n // 64}
    one = responses["object_name"].values == "bear"
    assert set(np.unique(responses["variation"].values[one], return_counts=True)[1]) == {40}


@pytest.mark.parametrize("make", BOTH)
def test_values_are_computed_only_when_read(make, monkeypatch):
    def refuse(*_):
        raise AssertionError("computed too early")

    monkeypatch.setattr(recording_module, "_responses", refuse)
    monkeypatch.setattr(recording_module, "_stimuli", refuse)
    recording = make(n_images=640).select_region("pIT").select_images([3, 600])
    assert recording.responses.shape == (2, 50, 76, 25)
    with pytest.raises(AssertionError, match="too early"):
        _ = recording.responses.values


@pytest.mark.parametrize("make", BOTH)
def test_every_simulation_opens_and_reads_quickly(make):
    start = time.perf_counter()
    recording = make(n_images=5120)
    assert time.perf_counter() - start < 1
    some = recording.select_images([7, 2000, 5119])
    assert some.responses.values.shape == (3, 50, 256, 25)
    assert some.stimuli.values.shape == (3, 128, 128, 3)
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("make", BOTH)
def test_more_images_and_trials_do_not_change_the_first_ones(make):
    small = make(n_images=66, n_trials=3).select_images(slice(60, 66))
    large = make(n_images=5120, n_trials=7).select_images(slice(60, 66))
    np.testing.assert_array_equal(small.stimuli.values, large.stimuli.values)
    np.testing.assert_array_equal(small.responses.values, large.responses.values[:, :3])
    for coord in ("image_id", "object_name", "variation"):
        np.testing.assert_array_equal(small.responses[coord].values, large.responses[coord].values)


@pytest.mark.parametrize("make", BOTH)
def test_any_selection_equals_that_of_the_whole(make, rng):
    recording = make(n_images=12, n_trials=5)
    whole, pixels = recording.responses.values, recording.stimuli.values
    for _ in range(5):
        image, trial, unit, time_bin = (
            rng.permutation(n)[: rng.integers(1, n + 1)] for n in recording.responses.shape
        )
        part = recording.responses.isel(image=image, trial=trial, unit=unit, time_bin=time_bin).values
        np.testing.assert_array_equal(part, whole[np.ix_(image, trial, unit, time_bin)])
        np.testing.assert_array_equal(recording.select_images(image).stimuli.values, pixels[image])
    np.testing.assert_array_equal(recording.responses.isel(image=3, unit=-1).values, whole[3, :, -1])
    np.testing.assert_array_equal(
        recording.stimuli.isel(channel=1, height=slice(5, 9)).values, pixels[:, 5:9, :, 1]
    )


@pytest.mark.parametrize("make", BOTH)
def test_another_seed_gives_another_experiment(make):
    one, other = make(n_images=4, n_trials=2), make(n_images=4, n_trials=2, seed=1)
    assert (one.stimuli.values != other.stimuli.values).any(axis=(1, 2, 3)).all()
    assert (one.responses.values != other.responses.values).any(axis=(1, 2, 3)).all()
    assert (mean_responses(one) != mean_responses(other)).any()


def test_version_1_is_identical_on_every_machine():
    recording = simulated_v1(n_images=5120)
    images = recording.select_images([0, 77, 5119]).stimuli.values[..., 0]
    assert [sha256(image)[:16] for image in images] == IMAGE_HASHES
    block = recording.responses.isel(image=[1, 300], trial=slice(4), unit=slice(0, 256, 16))
    blank = version1.blank(0)[::16, None]
    counts = np.rint(block.values * blank).astype(np.uint8)
    assert sha256(counts)[:16] == COUNT_HASH


@pytest.mark.parametrize("mean", [0.02, 0.7, 3.0, 40.0, 400.0])
def test_poisson_counts_invert_their_distribution_function(rng, mean):
    uniform = np.concatenate([rng.random(2000), [2.0**-54, 1 - 2.0**-53]])
    counts = poisson(uniform, np.full(uniform.shape, mean))
    np.testing.assert_array_equal(counts[:-1], stats.poisson.ppf(uniform[:-1], mean))
    assert np.isfinite(counts[-1])


def test_version_1_trials_have_the_stated_mean_and_variance():
    recording = simulated_v1(n_images=6, n_trials=1500)
    units = np.arange(0, 256, 8)
    recording = recording.select_units(units)
    trials = recording.responses.values.astype(float)
    mean = mean_responses(recording).values
    variance = mean / version1.blank(0)[units, None] + 0.2**2 * mean**2
    z = (trials.mean(1) - mean) / np.sqrt(variance / 1500)
    assert abs(z.mean()) < 0.15
    assert 0.85 < z.std() < 1.15
    assert np.median(trials.var(1, ddof=1) / variance) == pytest.approx(1, abs=0.02)


def test_version_1_trial_gain_is_shared_within_an_array_only():
    recording = simulated_v1(n_images=4, n_trials=400)
    summed = recording.responses.sum("time_bin")
    arrays = [
        ((summed["animal"] == animal) & (summed["array"] == array)).values
        for animal, array in (("Ada", "V4"), ("Bo", "V4"))
    ]
    halves = [summed.values[:, :, np.flatnonzero(a)[k::2]].sum(-1) for a in arrays for k in (0, 1)]
    r = np.mean([np.corrcoef([half[i] for half in halves]) for i in range(4)], axis=0)
    assert r[0, 1] > 0.8
    assert r[2, 3] > 0.8
    assert np.abs(r[:2, 2:]).max() < 0.15


@pytest.mark.parametrize("make", BOTH)
def test_responses_are_independent_of_the_image_before_the_latency(make):
    recording = make(n_images=64)
    mean = mean_responses(recording)
    assert (mean.sel(time_bin=slice(0, 5)).values == 1).all()
    early_it = (mean["region"] != "V4") & (version1.parameters(0).latency > 60)
    assert (mean.isel(unit=early_it.values, time_bin=slice(0, 6)).values == 1).all()
    assert np.isnan(true_ceiling(recording).isel(time_bin=slice(0, 5)).values).all()
    assert (mean.values >= 1).all()


def test_version_1_trajectories_depend_on_the_image():
    mean = mean_responses(simulated_v1(n_images=64).select_region("pIT"))
    early = mean.isel(time_bin=slice(7, 9)).mean("time_bin")
    late = mean.isel(time_bin=slice(14, 18)).mean("time_bin")
    r = [np.corrcoef(early[:, u], late[:, u])[0, 1] for u in range(76)]
    assert np.median(r) < 0.8


def test_version_1_split_half_ceilings_approach_the_true_ones(rng):
    recording = simulated_v1(n_images=160).select_region("pIT").select_units(slice(0, 76, 3))
    trials = recording.responses.isel(time_bin=slice(6, 25, 3))
    truth = true_ceiling(recording).isel(time_bin=slice(6, 25, 3)).values
    values = trials.values
    halves = np.zeros(values.shape[2:])
    for _ in range(10):
        order = rng.permutation(50)
        a, b = values[:, order[:25]].mean(1), values[:, order[25:]].mean(1)
        for u, t in np.ndindex(halves.shape):
            halves[u, t] += np.asarray(stats.pearsonr(a[:, u, t], b[:, u, t]))[0] / 10
    reliable = halves > 0.1
    ceiling = np.sqrt(2 * halves[reliable] / (1 + halves[reliable]))
    assert reliable.mean() > 0.5
    assert abs(np.median(ceiling - truth[reliable])) < 0.02
    assert np.median(np.abs(ceiling - truth[reliable])) < 0.05


@pytest.mark.parametrize(("make", "peak"), [(simulated, (0.7, 0.85)), (simulated_v1, (0.8, 0.95))])
def test_the_true_mean_reaches_the_true_ceilings(make, peak):
    recording = make(n_images=256).select_region("pIT")
    mean, average = mean_responses(recording).values, recording.responses.mean("trial").values
    steady = [values - values.mean(axis=0) for values in (mean, average)]
    pooled, image_driven = (
        [np.corrcoef(a[:, u].ravel(), b[:, u].ravel())[0, 1] if a[:, u].std() > 1e-9 else np.nan
         for u in range(76)]
        for a, b in ((mean, average), steady)
    )  # fmt: skip
    np.testing.assert_allclose(pooled, true_pooled_ceiling(recording), atol=0.04)
    np.testing.assert_allclose(image_driven, true_image_driven_ceiling(recording), atol=0.06)
    assert abs(np.nanmedian(pooled - true_pooled_ceiling(recording).values)) < 0.005
    assert abs(np.nanmedian(image_driven - true_image_driven_ceiling(recording).values)) < 0.01
    true = true_ceiling(recording).values[:, 9]
    defined = np.flatnonzero(np.isfinite(true))
    one = np.array([np.corrcoef(mean[:, u, 9], average[:, u, 9])[0, 1] for u in defined])
    assert abs(np.median(one - true[defined])) < 0.02
    highest = true[defined]
    assert peak[0] < np.median(highest) < peak[1]
    assert highest.min() < 0.7


def test_version_1_mean_responses_are_computable_from_pixels():
    recording = simulated_v1(n_images=20)
    truth = mean_from_pixels(recording.stimuli.values)
    np.testing.assert_array_equal(truth, mean_responses(recording).values)
    gray = mean_from_pixels(np.full((1, 128, 128), 128, np.uint8))
    assert np.isfinite(gray).all()


@pytest.mark.parametrize("make", BOTH)
def test_a_selection_keeps_its_truth(make):
    recording = make(n_images=100)
    part = recording.select_region("aIT").select_images([90, 4, 33])
    part = replace(part, responses=part.responses.isel(time_bin=[12, 3]))
    whole = mean_responses(recording)
    whole = whole.isel(image=[90, 4, 33], unit=whole["region"].values == "aIT", time_bin=[12, 3])
    np.testing.assert_array_equal(mean_responses(part).values, whole.values)


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_images": 0},
        {"n_images": 5121},
        {"n_images": 3.5},
        {"n_images": True},
        {"n_trials": 0},
        {"seed": -1},
    ],
)
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(ContractError, match=next(iter(arguments))) as error:
        simulated(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 64, 64), np.uint8),
        np.zeros((1, 128, 128)),
        np.arange(3 * 128 * 128).reshape(1, 128, 128, 3) % 251,
    ],
)
def test_pixels_of_another_shape_or_type_are_refused(images):
    with pytest.raises(ContractError):
        mean_from_pixels(images)


def test_coloured_pixels_are_refused():
    images = np.zeros((1, 128, 128, 3), np.uint8)
    images[..., 0] = 9
    with pytest.raises(ContractError, match="gray"):
        mean_from_pixels(images)


def test_the_truth_of_other_recordings_is_refused():
    recording = simulated(n_images=2)
    other = type(recording)("mine", recording.responses, recording.stimuli)
    with pytest.raises(ContractError, match="mine"):
        mean_responses(other)


@pytest.fixture(scope="module")
def session():
    """Return the default recording's first 192 images as counts, with their true means."""
    recording = simulated(n_images=192)
    counts = recording.responses.values * version2.blank(0)[:, None]
    return recording, counts, mean_responses(recording)


def test_images_have_5_to_50_trials(session):
    _, counts, _ = session
    present = np.isfinite(counts)
    assert (present.all(axis=(2, 3)) == present.any(axis=(2, 3))).all()
    n_trials = present[:, :, 0, 0].sum(axis=1)
    assert n_trials.min() >= 5
    assert n_trials.max() <= 50
    assert np.quantile(n_trials, [0.1, 0.5]) == pytest.approx([12, 30], abs=4)


@pytest.mark.parametrize(
    ("region", "noise"), [("V4", (0.01, 0.06)), ("pIT", (0.03, 0.15)), ("cIT", (0.03, 0.15))]
)
def test_variability_is_in_the_published_ranges(session, region, noise):
    recording, counts, _ = session
    units = (recording.responses["region"].values == region) & (recording.responses["animal"].values == "Bo")
    count = counts[:, :, units, 7:17].sum(axis=3)
    mean, variance = np.nanmean(count, axis=1), np.nanvar(count, axis=1, ddof=1)
    assert 1.1 < np.median(variance.mean(axis=0) / mean.mean(axis=0)) < 1.5
    rows = (count - mean[:, None]).reshape(-1, units.sum())
    pairs = np.corrcoef(rows[np.isfinite(rows).all(axis=1)].T)[np.triu_indices(units.sum(), 1)]
    assert noise[0] < pairs.mean() < noise[1]


@pytest.mark.parametrize("region", ["V4", "pIT", "cIT", "aIT"])
def test_early_and_late_tuning_are_related_but_not_equal(session, region):
    mean = session[2]
    mean = mean.isel(unit=mean["region"].values == region)
    early, late = (mean.isel(time_bin=slice(*bins)).mean("time_bin").values for bins in ((7, 10), (15, 20)))
    r = [np.corrcoef(early[:, u], late[:, u])[0, 1] for u in np.flatnonzero(early.std(0) > 1e-9)]
    assert 0.5 < np.median(r) < 0.8


def test_a_response_has_three_components(session):
    mean = session[2].values
    values = [np.linalg.svd(mean[:, u] - mean[:, u].mean(0), compute_uv=False) for u in range(256)]
    kept = [s for s in values if s[0] > 1e-6]
    assert np.median([(s > 1e-2 * s[0]).sum() for s in kept]) >= 3


def test_the_image_driven_share_is_over_half_of_the_response(session):
    recording, _, _ = session
    window = replace(recording, responses=recording.responses.isel(time_bin=slice(7, 25)))
    assert 0.5 < np.nanmedian(image_driven_share(window).values) < 0.8


def test_some_units_are_silent_and_some_are_unselective(session):
    mean = session[2].values
    dead = (mean == 1).all(axis=(0, 2))
    unselective = ~dead & (np.ptp(mean, axis=0).max(axis=1) < 1e-9)
    assert 0 < dead.sum() < 20
    assert 4 < unselective.sum() < 26


def test_late_responses_depend_more_on_category_most_in_it(session):
    """Category explains more of late than of early responses, and more in IT than in V4."""
    recording, _, mean = session
    category = recording.responses["category_name"].values

    def explained(region, bins):
        values = (
            mean.isel(unit=mean["region"].values == region, time_bin=slice(*bins)).mean("time_bin").values
        )
        values = values[:, values.std(0) > 1e-9]
        between = np.stack([values[category == name].mean(axis=0) for name in np.unique(category)])
        by_chance = 7 / 191
        return np.median(between.var(axis=0) / values.var(axis=0)) - by_chance

    assert explained("cIT", (15, 20)) > 2 * explained("cIT", (8, 10))
    assert explained("cIT", (15, 20)) > 2 * explained("V4", (15, 20))


def test_drift_is_shared_by_all_images_of_a_block(session):
    _, counts, _ = session
    drift = version2.known_gain(0, 50)
    total = counts[:, :, :, 7:25].sum(axis=3)
    by_block = np.nanmean(total / np.nanmean(total, axis=1, keepdims=True), axis=0)
    r = [np.corrcoef(by_block[:, u], drift[u])[0, 1] for u in range(256)]
    assert np.median(r) > 0.9
    lag = np.mean([np.corrcoef(drift[u, 1:], drift[u, :-1])[0, 1] for u in range(256)])
    assert 0.7 < lag < 0.95


def test_a_third_of_objects_are_partly_occluded():
    hidden = np.array([render_occluded(0, i)[1] for i in range(192)])
    assert 0.25 < (hidden > 0.02).mean() < 0.4
    assert hidden.max() < 1
