"""Read the trials of TVSD, the THINGS Ventral stream Spiking Dataset, in bins of time.

Multi-unit envelopes of 1,024 channels in V1, V4 and IT of each of two macaques, F and N: 22,248 training
images once each, 100 test images 30 times, 200 ms each and 200 ms of gray. The file of responses has some
58 GB; it is read once, a few trials at a time, and only its bins are kept.

References
----------
Papale, P., Wang, F., Self, M. W. & Roelfsema, P. R. (2025). An extensive dataset of spiking activity to
reveal the syntax of the ventral stream. Neuron.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording, check_recording
from brainfit.errors import ContractError
from brainfit.storage.atomic_files import file_path
from brainfit.support.arguments import one_of, whole_number
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.memory import check_memory
from brainfit.support.messages import printable
from brainfit.support.progress import progress_bar

from ..files.child import in_child
from ..files.hdf5 import Hdf5File, member, read_values
from ..files.missing import check_responses
from ..files.slabs import blocks
from ..images.pixels import open_pictures
from ..trials import trial_table
from .session import MONKEYS, N_CHANNELS, Session, read_session, regions_of

Normalize = Literal["train", "test", "none"]
_NORMALIZED = {
    "train": "each day: (response - mean) / sd over that day's training trials and the bins, for each unit",
    "test": "each day: (response - mean) / sd over that day's test trials and the bins, for each unit, so "
    "that test responses reach the training targets",
    "none": "not normalised; days differ in level and scale",
}
_REGIONS = ("V1", "V4", "IT")
_LISTING, _MAPPING = "things_imgs.mat", "1024chns_mapping_20220105.mat"
_ARRAY = 64
"""Channels of an electrode array."""


def from_tvsd(
    path: str | os.PathLike[str],
    images: str | os.PathLike[str],
    *,
    monkey: str,
    region: str | None = None,
    logs: str | os.PathLike[str] | None = None,
    bin_ms: int = 10,
    window_ms: tuple[int, int] = (0, 200),
    normalize: Normalize = "train",
    progress: bool = False,
) -> Recording:
    """Return the responses of one monkey in bins, with the split and the presentation of the experiment.

    Parameters
    ----------
    path
        Path of ``THINGS_MUA_trials.mat``.
    images
        Folder of the images of THINGS, which are not published with the recording.
    monkey
        ``"F"`` or ``"N"``: their regions are in another order, and the file does not name its monkey.
    region
        ``"V1"``, ``"V4"`` or ``"IT"`` to keep its units only, which saves memory; by default all.
    logs
        Folder of ``things_imgs.mat`` and ``1024chns_mapping_20220105.mat``; by default ``_logs`` beside the
        file.
    bin_ms, window_ms
        Width of a bin, and start of the first and end of the last bin, in whole ms from image onset. A bin is
        the mean of its samples of 1 ms.
    normalize
        ``"train"`` by the training trials of each day; ``"test"`` by its test trials, as the publishers do;
        or ``"none"``. A unit that is constant on a day has NaN there.
    progress
        True to show a progress bar on stderr.

    Returns
    -------
    Recording
        Responses with dims (image, trial, unit, time_bin); training images have one trial. Binned trials of
        the region stay in memory, as float32.

    Raises
    ------
    IntegrityError
        If a file is missing or damaged.
    ContractError
        If a file is not in this layout, the mapping is not its own inverse, a day lacks the trials that it is
        normalised by, or an image is missing.
    ResourceError
        If the bins would not fit into memory.
    """
    one_of("monkey", monkey, MONKEYS)
    one_of("normalize", normalize, tuple(_NORMALIZED))
    if region is not None:
        one_of("region", region, _REGIONS)
    source = Hdf5File.at(path)
    beside = source.path.parent / "_logs" if logs is None else file_path(logs)
    session = in_child(source.path, read_session, source, beside / _MAPPING, beside / _LISTING)
    regions = regions_of(monkey)
    units = np.arange(N_CHANNELS) if region is None else np.flatnonzero(regions == region)
    first, n_bins, width = _bins(session, bin_ms, window_ms)
    check_memory(
        {"binned trials": 4.0 * len(session.day) * len(units) * n_bins},
        "read one region, or fewer or wider bins",
    )
    values = _binned(source, session.channel[units], (first, n_bins, width), len(session.day), progress)
    if normalize != "none":
        _normalize(values, session, normalize)
    check_responses(f"{source}: responses", values)
    # Training images come first, so that numbers of both kinds are one.
    shown = np.where(session.training > 0, session.training - 1, len(session.train_files) + session.test - 1)
    present, table = trial_table(shown, None)
    files = [(*session.train_files, *session.test_files)[image] for image in present.tolist()]
    folder = file_path(images)
    pixels = open_pictures(folder, _inside(folder, files))
    of_images = {
        "image_id": [Path(file).stem for file in files],
        "object_name": [Path(file).parent.name or "unknown" for file in files],
        "category_name": ["unknown"] * len(files),
        "variation": [0] * len(files),
        "split": np.where(present < len(session.train_files), "train", "test"),
    }
    of_images = {key: ("image", np.asarray(labels)) for key, labels in of_images.items()}
    of_units = {
        "unit_id": [f"{monkey}_{unit:04d}" for unit in units],
        "region": regions[units],
        "animal": [monkey] * len(units),
        "array": [f"{monkey}_array_{unit // _ARRAY:02d}" for unit in units],
    }
    start = float(window_ms[0]) + bin_ms * np.arange(n_bins)
    shape = (*table.shape, len(units), n_bins)
    responses = xr.DataArray(
        lazy_variable(("image", "trial", "unit", "time_bin"), shape, np.float32, _Trials(values, table).read),
        coords={
            **of_images,
            **{key: ("unit", np.asarray(labels)) for key, labels in of_units.items()},
            "time_bin_start": ("time_bin", start),
            "time_bin_end": ("time_bin", start + bin_ms),
        },
    )
    recording = Recording(
        name=f"tvsd-{monkey}",
        responses=responses,
        stimuli=pixels.assign_coords(of_images),
        provenance={
            "source": "tvsd",
            "file": source.path.name,
            "values": f"multi-unit envelopes, means of {bin_ms} samples of 1 ms",
            "normalized": _NORMALIZED[normalize],
            "channels": "ALLMUA[..., mapping - 1]; the mapping was checked to be its own inverse",
            "trials": "presentations of an image in the order of the file, whose repetition numbers are "
            "shuffled",
        },
        on_ms=200,
        off_ms=200,
    )
    check_recording(recording)
    return recording


def _bins(session: Session, bin_ms: int, window_ms: tuple[int, int]) -> tuple[int, int, int]:
    """Return the first sample, the number of bins and their width in samples."""
    width = whole_number("bin_ms", bin_ms, least=1)
    if not isinstance(window_ms, tuple | list) or len(window_ms) != 2:
        raise ContractError(f"window_ms is a start and an end in ms, got {printable(repr(window_ms), 60)}")
    low, high = int(session.milliseconds[0]), int(session.milliseconds[-1]) + 1
    start, end = window_ms
    n_bins, rest = divmod(end - start, width)
    if n_bins < 1 or rest or start != int(start) or not low <= start < end <= high:
        raise ContractError(
            f"window_ms is {start} to {end}; wanted a whole number of bins of {width} ms within "
            f"{low} to {high}"
        )
    return int(start) - low, int(n_bins), width


def _binned(
    source: Hdf5File, channels: np.ndarray, bins: tuple[int, int, int], n_trials: int, progress: bool
) -> np.ndarray:
    """Return the mean response in each bin, shape (trial, unit, bin), reading a few trials at a time."""
    first, n_bins, width = bins
    values = np.empty((n_trials, len(channels), n_bins), np.float32)
    samples = slice(first, first + n_bins * width)
    with source.opened() as file, progress_bar("bin responses (trials)", n_trials, shown=progress) as advance:
        data = member(file, "ALLMUA", h5py.Dataset)
        row_bytes = n_bins * width * N_CHANNELS * data.dtype.itemsize
        for trials in blocks(n_trials, row_bytes, data.chunks[1] if data.chunks else 1):
            part = np.asarray(read_values(data, (samples, trials, slice(None))))[..., channels]
            by_bin = part.reshape(n_bins, width, *part.shape[1:]).mean(axis=1, dtype=np.float64)
            values[trials] = by_bin.transpose(1, 2, 0)
            advance(trials.stop - trials.start)
    return values


def _normalize(values: np.ndarray, session: Session, by: str) -> None:
    """Take off the mean of each day and divide by its standard deviation, in place."""
    reference = session.training > 0 if by == "train" else session.test > 0
    for day in np.unique(session.day).tolist():
        of_day = np.flatnonzero(session.day == day)
        used = of_day[reference[of_day]]
        if len(used) < 2:
            raise ContractError(
                f"day {day} has {len(used)} {by} trials to normalise its {len(of_day)} trials by; wanted 2 "
                "or more; is the last row of ALLMAT the day? normalize='none' leaves responses as they are"
            )
        for unit in range(values.shape[1]):
            mean, sd = values[used, unit].mean(dtype=float), values[used, unit].std(dtype=float)
            values[of_day, unit] = (values[of_day, unit] - mean) / sd if sd > 0 else np.nan


def _inside(folder: Path, files: list[str]) -> list[str]:
    """Return the names relative to the folder, without leading folders that it does not have."""
    first = Path(files[0]).parts
    for skipped in range(len(first)):
        if (folder / Path(*first[skipped:])).exists():
            return ["/".join(Path(file).parts[skipped:]) for file in files]
    return files


@dataclass(frozen=True, eq=False)
class _Trials:
    """Trials of images, NaN where an image has fewer than others."""

    values: np.ndarray
    table: np.ndarray

    def read(self, images: np.ndarray, trials: np.ndarray, units: np.ndarray, bins: np.ndarray) -> np.ndarray:
        rows = self.table[np.ix_(images, trials)]
        found = np.full((*rows.shape, len(units), len(bins)), np.nan, np.float32)
        there = rows >= 0
        found[there] = self.values[np.ix_(rows[there], units, bins)]
        return found
