"""A recording with one time bin, unequal numbers of trials and counts is scored like any other.

With one bin, "images x bins together" are the images: the pooled window is that bin, and nothing about time
is defined.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import TinyModel

import brainfit
from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError
from brainfit.scoring.responses import Dropped, align_bins
from data_loaders.arrays.recording import from_arrays
from data_loaders.netcdf.recording import from_netcdf, to_netcdf

N_IMAGES, N_UNITS, MOST = 320, 8, 24
NOTHING = 6, 7  # units whose mean does not depend on the image


def static(start: Any = (70,), end: Any = (170,), n_bins=1):
    """Draw Poisson counts whose mean is linear in the features of `TinyModel`; images have 4 to 24 trials."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (N_IMAGES, 16, 16, 3), np.uint8)
    small = torch.nn.functional.avg_pool2d(torch.tensor(pixels).permute(0, 3, 1, 2) / 255.0, 4)
    features = small.flatten(1).numpy()[:, :5]
    drive = (features - features.mean(0)) @ rng.normal(size=(5, N_UNITS))
    mean = np.clip(8 + 2.5 * drive / drive.std(0), 0.5, None)
    mean[:, NOTHING] = 8
    n_trials = rng.integers(4, MOST + 1, N_IMAGES)
    counts = rng.poisson(mean[:, None, :, None], (N_IMAGES, MOST, N_UNITS, n_bins)).astype(np.float32)
    for image, n in enumerate(n_trials):
        counts[image, n:] = np.nan
    return from_arrays(
        counts,
        pixels,
        name="static",
        region="pIT",
        image_id=[f"i{k:03d}" for k in range(N_IMAGES)],
        object_name=[f"o{k % 4}" for k in range(N_IMAGES)],
        time_bin_start=start,
        time_bin_end=end,
    )


@pytest.fixture(scope="module")
def recording():
    return static()


@pytest.fixture(scope="module")
def score(recording):
    return brainfit.score(TinyModel(), recording, region="pIT")


def reliability(trials, kind, n_splits=200):
    """Compute the Spearman-Brown corrected split-half correlation over each image's trials, by definition."""
    from scipy.stats import pearsonr, spearmanr

    correlation = {"spearman": spearmanr, "pearson": pearsonr}[kind]
    rng, found = np.random.default_rng(7), []
    own = [row[np.isfinite(row)] for row in trials]
    for _ in range(n_splits):
        orders = [rng.permutation(row) for row in own]
        halves = np.array([(row[: len(row) // 2].mean(), row[len(row) // 2 :].mean()) for row in orders])
        found.append(correlation(*halves.T).statistic)
    rho = float(np.mean(found))
    return 2 * rho / (1 + rho)


def test_the_score_is_the_correlation_over_images(score):
    data = score.data
    assert dict(data.sizes)["time_bin"] == 1
    assert score.info["n_test_images"] == N_IMAGES // 4
    for unit in range(N_UNITS):
        expected = np.corrcoef(data["response"][:, unit, 0], data["predicted"][:, unit, 0])[0, 1]
        np.testing.assert_allclose(data["r"][unit, 0], expected, rtol=1e-6)


def test_the_pooled_window_is_the_only_bin(score):
    data, pooled = score.data, score.data.sel(window="pooled")
    assert bool(pooled["window_bins"][0])
    units = np.isfinite(pooled["window_normalized"].values)
    assert (
        units.tolist() == data["defined"].values[:, 0].tolist() == [k not in NOTHING for k in range(N_UNITS)]
    )
    for one, other in [
        ("window_r", "r"),
        ("window_ceiling", "ceiling"),
        ("window_reliability", "reliability"),
        ("window_pearson_reliability", "pearson_reliability"),
        ("window_normalized", "normalized"),
        ("window_image_driven", "normalized"),  # one bin has no time course to subtract
    ]:
        np.testing.assert_allclose(
            pooled[one].values[units], data[other].values[units, 0], rtol=1e-5, err_msg=one
        )
    assert (pooled["window_time_course"].values[units] == 0).all()
    bins = score.per_bin
    assert float(bins["n_defined"][0]) == units.sum()
    assert score.pooled["normalized"] == pytest.approx(float(bins["normalized"][0]), rel=1e-5)


def test_ceilings_halve_the_trials_of_each_image(score, recording):
    test = recording.responses.sel(image=np.isin(recording.responses["image_id"], score.data["image_id"]))
    for unit in (0, 3):
        trials = test.values[:, :, unit, 0]
        for kind, name in (("spearman", "reliability"), ("pearson", "pearson_reliability")):
            assert float(score.data[name][unit, 0]) == pytest.approx(reliability(trials, kind), abs=0.02)
    np.testing.assert_allclose(score.data["ceiling"] ** 2, score.data["reliability"], rtol=1e-6)


def test_a_model_with_the_true_features_reaches_the_ceiling(score):
    assert 0.9 < score.pooled["normalized"] < 1.1
    low, high = score.pooled["ci95"]
    assert low < 1 < high + 0.1


def test_the_noise_ceiling_has_one_bin(recording):
    ceiling = brainfit.noise_ceiling(recording, region="pIT")
    assert ceiling.data.sizes["time_bin"] == 1
    for unit in (0, 3):
        trials = recording.responses.values[:, :, unit, 0]
        assert float(ceiling["reliability"][unit, 0]) == pytest.approx(
            reliability(trials, "spearman"), abs=0.01
        )


def test_measures_in_time_are_undefined(score):
    summary = score.to_dict()
    assert (summary["n_bins"], len(summary["per_bin"])) == (1, 1)
    assert summary["temporal_correlation"] is None
    for window in ("early", "late"):  # neither holds the bin of 70-170 ms
        assert summary["windows"][window]["r"] is None
        assert not score.data["window_bins"].sel(window=window).any()
    assert score.info["dropped"] == [
        {"what": "unit x bin pairs", "n": 2, "why": "reliability not distinguishable from zero"}
    ]


def test_the_bin_is_compared_with_the_mean_of_its_steps(recording):
    aligned, (steps,) = align_bins(recording, Presentation(), Dropped())
    assert steps == range(7, 17)
    assert aligned.responses.sizes["time_bin"] == 1


@pytest.mark.parametrize("mapping", ["pls", pytest.param("sgd", marks=pytest.mark.slow)])
def test_every_mapping_scores_a_static_recording(recording, mapping):
    result = brainfit.score(TinyModel(), recording, region="pIT", mapping=mapping)
    assert result.pooled["r"] > 0.3


@pytest.mark.parametrize("control", ["per-bin", "time-shuffled", "graded"])
def test_controls_in_time_are_refused(recording, control):
    with pytest.raises(ContractError, match="is about time, but the recording has one time bin"):
        brainfit.score(TinyModel(), recording, region="pIT", control=control)


def test_averages_without_trials_are_refused(recording):
    averaged = replace(recording, responses=recording.responses.mean("trial"))
    with pytest.raises(ContractError, match="a noise ceiling needs at least 2 trials"):
        brainfit.score(TinyModel(), averaged, region="pIT")


def test_a_bin_beyond_the_presentation_is_refused():
    with pytest.raises(ContractError, match="time bins run from 300 to 400"):
        brainfit.score(TinyModel(), static((300,), (400,)), region="pIT")


def test_a_recording_from_a_file_has_the_same_score(score, recording, tmp_path):
    to_netcdf(recording, tmp_path / "static.nc")
    again = brainfit.score(TinyModel(), from_netcdf(tmp_path / "static.nc"), region="pIT")
    for name, values in score.data.items():
        np.testing.assert_allclose(again.data[name].values, values.values, rtol=1e-9, err_msg=str(name))


def test_a_score_of_one_bin_is_read_back_equal(score, tmp_path):
    from brainfit.scoring.result import Score

    score.to_netcdf(tmp_path / "score.nc")
    assert Score.from_netcdf(tmp_path / "score.nc").data.identical(score.data)
