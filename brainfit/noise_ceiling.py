"""The noise ceiling of a region by itself: what there is to predict, before any model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from brainfit.arguments import whole_number
from brainfit.ceiling import SplitHalf
from brainfit.errors import ContractError
from brainfit.progress import progress_bar
from brainfit.recording import Recording
from brainfit.reliability import ceilings, measure
from brainfit.request import select
from brainfit.responses import Dropped, average_trials, require_trials, seen_images

N_SPLITS = 100


def noise_ceiling(
    recording: Recording | str | Path,
    *,
    region: str,
    n_images: int | None = None,
    n_splits: int = N_SPLITS,
    seed: int = 0,
    progress: bool = False,
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
        Of the halves and the choice of images.
    progress
        Whether to show a progress bar on stderr.

    Returns
    -------
    Dataset
        `split_half`, `reliability`, `ceiling`, `pearson_reliability`, `defined` over (unit, time_bin), and
        the same with the prefix ``window_`` over (window, unit), windows ``pooled``, ``early``, ``late``,
        as in `brainfit.result.Score`. NaN where a unit is not reliable for sure. The attributes say of
        what, and what was dropped and why.

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
    seed, n_splits = whole_number("seed", seed), whole_number("n_splits", n_splits, least=1)
    chosen = select(recording, region, n_images, seed)
    require_trials(chosen)
    dropped = Dropped()
    with progress_bar("count trials (images)", chosen.n_images, shown=progress) as advance:
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
    with progress_bar("noise ceiling (units, thrice)", 3 * int(units.sum()), shown=progress) as advance:
        found = measure(trials, n_splits=n_splits, seed=seed, advance=advance)

    by_bin, by_window = ("unit", "time_bin"), ("window", "unit")
    per_bin, defined = SplitHalf(found.per_bin.spearman.T, found.per_bin.pearson.T), found.defined.T
    arrays = {
        "split_half": (by_bin, per_bin.spearman),
        "defined": (by_bin, defined),
        **ceilings("", by_bin, per_bin, defined),
        "window_split_half": (by_window, found.pooled.spearman),
        "window_defined": (by_window, found.known),
        **ceilings("window_", by_window, found.pooled, found.known),
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
    return xr.Dataset(arrays, coords={**coords, "window": list(found.windows)}, attrs=attributes)
