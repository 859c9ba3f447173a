"""Responses ready to be fitted: bins matched to steps, trials averaged, what is missing dropped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from brainfit.contracts.dropped import Dropped
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.recording import Recording, ceiling_obstacle
from brainfit.errors import ContractError
from brainfit.scoring.pictures import NEAR, Pictures, find_pictures
from brainfit.statistics.splits import image_folds, train_test_split
from brainfit.support.messages import printable
from brainfit.support.progress import progress_bar

CHUNK_BYTES = 256 * 2**20
"""Single trials that are read at a time, about, if they are float32."""
_MIN_SEEN = 0.5
_MIN_REPEATS = 2
_LARGE = 1e15  # squares of such numbers can be added up in float32
_PROBED = 64  # numbers of a trial that are compared before all of them
_MIN_DISTINCT = 10
_MIN_STEPS = 64  # distances between neighbouring numbers that a unit's responses must span


@dataclass(frozen=True)
class Averages:
    """Trial-averaged responses.

    Attributes
    ----------
    mean
        Shape (image, unit, time_bin), float64; NaN where an image has no trial for a unit.
    n_trials
        Trials averaged, shape (image, unit); a trial with NaN in any bin does not count.
    units
        Names of the units, shape (unit,), for messages; by default their positions.
    precision
        Smallest relative difference between numbers of the trials' type.
    n_copied
        Number of images that have two equal trials; see `has_copies`.
    partial
        Trials of single units that are NaN in this bin but have a value in another, shape (time_bin,); None
        if they were not counted.
    n_partial
        Trials of single units that are NaN in some bins but not in all.
    """

    mean: np.ndarray
    n_trials: np.ndarray
    units: np.ndarray | None = None
    precision: float = float(np.finfo(float).eps)
    n_copied: int = 0
    partial: np.ndarray | None = None
    n_partial: int = 0

    def explain_partial(self) -> str:
        """Return the end of a message about trials that lack some bins; it is empty if none do."""
        if self.partial is None or not self.n_partial:
            return ""
        return (
            f"; a trial with NaN in any time bin is left out, and {self.n_partial} trials of single units "
            f"lack some bins, most often bin {int(self.partial.argmax())}: drop the bins or units that lack "
            "values"
        )


@dataclass(frozen=True)
class Responses:
    """Responses of a region, ready to be fitted.

    Attributes
    ----------
    recording
        Units and bins that are used; all images.
    mean
        Trial averages, shape (image, unit, time_bin), float64.
    steps
        For each time bin, the model steps that it is compared with.
    train, test
        Positions of images.
    folds
        The inner fold of each training image, shape (training image,).
    dropped
        Items that were left out, with reasons.
    pictures
        Images with the same number show the same picture, shape (image,).
    split
        The way images were split, and what was found out about their pictures.
    """

    recording: Recording
    mean: np.ndarray
    steps: list[range]
    train: np.ndarray
    test: np.ndarray
    folds: np.ndarray
    dropped: Dropped
    pictures: np.ndarray
    split: dict[str, Any] = field(default_factory=dict)


def prepare(
    recording: Recording,
    presentation: Presentation,
    *,
    test_fraction: float,
    n_folds: int,
    seed: int,
    progress: bool = False,
    pictures: Pictures | None = None,
) -> Responses:
    """Match bins to steps, average trials, drop what is missing, and split images.

    The recording's own split is used if it has one. Otherwise images are split within object; images that
    show the same picture stay together, and those that are held out are drawn among the images that have
    repeats, since a training image needs one trial and a test image two.
    """
    dropped = Dropped()
    recording, steps = align_bins(recording, presentation, dropped)
    with progress_bar("average trials (images)", recording.n_images, shown=progress) as on_progress:
        averages = average_trials(recording.responses, on_progress)
    if not averages.n_trials.any():
        raise no_responses(recording)
    seen = seen_images(averages, dropped)
    train, test, groups, how = split_images(
        recording,
        averages,
        seen,
        test_fraction=test_fraction,
        seed=seed,
        progress=progress,
        pictures=pictures,
    )
    how["copied_trials"] = averages.n_copied
    units = complete_units(averages, train, test, dropped)
    objects = recording.responses["object_name"].values
    folds = image_folds(objects[train], n_folds, seed=seed, groups=groups[train])
    return Responses(
        recording=recording.select_units(units),
        mean=averages.mean[:, units],
        steps=steps,
        train=train,
        test=test,
        folds=folds,
        dropped=dropped,
        pictures=groups,
        split=how,
    )


def split_images(
    recording: Recording,
    averages: Averages,
    seen: np.ndarray,
    *,
    test_fraction: float,
    seed: int,
    progress: bool = False,
    pictures: Pictures | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Split the images at some positions into training and test.

    The images are read and compared unless it is known which `pictures` they show.

    Returns
    -------
    train, test
        Sorted positions of images.
    groups
        Images with the same number show the same picture, shape (image,).
    how
        The way the split was made, as plain values.
    """
    if pictures is None:
        with progress_bar("compare pictures (images)", recording.n_images, shown=progress) as on_progress:
            pictures = find_pictures(recording.stimuli, on_progress)
    labels, repeated = recording.responses.coords, repeated_images(averages)
    if "split" in labels:
        is_test = labels["split"].values[seen].astype(str) == "test"
        train, test = seen[~is_test], seen[is_test]
        how: dict[str, Any] = {"split": "the recording's own"}
        if len(train) < 2 or len(test) < 2:
            raise ContractError(
                f"recording {recording.name!r} has its own split, with {len(train)} training and "
                f"{len(test)} test images that were shown; at least 2 of each are needed"
            )
    else:
        if not repeated[seen].any():
            raise ContractError(
                f"recording {recording.name!r} has no image with two trials for half of the region's units; "
                f"noise ceilings take test images with repeats{averages.explain_partial()}"
            )
        parts = train_test_split(
            labels["object_name"].values[seen],
            test_fraction=test_fraction,
            seed=seed,
            groups=pictures.group[seen],
            candidates=repeated[seen],
        )
        train, test = (seen[part] for part in parts)
        how = {"split": f"drawn, {test_fraction:.4g} of the images within each object"}
        if n_single := int((~repeated[seen]).sum()):
            how["split"] += f"; {n_single} images without repeats are for training only"
    how |= {
        "same_picture": pictures.n_repeated,
        "same_picture_in_both": int(np.isin(pictures.group[test], pictures.group[train]).sum()),
        "near_duplicates": pictures.near_duplicates(test, train),
        "near_duplicate_threshold": NEAR,
    }
    return train, test, pictures.group, how


def repeated_images(averages: Averages) -> np.ndarray:
    """Return which images at least half of the units have two trials of, shape (image,), bool."""
    return (averages.n_trials >= _MIN_REPEATS).mean(axis=1) >= _MIN_SEEN


def require_trials(recording: Recording) -> None:
    """Raise unless the recording has the single trials that a noise ceiling needs."""
    if obstacle := ceiling_obstacle(recording):
        raise ContractError(obstacle)


def no_responses(recording: Recording) -> ContractError:
    """Return the error of a recording without a single response."""
    return ContractError(
        f"recording {recording.name!r} has no response in {recording.responses.sizes['unit']} units: all are "
        "NaN; see whether it was written whole"
    )


def align_bins(
    recording: Recording, presentation: Presentation, dropped: Dropped
) -> tuple[Recording, list[range]]:
    """Keep the bins that the presentation reaches, and match each with model steps.

    A bin of up to two steps is compared with the step that holds its centre, so that overlapping
    windows of 20 ms, 10 ms apart, are not smeared; a wider one with the mean of the steps whose
    centres lie in it. Bins before the image or after the last step are dropped.

    Returns
    -------
    recording, steps
        The recording with the bins kept, and for each the steps.
    """
    step, length = presentation.step_ms, presentation.n_steps * presentation.step_ms
    start = recording.responses["time_bin_start"].values.astype(float)
    end = recording.responses["time_bin_end"].values.astype(float)
    center = (start + end) / 2
    inside = (center >= 0) & (center < length)
    if not inside.any() or end[inside].max() < step:
        raise ContractError(
            f"recording {recording.name!r}: its time bins run from {start[0]:g} to {end[-1]:g}, "
            f"the presentation from 0 to {length} ms in steps of {step} ms; are they in ms from image onset?"
        )
    steps = []
    for first, last, middle in zip(start[inside], end[inside], center[inside], strict=True):
        covered = range(max(0, round(first / step)), min(presentation.n_steps, round(last / step)))
        steps.append(
            covered if last - first > 2 * step else range(int(middle // step), int(middle // step) + 1)
        )
    if len({group for group in steps if len(group) == 1}) < sum(len(group) == 1 for group in steps):
        raise ContractError(
            f"recording {recording.name!r}: several time bins fall in one {step} ms step; "
            f"average them to bins of at least {step} ms"
        )
    dropped.add("time bins", int((~inside).sum()), f"outside the presentation's 0 to {length} ms")
    return replace(recording, responses=recording.responses.isel(time_bin=inside)), steps


def average_trials(
    responses: xr.DataArray, on_progress: Callable[[int], None] = lambda images: None
) -> Averages:
    """Average over trials, reading as many images at a time as fit a fixed budget.

    Parameters
    ----------
    responses
        Dims (image, trial, unit, time_bin), may be lazy.
    on_progress
        Called with the number of images done.
    """
    n_images, _, n_units, n_bins = responses.shape
    mean = np.empty((n_images, n_units, n_bins))
    n_trials = np.empty((n_images, n_units), int)
    n_copied = 0
    partial, n_partial = np.zeros(n_bins, int), 0
    for images in _chunks(responses, "image"):
        trials = responses.isel(image=images).values
        known = np.isfinite(trials)
        present = np.asarray(known.all(axis=3))
        if not present.all():
            lacking = ~known[known.any(axis=3) & ~present]
            partial, n_partial = partial + lacking.sum(axis=0), n_partial + len(lacking)
        n_trials[images] = present.sum(axis=1)
        total = np.where(present[..., None], trials, 0).sum(axis=1, dtype=float)
        with np.errstate(invalid="ignore"):
            mean[images] = total / n_trials[images][..., None]
        n_copied += sum(map(has_copies, trials, present))
        on_progress(len(trials))
    units = responses["unit_id"].values if "unit_id" in responses.coords else None
    precision = np.finfo(responses.dtype if responses.dtype.kind == "f" else float).eps
    return Averages(mean, n_trials, units, float(precision), n_copied, partial, n_partial)


def has_copies(trials: np.ndarray, present: np.ndarray) -> bool:
    """Return True if two trials of an image are equal in all units and bins, to the last bit.

    Trials that hold fewer than ten different numbers can be equal by chance and do not count.

    Parameters
    ----------
    trials
        Shape (trial, unit, time_bin).
    present
        Which trials exist for each unit, shape (trial, unit), bool.
    """
    flat = trials[present.any(axis=1)]
    flat = flat.reshape(len(flat), math.prod(flat.shape[1:]))  # -1 has no value where an image has no trial
    some = flat[:, :: max(1, flat.shape[1] // _PROBED)]
    if len({row.tobytes() for row in some}) == len(flat):
        return False
    seen: set[bytes] = set()
    for row in flat:
        name = row.tobytes()
        if name in seen and len(np.unique(row)) >= _MIN_DISTINCT:
            return True
        seen.add(name)
    return False


def unit_chunks(responses: xr.DataArray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield slices of units with their single trials, shape (image, trial, unit, time_bin)."""
    for units in _chunks(responses, "unit"):
        yield units, responses.isel(unit=units).values


def _chunks(responses: xr.DataArray, dim: str) -> Iterator[slice]:
    size = responses.sizes[dim]
    chunk = max(1, int(CHUNK_BYTES // (4 * responses.size / size)))
    return (slice(start, min(start + chunk, size)) for start in range(0, size, chunk))


def seen_images(averages: Averages, dropped: Dropped) -> np.ndarray:
    """Return the positions of the images that at least half of the units have trials of.

    A unit must have seen all images that are used (`complete_units`), so an image that most units
    missed would cost most units.
    """
    seen = (averages.n_trials > 0).mean(axis=1) >= _MIN_SEEN
    dropped.add("trials of single units", averages.n_partial, "NaN in some time bins")
    dropped.add("images", int((~seen).sum()), "no trial for more than half of the region's units")
    if not seen.any():
        raise ContractError(
            "no image has trials for half of the region's units; the responses are NaN"
            f"{averages.explain_partial()}"
        )
    return np.flatnonzero(seen)


def complete_units(averages: Averages, train: np.ndarray, test: np.ndarray, dropped: Dropped) -> np.ndarray:
    """Return True for units with a trial of every training and two of every test image, shape (unit,)."""
    complete = (averages.n_trials[train].min(axis=0) >= 1) & (averages.n_trials[test].min(axis=0) >= 2)
    if not complete.any():
        raise ContractError(
            f"none of {len(complete)} units has a trial of every training image and two of every test image: "
            "units saw different images; choose a region or units that saw the same ones"
            f"{averages.explain_partial()}"
        )
    dropped.add(
        "units", int((~complete).sum()), "no trial of some training image, or under two of some test image"
    )
    complete = drop_beyond_precision(averages, train, complete, dropped)
    spread = np.ptp(np.nan_to_num(averages.mean[train][:, complete]), axis=(0, 2))
    constant = np.zeros_like(complete)
    constant[complete] = spread == 0
    if (constant == complete).all():
        raise ContractError(
            "no unit responds at all: every response is the same number for all images and bins"
        )
    dropped.add("units", int(constant.sum()), "the same response to every training image in every bin")
    return complete & ~constant


def drop_beyond_precision(
    averages: Averages, images: np.ndarray, units: np.ndarray, dropped: Dropped
) -> np.ndarray:
    """Return the units, shape (unit,), bool, that remain without those whose responses floats cannot resolve.

    Raises
    ------
    ContractError
        If none remains.
    """
    known = np.nan_to_num(averages.mean[images])
    low, high = known.min(axis=(0, 2)), known.max(axis=(0, 2))
    with np.errstate(over="ignore"):  # in units that are left out right below
        spread = high - low
    out_of_range = units & ~((spread == 0) | ((spread <= _LARGE) & (spread >= 1 / _LARGE)))
    rounded = units & ~out_of_range & (spread > 0)
    rounded &= spread < _MIN_STEPS * averages.precision * np.maximum(high, -low)
    for beyond, why in (
        (out_of_range, f"responses that vary by less than {1 / _LARGE:g} or more than {_LARGE:g}"),
        (rounded, "responses so far from 0 that their number format rounds off most of what varies"),
    ):
        if beyond.any():
            why = f"{why}: {_named(averages, beyond)}; give them in other units, or about their mean"
            if (beyond == units).all():
                raise ContractError(f"no unit can be scored: {why}")
            dropped.add("units", int(beyond.sum()), why)
            units = units & ~beyond
    return units


def _named(averages: Averages, units: np.ndarray) -> str:
    """Return the names of the first units of a mask, shape (unit,), and how many there are besides."""
    names = np.arange(len(units)) if averages.units is None else averages.units
    chosen = [printable(str(name)) for name in names[units][:3]]
    more = int(units.sum()) - len(chosen)
    return "unit " + ", ".join(chosen) + (f" and {more} more" if more else "")
