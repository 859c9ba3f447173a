"""Evaluation of predictions against trials, compared with scipy unit by unit and bin by bin."""

import numpy as np
import pytest
from scipy.stats import rankdata

from brainfit.scoring.evaluation import assemble
from brainfit.scoring.result import Score
from data_loaders.simulated.recording import simulated_v1 as simulated
from data_loaders.simulated.truth import mean_responses

DUST = 5e-4
"""What near-ties do that differ by the last bit once the unit's level is taken off."""


def by_scipy(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


@pytest.fixture(scope="module")
def judged():
    """Evaluate the simulation's own mean, and its square, as predictions."""
    recording = simulated(n_images=160, n_trials=20).select_region("pIT").select_units(slice(12))
    truth, average = mean_responses(recording).values, recording.responses.mean("trial").values
    course = average.mean(axis=0)
    return {
        power: (
            np.sign(truth) * np.abs(truth) ** power,
            average,
            assemble(
                np.sign(truth) * np.abs(truth) ** power,
                average,
                course,
                recording.responses,
                n_splits=20,
                seed=0,
            ),
        )
        for power in (1, 3)
    }


def test_spearman_equals_scipys_in_each_bin_and_window(judged):
    predicted, average, data = judged[1]
    for unit in (0, 5, 11):
        varies = np.ptp(predicted[:, unit], axis=0) > 0
        for time_bin in np.flatnonzero(data["defined"][unit] & varies):
            wanted = by_scipy(predicted[:, unit, time_bin], average[:, unit, time_bin])
            assert data["spearman"].values[unit, time_bin] == pytest.approx(wanted, abs=DUST)
        for window in ("pooled", "early", "late"):
            bins = data["window_bins"].sel(window=window).values.astype(bool)
            wanted = by_scipy(predicted[:, unit, bins].ravel(), average[:, unit, bins].ravel())
            got = float(data["window_spearman"].sel(window=window)[unit])
            assert got == pytest.approx(wanted, abs=DUST)


def test_a_monotonic_change_of_predictions_changes_pearson_only(judged):
    (_, _, plain), (_, _, cubed) = judged[1], judged[3]
    # The mean is removed first, so that the change keeps only the order of predictions.
    np.testing.assert_allclose(cubed["spearman"], plain["spearman"], atol=1e-6)
    np.testing.assert_allclose(cubed["window_spearman"], plain["window_spearman"], atol=1e-6)
    assert np.nanmax(np.abs(cubed["window_r"] - plain["window_r"])) > 0.01


def test_spearman_is_divided_by_the_spearman_ceiling(judged):
    data = judged[1][2]
    np.testing.assert_allclose(data["spearman_normalized"], data["spearman"] / data["ceiling"])
    known = data["window_spearman_normalized"].notnull()
    assert known.any()
    wanted = (data["window_spearman"] / data["window_ceiling"]).where(known)
    np.testing.assert_allclose(data["window_spearman_normalized"], wanted)
    assert Score(data, {}).pooled["spearman_normalized"] == pytest.approx(1, abs=0.03)
