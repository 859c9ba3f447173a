"""Read recordings in NWB, the field's standard format for spike times, presentations and units.

A file needs units with spike times and with electrodes whose location is V1, V2, V4, pIT, cIT, aIT or IT; a
table of intervals (or trials) with the image's name or number in a column ``image_id``, ``stimulus_id``,
``image_name``, ``stimulus_name``, ``image_index``, ``stimulus_index`` or ``frame``; and images, in its
stimulus templates or in files. Repeats of an image become its trials.

References
----------
Rübel, O. et al. (2022). The Neurodata Without Borders ecosystem for neurophysiological data science. eLife
11, e78362.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording, check_recording
from brainfit.contracts.regions import check_declaration, own_regions
from brainfit.errors import ContractError
from brainfit.support.arguments import number
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.messages import printable

from ..files.hdf5 import Hdf5File, member, read_values
from ..files.isolation import isolated
from ..files.missing import check_bins
from ..images.pixels import open_pictures
from ..images.table import load_stimuli
from .presentations import Presentations
from .tables import read_tables
from .units import Units

_LONGEST_MS = 60_000.0
_LABELS = (
    "object_name", "category_name", "variation", "s", "ty", "tz", "rxy", "rxz", "ryz", "background_id",
)  # fmt: skip
"""Columns that are taken from a table of stimuli, which may have others."""


@dataclass(frozen=True)
class _Counts:
    """Spikes of units in bins around onsets; the `edges` of the bins are in s from onset."""

    source: Hdf5File
    units: Units
    onset: np.ndarray
    edges: np.ndarray

    def read(self, images: np.ndarray, trials: np.ndarray, units: np.ndarray, bins: np.ndarray) -> np.ndarray:
        onset = self.onset[np.ix_(images, trials)]
        counts = np.empty((len(images), len(trials), len(units), len(bins)), np.float32)
        with self.source.opened() as file:
            spikes = member(file, self.units.spikes, h5py.Dataset)
            for at, unit in enumerate(units):
                times = np.asarray(
                    read_values(spikes, slice(self.units.first[unit], self.units.last[unit])), float
                )
                counts[:, :, at] = self._of_unit(np.sort(times), onset, bins)
                counts[~self._present(unit, onset), at] = np.nan
        return counts

    def _of_unit(self, times: np.ndarray, onset: np.ndarray, bins: np.ndarray) -> np.ndarray:
        if not np.isfinite(times).all():
            raise ContractError(
                f"{printable(self.source.path, 300)}: spike times hold NaN or infinite values"
            )
        before = np.searchsorted(times, onset[..., None] + self.edges)
        return (before[..., 1:] - before[..., :-1])[..., bins]

    def _present(self, unit: int, onset: np.ndarray) -> np.ndarray:
        """Return True for each trial that exists and was recorded in full."""
        if self.units.observed is None:
            return np.isfinite(onset)
        begin, end = self.units.observed[unit].T
        first, last = onset[..., None] + self.edges[0], onset[..., None] + self.edges[-1]
        return ((begin <= first) & (last <= end)).any(axis=-1)


@isolated
def from_nwb(
    path: str | os.PathLike[str],
    *,
    bin_ms: float = 10,
    window_ms: tuple[float, float] = (0, 250),
    presentations: str | None = None,
    stimuli: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    regions: Mapping[str, str] | None = None,
) -> Recording:
    """Return the recording in an NWB file: counts of spikes in bins from the onsets of images.

    Spikes are read and counted for the selection, when values are asked for. Units whose electrodes are in
    no known region, or in several, are left out and counted in the provenance. If the file has
    ``obs_intervals``, a unit has NaN for presentations that do not lie wholly in them.

    Parameters
    ----------
    path
        Path of the file, in HDF5, which must stay there while the recording is used.
    bin_ms
        Width of a bin in ms; a bin contains its start and not its end.
    window_ms
        Start of the first bin and end of the last, in ms from onset.
    presentations
        Name of the table that lists which image appeared when, needed if several do.
    stimuli, images
        Table of stimuli and a zip or folder of their images, as for `load_stimuli`, for a file that has no
        images. Without them the images are those of the file's stimulus templates or, without templates,
        the files in the column ``image_file`` or ``filename``, relative to the folder of `path`.
    regions
        Region to take for each other location of electrodes, as for `from_arrays`.

    Returns
    -------
    Recording
        Responses with dims (image, trial, unit, time_bin), counts of spikes.

    Raises
    ------
    PluginError
        If pynwb is not installed.
    IntegrityError
        If the file is missing, damaged, or not NWB.
    ContractError
        If the file lacks something of the above, or an argument does not have its form.
    """
    edges = _edges(bin_ms, window_ms)
    if (stimuli is None) != (images is None):
        raise ContractError("stimuli and images go together: give a table of stimuli and a zip or folder")
    source = Hdf5File.at(path)
    declared = check_declaration(regions)
    tables = read_tables(source, presentations, stimuli is None, declared)
    shown, units = tables.presentations, tables.units
    ids = shown.image_id.astype(str)
    known: dict[str, np.ndarray] = dict(shown.labels)
    if stimuli is not None and images is not None:
        loaded = load_stimuli(stimuli, images, ids.tolist())
        pixels = loaded.pixels
        known |= {name: loaded.columns[name] for name in _LABELS if name in loaded.columns}
    elif tables.templates is not None:
        pixels = tables.templates.lazy()
    else:
        pixels = _pictures(source, shown)
    n = len(ids)
    default = {"object_name": np.full(n, "unknown"), "category_name": np.full(n, "unknown")}
    known = {**default, "variation": np.zeros(n, int), **known, "image_id": ids}
    of_images = {name: ("image", labels) for name, labels in known.items()}
    of_units = {name: ("unit", labels) for name, labels in units.labels.items()}
    counts = _Counts(source, units, shown.onset, edges / 1000)
    shape = (*shown.onset.shape, len(units.first), len(edges) - 1)
    responses = xr.DataArray(
        lazy_variable(("image", "trial", "unit", "time_bin"), shape, np.float32, counts.read),
        coords={
            **of_images,
            **of_units,
            "animal": ("unit", np.full(shape[2], tables.animal)),
            "time_bin_start": ("time_bin", edges[:-1]),
            "time_bin_end": ("time_bin", edges[1:]),
        },
    )
    recording = Recording(
        name=source.path.stem,
        responses=responses,
        stimuli=pixels.assign_coords(of_images),
        provenance={
            "source": "nwb",
            "file": source.path.name,
            "presentations": shown.table,
            "values": f"counts of spikes in bins of {bin_ms:g} ms, not normalised",
            **({"regions": declared} if declared else {}),
            "dropped": [*shown.dropped, *units.dropped],
        },
        own_regions=own_regions(declared.values()),
    )
    with source.refusals_named():
        check_recording(recording)
        check_bins(recording.responses)
    return recording


def _edges(bin_ms: float, window_ms: tuple[float, float]) -> np.ndarray:
    """Return the edges of the bins, in ms."""
    width = number("bin_ms", bin_ms, 0.1, _LONGEST_MS)
    if not isinstance(window_ms, tuple | list) or len(window_ms) != 2:
        raise ContractError(f"window_ms is a start and an end in ms, got {printable(repr(window_ms))}")
    start, end = (number("window_ms", edge, -_LONGEST_MS, _LONGEST_MS) for edge in window_ms)
    n_bins = round((end - start) / width)
    if n_bins < 1 or abs(start + n_bins * width - end) > 1e-6:
        raise ContractError(
            f"window_ms is {start:g} to {end:g}, which is no whole number of bins of {width:g} ms"
        )
    return start + width * np.arange(n_bins + 1)


def _pictures(source: Hdf5File, presentations: Presentations) -> xr.DataArray:
    files = presentations.image_file
    if files is None or files.dtype.kind != "U":
        raise ContractError(
            f"{printable(source.path, 300)} holds no images: it has no stimulus templates and no column "
            "image_file; give stimuli= and images="
        )
    return open_pictures(Path(source.path).parent, files.tolist())
