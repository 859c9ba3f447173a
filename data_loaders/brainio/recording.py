"""Read recordings in BrainIO's netCDF layout, as Brain-Score publishes them, lazily.

The responses are one variable over neuroid, presentation and time_bin, in any order; a presentation is one
trial of one image. The images lie beside the file, as a CSV and a zip.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from brainfit.contracts.dropped import Dropped
from brainfit.contracts.recording import Recording, check_recording
from brainfit.contracts.regions import check_declaration, own_regions
from brainfit.errors import ContractError
from brainfit.storage.atomic_files import file_path
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.messages import printable

from ..files.isolation import isolated
from ..files.missing import check_bins
from ..files.variables import VariableFile
from ..images.table import Stimuli
from ..trials import trial_table
from .bins import time_bins
from .blank_normalization import Baseline, baseline, is_blank
from .labels import IMAGE_IDS, LABELS, ids, image_coords, repetitions, sessions, unit_table, with_animal
from .layout import Layout, read_layout
from .presentations import Presentations
from .stimuli import find_stimuli


@isolated
def from_brainio(
    path: str | os.PathLike[str],
    *,
    stimuli: str | os.PathLike[str] | None = None,
    regions: Mapping[str, str] | None = None,
) -> Recording:
    """Return the recording in a netCDF file of BrainIO's layout; responses stay in the file.

    Presentations are grouped by ``stimulus_id`` or, in older files, ``image_id``, into trials in the order of
    ``repetition``, if there is one; NaN pads images that were shown less often. A file with every image once
    and no ``repetition`` is averaged: dims (image, unit, time_bin). The region of a unit is its ``subregion``
    if that is known, else its ``region``. Windows that overlap stay as they are, to be taken by their centre;
    bins narrower than 10 ms are averaged (`time_bins`). Unit ids that repeat between animals are preceded by
    the animal's name.

    Presentations with the word blank in the name of their image, object or category show no image. Responses
    that are counts are normalised by those to blanks, for each unit and session: (count - mean) / std over
    the session's blanks and bins. Nothing else reads responses before they are asked for.

    Parameters
    ----------
    path
        Path of the file, which must stay there while the recording is used.
    stimuli
        Path of the table of the images, a CSV with a zip or folder of the same name beside it, or of the
        folder that holds both. By default the table beside the file with the name of the stimulus set that
        the file names (`find_stimuli`).
    regions
        Region to take for each other name, as for `from_arrays`.

    Returns
    -------
    Recording
        Responses with dims (image, trial, unit, time_bin), or averaged (image, unit, time_bin).

    Raises
    ------
    IntegrityError
        If the file or the stimuli cannot be read or are damaged; also later, when values are read.
    ContractError
        If the file does not have this layout, or its stimuli are not found or lack images.
    """
    path = file_path(path)
    file, declared = VariableFile.at(path), check_declaration(regions)
    with file.opened() as data:
        layout = read_layout(data, file, LABELS)
    dropped = Dropped()
    bins = time_bins(layout, path)
    dropped.add("time bins", bins.n_dropped, "not in a whole bin of 10 ms")
    units, unit_coords = unit_table(path, layout.coords["neuroid"], dropped, declared)
    unique = with_animal(unit_coords["unit_id"], unit_coords["animal"])
    unit_coords["unit_id"] = unit_coords["unit_id"] if unique is None else unique
    labels = layout.coords["presentation"]
    images = _images(path, layout, stimuli)
    trials = np.flatnonzero(~images.blank)
    repetition, order = repetitions(images.names[trials], {k: v[trials] for k, v in labels.items()})
    names, table = trial_table(images.names[trials], repetition)
    table = np.where(table < 0, -1, trials[table])
    dropped.add("presentations", int(images.blank.sum()), "blanks, without an image")

    reader = Presentations(file, layout.variable, layout.axes, layout.decode, table, units, bins.members)
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
    responses = lazy_variable(dims, (*shape, reader.units.size, bins.start.size), layout.decode.dtype, read)
    recording = Recording(
        name=_identifier(layout, "identifier") or printable(path.stem.removeprefix("assy_")),
        responses=xr.DataArray(responses, coords=coords),
        stimuli=images.stimuli.pixels.assign_coords(of_images),
        simulated=bool(np.all(np.asarray(layout.scalars.get("simulated", 0)) == 1)),
        provenance={
            "source": "BrainIO",
            "file": path.name,
            "stimuli": images.table.name,
            "n_presentations": layout.sizes[1],
            "trials": order,
            "unit_ids": "as in the file" if unique is None else "with the animal's name before them",
            "windows": bins.windows,
            "normalized": "as in the file"
            if found is None
            else "counts by the blanks of each unit and session: (count - mean) / std",
            **({"regions": declared} if declared else {}),
            "dropped": dropped.records,
        },
        own_regions=own_regions(declared.values()),
    )
    with file.refusals_named():
        check_recording(recording)
        check_bins(recording.responses)
    return recording


@dataclass(frozen=True, eq=False)
class _Images:
    """Images of presentations.

    Attributes
    ----------
    names, blank
        Image of each presentation, and True where it is a blank; shape (presentation,).
    stimuli
        Stimuli of all but blanks, in the order of their names.
    table
        Path of the table that lists them.
    """

    names: np.ndarray
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
    assembly = _identifier(layout, "identifier") or path.stem.removeprefix("assy_")
    stimulus_set = _identifier(layout, "stimulus_set_identifier")
    stimuli, table = find_stimuli(path, stimulus_set, assembly, wanted.tolist(), given)
    seen = np.flatnonzero(~_named_blank(stimuli.columns, wanted.size))
    if not seen.size:
        raise nothing
    kept = Stimuli(stimuli.pixels.isel(image=seen), {k: v[seen] for k, v in stimuli.columns.items()})
    return _Images(names, ~np.isin(names, wanted[seen]), kept, table)


def _named_blank(labels: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    named = [labels[name] for name in ("object_name", "category_name") if name in labels]
    return np.any([np.zeros(n, bool), *map(is_blank, named)], axis=0)


def _identifier(layout: Layout, name: str) -> str | None:
    """Return an identifier that the file has, or None if it has none that could be a name."""
    found = layout.scalars.get(name)
    return found if isinstance(found, str) and found and found.isprintable() else None


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
    """Return the positions of units that can be normalised in some session, and note what is lost."""
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
