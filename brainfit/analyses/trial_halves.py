"""Averages of random halves of the trials, and scores of maps that were fitted to them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from brainfit.scoring.reliability import Reliability
from brainfit.statistics.blocks import are_blocks
from brainfit.statistics.correlation import CONSTANT, pearson
from brainfit.statistics.halves import halves_of_blocks, halves_of_incomplete_blocks, trial_order
from brainfit.statistics.split_half import spearman_brown
from brainfit.support.memory import check_memory

_IMAGES_AT_ONCE = 16


def corrected_scores(
    predicted: np.ndarray,
    response: np.ndarray,
    predicted_halves: np.ndarray,
    reliability: Reliability,
    units: np.ndarray | slice = slice(None),
) -> dict[str, np.ndarray]:
    """Score predictions with and without the time course, for the noise of both sides.

    Parameters
    ----------
    predicted, response, predicted_halves
        As for `noise_corrected`.
    reliability
        Reliability of the responses.
    units
        Positions of these units in `reliability`.

    Returns
    -------
    dict
        Result of `noise_corrected`, and `image_driven`, which is `consistency` once each bin's mean over
        images is taken off predictions and responses, halves as well. NaN where a unit is not `known`.
    """

    def scores(of_response: np.ndarray, *sides: np.ndarray) -> dict[str, np.ndarray]:
        of_known = np.where(reliability.known & (of_response > 0), of_response, np.nan)[:, units]
        return noise_corrected(*sides, response_reliability=of_known, windows=reliability.bins)

    sides = (predicted, response, predicted_halves)
    driven = scores(reliability.image_driven, *map(_without_time_course, sides))
    return {**scores(reliability.plain, *sides), "image_driven": driven["consistency"]}


def noise_corrected(
    predicted: np.ndarray,
    response: np.ndarray,
    predicted_halves: np.ndarray,
    response_reliability: np.ndarray,
    windows: np.ndarray,
) -> dict[str, np.ndarray]:
    """Correct correlations over images x bins for the noise of both sides.

    Parameters
    ----------
    predicted, response
        Predictions and responses from all trials, shape (image, unit, time_bin).
    predicted_halves
        Predictions from either half of the trials, shape (half, halving, image, unit, time_bin).
    response_reliability
        Pearson reliability of the trial averages, shape (window, unit), (0, 1]; NaN where it is not
        distinguishable from zero.
    windows
        Bins that each window pools, shape (window, time_bin), bool.

    Returns
    -------
    dict
        `r`, `predictor_reliability`, `response_reliability`, `normalized` and `consistency` as in
        `mapping_consistency`, each of shape (window, unit). NaN where `response_reliability` is, and nowhere
        else: a map that fails on a unit scores 0, since leaving the unit out would reward the failure.
    """
    known = np.isfinite(response_reliability)
    r = np.where(known, np.nan_to_num(_pooled(predicted, response, windows)), np.nan)
    agree = np.nan_to_num(_pooled(predicted_halves[0], predicted_halves[1], windows)).mean(axis=0)
    of_prediction = np.where(known, np.nan_to_num(spearman_brown(agree)), np.nan)
    normalized = r / np.sqrt(response_reliability)
    # If halves do not agree, no reproducible part was predicted: division by infinity gives 0.
    noise_of_map = np.sqrt(np.where(of_prediction > 0, of_prediction, np.inf))
    return {
        "r": r,
        "predictor_reliability": of_prediction,
        "response_reliability": response_reliability,
        "normalized": normalized,
        "consistency": normalized / noise_of_map,
    }


def _without_time_course(values: np.ndarray) -> np.ndarray:
    """Subtract each bin's mean over images, shape (..., image, unit, time_bin).

    Differences between images of the size of float32 rounding become 0, because rounding must not correlate.
    """
    driven = values - values.mean(axis=-3, keepdims=True)
    scale = np.abs(values).max(axis=(-3, -1), keepdims=True)
    dust = np.abs(driven).max(axis=-3, keepdims=True) <= CONSTANT * scale
    return np.where(dust, 0, driven)


def _pooled(x: np.ndarray, y: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Correlate over images x bins, from (..., image, unit, time_bin) to (..., window, unit)."""
    found = np.full((*x.shape[:-3], len(windows), x.shape[-2]), np.nan)
    for w, bins in enumerate(windows):
        if bins.any():
            flat = (np.moveaxis(v[..., bins], -3, -2) for v in (x, y))
            found[..., w, :] = pearson(*(v.reshape(*v.shape[:-2], -1) for v in flat))
    return found


def halve(
    trials: xr.DataArray, n_halvings: int, rng: np.random.Generator, *, level: np.ndarray | None = None
) -> np.ndarray:
    """Average random halves of the trials of each image.

    If trials are blocks, halves are drawn over blocks, the same for all images as far as possible; else
    for each image (`brainfit.statistics.blocks`, `brainfit.statistics.halves`). All units have the same
    halves, as far as they have the same trials, since the noise of a trial may be common to them.

    Parameters
    ----------
    trials
        Dims (image, trial, unit, time_bin); may be lazy: it is read some images at a time, once where every
        image has the same trials, else twice. A trial with NaN in any bin counts as missing for that unit.
    n_halvings
        Number of random halves; of few blocks all halves, if these are fewer.
    rng
        Decides the halves, which do not depend on the order of trials or units.
    level
        Number to take off each unit before averages are rounded to float32, shape (unit,); by default 0.

    Returns
    -------
    array, shape (half, halving, image, unit, time_bin), float32
        If the number of trials is odd, the second half has one more, or, of incomplete blocks, either half.
        NaN where a half has no trial.

    Raises
    ------
    ResourceError
        If it does not fit into memory.
    """
    n_images, _, n_units, n_bins = trials.shape
    check_memory(
        {"averages of halves": 8.0 * n_halvings * n_images * n_units * n_bins},
        "lower the number of images, units or halvings",
    )
    seed = int(rng.integers(2**63))
    level = np.zeros(n_units) if level is None else level
    complete = _halve_blocks(trials, n_halvings, seed, level)
    return _halve_images(trials, n_halvings, seed, level) if complete is None else complete


def _halve_blocks(trials: xr.DataArray, n_halvings: int, seed: int, level: np.ndarray) -> np.ndarray | None:
    """Average halves of complete blocks; None where an image or a unit lacks a trial that others have."""
    averages, slots, first = [], None, None
    for _, filled, present in _chunks(trials, level):
        if slots is None or first is None:
            slots = present[0, :, 0]
            order = trial_order(filled.sum(axis=2, dtype=float), np.any(present, axis=2))[0, : slots.sum()]
            halves = halves_of_blocks(len(order), n_halvings, np.random.default_rng(seed))
            first = np.zeros((len(halves), len(slots)), np.float32)
            first[:, order] = halves
        if slots.sum() < 2 or (present != slots[None, :, None]).any():
            return None
        masks = np.stack([first, slots - first])
        masks /= masks.sum(axis=2, keepdims=True)
        averages.append(np.einsum("hst,itub->hsiub", masks, filled, optimize=True).astype(np.float32))
    return np.concatenate(averages, axis=2)


def _halve_images(trials: xr.DataArray, n_halvings: int, seed: int, level: np.ndarray) -> np.ndarray:
    """Average halves of trials that some image or unit lacks."""
    n_images, n_trials, n_units, n_bins = trials.shape
    over_units = [
        (filled.sum(axis=2, dtype=float), present.any(axis=2))
        for _, filled, present in _chunks(trials, level)
    ]
    total, any_unit = (np.concatenate(parts) for parts in zip(*over_units, strict=True))
    order, rng = trial_order(total, any_unit), np.random.default_rng(seed)
    blocks = np.zeros((0, n_trials), bool)
    if are_blocks(any_unit):
        drawn = halves_of_blocks(int(any_unit.any(axis=0).sum()), n_halvings, rng)
        blocks = np.pad(drawn, ((0, 0), (0, n_trials - drawn.shape[1])))
        n_halvings = len(blocks)
    keys = rng.random((n_images, n_halvings, n_trials), dtype=np.float32)
    halves = np.empty((2, n_halvings, n_images, n_units, n_bins), np.float32)
    for images, filled, present in _chunks(trials, level):
        filled = np.take_along_axis(filled, order[images, :, None, None], axis=1)
        present = np.take_along_axis(present, order[images, :, None], axis=1)
        patterns, member = np.unique(present.reshape(-1, n_units), axis=1, return_inverse=True)
        for k, pattern in enumerate(patterns.T):
            units = np.flatnonzero(member.ravel() == k)
            there = pattern.reshape(len(filled), n_trials)
            if len(blocks):
                again = np.random.default_rng(seed)
                first = halves_of_incomplete_blocks(blocks, there, again).swapaxes(0, 1)
            else:
                rank = np.where(there[:, None], keys[images], np.inf).argsort(axis=-1).argsort(axis=-1)
                first = rank < there.sum(axis=-1)[:, None, None] // 2
            values = filled[:, :, units].reshape(len(filled), n_trials, -1)
            for half, mask in enumerate((first, there[:, None] & ~first)):
                with np.errstate(invalid="ignore"):
                    mean = mask.astype(np.float32) @ values / mask.sum(axis=-1, keepdims=True)
                shaped = mean.reshape(len(filled), n_halvings, len(units), n_bins)
                halves[half][:, images, units] = shaped.swapaxes(0, 1)
    return halves


def _chunks(trials: xr.DataArray, level: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield some images, their trials about a level, with 0 where one is missing, and which are present."""
    for start in range(0, trials.sizes["image"], _IMAGES_AT_ONCE):
        images = slice(start, start + _IMAGES_AT_ONCE)
        some = trials.isel(image=images).values
        present = np.asarray(np.isfinite(some).all(axis=3))
        yield images, np.where(present[..., None], some - level[:, None], 0).astype(np.float32), present
