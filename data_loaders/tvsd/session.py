"""Read what the files of TVSD say of trials, channels and images; no response is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import h5py
import numpy as np

from brainfit.errors import ContractError
from brainfit.support.messages import printable

from ..files.hdf5 import Hdf5File, member, place, read_values
from ..files.matlab import dataset_value, matlab_names, matlab_variables

N_CHANNELS = 1024
_BORDERS = {"N": (("V1", 512), ("V4", 768), ("IT", 1024)), "F": (("V1", 512), ("IT", 832), ("V4", 1024))}
"""For each monkey, its regions with the position after the last channel, in the order after the mapping."""
MONKEYS = tuple(_BORDERS)
_ROWS = {6: (1, 2, 5), 7: (1, 2, 6)}
"""Rows of ALLMAT that hold the training image, the test image and the day, by the number of its rows."""
_MOST_DAYS = 1000


@dataclass(frozen=True)
class Session:
    """What the files say of trials, channels and images.

    Attributes
    ----------
    milliseconds
        Start of each sample in ms from image onset, shape (sample,).
    training, test
        Number of the training or test image of each trial, from 1 on, 0 for none; shape (trial,).
    day
        Day of each trial.
    channel
        Column of the responses of each unit, in the order of regions; shape (unit,).
    dtype
        Type of the stored responses.
    train_files, test_files
        Names of the images' files, in the order of their numbers.
    """

    milliseconds: np.ndarray
    training: np.ndarray
    test: np.ndarray
    day: np.ndarray
    channel: np.ndarray
    dtype: str
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]


def regions_of(monkey: str) -> np.ndarray:
    """Return the region of each unit of a monkey, in the order after the mapping.

    >>> regions_of("F")[[0, 511, 512, 831, 832]].tolist()
    ['V1', 'V1', 'IT', 'IT', 'V4']
    """
    names, ends = zip(*_BORDERS[monkey], strict=True)
    return np.repeat(names, np.diff(ends, prepend=0))


def read_session(trials: Hdf5File, mapping: Path, listing: Path) -> Session:
    """Return what the files say of trials, channels and images; raises as `from_tvsd` does."""
    with trials.opened() as file:
        responses = member(file, "ALLMUA", h5py.Dataset)
        table = np.asarray(read_values(member(file, "ALLMAT", h5py.Dataset)))
        times = np.asarray(read_values(member(file, "tb", h5py.Dataset))).ravel()
        where, shape, dtype = place(responses), responses.shape, responses.dtype
    if table.ndim != 2 or table.shape[0] not in _ROWS or table.dtype.kind not in "iuf":
        raise ContractError(
            f"{trials}: ALLMAT has shape {table.shape}; wanted 6 or 7 numbers for each trial: trial, "
            "train_idx, test_idx, rep, count, maybe correct, day"
        )
    if shape != (times.size, table.shape[1], N_CHANNELS) or dtype.kind != "f":
        raise ContractError(
            f"{where} is {dtype} of shape {shape}; wanted floats of shape (time, trial, channel) = "
            f"({times.size}, {table.shape[1]}, {N_CHANNELS}), as tb and ALLMAT have it"
        )
    milliseconds = np.rint(times)
    if times.dtype.kind not in "iuf" or times.size < 2 or not (np.diff(milliseconds) == 1).all():
        raise ContractError(f"{trials}: tb does not run in steps of 1 ms; wanted -100 … 199, in ms")
    training, test, day = (_whole(trials, table[row], name) for row, name in zip(
        _ROWS[table.shape[0]], ("train_idx", "test_idx", "day"), strict=True
    ))  # fmt: skip
    if not ((training > 0) ^ (test > 0)).all():
        row = int((~((training > 0) ^ (test > 0))).argmax())
        raise ContractError(
            f"{trials}: trial {row} of ALLMAT has train_idx {training[row]} and test_idx {test[row]}; wanted "
            "one of them, and 0 for the other"
        )
    if day.min() < 1 or day.max() > _MOST_DAYS:
        raise ContractError(
            f"{trials}: the last row of ALLMAT, {day.min()} to {day.max()}, cannot be days; wanted 1, 2, …"
        )
    files = _listed(listing)
    for name, index, of in (("train_idx", training, files[0]), ("test_idx", test, files[1])):
        if index.max() > len(of):
            raise ContractError(
                f"{trials}: {name} goes up to {index.max()}, but {printable(listing, 300)} lists {len(of)}"
            )
    return Session(milliseconds, training, test, day, _channels(mapping), dtype.str, *files)


def _whole(trials: Hdf5File, row: np.ndarray, name: str) -> np.ndarray:
    if not (np.isfinite(row).all() and (row >= 0).all() and (row % 1 == 0).all()):
        raise ContractError(f"{trials}: {name} of ALLMAT has entries that are no whole numbers from 0 up")
    return row.astype(np.int64)


def _channels(path: Path) -> np.ndarray:
    """Return the column of each unit's responses, from 0 on.

    The publishers' script applies the mapping both to the responses and to the list of regions. The two agree
    only for a mapping that is its own inverse, so any other one is refused.
    """
    if "mapping" not in matlab_names(path):
        raise ContractError(
            f"{printable(path, 300)} has no variable 'mapping'; wanted 1024chns_mapping_….mat"
        )
    mapping = matlab_variables(path, ["mapping"])["mapping"].ravel()
    if mapping.size != N_CHANNELS or sorted(mapping.tolist()) != list(range(1, N_CHANNELS + 1)):
        raise ContractError(
            f"{printable(path, 300)}: mapping has {mapping.size} entries; wanted each number from 1 to "
            f"{N_CHANNELS} once"
        )
    channel = mapping.astype(np.int64) - 1
    if (channel[channel] != np.arange(N_CHANNELS)).any():
        raise ContractError(
            f"{printable(path, 300)}: mapping is not its own inverse, so it does not say which channel is in "
            "which region; get the file of the publishers"
        )
    return channel


def _listed(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the files of training and of test images, with ``/``."""
    with Hdf5File.at(path).opened() as file:
        found: list[tuple[str, ...]] = []
        for name in ("train_imgs", "test_imgs"):
            entries: Any = dataset_value(member(member(file, name, h5py.Group), "things_path", h5py.Dataset))
            names = np.asarray(entries).ravel().tolist()
            if not names or not all(isinstance(entry, str) for entry in names):
                raise ContractError(f"{printable(path, 300)}: {name}/things_path is no list of file names")
            found.append(tuple(PureWindowsPath(entry).as_posix() for entry in names))
    return found[0], found[1]
