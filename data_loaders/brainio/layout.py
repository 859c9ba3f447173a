"""Read what a netCDF file in BrainIO's layout holds, all but the responses themselves.

Every variable is read by itself; the MultiIndex that BrainIO has in memory does not exist on disk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from brainfit.errors import ContractError, IntegrityError
from brainfit.support.messages import printable

from ..files.missing import Decoding, check_written, decoding
from ..files.variables import Variable, VariableFile, Variables

DIMS = ("neuroid", "presentation", "time_bin")
_SCALARS = (
    "identifier", "stimulus_set_identifier", "simulated",
    "time_bin_start", "time_bin_end", "time_bin_stop",
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Contents of a file, except for the responses.

    Attributes
    ----------
    variable
        Name of the responses.
    axes
        Axes of the responses that are neuroid, presentation and, if there is one, time_bin.
    sizes
        Number of neuroids, presentations and time bins.
    decode
        Decoding of the stored responses.
    coords
        For each of `DIMS`, one label an entry by the name of its variable: numbers or text.
    scalars
        Values that a file has once: identifiers, whether it is simulated, the times of a single bin.
    """

    variable: str
    axes: tuple[int, ...]
    sizes: tuple[int, int, int]
    decode: Decoding
    coords: dict[str, dict[str, np.ndarray]]
    scalars: dict[str, Any]


def read_layout(data: Variables, file: VariableFile, wanted: Mapping[str, Sequence[str]]) -> Layout:
    """Return the contents of an open file, with the labels that are `wanted` of each dim.

    Raises
    ------
    ContractError
        If the file does not have this layout, or its responses were not all written.
    IntegrityError
        If labels are shorter or longer than their dim.
    """
    variable = _responses(data, file)
    sizes = dict(zip(variable.dims, variable.shape, strict=True))
    if empty := [dim for dim, size in sizes.items() if size == 0]:
        raise ContractError(f"{file} has no {' and no '.join(empty)} at all: its length is 0")
    where = f"{file}: responses {printable(variable.name)}"
    decode = decoding(where, variable.dtype, variable.attributes)
    if variable.dataset is not None:
        check_written(where, variable.dataset, decode)
    unpacked = {dim: _unpacked(file, data, dim, size) for dim, size in sizes.items()}
    coords = {
        dim: {
            name: _labels(file, data.variables[name], sizes[dim])
            for name in names
            if name in data.variables
            and data.variables[name].dims[:1] == (dim,)
            and not (name == dim and unpacked[dim])
        }
        | {name: labels for name, labels in unpacked[dim].items() if name in names}
        for dim, names in wanted.items()
        if dim in sizes
    }
    scalars = {
        name: found.attributes[name]
        for found in (variable, data)
        for name in _SCALARS
        if name in found.attributes
    }
    scalars |= {
        name: data.variables[name].read().item()
        for name in _SCALARS
        if name in data.variables and data.variables[name].ndim == 0
    }
    return Layout(
        variable.name,
        tuple(variable.dims.index(dim) for dim in DIMS if dim in sizes),
        (sizes["neuroid"], sizes["presentation"], sizes.get("time_bin", 1)),
        decode,
        coords,
        scalars,
    )


def _unpacked(file: VariableFile, data: Variables, dim: str, size: int) -> dict[str, np.ndarray]:
    """Return the levels of a MultiIndex that is stored as one variable, by CF's "compression by gathering".

    `cf_xarray.encode_multi_index_as_compress` packs them so, since netCDF has no MultiIndex.
    """
    codes = data.variables.get(dim)
    if codes is None or "compress" not in codes.attributes:
        return {}
    names = str(codes.attributes["compress"]).split()
    wrong = f"{file}: {dim} is packed by its attribute compress, "
    if missing := [name for name in names if name not in data.variables]:
        raise ContractError(
            f"{wrong}but {printable(missing[0])} is no variable; save it with reset_index({dim!r})"
        )
    levels = [_labels(file, data.variables[name], None) for name in names]
    at, shape = codes.read(), tuple(level.size for level in levels)
    if at.shape != (size,) or at.dtype.kind not in "iu" or not levels:
        raise ContractError(
            f"{wrong}but holds {at.dtype} of shape {at.shape}; wanted a whole number an entry"
        )
    if at.min() < 0 or at.max() >= math.prod(shape):
        raise ContractError(f"{wrong}but has entries outside of {' x '.join(map(str, shape))} levels")
    where = np.unravel_index(at, shape)
    return {name: level[of] for name, level, of in zip(names, levels, where, strict=True)}


def _responses(data: Variables, file: VariableFile) -> Variable:
    """Return the only variable of numbers over neuroids and presentations, in any order of dims."""
    found = [v for v in data.variables.values() if {*DIMS[:2]} <= {*v.dims} <= {*DIMS}]
    found = [v for v in found if len(v.dims) == len({*v.dims})]
    found = [v for v in found if "time_bin" in v.dims] or found
    if len(found) != 1:
        dims = "; ".join(f"{v.name} ({', '.join(v.dims)})" for v in data.variables.values())
        raise ContractError(
            f"{file} has {len(found) or 'no'} variables over neuroid, presentation and maybe time_bin, "
            f"wanted one; it has {printable(dims, 200) or 'none at all'}"
        )
    if found[0].dtype.kind not in "fiu":
        raise ContractError(
            f"{file}: responses {printable(found[0].name)} are {printable(found[0].dtype)}, wanted numbers"
        )
    return found[0]


def _labels(file: VariableFile, variable: Variable, size: int | None) -> np.ndarray:
    """Return a label for each entry of a dim: text, or numbers, NaN where the file marks them as missing."""
    name = f"{file}: {printable(variable.name)}"
    if variable.ndim != 1 and not (variable.dtype == "S1" and variable.ndim == 2):
        raise ContractError(f"{name} has dims {variable.dims}, wanted one label an entry")
    values = variable.labels()
    if size is not None and values.shape != (size,):
        raise IntegrityError(f"{name} has {values.shape[0]} labels for {size} entries")
    if values.dtype.kind not in "iuf":
        return values
    decode = decoding(name, values.dtype, variable.attributes)
    numbers = decode.decode(values)
    whole = decode.stored.kind in "iu" and (decode.scale, decode.offset) == (1, 0)
    return values.view(decode.stored) if whole and not np.isnan(numbers).any() else numbers
