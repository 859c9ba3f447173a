"""A netCDF file in BrainIO's layout: opening it, and the variables that say what it holds.

Every variable is read by itself, and no MultiIndex is made: on disk there is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from brainfit.errors import ContractError, IntegrityError
from brainfit.support.messages import printable

from ..netcdf.file import MOST_SQUEEZED, NetCDFFile

DIMS = ("neuroid", "presentation", "time_bin")
PACKING = ("_FillValue", "missing_value", "scale_factor", "add_offset")
"""Attributes by which `as_numbers` reads what is stored."""
_SCALARS = (
    "identifier", "stimulus_set_identifier", "simulated",
    "time_bin_start", "time_bin_end", "time_bin_stop",
)  # fmt: skip


@contextmanager
def opened(file: NetCDFFile) -> Iterator[netCDF4.Dataset]:
    """Give the file, open for reading only, its values as they are stored.

    Raises
    ------
    IntegrityError
        If it is not as it was found, is no netCDF file, or cannot be read to its end.
    """
    with file.opened() as dataset:
        dataset.set_auto_maskandscale(False)
        dataset.set_auto_chartostring(False)
        yield dataset


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


def read_layout(dataset: netCDF4.Dataset, file: NetCDFFile, wanted: dict[str, Sequence[str]]) -> Layout:
    """Return what a file holds, of its labels the `wanted` names of each dim.

    Raises
    ------
    ContractError
        If it has not this layout.
    IntegrityError
        If it says that it holds more than its bytes can.
    """
    path = file.path
    variable = _responses(dataset, path)
    sizes = {dim: len(dataset.dimensions[dim]) for dim in variable.dimensions}
    if empty := [dim for dim, size in sizes.items() if size == 0]:
        raise ContractError(f"{printable(path, 300)} has no {' and no '.join(empty)} at all: its length is 0")
    stored = variable.chunking()
    too_long = max(sizes.values()) > MOST_SQUEEZED * file.size
    if too_long or (stored == "contiguous" and _bytes(variable) > file.size):
        told = " x ".join(f"{size} {dim}" for dim, size in sizes.items())
        raise IntegrityError(
            f"{printable(path, 300)} is damaged: it has {file.size} bytes, too few for {told}"
        )
    if stored is None:  # netCDF-3
        file.check_sizes(dataset)
    unpacked = {dim: _unpacked(path, dataset, dim) for dim in sizes}
    coords = {
        dim: {
            name: _labels(path, dataset.variables[name], sizes[dim])
            for name in names
            if name in dataset.variables
            and dataset.variables[name].dimensions[:1] == (dim,)
            and not (name == dim and unpacked[dim])
        }
        | {name: labels for name, labels in unpacked[dim].items() if name in names}
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


def _unpacked(path: Path, dataset: netCDF4.Dataset, dim: str) -> dict[str, np.ndarray]:
    """Return the levels of a MultiIndex that stands as one variable, by CF's "compression by gathering".

    `cf_xarray.encode_multi_index_as_compress` packs them so, since netCDF has no MultiIndex.
    """
    codes = dataset.variables.get(dim)
    if codes is None or "compress" not in codes.ncattrs():
        return {}
    names = str(codes.getncattr("compress")).split()
    wrong = f"{printable(path, 300)}: {dim} is packed by its attribute compress, "
    if missing := [name for name in names if name not in dataset.variables]:
        raise ContractError(
            f"{wrong}but {printable(missing[0])} is no variable; save it with reset_index({dim!r})"
        )
    levels = [_labels(path, dataset.variables[name], dataset.variables[name].shape[0]) for name in names]
    at, shape = np.asarray(codes[...]), tuple(level.size for level in levels)
    if at.shape != (len(dataset.dimensions[dim]),) or at.dtype.kind not in "iu" or not levels:
        raise ContractError(
            f"{wrong}but holds {at.dtype} of shape {at.shape}; wanted a whole number an entry"
        )
    if at.min() < 0 or at.max() >= np.prod(shape, dtype=float):
        raise ContractError(f"{wrong}but has entries outside of {' x '.join(map(str, shape))} levels")
    where = np.unravel_index(at, shape)
    return {name: level[of] for name, level, of in zip(names, levels, where, strict=True)}


def _responses(dataset: netCDF4.Dataset, path: Path) -> netCDF4.Variable:
    """Return the one variable of numbers over neuroids and presentations, in whatever order."""
    found = [v for v in dataset.variables.values() if {*DIMS[:2]} <= {*v.dimensions} <= {*DIMS}]
    found = [v for v in found if len(v.dimensions) == len({*v.dimensions})]
    found = [v for v in found if "time_bin" in v.dimensions] or found
    if len(found) != 1:
        dims = "; ".join(f"{v.name} ({', '.join(v.dimensions)})" for v in dataset.variables.values())
        raise ContractError(
            f"{printable(path, 300)} has {len(found) or 'no'} variables over neuroid, presentation and maybe "
            f"time_bin, wanted one; it has {printable(dims, 200) or 'none at all'}"
        )
    if not isinstance(found[0].dtype, np.dtype) or found[0].dtype.kind not in "fiu":
        raise ContractError(
            f"{printable(path, 300)}: responses {printable(found[0].name)} are {found[0].dtype}, wanted numbers"
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
    name = f"{printable(path, 300)}: {printable(variable.name)}"
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
