"""Estimate the noise ceiling of a region without a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError
from brainfit.execution import Execution, or_default
from brainfit.scoring.pictures import find_pictures
from brainfit.scoring.reliability import N_SPLITS, ceilings, measure
from brainfit.scoring.request import select
from brainfit.scoring.responses import (
    Dropped,
    average_trials,
    drop_beyond_precision,
    repeated_images,
    require_trials,
    seen_images,
)
from brainfit.scoring.result_base import Result
from brainfit.statistics.bootstrap import (
    MIN_UNITS,
    Sums,
    count_pictures,
    median_of_units,
    reliability_of_resamples,
    resample,
)
from brainfit.statistics.groups import number_groups
from brainfit.support.arguments import whole_number
from brainfit.support.progress import progress_bar
from brainfit.support.seeds import generator

N_RESAMPLES = 1000


@dataclass(frozen=True, eq=False, repr=False)
class NoiseCeiling(Result):
    """Agreement between the trials of each unit; `noise_ceiling` describes the variables."""

    ROWS: ClassVar[tuple[str, ...]] = ("window", "unit")


def noise_ceiling(
    recording: Recording | str | Path,
    *,
    region: str,
    n_images: int | None = None,
    n_splits: int = N_SPLITS,
    seed: int = 0,
    execution: Execution | None = None,
) -> NoiseCeiling:
    """Estimate how well a perfect model could predict each unit of a region.

    A score reports the same numbers for its held-out images; here all images are used.

    Parameters
    ----------
    recording
        A recording with single trials, or its name or path.
    region
        ``V1``, ``V2``, ``V4``, ``pIT``, ``cIT``, ``aIT``, or ``IT`` for the last three.
    n_images
        Number of images to use, balanced over objects; by default all.
    n_splits
        Random halves of the trials to average over.
    seed
        Seed of the halves, the bootstrap and the choice of images.
    execution
        Settings of the run (`brainfit.Execution`); its `progress` shows a bar.

    Returns
    -------
    NoiseCeiling
        `split_half`, `reliability`, `ceiling`, `pearson_reliability`, `defined` over (unit, time_bin), and
        the same with the prefix ``window_`` over (window, unit), windows ``pooled``, ``early``, ``late``,
        as in `brainfit.scoring.result.Score`. NaN where a reliability is not
        distinguishable from zero. `window_ci95` over (window,
        bound) is `ceiling_interval`. The attributes hold the provenance, and what was dropped and why.

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
    with progress_bar("count trials (images)", chosen.n_images, shown=execution.progress) as on_progress:
        averages = average_trials(chosen.responses, on_progress)
    seen = seen_images(averages, dropped)
    images = seen[repeated_images(averages)[seen]]
    dropped.add(
        "images", len(seen) - len(images), "under two trials for more than half of the region's units"
    )
    if not len(images):
        raise ContractError(
            f"recording {chosen.name!r} has no image with two trials for half of the units of {region!r}; "
            f"a noise ceiling compares trials of the same image{averages.explain_partial()}"
        )
    units = averages.n_trials[images].min(axis=0) >= 2
    if not units.any():
        raise ContractError(
            f"none of {len(units)} units has two trials of each of {len(images)} images: units saw different "
            f"images; choose a region or units that saw the same ones{averages.explain_partial()}"
        )
    dropped.add("units", int((~units).sum()), "under two trials of some image")
    units = drop_beyond_precision(averages, images, units, dropped)
    trials = chosen.responses.isel(image=images, unit=np.flatnonzero(units))
    with progress_bar("noise ceiling (units)", int(units.sum()), shown=execution.progress) as on_progress:
        found = measure(
            trials,
            window=chosen.response_window,
            n_splits=n_splits,
            seed=seed,
            on_progress=on_progress,
        )

    with progress_bar("compare pictures (images)", len(images), shown=execution.progress) as on_progress:
        pictures = find_pictures(chosen.stimuli.isel(image=images), on_progress).group
    mean = averages.mean[images][:, units]
    mean = mean - mean.mean(axis=(0, 2), keepdims=True)
    by_bin, by_window, bounds = ("unit", "time_bin"), ("window", "unit"), ("window", "bound")
    defined = found.defined.T
    plain = ceilings("window_", by_window, found.window_split_half, found.plain, found.known)
    driven = np.where(found.known, found.image_driven, np.nan)

    def intervals(values: np.ndarray, noise: np.ndarray, *, image_driven: bool) -> list[tuple[float, float]]:
        return [
            ceiling_interval(
                mean,
                of_window,
                bins,
                of_units,
                generator(seed, "bootstrap"),
                groups=pictures,
                image_driven=image_driven,
            )
            for of_window, bins, of_units in zip(noise, found.bins, values, strict=True)
        ]

    arrays = {
        "split_half": (by_bin, found.split_half.T),
        "defined": (by_bin, defined),
        **ceilings("", by_bin, found.split_half.T, found.pearson.T, defined),
        "window_split_half": (by_window, found.window_split_half),
        "window_defined": (by_window, found.known),
        **plain,
        "window_ci95": (bounds, intervals(plain["window_ceiling"][1], found.plain_noise, image_driven=False)),
        "window_image_driven_reliability": (by_window, driven),
        "window_image_driven_ceiling": (by_window, np.sqrt(driven)),
        "window_image_driven_ci95": (
            bounds,
            intervals(np.sqrt(driven), found.driven_noise, image_driven=True),
        ),
        "window_bins": (("window", "time_bin"), found.bins),
    }
    coords = {name: c for name, c in trials.coords.items() if not {"trial", "image"} & set(c.dims)}
    info = {
        "recording": chosen.name,
        "region": region,
        "simulated": chosen.simulated,
        "n_images": len(images),
        "n_splits": n_splits,
        "halving": found.halving,
        "seed": seed,
        "dropped": [f"{record['n']} {record['what']}: {record['why']}" for record in dropped.records],
    }
    coords |= {"window": list(found.windows), "bound": ["low", "high"]}
    return NoiseCeiling(xr.Dataset(arrays, coords), info)


def ceiling_interval(
    mean: np.ndarray,
    noise: np.ndarray,
    bins: np.ndarray,
    ceilings: np.ndarray,
    rng: np.random.Generator,
    *,
    groups: np.ndarray | None = None,
    image_driven: bool = False,
    n_resamples: int = N_RESAMPLES,
) -> tuple[float, float]:
    """Return the 95 % interval of the median ceiling over new images and units, as in `median_of_units`.

    The variation that units share because of which images were drawn is that of the Pearson ceiling, which
    can be recomputed for a resample without dividing trials anew.

    Parameters
    ----------
    mean
        Trial averages about each unit's level, shape (image, unit, time_bin).
    noise, image_driven
        Variance that noise adds in the window, shape (image, unit); and True if each bin's mean over
        images is taken off; see `brainfit.statistics.bootstrap.reliability_of_resamples`.
    bins
        The window, shape (time_bin,), bool.
    ceilings
        Spearman or Pearson, shape (unit,); NaN where undefined. The interval is NaN if fewer than three are
        defined.
    groups
        Images with the same label show the same picture and are drawn together, shape (image,); by default
        all are different.
    """
    known = np.isfinite(ceilings)
    if known.sum() < MIN_UNITS or not bins.any():
        return np.nan, np.nan
    _, groups = number_groups(groups, len(mean))
    sums = Sums.over(np.zeros_like(mean), mean, bins, image_driven=image_driven)
    resampled = np.sqrt(reliability_of_resamples(sums, noise, resample(groups, n_resamples, rng)))
    low, high = median_of_units(ceilings[known], resampled[:, known], count_pictures(groups), rng).interval()
    return max(low, 0.0), min(high, 1.0)
