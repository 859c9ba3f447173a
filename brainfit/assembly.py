"""Put predictions, responses and ceilings together into the arrays of a Score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import xarray as xr

from brainfit.bootstrap import Moments, median_interval, window_moments
from brainfit.ceiling import SplitHalf, distinguishable, spearman_brown, split_half
from brainfit.metrics import pearson, temporal_correlation
from brainfit.responses import unit_chunks
from brainfit.result import MIN_DEFINED
from brainfit.seeds import generator

WINDOWS = {"early": (70, 130), "late": (130, 200)}
"""Milliseconds from image onset; Kar et al. (2019) and Nayebi et al. (2022) part the IT response so."""
TRAJECTORY_MS = (50, 250)
"""The bins over which trajectories are correlated: Nayebi et al. (2018), Fig. S1b."""


def assemble(
    predicted: np.ndarray,
    mean: np.ndarray,
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
    trials
        The same images' single trials, dims (image, trial, unit, time_bin); may be lazy.
    n_splits, seed
        Of the noise ceiling; the seed also serves the bootstrap.
    advance
        Called with the number of units done; every unit is done twice.

    Returns
    -------
    Dataset
        The variables of `brainfit.result.Score`, but for `alpha`.
    """
    n_images = len(mean)
    each_bin = np.eye(trials.sizes["time_bin"], dtype=bool)
    per_bin = _joined([half for _, _, half in _halves(trials, each_bin, n_splits, seed, advance)])
    defined = distinguishable(per_bin.spearman, n_images).T

    windows = {"pooled": defined.mean(axis=0) >= MIN_DEFINED}
    windows |= {name: bins_within(trials, *span) for name, span in WINDOWS.items()}
    groups = np.array(list(windows.values()))
    halves, moments = [], []
    for units, some, half in _halves(trials, groups, n_splits, seed, advance):
        halves.append(half)
        moments.append([window_moments(predicted[:, units], some, bins) for bins in groups])
    pooled = _joined(halves)
    known = distinguishable(pooled.spearman, n_images)
    intervals = [
        median_interval(Moments.of_units(parts), units, rng=generator(seed, "bootstrap"))
        for parts, units in zip(zip(*moments, strict=True), known, strict=True)
    ]

    by_bin, by_window = ("unit", "time_bin"), ("window", "unit")
    r = pearson(np.moveaxis(predicted, 0, -1), np.moveaxis(mean, 0, -1))
    window_r = np.array([_pooled_r(predicted, mean, bins) for bins in groups])
    late_enough = bins_within(trials, *TRAJECTORY_MS)
    arrays = {
        "response": (
            ("image", *by_bin),
            mean,
            {"units": trials.attrs.get("units", "units of the recording")},
        ),
        "predicted": (("image", *by_bin), predicted),
        "r": (by_bin, r),
        "split_half": (by_bin, per_bin.spearman.T),
        "defined": (by_bin, defined),
        **_normalized("", by_bin, r, SplitHalf(per_bin.spearman.T, per_bin.pearson.T), defined),
        "window_r": (by_window, window_r),
        **_normalized("window_", by_window, window_r, pooled, known),
        "window_ci95": (("window", "bound"), np.array(intervals)),
        "window_bins": (("window", "time_bin"), groups),
        "temporal_correlation": (
            "unit",
            temporal_correlation(mean[..., late_enough], predicted[..., late_enough]),
        ),
    }
    coords = {name: coord for name, coord in trials.coords.items() if "trial" not in coord.dims}
    return xr.Dataset(arrays, coords={**coords, "window": list(windows), "bound": ["low", "high"]})


def bins_within(responses: xr.DataArray, start: float, end: float) -> np.ndarray:
    """Bins that lie wholly between `start` and `end` ms, shape (time_bin,), bool."""
    return ((responses["time_bin_start"] >= start) & (responses["time_bin_end"] <= end)).values


def _halves(
    trials: xr.DataArray, groups: np.ndarray, n_splits: int, seed: int, advance: Callable[[int], None]
) -> Iterator[tuple[slice, np.ndarray, SplitHalf]]:
    """Yield a few units at a time: which, their trials, their split halves; the same halves for all."""
    for units, some in unit_chunks(trials):
        rng = generator(seed, "trial halves")
        yield units, some, split_half(some, groups, n_splits=n_splits, rng=rng, advance=advance)


def _joined(parts: Sequence[SplitHalf]) -> SplitHalf:
    return SplitHalf(
        np.concatenate([part.spearman for part in parts], axis=1),
        np.concatenate([part.pearson for part in parts], axis=1),
    )


def _normalized(
    prefix: str, dims: tuple[str, ...], r: np.ndarray, halves: SplitHalf, defined: np.ndarray
) -> dict:
    """Reliabilities, ceiling and normalised score; NaN where the reliability is not above zero for sure."""
    reliability = np.where(defined, spearman_brown(halves.spearman), np.nan)
    pearson_reliability = np.where(defined, spearman_brown(halves.pearson), np.nan)
    return {
        f"{prefix}reliability": (dims, reliability),
        f"{prefix}ceiling": (dims, np.sqrt(reliability)),
        f"{prefix}pearson_reliability": (dims, pearson_reliability),
        f"{prefix}normalized": (dims, r / np.sqrt(pearson_reliability)),
    }


def _pooled_r(predicted: np.ndarray, mean: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Pearson over images x bins together, for each unit; NaN if the window has no bin."""
    if not bins.any():
        return np.full(mean.shape[1], np.nan)
    flat = [np.moveaxis(values[..., bins], 1, 0).reshape(mean.shape[1], -1) for values in (predicted, mean)]
    return pearson(*flat)
