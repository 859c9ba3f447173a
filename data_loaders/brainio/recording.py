"""Recordings in BrainIO's netCDF layout, as Brain-Score publishes them, read without holding them.

The responses are one variable over neuroid, presentation and time_bin, in any order; a presentation is one
trial of one image. The images lie beside it, as a CSV and a zip.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording, check_recording
from brainfit.errors import ContractError
from brainfit.scoring.responses import Dropped
from brainfit.storage.atomic_files import file_path
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.messages import printable

from ..images.table import Stimuli
from ..netcdf.file import NetCDFFile
from .bins import time_bins
from .blank_normalization import Baseline, baseline, is_blank
from .file import Layout, opened, read_layout
from .labels import IMAGE_IDS, LABELS, ids, image_coords, repetitions, sessions, unit_table
from .presentations import Presentations, trial_table
from .stimuli import find_stimuli


def from_brainio(path: str | os.PathLike[str], *, stimuli: str | os.PathLike[str] | None = None) -> Recording:
    """Return the recording in a netCDF file of BrainIO's layout; responses stay in the file.

    Presentations are grouped by ``stimulus_id`` or, in older files, ``image_id``, into trials in the order of
    ``repetition``, where there is one; NaN pads images that were shown less often. A file with every image
    once and no ``repetition`` is averaged: dims (image, unit, time_bin). A unit's region is its ``subregion``
    or else its ``region``. Windows that overlap stay as they are, to be taken by their centre; bins narrower
    than 10 ms are averaged (`time_bins`).

    Presentations whose image, object or category has the word blank in its name are no images. Where
    responses are counts, they are normalised by those to blanks, for each unit and session:
    (count - mean) / std, over the session's blanks and bins. This alone reads responses now.

    Parameters
    ----------
    path
        The file. It must stay where it is while the recording is used.
    stimuli
        The table of the images, a CSV, with a zip or folder of the same name beside it; or the folder in
        which they are. By default those that lie beside the file (`find_stimuli`).

    Raises
    ------
    IntegrityError
        If the file or the stimuli cannot be read or are damaged; also later, when values are read.
    ContractError
        If the file has not this layout, or the stimuli lack some of its images.
    """
    path = file_path(path)
    file = NetCDFFile.find(path)
    with opened(file) as dataset:
        layout = read_layout(dataset, file, LABELS)
    dropped = Dropped()
    bins = time_bins(layout, path)
    dropped.add("time bins", bins.n_dropped, "they fill no whole bin of 10 ms")
    units, unit_coords = unit_table(path, layout.coords["neuroid"], dropped)
    labels = layout.coords["presentation"]
    images = _images(path, layout, stimuli)
    trials = np.flatnonzero(~images.blank)
    repetition, order = repetitions(images.shown[trials], {k: v[trials] for k, v in labels.items()})
    names, table = trial_table(images.shown[trials], repetition)
    table = np.where(table < 0, -1, trials[table])
    dropped.add("presentations", int(images.blank.sum()), "blanks, without an image")

    reader = Presentations(file, layout.variable, layout.axes, layout.dtype, table, units, bins.members)
    found = _baseline(reader, layout, images.blank) if images.blank.any() else None
    if found is not None:
        kept = _normalized(path, found, units, trials, dropped)
        reader = replace(reader, units=units[kept], baseline=found)
        unit_coords = {name: values[kept] for name, values in unit_coords.items()}

    of_images = {"image_id": names, **image_coords(labels, table[:, 0], images.stimuli.columns)}
    of_images = {name: ("image", values) for name, values in of_images.items()}
    coords = of_images | {name: ("unit", values) for name, values in unit_coords.items()}
    coords |= {"time_bin_start": ("time_bin", bins.start), "time_bin_end": ("time_bin", bins.end)}
    dims, shape, read = ("image", "trial", "unit", "time_bin"), table.shape, reader.trials
    if table.shape[1] == 1 and "repetition" not in labels:
        dims, shape, read = ("image", "unit", "time_bin"), table.shape[:1], reader.images
    responses = lazy_variable(dims, (*shape, reader.units.size, bins.start.size), layout.dtype, read)
    recording = Recording(
        name=_identifiers(path, layout)[-1],
        responses=xr.DataArray(responses, coords=coords),
        stimuli=images.stimuli.pixels.assign_coords(of_images),
        simulated=bool(np.all(np.asarray(layout.scalars.get("simulated", 0)) == 1)),
        provenance={
            "source": "BrainIO",
            "file": path.name,
            "stimuli": images.table.name,
            "n_presentations": layout.sizes[1],
            "trials": order,
            "windows": bins.windows,
            "normalized": "as in the file"
            if found is None
            else "counts by the blanks of each unit and session: (count - mean) / std",
            "dropped": dropped.records,
        },
    )
    try:
        check_recording(recording)
    except ContractError as error:
        raise ContractError(f"{printable(path, 300)}: {error}") from error
    return recording


@dataclass(frozen=True, eq=False)
class _Images:
    """The image of each presentation, which are blanks, and the stimuli of the others in order of names."""

    shown: np.ndarray
    blank: np.ndarray
    stimuli: Stimuli
    table: Path


def _images(path: Path, layout: Layout, given: str | os.PathLike[str] | None) -> _Images:
    labels = layout.coords["presentation"]
    names = ids(path, labels, IMAGE_IDS)
    blank = is_blank(names) | _named_blank(labels, names.size)
    nothing = ContractError(
        f"{printable(path, 300)}: all {blank.size} presentations are blanks, without an image"
    )
    if blank.all():
        raise nothing
    wanted = np.unique(names[~blank])
    stimuli, table = find_stimuli(path, _identifiers(path, layout), wanted.tolist(), given)
    seen = np.flatnonzero(~_named_blank(stimuli.columns, wanted.size))
    if not seen.size:
        raise nothing
    kept = Stimuli(stimuli.pixels.isel(image=seen), {k: v[seen] for k, v in stimuli.columns.items()})
    return _Images(names, ~np.isin(names, wanted[seen]), kept, table)


def _named_blank(labels: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    told = [labels[name] for name in ("object_name", "category_name") if name in labels]
    return np.any([np.zeros(n, bool), *map(is_blank, told)], axis=0)


def _identifiers(path: Path, layout: Layout) -> list[str]:
    """Return how the stimuli may be called, and last the responses."""
    told = [layout.scalars.get(name) for name in ("stimulus_set_identifier", "identifier")]
    found = [name for name in told if isinstance(name, str) and name.isprintable() and name]
    called = isinstance(told[1], str) and told[1] in found
    return found if called else [*found, printable(path.stem.removeprefix("assy_"))]


def _baseline(reader: Presentations, layout: Layout, blank: np.ndarray) -> Baseline | None:
    """Measure the responses of all neuroids to blanks, if these are counts."""
    everything = replace(reader, table=np.arange(blank.size)[:, None], units=np.arange(layout.sizes[0]))
    bins = np.arange(len(reader.bins))
    return baseline(
        lambda some, units: everything.images(some, units, bins),
        np.flatnonzero(blank),
        sessions(layout.coords["presentation"], blank.size),
        layout.sizes[0],
        bins.size,
    )


def _normalized(
    path: Path, found: Baseline, units: np.ndarray, trials: np.ndarray, dropped: Dropped
) -> np.ndarray:
    """Return which units can be normalised in some session, and note what is lost."""
    known = np.isfinite(found.std[:, units])
    kept = np.asarray(known.any(axis=0))
    if not kept.any():
        raise ContractError(
            f"{printable(path, 300)} holds counts, but no unit has two blanks in a session that differ; "
            "normalise them first, or leave the blanks out"
        )
    dropped.add("units", int((~kept).sum()), "no session with two blanks that differ")
    lost = np.logical_not(known.any(axis=1))[found.session[trials]]
    dropped.add("presentations", int(lost.sum()), "in a session without two blanks that differ")
    return kept
