"""Evaluate predictions: correlations, ceilings and intervals, as the arrays of a Score."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import xarray as xr

from brainfit.errors import ContractError
from brainfit.scoring.reliability import TRAJECTORY_MS, bins_within, ceilings, measure, pooled_bins
from brainfit.scoring.responses import Responses
from brainfit.statistics.bootstrap import Sums, median_interval
from brainfit.statistics.correlation import CONSTANT, pearson, spearman, temporal_correlation
from brainfit.statistics.groups import number_groups
from brainfit.support.seeds import generator

MIN_TEST_IMAGES = 4
"""With fewer, a correlation over images says next to nothing."""


def check_evaluable(responses: Responses) -> None:
    """Refuse responses that no prediction could be compared with, before a model is run.

    Raises
    ------
    ContractError
        If there are too few test images, or no time bin in the recording's response window.
    """
    if len(responses.test) < MIN_TEST_IMAGES:
        raise ContractError(
            f"{len(responses.test)} test images: with fewer than {MIN_TEST_IMAGES} a correlation over "
            "images means nothing; give more images"
        )
    pooled_bins(responses.recording.responses, responses.recording.response_window)


def assemble(
    predicted: np.ndarray,
    mean: np.ndarray,
    time_course: np.ndarray,
    trials: xr.DataArray,
    *,
    window: tuple[float, float] | None = None,
    pictures: np.ndarray | None = None,
    n_splits: int,
    seed: int,
    on_progress: Callable[[int], None] = lambda units: None,
) -> xr.Dataset:
    """Score predictions of held-out images against their trials.

    Parameters
    ----------
    predicted, mean
        Prediction and trial-averaged response, shape (image, unit, time_bin).
    time_course
        Each unit's mean response over the training images, shape (unit, time_bin): the prediction of a model
        that knows nothing about the image.
    trials
        The same images' single trials, dims (image, trial, unit, time_bin); may be lazy.
    window
        Range in ms of the pooled window; see `brainfit.scoring.reliability.measure`.
    pictures
        Images with the same label show the same picture, shape (image,); by default all are different.
    n_splits, seed
        Number and seed of the random halves; the seed also serves the bootstrap.
    on_progress
        Called with the number of units done.

    Returns
    -------
    Dataset
        The variables of `brainfit.scoring.result.Score`, except `alpha`. Its attribute `halving` says how
        trials were halved, and `drifting_units` how many units drift though blocks cannot be told.
    """
    level = mean.mean(axis=(0, 2), keepdims=True)
    steady, mean_at_level = _steady(predicted, mean), mean - level
    picture_of_image = number_groups(pictures, len(mean))[1]
    halves = measure(trials, window=window, n_splits=n_splits, seed=seed, on_progress=on_progress)
    defined, known, groups = halves.defined, halves.known, halves.bins

    def intervals(noise: np.ndarray, *, image_driven: bool) -> list[tuple[float, float]]:
        found = []
        for bins, of_window, units in zip(groups, noise, known, strict=True):
            if bins.any():
                sums = Sums.over(steady, mean_at_level, bins, image_driven=image_driven)
                rng = generator(seed, "bootstrap")
                found.append(median_interval(sums, of_window, units, groups=picture_of_image, rng=rng))
            else:
                found.append((np.nan, np.nan))
        return found

    by_bin, by_window = ("unit", "time_bin"), ("window", "unit")
    over_images = [np.moveaxis(values, 0, -1) for values in (steady, mean_at_level)]
    r = _zero_if_constant(pearson(*over_images), defined.T)
    window_r = _zero_if_constant(_pooled_r(steady, mean_at_level, groups), known)
    rho = _zero_if_constant(spearman(*over_images), defined.T)
    window_rho = _zero_if_constant(_pooled_r(steady, mean_at_level, groups, spearman), known)
    driven, driven_mean = (values - values.mean(axis=0) for values in (steady, mean))
    image_r = _zero_if_constant(_pooled_r(driven, driven_mean, groups), known)
    baseline = _steady(np.broadcast_to(time_course, mean.shape), mean)
    late_enough = bins_within(trials, *TRAJECTORY_MS)
    trajectories = partial(temporal_correlation, mean_at_level[..., late_enough])
    window_ceilings = ceilings("window_", by_window, halves.window_split_half, halves.plain, known)
    bin_ceilings = ceilings("", by_bin, halves.split_half.T, halves.pearson.T, defined.T)
    arrays = {
        "response": (
            ("image", *by_bin),
            mean,
            {"units": trials.attrs.get("units", "units of the recording")},
        ),
        "predicted": (("image", *by_bin), predicted),
        "r": (by_bin, r),
        "split_half": (by_bin, halves.split_half.T),
        "defined": (by_bin, defined.T),
        **bin_ceilings,
        "normalized": (by_bin, r / np.sqrt(bin_ceilings["pearson_reliability"][1])),
        "spearman": (by_bin, rho),
        "spearman_normalized": (by_bin, rho / bin_ceilings["ceiling"][1]),
        "window_defined": (by_window, known),
        "window_image_driven": (by_window, _divided(image_r, halves.image_driven, known)),
        "window_image_driven_r": (by_window, image_r),
        "window_image_driven_reliability": (by_window, np.where(known, halves.image_driven, np.nan)),
        "window_image_driven_ci95": (("window", "bound"), intervals(halves.driven_noise, image_driven=True)),
        "window_r": (by_window, window_r),
        **window_ceilings,
        "window_normalized": (by_window, _divided(window_r, halves.plain, known)),
        "window_spearman": (by_window, window_rho),
        "window_spearman_normalized": (by_window, window_rho / window_ceilings["window_ceiling"][1]),
        "window_time_course": (
            by_window,
            _divided(
                _zero_if_constant(_pooled_r(baseline, mean_at_level, groups), known), halves.plain, known
            ),
        ),
        "window_ci95": (("window", "bound"), intervals(halves.plain_noise, image_driven=False)),
        "window_bins": (("window", "time_bin"), groups),
        "temporal_correlation": ("unit", trajectories(steady[..., late_enough])),
        "temporal_correlation_time_course": ("unit", trajectories(baseline[..., late_enough])),
        "temporal_correlation_ceiling": ("unit", np.sqrt(halves.trajectories)),
        "temporal_correlation_image_driven": (
            "unit",
            temporal_correlation(driven_mean[..., late_enough], driven[..., late_enough]),
        ),
        "temporal_correlation_image_driven_ceiling": ("unit", np.sqrt(halves.driven_trajectories)),
    }
    coords = {name: coord for name, coord in trials.coords.items() if "trial" not in coord.dims}
    coords["picture"] = ("image", picture_of_image)
    coords |= {"window": list(halves.windows), "bound": ["low", "high"]}
    for k, edge in enumerate(("start", "end")):
        coords[f"window_{edge}_ms"] = (
            "window",
            [span[k] for span in halves.windows.values()],
            {"units": "ms"},
        )
    found = {"halving": halves.halving, "drifting_units": int(halves.drifting.sum())}
    return xr.Dataset(arrays, coords, found)


def _divided(r: np.ndarray, reliability: np.ndarray, defined: np.ndarray) -> np.ndarray:
    """Divide a correlation by the square root of its kind of reliability; NaN where that is not defined."""
    return r / np.sqrt(np.where(defined & (reliability > 0), reliability, np.nan))


def _zero_if_constant(r: np.ndarray, defined: np.ndarray) -> np.ndarray:
    """Score 0, not NaN, for a constant prediction of a response that does tell images apart."""
    return np.where(np.isnan(r) & defined, 0.0, r)


def _steady(predicted: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Centre predictions at the unit's own level and remove rounding errors.

    Before the image reaches the layer, predictions differ between images in their last bits only. Where they
    differ by less than float32 rounding of the unit's predictions, or of its responses' spread, they are made
    equal, so that rounding correlates with nothing.
    """
    steady = predicted - predicted.mean(axis=(0, 2), keepdims=True)
    scale = np.maximum(np.abs(steady).max(axis=(0, 2)), mean.std(axis=(0, 2)))
    by_bin = steady.mean(axis=0)
    rounding = np.abs(steady - by_bin).max(axis=0) <= CONSTANT * scale[:, None]
    return np.where(rounding, by_bin, steady)


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
