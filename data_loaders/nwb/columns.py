"""Read columns of the tables of an NWB file."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from brainfit.errors import ContractError

from ..files.hdf5 import as_labels, read_values


def values(table: Any, name: str) -> np.ndarray:
    """Return a column with one entry a row; a reference to an image becomes the image's name.

    Raises
    ------
    ContractError
        If a row has several entries, or one that is neither text nor a number.
    """
    column = table[name]
    data = np.asarray([] if hasattr(column, "target") else entries(column.data))
    if data.dtype.kind == "O":
        named = [getattr(entry, "name", entry) for entry in data.tolist()]
        data = np.array(named, str) if all(isinstance(name, str) for name in named) else data
    elif data.dtype.kind == "S":
        data = as_labels(f"table {table.name!r}: column {name}", data)
    if data.shape != (len(table.id),) or data.dtype.kind not in "Uiufb" or h5py.check_ref_dtype(data.dtype):
        raise ContractError(
            f"table {table.name!r}: column {name} is {data.dtype} of shape {data.shape}; wanted one name "
            f"or number in each of {len(table.id)} rows"
        )
    return data


def entries(data: Any) -> Any:
    """Return all entries of a column, through the checks of `read_values` if they lie in the file."""
    return read_values(data) if isinstance(data, h5py.Dataset) else data[:]


def ragged(name: str, column: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions at which the entries of each of `n` rows begin and end.

    Raises
    ------
    ContractError
        If each row has a single entry, or the index does not fit.
    """
    if not hasattr(column, "target"):
        raise ContractError(f"{name} of units is not indexed; wanted a list for each unit")
    last = np.asarray(entries(column.data))
    total = len(column.target.data)
    if (
        last.dtype.kind not in "iu"
        or last.shape != (n,)
        or not (np.diff(last.astype(int), prepend=0) >= 0).all()
    ):
        raise ContractError(
            f"the index of {name} is {last.dtype} of shape {last.shape}; wanted {n}, increasing"
        )
    if n and last[-1] > total:
        raise ContractError(f"the index of {name} goes up to {last[-1]}; there are {total} entries")
    last = last.astype(int)
    return np.concatenate([[0], last[:-1]]), last
