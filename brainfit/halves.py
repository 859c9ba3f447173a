"""Averages of random halves of the trials, and what to make of maps that were fitted to them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from brainfit.ceiling import spearman_brown
from brainfit.memory import check_memory
from brainfit.metrics import pearson

_IMAGES_AT_ONCE = 64


def noise_corrected(
    predicted: np.ndarray,
    response: np.ndarray,
    predicted_halves: np.ndarray,
    response_halves: np.ndarray,
    windows: np.ndarray,
) -> dict[str, np.ndarray]:
    """Correct correlations over images x bins for the noise of both sides.

    Parameters
    ----------
    predicted, response
        From all trials, shape (image, unit, time_bin).
    predicted_halves, response_halves
        The same from either half of the trials, shape (half, halving, image, unit, time_bin).
    windows
        Which bins each window pools, shape (window, time_bin), bool.

    Returns
    -------
    dict
        `r`, `predictor_reliability`, `response_reliability`, `normalized` and `consistency` as in
        `mapping_consistency`, each of shape (window, unit). NaN in a window without bins, where a side is
        constant, and where a denominator is not positive in every halving.
    """
    r = _pooled(predicted, response, windows)
    of_prediction = spearman_brown(_pooled(predicted_halves[0], predicted_halves[1], windows))
    of_response = spearman_brown(_pooled(response_halves[0], response_halves[1], windows))
    return {
        "r": r,
        "predictor_reliability": of_prediction.mean(axis=0),
        "response_reliability": of_response.mean(axis=0),
        "normalized": (r / np.sqrt(of_response)).mean(axis=0),
        "consistency": (r / np.sqrt(of_prediction * of_response)).mean(axis=0),
    }


def _pooled(x: np.ndarray, y: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Pearson over images x bins, from (..., image, unit, time_bin) to (..., window, unit)."""
    found = np.full((*x.shape[:-3], len(windows), x.shape[-2]), np.nan)
    for w, bins in enumerate(windows):
        if bins.any():
            flat = (np.moveaxis(v[..., bins], -3, -2) for v in (x, y))
            found[..., w, :] = pearson(*(v.reshape(*v.shape[:-2], -1) for v in flat))
    return found


def halve(trials: xr.DataArray, n_halvings: int, rng: np.random.Generator) -> np.ndarray:
    """Average random halves of the trials of each image.

    Parameters
    ----------
    trials
        Dims (image, trial, unit, time_bin); may be lazy: it is read once, some images at a time. A trial with
        NaN in any bin counts as missing for that unit.
    n_halvings
        How often.
    rng
        Decides the halves; units that miss the same trials have the same ones.

    Returns
    -------
    array, shape (half, halving, image, unit, time_bin), float32
        Where the number of trials is odd the second half has one more. NaN where a half has none.

    Raises
    ------
    ResourceError
        If it does not fit into memory.
    """
    n_images, n_trials, n_units, n_bins = trials.shape
    keys = rng.random((n_images, n_halvings, n_trials), dtype=np.float32)
    check_memory(
        {"averages of halves": 8.0 * n_halvings * n_images * n_units * n_bins},
        "lower the number of images, units or halvings",
    )
    halves = np.empty((2, n_halvings, n_images, n_units, n_bins), np.float32)
    for start in range(0, n_images, _IMAGES_AT_ONCE):
        images = slice(start, start + _IMAGES_AT_ONCE)
        some = trials.isel(image=images).values
        present = np.asarray(np.isfinite(some).all(axis=3))
        filled = np.where(present[..., None], some, 0).astype(np.float32)
        patterns, member = np.unique(present.reshape(-1, n_units), axis=1, return_inverse=True)
        for k, pattern in enumerate(patterns.T):
            units = np.flatnonzero(member.ravel() == k)
            there = pattern.reshape(len(some), 1, n_trials)
            rank = np.where(there, keys[images], np.inf).argsort(axis=-1).argsort(axis=-1)
            first = rank < there.sum(axis=-1, keepdims=True) // 2
            values = filled[:, :, units].reshape(len(some), n_trials, -1)
            for half, mask in enumerate((first, there & ~first)):
                with np.errstate(invalid="ignore"):
                    mean = mask.astype(np.float32) @ values / mask.sum(axis=-1, keepdims=True)
                shaped = mean.reshape(len(some), n_halvings, len(units), n_bins)
                halves[half][:, images, units] = shaped.swapaxes(0, 1)
    return halves
