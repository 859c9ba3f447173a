"""A netCDF file in BrainIO's layout: opening it, and the variables that say what it holds.

Every variable is read by itself, and no MultiIndex is made: on disk there is none.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.files import regular_file
from brainfit.shown import reason, shown

DIMS = ("neuroid", "presentation", "time_bin")
PACKING = ("_FillValue", "missing_value", "scale_factor", "add_offset")
"""Attributes by which `as_numbers` reads what is stored."""
_SCALARS = (
    "identifier", "stimulus_set_identifier", "simulated",
    "time_bin_start", "time_bin_end", "time_bin_stop",
)  # fmt: skip
_MOST_SQUEEZED = 1100
"""Entries for each byte of the file; deflate cannot do more than 1032 bytes for one."""
# Whatever netCDF4, HDF5 and numpy raise on a file that is not what it should be.
_UNREADABLE = (
    OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError,
    EOFError,
)  # fmt: skip


@contextmanager
def opened(path: Path) -> Iterator[netCDF4.Dataset]:
    """Give the file, open for reading only; what goes wrong meanwhile is said in one line.

    Raises
    ------
    IntegrityError
        If it is not there, is no netCDF-4 file, or cannot be read to its end.
    """
    try:
        regular_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of types that it skips: what is skipped is missed by name
            with netCDF4.Dataset(path.resolve(), "r") as dataset:
                if not str(dataset.data_model).startswith("NETCDF4"):
                    # Where a netCDF-3 file was cut off, the library reads zeros.
                    raise IntegrityError(
                        f"{shown(path, 300)} is netCDF-3, which may be cut off unnoticed; BrainIO "
                        "writes netCDF-4: convert it, as with nccopy -4"
                    )
                dataset.set_auto_maskandscale(False)
                dataset.set_auto_chartostring(False)
                yield dataset
    except BrainfitError:
        raise
    except _UNREADABLE as error:
        raise IntegrityError(
            f"cannot read {shown(path, 300)} as a netCDF file, it may be damaged or cut off: {reason(error)}"
        ) from error


@dataclass(frozen=True)
class Layout:
    """What a file holds, all but the responses themselves.

    Attributes
    ----------
    variable
        Name of the responses.
    axes
        Which axis of them is neuroid, presentation and, where there is one, time_bin.
    sizes
        Number of neuroids, presentations and time bins.
    dtype
        In which responses are given: that of the file, or the float that holds its integers.
    coords
        For each of `DIMS`, one label for each entry by the name of the variable: numbers or text.
    scalars
        What stands in the file once: identifiers, whether it is simulated, the times of an only bin.
    """

    variable: str
    axes: tuple[int, ...]
    sizes: tuple[int, int, int]
    dtype: np.dtype
    coords: dict[str, dict[str, np.ndarray]]
    scalars: dict[str, Any]


def read_layout(dataset: netCDF4.Dataset, path: Path, wanted: dict[str, Sequence[str]]) -> Layout:
    """Return what a file holds, of its labels the `wanted` names of each dim.

    Raises
    ------
    ContractError
        If it has not this layout.
    IntegrityError
        If it says that it holds more than its bytes can.
    """
    variable = _responses(dataset, path)
    sizes = {dim: len(dataset.dimensions[dim]) for dim in variable.dimensions}
    if empty := [dim for dim, size in sizes.items() if size == 0]:
        raise ContractError(f"{shown(path, 300)} has no {' and no '.join(empty)} at all: its length is 0")
    n_bytes = path.stat().st_size
    packed = variable.chunking() != "contiguous"
    if max(sizes.values()) > _MOST_SQUEEZED * n_bytes or not (packed or _bytes(variable) <= n_bytes):
        told = " x ".join(f"{size} {dim}" for dim, size in sizes.items())
        raise IntegrityError(f"{shown(path, 300)} is damaged: it has {n_bytes} bytes, too few for {told}")
    coords = {
        dim: {
            name: _labels(path, dataset.variables[name], sizes[dim])
            for name in names
            if name in dataset.variables and dataset.variables[name].dimensions[:1] == (dim,)
        }
        for dim, names in wanted.items()
        if dim in sizes
    }
    scalars = {
        name: of.getncattr(name) for of in (variable, dataset) for name in _SCALARS if name in of.ncattrs()
    }
    scalars |= {
        name: dataset.variables[name][...].item()
        for name in _SCALARS
        if name in dataset.variables and dataset.variables[name].ndim == 0
    }
    return Layout(
        variable.name,
        tuple(variable.dimensions.index(dim) for dim in DIMS if dim in sizes),
        (sizes["neuroid"], sizes["presentation"], sizes.get("time_bin", 1)),
        _float(variable),
        coords,
        scalars,
    )


def _responses(dataset: netCDF4.Dataset, path: Path) -> netCDF4.Variable:
    """Return the one variable of numbers over neuroids and presentations, in whatever order."""
    found = [v for v in dataset.variables.values() if {*DIMS[:2]} <= {*v.dimensions} <= {*DIMS}]
    found = [v for v in found if len(v.dimensions) == len({*v.dimensions})]
    found = [v for v in found if "time_bin" in v.dimensions] or found
    if len(found) != 1:
        dims = "; ".join(f"{v.name} ({', '.join(v.dimensions)})" for v in dataset.variables.values())
        raise ContractError(
            f"{shown(path, 300)} has {len(found) or 'no'} variables over neuroid, presentation and maybe "
            f"time_bin, wanted one; it has {shown(dims, 200) or 'none at all'}"
        )
    if not isinstance(found[0].dtype, np.dtype) or found[0].dtype.kind not in "fiu":
        raise ContractError(
            f"{shown(path, 300)}: responses {shown(found[0].name)} are {found[0].dtype}, wanted numbers"
        )
    return found[0]


def _bytes(variable: netCDF4.Variable) -> int:
    return math.prod(variable.shape) * variable.dtype.itemsize


def _float(variable: netCDF4.Variable) -> np.dtype:
    """Return the smallest of float32 and float64 that holds the values."""
    packed = {"scale_factor", "add_offset"} & set(variable.ncattrs())
    exact = variable.dtype == np.float32 or (variable.dtype.kind in "iu" and variable.dtype.itemsize <= 2)
    return np.dtype(np.float32 if exact and not packed else np.float64)


def as_numbers(values: np.ndarray, attributes: dict[str, Any], dtype: np.dtype) -> np.ndarray:
    """Return stored values as floats: unpacked, and NaN where the file marks that there is none."""
    default = None if values.itemsize == 1 else netCDF4.default_fillvals.get(values.dtype.str[1:])
    missing = [attributes.get("_FillValue", default), attributes.get("missing_value")]
    numbers = values.astype(dtype)
    if {"scale_factor", "add_offset"} & attributes.keys():
        numbers = numbers * attributes.get("scale_factor", 1) + attributes.get("add_offset", 0)
    for mark in missing:
        if mark is not None and mark == mark:  # NaN needs no marking
            numbers[values == mark] = np.nan
    return numbers


def _labels(path: Path, variable: netCDF4.Variable, size: int) -> np.ndarray:
    """Return a label for each entry of a dim: numbers as they are, all else as text."""
    name = f"{shown(path, 300)}: {shown(variable.name)}"
    if variable.ndim != 1 and not (variable.dtype == "S1" and variable.ndim == 2):
        raise ContractError(f"{name} has dims {variable.dimensions}, wanted one label an entry")
    values = np.asarray(variable[...])
    if values.shape[:1] != (size,):
        raise IntegrityError(f"{name} has {values.shape[:1]} labels for {size} entries")
    try:
        if values.dtype == "S1" and values.ndim == 2:
            values = np.ascontiguousarray(values).view(f"S{max(values.shape[1], 1)}")[:, 0]
        if values.dtype.kind == "S":
            values = np.char.decode(values, "utf-8")
    except UnicodeDecodeError as error:
        raise ContractError(f"{name} is text, but not in UTF-8") from error
    if values.dtype.kind == "O" and all(isinstance(label, str) for label in values.tolist()):
        values = values.astype(str)
    if values.dtype.kind not in "Uiuf":
        raise ContractError(f"{name} is {values.dtype}; wanted text or numbers")
    return values if values.dtype.kind == "U" else values.astype(values.dtype.newbyteorder("="))
