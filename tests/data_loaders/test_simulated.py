"""The simulated recording: its form, its laws, and its noise against what is known to be true."""

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
from data_loaders.simulated.recording import simulated
from data_loaders.simulated.streams import poisson
from data_loaders.simulated.truth import mean_from_pixels, mean_responses, true_ceiling, true_pooled_ceiling
from data_loaders.simulated.units import unit_table

IMAGE_HASHES = ["04051228472b4f9d", "8a2071818212d54e", "2861b7a4a357413d"]
COUNT_HASH = "b47ccc4f3b21847a"


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def test_keeps_the_contract():
    recording = simulated(n_images=128, n_trials=3)
    check_recording(recording)
    assert recording.simulated
    assert recording.name == "simulated"
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


def test_every_prefix_is_balanced():
    responses = simulated(n_images=5120, n_trials=1).responses
    for n in (64, 128, 640, 5120):
        some = responses.isel(image=slice(n))
        assert set(np.unique(some["variation"].values, return_counts=True)[1]) == {n // 2}
        assert set(np.unique(some["object_name"].values, return_counts=True)[1]) == {n // 64}
    one = responses["object_name"].values == "bear"
    assert set(np.unique(responses["variation"].values[one], return_counts=True)[1]) == {40}


def test_nothing_is_computed_before_it_is_read(monkeypatch):
    def refuse(*_):
        raise AssertionError("computed too early")

    monkeypatch.setattr(recording_module, "_responses", refuse)
    monkeypatch.setattr(recording_module, "_stimuli", refuse)
    recording = simulated(n_images=640).select_region("pIT").select_images([3, 600])
    assert recording.responses.shape == (2, 50, 76, 25)
    with pytest.raises(AssertionError, match="too early"):
        _ = recording.responses.values


def test_the_whole_catalogue_is_quick_to_open_and_to_read_from():
    start = time.perf_counter()
    recording = simulated(n_images=5120)
    assert time.perf_counter() - start < 1
    some = recording.select_images([7, 2000, 5119])
    assert some.responses.values.shape == (3, 50, 256, 25)
    assert some.stimuli.values.shape == (3, 128, 128, 3)
    assert time.perf_counter() - start < 10


def test_more_images_and_trials_never_change_the_first_ones():
    small = simulated(n_images=66, n_trials=3).select_images(slice(60, 66))
    large = simulated(n_images=5120, n_trials=7).select_images(slice(60, 66))
    np.testing.assert_array_equal(small.stimuli.values, large.stimuli.values)
    np.testing.assert_array_equal(small.responses.values, large.responses.values[:, :3])
    for coord in ("image_id", "object_name", "variation"):
        np.testing.assert_array_equal(small.responses[coord].values, large.responses[coord].values)


def test_selecting_gives_what_the_whole_holds(rng):
    recording = simulated(n_images=12, n_trials=5)
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


def test_another_seed_is_another_experiment():
    one, other = simulated(n_images=4, n_trials=2), simulated(n_images=4, n_trials=2, seed=1)
    assert (one.stimuli.values != other.stimuli.values).any(axis=(1, 2, 3)).all()
    assert (one.responses.values != other.responses.values).any(axis=(1, 2, 3)).all()
    assert (mean_responses(one) != mean_responses(other)).any()


def test_the_same_on_every_machine():
    recording = simulated(n_images=5120)
    images = recording.select_images([0, 77, 5119]).stimuli.values[..., 0]
    assert [sha256(image)[:16] for image in images] == IMAGE_HASHES
    block = recording.responses.isel(image=[1, 300], trial=slice(4), unit=slice(0, 256, 16))
    blank = unit_table(0).blank[::16, None]
    counts = np.rint(block.values * blank).astype(np.uint8)
    assert sha256(counts)[:16] == COUNT_HASH


@pytest.mark.parametrize("mean", [0.02, 0.7, 3.0, 40.0, 400.0])
def test_poisson_is_the_inverse_of_its_distribution(rng, mean):
    uniform = np.concatenate([rng.random(2000), [2.0**-54, 1 - 2.0**-53]])
    counts = poisson(uniform, np.full(uniform.shape, mean))
    np.testing.assert_array_equal(counts[:-1], stats.poisson.ppf(uniform[:-1], mean))
    assert np.isfinite(counts[-1])


def test_mean_and_variance_of_trials_are_the_stated_ones():
    recording = simulated(n_images=6, n_trials=1500)
    units = np.arange(0, 256, 8)
    recording = recording.select_units(units)
    trials = recording.responses.values.astype(float)
    mean = mean_responses(recording).values
    variance = mean / unit_table(0).blank[units, None] + 0.2**2 * mean**2
    z = (trials.mean(1) - mean) / np.sqrt(variance / 1500)
    assert abs(z.mean()) < 0.15
    assert 0.85 < z.std() < 1.15
    assert np.median(trials.var(1, ddof=1) / variance) == pytest.approx(1, abs=0.02)


def test_trial_gain_is_shared_within_an_array_only():
    recording = simulated(n_images=4, n_trials=400)
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


def test_no_unit_knows_the_image_before_its_latency():
    recording = simulated(n_images=64)
    mean = mean_responses(recording)
    assert (mean.sel(time_bin=slice(0, 5)).values == 1).all()
    early_it = (mean["region"] != "V4") & (unit_table(0).latency > 60)
    assert (mean.isel(unit=early_it.values, time_bin=slice(0, 6)).values == 1).all()
    assert np.isnan(true_ceiling(recording).isel(time_bin=slice(0, 5)).values).all()
    assert (mean.values >= 1).all()


def test_trajectories_depend_on_the_image():
    mean = mean_responses(simulated(n_images=64).select_region("pIT"))
    early = mean.isel(time_bin=slice(7, 9)).mean("time_bin")
    late = mean.isel(time_bin=slice(14, 18)).mean("time_bin")
    r = [np.corrcoef(early[:, u], late[:, u])[0, 1] for u in range(76)]
    assert np.median(r) < 0.8


def test_split_half_ceilings_approach_the_true_ones(rng):
    recording = simulated(n_images=160).select_region("pIT").select_units(slice(0, 76, 3))
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


def test_the_mean_is_what_the_ceiling_allows():
    recording = simulated(n_images=160).select_region("pIT")
    mean, average = mean_responses(recording).values, recording.responses.mean("trial").values
    r = [np.corrcoef(mean[:, u].ravel(), average[:, u].ravel())[0, 1] for u in range(76)]
    pooled = true_pooled_ceiling(recording).values
    assert np.median(np.abs(r - pooled)) < 0.01
    peak = np.nanmax(true_ceiling(recording).values, axis=1)
    assert 0.8 < np.median(peak) < 0.95
    assert peak.min() < 0.7


def test_the_model_is_computable_from_pixels():
    recording = simulated(n_images=20)
    truth = mean_from_pixels(recording.stimuli.values)
    np.testing.assert_array_equal(truth, mean_responses(recording).values)
    gray = mean_from_pixels(np.full((1, 128, 128), 128, np.uint8))
    assert np.isfinite(gray).all()


def test_a_selection_keeps_its_truth():
    recording = simulated(n_images=100)
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
def test_pixels_of_another_form_are_refused(images):
    with pytest.raises(ContractError):
        mean_from_pixels(images)


def test_coloured_pixels_are_refused():
    images = np.zeros((1, 128, 128, 3), np.uint8)
    images[..., 0] = 9
    with pytest.raises(ContractError, match="gray"):
        mean_from_pixels(images)


def test_the_truth_of_another_recording_is_not_known():
    recording = simulated(n_images=2)
    other = type(recording)("mine", recording.responses, recording.stimuli)
    with pytest.raises(ContractError, match="mine"):
        mean_responses(other)
