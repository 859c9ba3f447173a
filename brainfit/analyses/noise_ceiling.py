"""The noise ceiling of a region by itself: what there is to predict, before any model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError
from brainfit.execution import Execution, or_default
from brainfit.scoring.reliability import N_SPLITS, ceilings, measure
from brainfit.scoring.request import select
from brainfit.scoring.responses import Dropped, average_trials, require_trials, seen_images
from brainfit.statistics.bootstrap import (
    MIN_UNITS,
    Moments,
    median_of_units,
    reliability_of_resamples,
    resample,
    window_moments,
)
from brainfit.statistics.split_half import SplitHalf
from brainfit.support.arguments import whole_number
from brainfit.support.progress import progress_bar
from brainfit.support.seeds import generator

N_RESAMPLES = 1000


def noise_ceiling(
    recording: Recording | str | Path,
    *,
    region: str,
    n_images: int | None = None,
    n_splits: int = N_SPLITS,
    seed: int = 0,
    execution: Execution | None = None,
) -> xr.Dataset:
    """Estimate how well a perfect model could predict each unit of a region.

    A score has the same numbers for its held-out images; here all images serve.

    Parameters
    ----------
    recording
        A recording with single trials, or its name or path.
    region
        ``V1``, ``V2``, ``V4``, ``pIT``, ``cIT``, ``aIT``, or ``IT`` for the last three.
    n_images
        Use so many images, balanced over objects; by default all.
    n_splits
        Random halves of the trials to average over.
    seed
        Of the halves, the bootstrap and the choice of images.
    execution
        Where and how the work runs (`brainfit.Execution`); its `progress` shows a bar.

    Returns
    -------
    Dataset
        `split_half`, `reliability`, `ceiling`, `pearson_reliability`, `defined` over (unit, time_bin), and
        the same with the prefix ``window_`` over (window, unit), windows ``pooled``, ``early``, ``late``,
        as in `brainfit.scoring.result.Score`. NaN where a unit is not reliable for sure. `window_ci95` over (window,
        bound) is `ceiling_interval`. The attributes say of what, and what was dropped and why.

    Raises
    ------
    UnknownNameError
        If there is no such recording or region.
    ContractError
        If it has no single trials, or no unit with two trials of every image.

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, Fig. 5c; Spearman (1910) and Brown (1910), Br. J. Psychol. 3.
    """
    execution = or_default(execution)
    seed, n_splits = whole_number("seed", seed), whole_number("n_splits", n_splits, least=1)
    chosen = select(recording, region, n_images, seed)
    require_trials(chosen)
    dropped = Dropped()
    with progress_bar("count trials (images)", chosen.n_images, shown=execution.progress) as advance:
        averages = average_trials(chosen.responses, advance)
    images = seen_images(averages, dropped)
    units = averages.n_trials[images].min(axis=0) >= 2
    if not units.any():
        raise ContractError(
            f"none of {len(units)} units has two trials of every image; "
            "leave out the images that few units saw"
        )
    dropped.add("units", int((~units).sum()), "under two trials of some image")
    trials = chosen.responses.isel(image=images, unit=np.flatnonzero(units))
    level = averages.mean[images][:, units].mean(axis=(0, 2))
    moments: list[list[Moments]] = []

    def visit(some_units: slice, some: np.ndarray, windows: np.ndarray) -> None:
        for k, zero in enumerate(level[some_units]):  # one by one: they take several times their memory
            one = some[:, :, k : k + 1] - zero
            moments.append([window_moments(np.zeros_like(one[:, 0]), one, bins) for bins in windows])

    with progress_bar(
        "noise ceiling (units, thrice)", 3 * int(units.sum()), shown=execution.progress
    ) as advance:
        found = measure(trials, n_splits=n_splits, seed=seed, advance=advance, visit=visit)

    of_windows = [Moments.of_units(parts) for parts in zip(*moments, strict=True)]
    by_bin, by_window = ("unit", "time_bin"), ("window", "unit")
    per_bin, defined = SplitHalf(found.per_bin.spearman.T, found.per_bin.pearson.T), found.defined.T
    window_ceilings = ceilings("window_", by_window, found.pooled, found.known)
    intervals = [
        ceiling_interval(part, of_units, generator(seed, "bootstrap"))
        for part, of_units in zip(of_windows, window_ceilings["window_ceiling"][1], strict=True)
    ]
    arrays = {
        "split_half": (by_bin, per_bin.spearman),
        "defined": (by_bin, defined),
        **ceilings("", by_bin, per_bin, defined),
        "window_split_half": (by_window, found.pooled.spearman),
        "window_defined": (by_window, found.known),
        **window_ceilings,
        "window_ci95": (("window", "bound"), intervals),
        "window_bins": (("window", "time_bin"), found.bins),
    }
    coords = {name: c for name, c in trials.coords.items() if not {"trial", "image"} & set(c.dims)}
    attributes = {
        "recording": chosen.name,
        "region": region,
        "simulated": int(chosen.simulated),
        "n_images": len(images),
        "n_splits": n_splits,
        "seed": seed,
        "dropped": [f"{record['n']} {record['what']}: {record['why']}" for record in dropped.records],
    }
    return xr.Dataset(
        arrays, coords={**coords, "window": list(found.windows), "bound": ["low", "high"]}, attrs=attributes
    )


def ceiling_interval(
    moments: Moments, ceilings: np.ndarray, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % interval of the median ceiling over new images and units, as in `median_of_units`.

    The luck with images is that of the Pearson ceiling, which can be recomputed for a resample without
    drawing halves anew.

    Parameters
    ----------
    moments
        Of one window, whatever they predict.
    ceilings
        Spearman or Pearson, shape (unit,); NaN where undefined. NaN for fewer than three that are not.
    """
    known = np.isfinite(ceilings)
    if known.sum() < MIN_UNITS:  # as in a window that pools no bin, where nothing can be computed
        return np.nan, np.nan
    n_images = len(moments.half_sq)
    resampled = np.sqrt(reliability_of_resamples(moments, resample(n_images, n_resamples, rng)))
    low, high = median_of_units(ceilings[known], resampled[:, known], n_images, rng).interval()
    return max(low, 0.0), min(high, 1.0)
