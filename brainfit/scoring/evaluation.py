"""Put predictions, responses and ceilings together into the arrays of a Score."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import xarray as xr

from brainfit.scoring.reliability import bins_within, ceilings, measure
from brainfit.statistics.bootstrap import Moments, median_interval, window_moments
from brainfit.statistics.correlation import CONSTANT, pearson, spearman, temporal_correlation
from brainfit.statistics.split_half import SplitHalf, spearman_brown
from brainfit.support.seeds import generator

TRAJECTORY_MS = (50, 250)
"""The bins over which trajectories are correlated: Nayebi et al. (2018), Fig. S1b."""


def assemble(
    predicted: np.ndarray,
    mean: np.ndarray,
    time_course: np.ndarray,
    trials: xr.DataArray,
    *,
    n_splits: int,
    seed: int,
    advance: Callable[[int], None],
) -> xr.Dataset:
    """Score predictions of held-out images against their trials.

    Parameters
    ----------
    predicted, mean
        Prediction and trial-averaged response, shape (image, unit, time_bin).
    time_course
        Each unit's mean response over the training images, shape (unit, time_bin): what a
        predictor that knows nothing about the image would answer.
    trials
        The same images' single trials, dims (image, trial, unit, time_bin); may be lazy.
    n_splits, seed
        Of the noise ceiling; the seed also serves the bootstrap.
    advance
        Called with the number of units done; every unit is done three times.

    Returns
    -------
    Dataset
        The variables of `brainfit.scoring.result.Score`, but for `alpha`.
    """
    level = mean.mean(axis=(0, 2), keepdims=True)
    steady, mean_at_level = _steady(predicted, mean), mean - level
    moments: list[list[Moments]] = []

    def visit(units: slice, some: np.ndarray, windows: np.ndarray) -> None:
        for u in range(some.shape[2]):  # one by one: they take several times their memory
            one = slice(units.start + u, units.start + u + 1)
            at_level = some[:, :, u : u + 1] - level[:, None, one]
            moments.append([window_moments(steady[:, one], at_level, bins) for bins in windows])

    halves = measure(trials, n_splits=n_splits, seed=seed, advance=advance, visit=visit)
    defined, known, groups = halves.defined, halves.known, halves.bins
    intervals = [
        median_interval(Moments.of_units(parts), units, rng=generator(seed, "bootstrap"))
        for parts, units in zip(zip(*moments, strict=True), known, strict=True)
    ]

    by_bin, by_window = ("unit", "time_bin"), ("window", "unit")
    per_bin = SplitHalf(halves.per_bin.spearman.T, halves.per_bin.pearson.T)
    over_images = [np.moveaxis(values, 0, -1) for values in (steady, mean_at_level)]
    r = _nothing_predicted(pearson(*over_images), defined.T)
    window_r = _nothing_predicted(_pooled_r(steady, mean_at_level, groups), known)
    rho = _nothing_predicted(spearman(*over_images), defined.T)
    window_rho = _nothing_predicted(_pooled_r(steady, mean_at_level, groups, spearman), known)
    image_r = _pooled_r(steady - steady.mean(axis=0), mean - mean.mean(axis=0), groups)
    baseline = _steady(np.broadcast_to(time_course, mean.shape), mean)
    late_enough = bins_within(trials, *TRAJECTORY_MS)
    trajectories = partial(temporal_correlation, mean_at_level[..., late_enough])
    arrays = {
        "response": (
            ("image", *by_bin),
            mean,
            {"units": trials.attrs.get("units", "units of the recording")},
        ),
        "predicted": (("image", *by_bin), predicted),
        "r": (by_bin, r),
        "split_half": (by_bin, halves.per_bin.spearman.T),
        "defined": (by_bin, defined.T),
        **ceilings("", by_bin, per_bin, defined.T),
        "normalized": (by_bin, _divided(r, per_bin.pearson, defined.T)),
        "spearman": (by_bin, rho),
        "spearman_normalized": (by_bin, _divided(rho, per_bin.spearman, defined.T)),
        "window_r": (by_window, window_r),
        **ceilings("window_", by_window, halves.pooled, known),
        "window_normalized": (by_window, _divided(window_r, halves.pooled.pearson, known)),
        "window_spearman": (by_window, window_rho),
        "window_spearman_normalized": (by_window, _divided(window_rho, halves.pooled.spearman, known)),
        "window_time_course": (
            by_window,
            _divided(_pooled_r(baseline, mean_at_level, groups), halves.pooled.pearson, known),
        ),
        "window_image_driven": (by_window, _divided(image_r, halves.image_driven.pearson, known)),
        "window_ci95": (("window", "bound"), np.array(intervals)),
        "window_bins": (("window", "time_bin"), groups),
        "temporal_correlation": ("unit", trajectories(steady[..., late_enough])),
        "temporal_correlation_time_course": ("unit", trajectories(baseline[..., late_enough])),
    }
    coords = {name: coord for name, coord in trials.coords.items() if "trial" not in coord.dims}
    return xr.Dataset(arrays, coords={**coords, "window": list(halves.windows), "bound": ["low", "high"]})


def _divided(r: np.ndarray, halves: np.ndarray, defined: np.ndarray) -> np.ndarray:
    """Divide a correlation by the square root of its kind of reliability; NaN where that is not defined."""
    reliability = np.where(defined, spearman_brown(halves), np.nan)
    return _nothing_predicted(r, defined) / np.sqrt(reliability)


def _nothing_predicted(r: np.ndarray, defined: np.ndarray) -> np.ndarray:
    """Score 0, not undefined, for a constant prediction of a response that does tell images apart."""
    return np.where(np.isnan(r) & defined, 0.0, r)


def _steady(predicted: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Predictions about the unit's own level, without rounding dust.

    Before the image reaches the layer, predictions differ between images in the last bits only.
    Where they differ by less than float32 rounding of the unit's predictions, or of its
    responses' spread, they are made equal: dust must not be correlated with anything.
    """
    steady = predicted - predicted.mean(axis=(0, 2), keepdims=True)
    scale = np.maximum(np.abs(steady).max(axis=(0, 2)), mean.std(axis=(0, 2)))
    by_bin = steady.mean(axis=0)
    dust = np.abs(steady - by_bin).max(axis=0) <= CONSTANT * scale[:, None]
    return np.where(dust, by_bin, steady)


def _pooled_r(
    predicted: np.ndarray,
    mean: np.ndarray,
    groups: np.ndarray,
    correlation: Callable[[np.ndarray, np.ndarray], np.ndarray] = pearson,
) -> np.ndarray:
    """Correlate over images x bins together, for each window and unit; NaN if the window has no bin."""
    result = np.full((len(groups), mean.shape[1]), np.nan)
    for g, bins in enumerate(groups):
        if bins.any():
            flat = (np.moveaxis(v[..., bins], 1, 0).reshape(mean.shape[1], -1) for v in (predicted, mean))
            result[g] = correlation(*flat)
    return result
