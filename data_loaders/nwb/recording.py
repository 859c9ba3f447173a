"""Recordings in NWB, the field's standard: spike times, when which image came on, and where the units were.

What is asked of a file: units with spike times and electrodes, whose location is V1, V2, V4, pIT, cIT or aIT;
a table of intervals (or trials) with the image's name or number in a column ``image_id``, ``stimulus_id``,
``image_name``, ``stimulus_name``, ``image_index``, ``stimulus_index`` or ``frame``; and the images, in its
stimulus templates or in files. Repeats of an image become its trials.

References
----------
Rübel, O. et al. (2022). The Neurodata Without Borders ecosystem for neurophysiological data science. eLife
11, e78362.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording, check_recording
from brainfit.errors import ContractError
from brainfit.support.arguments import number
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.messages import printable

from ..files.child import in_child
from ..files.hdf5 import Hdf5File, member
from ..images.pixels import open_pictures
from ..images.table import load_stimuli
from .presentations import Presentations
from .tables import read_tables
from .units import Units

_LONGEST_MS = 60_000.0
_LABELS = (
    "object_name", "category_name", "variation", "s", "ty", "tz", "rxy", "rxz", "ryz", "background_id",
)  # fmt: skip
"""What is taken from a table of stimuli, which may have any columns."""


@dataclass(frozen=True)
class _Counts:
    """Spikes of units in bins around onsets; `edges` in s from onset, one more than there are bins."""

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
                times = np.asarray(spikes[self.units.first[unit] : self.units.last[unit]], float)
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
        """Where there is a trial, and all of it was recorded."""
        if self.units.observed is None:
            return np.isfinite(onset)
        begin, end = self.units.observed[unit].T
        first, last = onset[..., None] + self.edges[0], onset[..., None] + self.edges[-1]
        return ((begin <= first) & (last <= end)).any(axis=-1)


def from_nwb(
    path: str | os.PathLike[str],
    *,
    bin_ms: float = 10,
    window_ms: tuple[float, float] = (0, 250),
    presentations: str | None = None,
    stimuli: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
) -> Recording:
    """Return the recording in an NWB file: counts of spikes in bins from the onsets of images.

    Spikes are read and counted for what is selected, when values are asked for. Units whose electrodes are
    elsewhere, or in several regions, are left out, and the provenance says so. A unit has NaN for a
    presentation that is not wholly in its ``obs_intervals``, where a file has them.

    Parameters
    ----------
    path
        Of the file, in HDF5.
    bin_ms, window_ms
        Width of a bin, and from when to when they go, in ms from onset; a bin is [start, end).
    presentations
        Name of the table that says which image came on when; needed where several could be meant.
    stimuli, images
        A table of stimuli and a zip or folder of their images, as for `load_stimuli`, for a file that has
        none. Without them the images are those of the file's stimulus templates, and where there are none
        the files in the column ``image_file`` or ``filename``, relative to the folder of `path`.

    Raises
    ------
    PluginError
        If pynwb is not installed.
    IntegrityError
        If the file is missing, damaged, or no NWB.
    ContractError
        If it lacks what is asked of it, or an argument has not its form.
    """
    edges = _edges(bin_ms, window_ms)
    if (stimuli is None) != (images is None):
        raise ContractError("stimuli and images go together: give a table of stimuli and a zip or folder")
    source = Hdf5File.at(path)
    tables = in_child(source.path, read_tables, source, presentations, stimuli is None)
    shown_images, units = tables.presentations, tables.units
    ids = shown_images.image_id.astype(str)
    known: dict[str, np.ndarray] = dict(shown_images.labels)
    if stimuli is not None and images is not None:
        loaded = load_stimuli(stimuli, images, ids.tolist())
        pixels = loaded.pixels
        known |= {name: loaded.columns[name] for name in _LABELS if name in loaded.columns}
    elif tables.templates is not None:
        pixels = tables.templates.lazy()
    else:
        pixels = _pictures(source, shown_images)
    n = len(ids)
    default = {"object_name": np.full(n, "unknown"), "category_name": np.full(n, "unknown")}
    known = {**default, "variation": np.zeros(n, int), **known, "image_id": ids}
    of_images = {name: ("image", labels) for name, labels in known.items()}
    of_units = {name: ("unit", labels) for name, labels in units.labels.items()}
    counts = _Counts(source, units, shown_images.onset, edges / 1000)
    shape = (*shown_images.onset.shape, len(units.first), len(edges) - 1)
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
            "presentations": shown_images.table,
            "values": f"counts of spikes in bins of {bin_ms:g} ms, not normalised",
            "dropped": [*shown_images.dropped, *units.dropped],
        },
    )
    check_recording(recording)
    return recording


def _edges(bin_ms: float, window_ms: tuple[float, float]) -> np.ndarray:
    """Return where bins begin and end, in ms."""
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
