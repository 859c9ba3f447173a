"""Read the named variables of any netCDF or HDF5 file through one interface.

HDF5, and with it netCDF-4, is read by h5py, which knows more types and filters than the netCDF library and
names what it cannot read. Classic netCDF is read by netCDF4. Values come as they are stored.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h5py
import netCDF4
import numpy as np
from scipy.io import netcdf_file

from brainfit.errors import ContractError, IntegrityError
from brainfit.support.messages import printable

from .hdf5 import SourceFile, as_labels, declared_bytes, place, read_values
from .signatures import check_not_matlab, is_hdf5

_CLASSIC = 4
"""Bytes to which classic netCDF pads a variable."""
_CLASSIC_HEADERS = (b"CDF\x01", b"CDF\x02")
"""Beginnings of the classic files that SciPy knows too."""
_NOT_A_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
_PREFIX = "_nc4_non_coord_"
"""Marks, in HDF5, a netCDF variable that has the name of a dimension but other dimensions."""
_INTERNAL = {
    "CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS",
    "_Netcdf4Dimid", "_Netcdf4Coordinates", "_nc3_strict", "_NCProperties",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Variable:
    """A variable of an open file.

    Attributes
    ----------
    name
        Name in the file, without groups.
    dims
        Names of its dimensions. Dimensions of HDF5 that have no name are ``phony_dim_0`` …, one a length.
    shape, dtype
        Shape and type as stored; text of varying length has type object.
    attributes
        Attributes that users set, arrays of one entry as scalars.
    chunks
        Shape of the pieces that are stored together, or None if all is one piece.
    dataset
        The data set in HDF5; None in classic netCDF.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    attributes: Mapping[str, Any]
    chunks: tuple[int, ...] | None
    dataset: h5py.Dataset | None
    _read: Callable[[Any], Any]

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.dims)

    def read(self, part: Any = ...) -> np.ndarray:
        """Return values as they are stored, by default all of them, text of varying length decoded.

        Raises
        ------
        ContractError, IntegrityError, ResourceError
            As for `read_values`.
        """
        return np.asarray(self._read(part))

    def labels(self) -> np.ndarray:
        """Return all values as numbers or text; rows of single characters are joined to words.

        Raises
        ------
        ContractError
            If they are neither.
        """
        values = self.read()
        if values.dtype == "S1" and values.ndim == 2:
            values = np.ascontiguousarray(values).view(f"S{max(values.shape[1], 1)}")[:, 0]
        where = f"variable {printable(repr(self.name))}" if self.dataset is None else place(self.dataset)
        return as_labels(where, values)


@dataclass(frozen=True, eq=False)
class Variables:
    """Variables, dimensions and attributes at the top of an open file.

    Attributes
    ----------
    variables
        Variables by name.
    sizes
        Lengths of dimensions by name.
    attributes
        Attributes of the file.
    """

    variables: Mapping[str, Variable]
    sizes: Mapping[str, int]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class VariableFile(SourceFile):
    """A netCDF or HDF5 file that must not change while a recording uses it."""

    @contextmanager
    def opened(self) -> Iterator[Variables]:
        """Yield what the open file holds, once it is known to be complete in itself.

        Raises
        ------
        IntegrityError
            If the file cannot be read, has changed, or claims to hold more than it can.
        ContractError
            If it reads other files, or is a MATLAB file.
        ResourceError
            If memory ran out.
        """
        self.check_unchanged()
        check_not_matlab(self.path)
        with self.errors_named("netCDF"):
            if is_hdf5(self.path):
                declared_bytes(self)
                with h5py.File(self.path, "r") as file:
                    yield _of_hdf5(file)
            else:
                _check_header(self)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    data = netCDF4.Dataset(self.path)
                with data:
                    _check_classic(self, data)
                    yield _of_classic(data)


def _of_hdf5(file: h5py.File) -> Variables:
    variables: dict[str, Variable] = {}
    names, sizes = _dimensions(file)
    for member in file:
        data = file.get(member)  # None where a soft link leads nowhere
        if not isinstance(data, h5py.Dataset) or _stands_for_dimension(data):
            continue
        name = str(member).removeprefix(_PREFIX)
        dims = _dims(data, names, sizes)
        variables[name] = Variable(
            name, dims, data.shape or (), _dtype(data), _attributes(data.attrs), data.chunks, data,
            lambda part, data=data: read_values(data, part),
        )  # fmt: skip
    return Variables(variables, sizes, _attributes(file.attrs))


def _dimensions(file: h5py.File) -> tuple[dict[int, str], dict[str, int]]:
    """Return the names of netCDF's dimensions by number, and their lengths by name."""
    names, sizes = {}, {}
    for member in file:
        data = file.get(member)
        if isinstance(data, h5py.Dataset) and data.is_scale and data.shape:
            sizes[str(member)] = data.shape[0]
            if "_Netcdf4Dimid" in data.attrs:
                names[np.asarray(data.attrs["_Netcdf4Dimid"]).item()] = str(member)
    return names, sizes


def _dims(data: h5py.Dataset, names: Mapping[int, str], sizes: dict[str, int]) -> tuple[str, ...]:
    """Return the names of the dimensions of a data set; those without one are added to `sizes`."""
    shape = data.shape or ()
    own = str(data.name).rpartition("/")[2]
    if data.is_scale:
        numbers = np.atleast_1d(data.attrs.get("_Netcdf4Coordinates", [])).tolist()
        if len(numbers) == len(shape) > 1 and all(number in names for number in numbers):
            return tuple(names[number] for number in numbers)
        dims: list[str | None] = [own, *[None] * (len(shape) - 1)] if shape else []
    else:
        dims = [_scale_name(data, axis) for axis in range(len(shape))]
    for axis, size in enumerate(shape):
        if dims[axis] is None:
            dims[axis] = _phony(size, {*dims}, sizes)
    return tuple(str(dim) for dim in dims)


def _scale_name(data: h5py.Dataset, axis: int) -> str | None:
    scales = data.dims[axis]
    return str(scales[0].name).rpartition("/")[2] if len(scales) else None


def _phony(size: int, used: set[str | None], sizes: dict[str, int]) -> str:
    """Return a dimension without a name of this length that the data set does not use yet."""
    phony = [name for name in sizes if name.startswith("phony_dim_")]
    found = next((name for name in phony if sizes[name] == size and name not in used), None)
    if found is None:
        found = f"phony_dim_{len(phony)}"
        sizes[found] = size
    return found


def _stands_for_dimension(data: h5py.Dataset) -> bool:
    return data.is_scale and (h5py.h5ds.get_scale_name(data.id) or b"").startswith(_NOT_A_VARIABLE)


def _dtype(data: h5py.Dataset) -> np.dtype:
    """Return the type of a data set; ``V`` for one that h5py does not know, which reading then names."""
    try:
        return data.dtype
    except TypeError:
        return np.dtype("V")


def _attributes(attributes: h5py.AttributeManager) -> dict[str, Any]:
    return {str(name): _plain(attributes[name]) for name in attributes if name not in _INTERNAL}


def _plain(value: Any) -> Any:
    """Return an attribute as netCDF4 does: text as str, one number as a scalar."""
    if isinstance(value, np.ndarray) and value.shape == (1,):
        value = value[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _of_classic(data: netCDF4.Dataset) -> Variables:
    data.set_auto_maskandscale(False)
    data.set_auto_chartostring(False)
    variables = {
        name: Variable(
            name, found.dimensions, found.shape, np.dtype(found.dtype),
            {key: found.getncattr(key) for key in found.ncattrs()}, None, None,
            lambda part, found=found: found[part],
        )
        for name, found in data.variables.items()
    }  # fmt: skip
    sizes = {name: len(dim) for name, dim in data.dimensions.items()}
    return Variables(variables, sizes, {key: data.getncattr(key) for key in data.ncattrs()})


def _check_classic(source: SourceFile, data: netCDF4.Dataset) -> None:
    """Refuse a classic file that was cut short, where the library would read zeros.

    Raises
    ------
    IntegrityError
        If its variables take more bytes than it has.
    """
    if not data.data_model.startswith("NETCDF3"):
        raise ContractError(f"{source} is {printable(data.data_model)}; wanted netCDF-3, netCDF-4 or HDF5")
    needed = 0
    for variable in data.variables.values():
        n_bytes = math.prod(variable.shape) * np.dtype(variable.dtype).itemsize
        needed += -(-n_bytes // _CLASSIC) * _CLASSIC
    if needed > source.size + _CLASSIC:  # an only variable along the unlimited dimension is not padded
        raise IntegrityError(
            f"{source} is damaged: its {source.size} bytes cannot hold what it says it holds"
        )


def _check_header(source: SourceFile) -> None:
    """Read the header of a classic file with SciPy, which raises where the netCDF library would not end.

    It finds every variable in its place, and reads no value.
    """
    with source.path.open("rb") as file:
        start = file.read(4)
    if start in _CLASSIC_HEADERS:
        with warnings.catch_warnings(), netcdf_file(source.path, mmap=True):
            warnings.simplefilter("ignore")
