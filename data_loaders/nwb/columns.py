"""Columns of the tables of an NWB file."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from brainfit.errors import ContractError


def values(table: Any, name: str) -> np.ndarray:
    """Return a column with one entry a row; of a reference to an image, the image's name.

    Raises
    ------
    ContractError
        If a row has several entries, or one that is neither text nor a number.
    """
    column = table[name]
    data = np.asarray([] if hasattr(column, "target") else column.data[:])
    if data.dtype.kind == "O":
        entries = [getattr(entry, "name", entry) for entry in data.tolist()]
        entries = [
            entry.decode("utf-8", "replace") if isinstance(entry, bytes) else entry for entry in entries
        ]
        data = np.array(entries, str) if all(isinstance(entry, str) for entry in entries) else data
    if data.shape != (len(table.id),) or data.dtype.kind not in "Uiufb" or h5py.check_ref_dtype(data.dtype):
        raise ContractError(
            f"table {table.name!r}: column {name} is {data.dtype} of shape {data.shape}; wanted one name "
            f"or number in each of {len(table.id)} rows"
        )
    return data


def ragged(name: str, column: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where the entries of each of `n` rows begin and end.

    Raises
    ------
    ContractError
        If each row has one entry, or the index does not fit.
    """
    if not hasattr(column, "target"):
        raise ContractError(f"{name} of units is not indexed; wanted a list for each unit")
    last = np.asarray(column.data[:])
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
