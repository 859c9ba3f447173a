"""A netCDF file whose variables are read a selection at a time, and which must stay as it was found."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np
from scipy.io import netcdf_file

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path, regular_file
from brainfit.support.messages import printable, reason

from ..files.hdf5 import UNREADABLE, damage
from ..files.slabs import read_selection

MOST_SQUEEZED = 1100
"""Bytes for each in the file; deflate cannot do more than 1032."""


@dataclass(frozen=True)
class NetCDFFile:
    """A file that is opened for each read, so that recordings on it can be pickled and copied.

    Attributes
    ----------
    path
        Where it is, from the root.
    size, modified_ns
        What it was when it was found: another file in its place is not read.
    """

    path: Path
    size: int
    modified_ns: int

    @classmethod
    def find(cls, path: str | os.PathLike[str]) -> NetCDFFile:
        """Return the file at `path`; raise `IntegrityError` where there is none that can be read."""
        given = file_path(path)
        regular_file(given)
        whole = Path(os.path.abspath(given))  # noqa: PTH100 - unlike resolve, it keeps the name of a link
        return cls(whole, *_stamp(whole))

    def __str__(self) -> str:
        return printable(self.path, 300)

    @contextmanager
    def opened(self) -> Iterator[netCDF4.Dataset]:
        """Open the file within the block; what goes wrong there becomes an `IntegrityError`."""
        if _stamp(self.path) != (self.size, self.modified_ns):
            raise IntegrityError(f"{self} has changed since it was loaded; load it again")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of types that it skips: what is skipped is missed by name
                data = netCDF4.Dataset(self.path)
            with data:
                yield data
        except BrainfitError:
            raise
        except UNREADABLE as error:
            raise IntegrityError(
                f"cannot read {self} as netCDF: {damage(error)}; it is damaged, cut short, or something else"
            ) from error

    def check_sizes(self, data: netCDF4.Dataset) -> None:
        """Raise `IntegrityError` if the file has fewer bytes than it says that it holds.

        Where a netCDF-3 file was cut off, the library reads zeros.
        """
        if not data.data_model.startswith("NETCDF4"):
            with netcdf_file(self.path, mmap=True):  # which finds each variable in its place, and reads none
                return
        stored = 0.0
        for variable in data.variables.values():
            itemsize = 1 if variable.dtype is str else variable.dtype.itemsize
            squeezed = 1 if variable.chunking() == "contiguous" else MOST_SQUEEZED
            stored += float(variable.size) * itemsize / squeezed
        if stored > self.size:
            raise IntegrityError(
                f"{self} is damaged: its {self.size} bytes cannot hold what it says it holds"
            )

    def reader(self, name: str, dtype: np.dtype, *, raw: bool) -> Callable[..., np.ndarray]:
        """Return a function for `brainfit.support.lazy_arrays.lazy_variable` that reads the variable of that name.

        Parameters
        ----------
        name
            Of the variable.
        dtype
            What values become.
        raw
            Values are meant as they are stored; else missing ones become NaN, and packed ones are unpacked.
        """
        return _Reader(self, name, dtype, raw)


@dataclass(frozen=True)
class _Reader:
    file: NetCDFFile
    name: str
    dtype: np.dtype
    raw: bool

    def __call__(self, *positions: np.ndarray) -> np.ndarray:
        with self.file.opened() as data:
            variable = data[self.name]
            variable.set_auto_maskandscale(False)
            stored = variable.chunking()
            chunks = stored if isinstance(stored, list) else [1] * variable.ndim
            return read_selection(
                lambda slab: variable[slab] if self.raw else plain_values(self.file, variable, slab),
                positions,
                chunks,
                self.dtype,
            )


def plain_values(file: NetCDFFile, variable: netCDF4.Variable, part: object = ...) -> np.ndarray:
    """Return values of a variable, unpacked, and NaN where the file says that some are missing.

    Raises
    ------
    ContractError
        If it is not clear how to unpack them, or integers lack some.
    """
    variable.set_auto_scale(True)
    # Not what is only like the default fill value: in uint8 that is 255, which is white.
    variable.set_auto_mask(not {"_FillValue", "missing_value"}.isdisjoint(variable.ncattrs()))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error", UserWarning
            )  # of attributes that netCDF4 would leave out of account
            values = variable[part]
    except UserWarning as error:
        raise ContractError(f"{file}: variable {variable.name!r}: {reason(error)}") from error
    if variable.dtype == "S1" and np.ndim(values) == 2:  # text in netCDF-3
        return netCDF4.chartostring(np.ma.filled(values, b""), encoding="utf-8")
    if not np.ma.isMaskedArray(values):
        return np.asarray(values)
    if values.dtype.kind == "f":
        return values.filled(np.nan)
    if np.ma.is_masked(values):
        raise ContractError(
            f"{file}: variable {variable.name!r} is {values.dtype} and lacks values; "
            "store it as float with NaN"
        )
    return values.data


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise IntegrityError(f"cannot read {printable(path, 300)}: {reason(error)}") from error
    return found.st_size, found.st_mtime_ns
