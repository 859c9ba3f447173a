"""Find the responses of an HvM file, and read those that are selected."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import h5py
import numpy as np
import xarray as xr

from brainfit.errors import ContractError
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.messages import printable

from ..files.hdf5 import Hdf5File, member, native, place, select
from ..files.missing import Decoding, check_responses, check_written, decoding

_BINNED, _STATIC = "time_binned", "time_averaged"
_AVERAGED = "_trial_averaged"
_LEVEL = "variation_level_"
_BIN_MS = 20.0
_STATIC_MS = (70.0, 170.0)
"""Window in which these responses are published elsewhere; the file itself has none."""


@dataclass(frozen=True)
class Responses:
    """Responses that are taken from a file.

    Attributes
    ----------
    origin
        Description in words.
    n_units
        Number of units in the file.
    dims, shape, dtype
        Dims, shape and type of all responses.
    bin_start, bin_end
        Times in ms from image onset.
    read
        Function that returns the outer selection at positions along each of `dims`.
    """

    origin: str
    n_units: int
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    bin_start: np.ndarray
    bin_end: np.ndarray
    read: Callable[..., np.ndarray]

    def variable(self, units: np.ndarray) -> xr.Variable:
        """Return the lazy responses of the units at these positions."""
        whole = lazy_variable(self.dims, self.shape, self.dtype, self.read)
        return whole.isel(unit=units)


@dataclass(frozen=True)
class _Trials:
    """Data sets (trial, image, unit), one for each bin and level of variation."""

    source: Hdf5File
    names: tuple[tuple[str, ...], ...]
    level_of: np.ndarray
    row_of: np.ndarray
    dtype: np.dtype

    def read(self, images: np.ndarray, trials: np.ndarray, units: np.ndarray, bins: np.ndarray) -> np.ndarray:
        values = np.full((len(images), len(trials), len(units), len(bins)), np.nan, self.dtype)
        with self.source.opened() as file:
            for b, names in enumerate(self.names[t] for t in bins):
                for level in np.unique(self.level_of[images]):
                    data = member(file, names[level], h5py.Dataset)
                    at = np.flatnonzero(self.level_of[images] == level)
                    recorded = np.flatnonzero(trials < data.shape[0])
                    part = _values(data, (trials[recorded], self.row_of[images[at]], units))
                    values[np.ix_(at, recorded, np.arange(len(units)), np.array([b]))] = part.swapaxes(0, 1)[
                        ..., None
                    ]
        check_responses(f"{self.source}: responses", values)
        return values


@dataclass(frozen=True)
class _Averages:
    """A data set (image, unit), or (image, bin, unit)."""

    source: Hdf5File
    name: str
    binned: bool
    dtype: np.dtype

    def read(self, images: np.ndarray, units: np.ndarray, bins: np.ndarray) -> np.ndarray:
        with self.source.opened() as file:
            data = member(file, self.name, h5py.Dataset)
            if self.binned:
                values = _values(data, (images, bins, units)).swapaxes(1, 2)
            else:
                values = np.repeat(_values(data, (images, units))[..., None], len(bins), axis=-1)
        check_responses(f"{self.source}: responses", values)
        return values.astype(self.dtype, copy=False)


def find_responses(source: Hdf5File, file: h5py.File, variation: np.ndarray) -> Responses:
    """Return the most detailed responses: trials before averages, bins before one bin.

    Parameters
    ----------
    source, file
        The file, closed and open.
    variation
        Level of variation of each image.

    Raises
    ------
    ContractError
        If there are none, or they do not fit the images or each other, or were not all written.
    """
    if _BINNED in file:
        group = member(file, _BINNED, h5py.Group)
        start = _bins(group)
        names = [f"{_BINNED}/{name}" for name in start]
        return _trials(source, file, names, _times(list(start.values())), variation)
    if _STATIC in file:
        return _trials(source, file, [_STATIC], _static_times(), variation)
    if _BINNED + _AVERAGED in file:
        return _averages(source, file, _BINNED + _AVERAGED, variation)
    if _STATIC + _AVERAGED in file:
        return _averages(source, file, _STATIC + _AVERAGED, variation)
    raise ContractError(
        f"{printable(source.path, 300)} has no responses: wanted {_BINNED}, {_STATIC}, or one of them with "
        f"{_AVERAGED}; it has {printable(', '.join(file), 200)}"
    )


def _bins(group: h5py.Group) -> dict[str, float]:
    """Return the bins of a group by name, in order of time, with their starts in ms."""
    starts = {}
    for name in group:
        if not (found := re.fullmatch(r"(-?\d{1,6}) ?ms", str(name))):
            raise ContractError(
                f"{place(group)} has {printable(repr(name))}; wanted bins called as they start, such as "
                "'20ms'"
            )
        starts[name] = float(found[1])
    if not starts:
        raise ContractError(f"{place(group)} has no bins; wanted some, such as '20ms'")
    return dict(sorted(starts.items(), key=lambda item: item[1]))


def _times(start: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(start), np.array(start) + _BIN_MS


def _static_times() -> tuple[np.ndarray, np.ndarray]:
    return np.array(_STATIC_MS[:1]), np.array(_STATIC_MS[1:])


def _trials(
    source: Hdf5File,
    file: h5py.File,
    groups: list[str],
    times: tuple[np.ndarray, np.ndarray],
    variation: np.ndarray,
) -> Responses:
    levels, level_of = np.unique(variation, return_inverse=True)
    names = tuple(tuple(f"{group}/{_LEVEL}{level}" for level in levels) for group in groups)
    rows = np.bincount(level_of)
    row_of = np.empty(len(variation), int)
    for level, n in enumerate(rows):
        row_of[level_of == level] = np.arange(n)
    first = [member(file, name, h5py.Dataset) for name in names[0]]
    n_units = first[0].shape[-1] if first[0].ndim else 0
    for of_bin in names:
        for name, like, n in zip(of_bin, first, rows, strict=True):
            data = member(file, name, h5py.Dataset)
            if data.dtype.kind not in "fiu" or data.ndim != 3 or data.shape[1:] != (n, n_units):
                raise ContractError(
                    f"{place(data)} is {data.dtype} of shape {data.shape}; wanted numbers of shape "
                    f"(trial, {n} images, {n_units} units), as variation_level and the other datasets have it"
                )
            if data.shape != like.shape:
                raise ContractError(
                    f"{place(data)} has {data.shape[0]} trials, {like.name} has {like.shape[0]}; "
                    "wanted as many in every bin"
                )
    n_trials = [data.shape[0] for data in first]
    dtype = _dtype([member(file, name, h5py.Dataset) for of_bin in names for name in of_bin])
    counts = ", ".join(f"{n} trials of level {level}" for n, level in zip(n_trials, levels, strict=True))
    return Responses(
        origin=f"{groups[0].partition('/')[0]}, {counts}; {_window(groups[0])}",
        n_units=n_units,
        dims=("image", "trial", "unit", "time_bin"),
        shape=(len(variation), max(n_trials), n_units, len(groups)),
        dtype=dtype,
        bin_start=times[0],
        bin_end=times[1],
        read=_Trials(source, names, level_of, row_of, dtype).read,
    )


def _averages(source: Hdf5File, file: h5py.File, name: str, variation: np.ndarray) -> Responses:
    data = member(file, name, h5py.Dataset)
    binned = name.startswith(_BINNED)
    if data.dtype.kind not in "fiu" or data.ndim != 2 + binned or data.shape[0] != len(variation):
        raise ContractError(
            f"{place(data)} is {data.dtype} of shape {data.shape}; wanted numbers of shape "
            f"({len(variation)} images, {'bins, ' if binned else ''}units)"
        )
    n_units = data.shape[-1]
    start, end = _times([_BIN_MS * t for t in range(data.shape[1])]) if binned else _static_times()
    dtype = _dtype([data])
    return Responses(
        origin=f"{name}; {_window(name)}",
        n_units=n_units,
        dims=("image", "unit", "time_bin"),
        shape=(len(variation), n_units, len(start)),
        dtype=dtype,
        bin_start=start,
        bin_end=end,
        read=_Averages(source, name, binned, dtype).read,
    )


def _window(name: str) -> str:
    if name.startswith(_BINNED):
        return f"bins of {_BIN_MS:g} ms from image onset"
    return f"one bin, whose time the file lacks: taken to be {_STATIC_MS[0]:g}-{_STATIC_MS[1]:g} ms"


def _decode(data: h5py.Dataset) -> Decoding:
    return decoding(place(data), native(data.dtype), {str(name): data.attrs[name] for name in data.attrs})


def _values(data: h5py.Dataset, positions: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the outer selection at these positions as floats, NaN where values are missing."""
    return _decode(data).decode(select(data, positions))


def _dtype(data: list[h5py.Dataset]) -> np.dtype:
    """Return the float type that holds the values of all data sets, once all are known to be written."""
    for one in data:
        check_written(place(one), one, _decode(one))
    return np.result_type(*(_decode(one).dtype for one in data))
