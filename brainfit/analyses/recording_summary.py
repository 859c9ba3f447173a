"""Describe a recording: regions, animals, trials, bins, kinds of values, and what a score would say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording, check_recording
from brainfit.scoring.pictures import find_pictures
from brainfit.scoring.preview import preview_recording
from brainfit.scoring.request import choose_images
from brainfit.scoring.responses import no_responses, unit_chunks
from brainfit.support.progress import progress_bar

SAMPLE_BYTES = 128 * 2**20
"""Responses that `describe_recording` reads, about: all of a small recording, some units of a large one."""
N_READ = 5
"""Images that `read_some` reads."""
_N_STEPS = 20  # of the progress bar


def read_some(recording: Recording) -> None:
    """Read a few images and the responses of all units to them, which finds a file that was cut short.

    Raises
    ------
    IntegrityError
        If the file behind it is damaged there.
    """
    some = recording.select_images(np.unique(np.linspace(0, recording.n_images - 1, N_READ).astype(int)))
    _ = some.responses.values, some.stimuli.values


def describe_recording(
    recording: Recording,
    *,
    n_images: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Describe what a recording holds, and what a score of each region would say, as plain values.

    Parameters
    ----------
    recording
        A recording in any layout; of a large one some units of each region and animal are read, with all
        their images and trials.
    n_images, seed
        As for `brainfit.score`, for model steps of 10 ms.
    progress
        True for progress bars on stderr.

    Returns
    -------
    dict
        ``units`` by region and animal; ``images``; ``trials`` (least and most of an image; None: averaged);
        ``time_bins``; ``values``; ``left_out``, what the loader left out; ``scores``, by region the
        `brainfit.scoring.preview.Preview`; ``read``, the number of units that were read; ``responses_bytes``.

    Raises
    ------
    ContractError, IntegrityError
        If it is not a recording, or a file behind it is damaged.
    """
    check_recording(recording)
    read_some(recording)  # before the progress bar: finds most damaged files
    responses = recording.responses
    groups = list(_groups(recording))
    unit_bytes = responses.dtype.itemsize * responses.size / responses.sizes["unit"]
    share = max(1, int(SAMPLE_BYTES / unit_bytes / len(groups)))
    sampled = np.sort(np.concatenate([_spread(units, share) for *_, units in groups]))
    units: dict[str, dict[str, int]] = {}
    for region, animal, members in groups:
        units.setdefault(region, {})[animal] = len(members)
    sample = _loaded(choose_images(recording.select_units(sampled), n_images, seed), progress)
    values, trials = _values(sample)
    with progress_bar("compare pictures (images)", sample.n_images, shown=progress) as on_progress:
        pictures = find_pictures(sample.stimuli, on_progress)
    previews = {region: preview_recording(sample, region, pictures=pictures, seed=seed) for region in units}
    return {
        "name": recording.name,
        "simulated": recording.simulated,
        "units": units,
        "images": _images(recording),
        "trials": trials,
        "time_bins": _bins(responses),
        "values": values,
        "left_out": _left_out(recording.provenance.get("dropped")),
        "scores": {region: preview.to_dict() for region, preview in previews.items()},
        "read": {"units": len(sampled), "of": responses.sizes["unit"]},
        "responses_bytes": responses.dtype.itemsize * responses.size,
    }


def _left_out(stated: object) -> list[dict[str, Any]]:
    """Return what a loader left out, in the form of a score's `dropped`."""
    rows = stated if isinstance(stated, list) else []
    return [row for row in rows if isinstance(row, dict) and {"what", "n", "why"} <= row.keys()]


def _groups(recording: Recording) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield region, animal and units of each, the regions from V1 up."""
    region, animal = (recording.responses[name].values.astype(str) for name in ("region", "animal"))
    for one in recording.regions:
        for other in np.unique(animal[region == one]):
            yield one, str(other), np.flatnonzero((region == one) & (animal == other))


def _spread(units: np.ndarray, most: int) -> np.ndarray:
    return units[np.unique(np.linspace(0, len(units) - 1, min(most, len(units))).astype(int))]


def _loaded(sample: Recording, progress: bool) -> Recording:
    """Read the responses, a few images at a time; every later step finds them in memory."""
    responses = sample.responses
    values = np.empty(responses.shape, responses.dtype)
    with progress_bar("read responses (images)", sample.n_images, shown=progress) as on_progress:
        for images in np.array_split(np.arange(sample.n_images), min(sample.n_images, _N_STEPS)):
            values[images] = responses.isel(image=images).values
            on_progress(len(images))
    return replace(sample, responses=responses.copy(data=values))


def _values(sample: Recording) -> tuple[dict[str, Any], dict[str, int] | None]:
    """Return range and kind of the values, and the range of trials per image, in one pass."""
    low, high, n_nan, whole = np.inf, -np.inf, 0, True
    n_trials = np.zeros(sample.n_images, int)
    for _, part in unit_chunks(sample.responses):
        known = np.isfinite(part)
        n_nan += known.size - int(known.sum())
        if known.any():
            low, high = min(low, float(part[known].min())), max(high, float(part[known].max()))
            whole = whole and bool((part[known] == np.rint(part[known])).all())
        if sample.has_trials:
            n_trials = np.maximum(n_trials, known.any(axis=(2, 3)).sum(axis=1))
    if low > high:
        raise no_responses(sample)
    counts = whole and low >= 0
    kind = "counts" if counts else "negative too, so normalised" if low < 0 else "fractions, so no counts"
    values = {
        "kind": kind,
        "min": low,
        "max": high,
        "nan_percent": round(100 * n_nan / sample.responses.size, 2),
        "dtype": str(sample.responses.dtype),
    }
    return values, {"min": int(n_trials.min()), "max": int(n_trials.max())} if sample.has_trials else None


def _images(recording: Recording) -> dict[str, Any]:
    responses, stimuli = recording.responses, recording.stimuli
    return {
        "n": recording.n_images,
        "pixels": stimuli.sizes["height"],
        "dtype": str(stimuli.dtype),
        "objects": len(np.unique(responses["object_name"].values)),
        "variations": np.unique(responses["variation"].values).tolist(),
    }


def _bins(responses: xr.DataArray) -> dict[str, Any]:
    start, end = (responses[f"time_bin_{edge}"].values.astype(float) for edge in ("start", "end"))
    widths = end - start
    return {
        "n": len(start),
        "start_ms": float(start[0]),
        "end_ms": float(end.max()),
        "width_ms": [float(widths.min()), float(widths.max())],
        "overlap": bool((start[1:] < end[:-1]).any()),
    }
