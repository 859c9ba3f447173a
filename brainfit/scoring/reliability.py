"""Estimate how reliable units are, bin by bin and over windows of time: the ceilings of a Score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import xarray as xr

from brainfit.contracts.vocabulary import WINDOWS
from brainfit.errors import ContractError
from brainfit.scoring.responses import unit_chunks
from brainfit.statistics.reliability import ALPHA, TrialNoise, pearson_reliability
from brainfit.statistics.split_half import RandomHalves, SplitHalf, spearman_brown
from brainfit.support.seeds import generator

N_SPLITS = 100
"""Random halves of the trials to average over, unless another number is given."""
RESPONSE_STARTS_MS = 70
"""Start of the pooled window of a recording without a response window; it ends with the last bin."""
TRAJECTORY_MS = (50, 250)
"""The bins over which trajectories are correlated: Nayebi et al. (2018), Fig. S1b."""


@dataclass(frozen=True)
class Reliability:
    """Agreement between trials of the same images, for each unit.

    Attributes
    ----------
    split_half, window_split_half
        Mean Spearman correlation between random halves of the trials: in each bin, shape (bin, unit), and
        over images x the bins of a window, shape (window, unit).
    pearson
        Pearson reliability of the trial averages in each bin, in closed form, shape (bin, unit).
    plain, image_driven
        The same over images x the bins of a window, as responses are and with each bin's mean over images
        taken off, shape (window, unit).
    plain_noise, driven_noise
        Variance that noise adds in a window, shape (window, image, unit); see `TrialNoise`.
    defined
        True where the reliability in a bin is distinguishable from zero, shape (bin, unit).
    known
        True where the image-driven reliability over a window is, shape (window, unit). A time course that all
        images share makes trials agree as well, so it does not define a unit.
    windows
        For each window, ``pooled``, ``early`` and ``late``, its range in ms.
    bins
        Bins that each window pools, shape (window, bin), bool.
    trajectories, driven_trajectories
        Correlation over time of trial halves, median over images, Spearman-Brown corrected, shape (unit,);
        NaN where it is not positive.
    blocks
        True for units whose trials are blocks, shape (unit,).
    complete
        True for units of which every image has the same trials, shape (unit,).
    drifting
        True for units whose trials are no blocks though their level differs between positions of the trial
        axis, shape (unit,): responses drift, and nothing says how.
    """

    split_half: np.ndarray
    window_split_half: np.ndarray
    pearson: np.ndarray
    plain: np.ndarray
    image_driven: np.ndarray
    plain_noise: np.ndarray
    driven_noise: np.ndarray
    defined: np.ndarray
    known: np.ndarray
    windows: dict[str, tuple[float, float]]
    bins: np.ndarray
    trajectories: np.ndarray
    driven_trajectories: np.ndarray
    blocks: np.ndarray
    complete: np.ndarray
    drifting: np.ndarray

    @property
    def halving(self) -> str:
        """Say how trials were halved."""
        if self.complete.all():
            return "by block, the same halves for all images: every image has the same trials"
        if self.blocks.all():
            return (
                "by block, the same halves for all images as far as possible: images lack trials of some "
                "blocks, whose levels were estimated by least squares"
            )
        if not self.blocks.any():
            return "for each image: images differ in their number of trials, and blocks cannot be told"
        return (
            f"by block for {int(self.blocks.sum())} of {len(self.blocks)} units, for each image for the rest"
        )


def measure(
    trials: xr.DataArray,
    *,
    window: tuple[float, float] | None = None,
    n_splits: int,
    seed: int,
    on_progress: Callable[[int], None] = lambda units: None,
) -> Reliability:
    """Estimate the reliability of each unit, per bin and over windows.

    Parameters
    ----------
    trials
        Dims (image, trial, unit, time_bin), coordinates ``time_bin_start`` and ``time_bin_end``; may be lazy:
        it is read once, some units at a time.
    window
        Range of the pooled window in ms; by default from `RESPONSE_STARTS_MS` to the end.
    n_splits, seed
        Number and seed of the random halves; the same serve all units, bins and windows.
    on_progress
        Called with the number of units done.

    Raises
    ------
    ContractError
        If no bin lies in `window`.
    """
    windows, bins = pooled_bins(trials, window)
    n_images, n_trials, _, n_bins = trials.shape
    halves = RandomHalves(n_images, n_trials, n_splits, generator(seed, "trial halves"))
    each_bin, over_time = np.eye(n_bins, dtype=bool), bins_within(trials, *TRAJECTORY_MS)
    parts: list[SplitHalf] = []
    noises: list[tuple[np.ndarray, ...]] = []
    for _, some in unit_chunks(trials):
        groups = np.vstack([each_bin, bins])
        parts.append(halves.correlate(some, groups, trajectory_bins=over_time, on_progress=on_progress))
        noises += [_closed_form(some[:, :, unit], bins) for unit in range(some.shape[2])]
    correlated = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts], axis=-1)
        for field in fields(SplitHalf)
    }
    pearson, plain, driven, plain_noise, driven_noise, p, blocks, complete, drifting = (
        np.stack(values, axis=-1) for values in zip(*noises, strict=True)
    )
    return Reliability(
        split_half=correlated["spearman"][:n_bins],
        window_split_half=correlated["spearman"][n_bins:],
        pearson=pearson,
        plain=plain,
        image_driven=driven,
        plain_noise=plain_noise,
        driven_noise=driven_noise,
        defined=p[:n_bins] < ALPHA,
        known=p[n_bins:] < ALPHA,
        windows=windows,
        bins=bins,
        trajectories=spearman_brown(correlated["trajectories"]),
        driven_trajectories=spearman_brown(correlated["driven_trajectories"]),
        blocks=blocks,
        complete=complete,
        drifting=drifting,
    )


def _closed_form(trials: np.ndarray, bins: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return reliabilities, noise and p-values of a unit's trials, shape (image, trial, time_bin)."""
    noise = TrialNoise.of(trials)
    per_bin, p = noise.per_bin(), noise.p_values(np.vstack([np.eye(len(bins[0]), dtype=bool), bins]))
    driven = noise.mean - noise.mean.mean(axis=0)
    n_windows, n_images = len(bins), len(noise.mean)
    reliability, of_window = np.full((2, n_windows), np.nan), np.zeros((2, n_windows, n_images))
    for w, inside in enumerate(bins):
        if inside.any():
            of_window[:, w] = noise.over(inside), per_bin[:, inside].mean(axis=1)
            for k, values in enumerate((noise.mean, driven)):
                reliability[k, w] = pearson_reliability(values[:, inside], of_window[k, w])
    each = pearson_reliability(noise.mean[..., None], per_bin)
    complete = (noise.n_trials == noise.present.shape[1]).all()
    drifting = not noise.blocks and noise.drift_p() < ALPHA
    return each, *reliability, *of_window, p, *map(np.array, (noise.blocks, complete, drifting))


def pooled_bins(
    responses: xr.DataArray, window: tuple[float, float] | None = None
) -> tuple[dict[str, tuple[float, float]], np.ndarray]:
    """Return the range in ms of each window, and the bins it pools, shape (window, time_bin), bool.

    The pooled window has all bins that lie wholly in `window`, by default those from `RESPONSE_STARTS_MS` to
    the end or, where there are none such, all bins. It does not depend on the responses.
    """
    start, end = (responses[f"time_bin_{edge}"].values.astype(float) for edge in ("start", "end"))
    pooled = (float(RESPONSE_STARTS_MS), float(end.max())) if window is None else window
    if not bins_within(responses, *pooled).any():
        if window is not None:
            raise ContractError(
                f"the response window, {window[0]:g} to {window[1]:g} ms, holds none of the time bins, "
                f"which run from {start[0]:g} to {end[-1]:g} ms; give a window that holds at least one bin"
            )
        pooled = float(start[0]), float(end.max())
    windows = {"pooled": pooled, **{name: (float(a), float(b)) for name, (a, b) in WINDOWS.items()}}
    return windows, np.array([bins_within(responses, *span) for span in windows.values()])


def bins_within(responses: xr.DataArray, start: float, end: float) -> np.ndarray:
    """Return which bins lie wholly between `start` and `end` ms, shape (time_bin,), bool."""
    return ((responses["time_bin_start"] >= start) & (responses["time_bin_end"] <= end)).values


def ceilings(
    prefix: str, dims: tuple[str, ...], split_half: np.ndarray, pearson: np.ndarray, defined: np.ndarray
) -> dict:
    """Return reliabilities and ceiling as variables of a dataset; NaN where they are not defined."""
    reliability = np.where(defined, spearman_brown(split_half), np.nan)
    return {
        f"{prefix}reliability": (dims, reliability),
        f"{prefix}ceiling": (dims, np.sqrt(reliability)),
        f"{prefix}pearson_reliability": (dims, np.where(defined & (pearson > 0), pearson, np.nan)),
    }
