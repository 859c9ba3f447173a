"""Scores and ceilings do not depend on orders, scales and offsets that mean nothing."""

from dataclasses import replace

import numpy as np
import pytest
from tiny import TinyModel, tiny_recording

import brainfit

NAMES = ("window_image_driven", "window_normalized", "window_image_driven_reliability", "window_ceiling")
MISSING = {
    "complete": lambda rng: np.ones((64, 6), bool),
    "blocks with gaps": lambda rng: (rng.random((64, 6)) >= 0.1) | (np.arange(6) < 2),
    "numbers of trials": lambda rng: np.arange(6) < rng.integers(2, 7, size=(64, 1)),
}


def recording(present):
    """Responses to the image, with noise and a time course, in whole sixteenths."""
    data = tiny_recording(n_images=64, n_trials=6)
    shown = data.stimuli.values.reshape(64, -1)[:, :: 32 * 32 * 3 // 6][:, :6] / 255
    signal = 3 * shown[:, None, :, None] * np.linspace(0.5, 1, 25)
    values = (
        np.rint(16 * (signal + data.responses.values - data.responses.values.mean(1, keepdims=True))) / 16
    )
    return replace(
        data, responses=data.responses.copy(data=np.where(present[..., None, None], values, np.nan))
    )


def changed(data, name, rng, blocks):
    """Return the recording with one thing changed that must not matter."""
    values = data.responses.values
    if name == "images":
        return data.select_images(rng.permutation(data.n_images))
    if name == "units":
        return data.select_units(rng.permutation(values.shape[2]))
    if name == "trials" and blocks:
        values = values[:, rng.permutation(values.shape[1])]
    elif name == "trials":
        values = values.copy()
        for image, n_trials in enumerate(np.isfinite(values[:, :, 0, 0]).sum(axis=1)):
            values[image, :n_trials] = values[image, rng.permutation(n_trials)]
    elif name == "type":
        values = values.astype(np.float32)
    else:
        scale, offset = 2.0 ** rng.integers([[[-40]], [[-30]]], [[[40]], [[10]]], (2, values.shape[2], 1))
        values = scale * rng.choice([-1, 1], size=scale.shape) * (values + offset)
    return replace(data, responses=data.responses.copy(data=values))


@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("name", ["images", "units", "trials", "type", "scale and offset"])
def test_what_means_nothing_changes_no_score_and_no_ceiling(name, missing, rng):
    data = recording(MISSING[missing](rng))
    other = changed(data, name, rng, blocks=missing != "numbers of trials")
    # The Spearman ceiling draws halves in the order of trials' values, and ranks depend on ties.
    tolerance = {"window_ceiling": 5e-3} if name == "scale and offset" else {}
    first, second = (brainfit.score(TinyModel(), one, region="pIT") for one in (data, other))
    for variable in NAMES:
        again = second.data[variable].sel(unit=first.data["unit"].values)
        np.testing.assert_allclose(again, first.data[variable], atol=tolerance.get(variable, 1e-4))
    np.testing.assert_allclose(second.headline["ci95"], first.headline["ci95"], atol=1e-3)
    ceilings = [brainfit.noise_ceiling(one, region="pIT", n_splits=10) for one in (data, other)]
    for variable in ("window_ceiling", "window_pearson_reliability", "window_image_driven_ci95"):
        of_first, of_second = (one.data[variable] for one in ceilings)
        if "unit" in of_first.dims:
            of_second = of_second.sel(unit=of_first["unit"].values)
        np.testing.assert_allclose(of_second, of_first, atol=tolerance.get(variable, 1e-4))
