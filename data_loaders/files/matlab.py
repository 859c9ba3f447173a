"""Read variables of MATLAB files as MATLAB shows them: axes in its order, text as text.

Version 7.3 is HDF5 in which the axes of every array are reversed, text is stored as numbers, and cells and
structures are references. Older versions are read by SciPy.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import regular_file
from brainfit.support.messages import printable, reason

from .hdf5 import Hdf5File, member, place, read_values
from .signatures import is_hdf5

_UNREADABLE = (
    OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, NotImplementedError,
    OverflowError, MemoryError, EOFError, UnicodeDecodeError, ZeroDivisionError, struct.error, zlib.error,
    MatReadError, NameError,
)  # fmt: skip
"""Exceptions that SciPy raises on a damaged file."""
_LONGEST = 2**16
"""Longest text in a cell, in characters."""


def matlab_names(path: Path) -> list[str]:
    """Return the names of the variables in a MATLAB file.

    Raises
    ------
    IntegrityError
        If the file cannot be read.
    """
    regular_file(path)
    if is_hdf5(path):
        with Hdf5File.at(path).opened() as file:
            return [str(name) for name in file if name not in ("#refs#", "#subsystem#")]
    with _reading(path):
        return [name for name, _, _ in whosmat(path)]


def matlab_variables(path: Path, names: list[str]) -> dict[str, Any]:
    """Return variables of a MATLAB file: arrays as MATLAB has them, and cells of text as arrays of text.

    Raises
    ------
    ContractError
        If a variable is neither numbers nor text.
    IntegrityError
        If the file cannot be read.
    """
    regular_file(path)
    if is_hdf5(path):
        with Hdf5File.at(path).opened() as file:
            return {name: dataset_value(member(file, name, h5py.Dataset)) for name in names}
    with _reading(path):
        found = loadmat(path, variable_names=names, chars_as_strings=True)
    return {name: _plain(path, name, found[name]) for name in names}


def dataset_value(data: h5py.Dataset) -> np.ndarray:
    """Return the value of a data set of MATLAB 7.3, its axes in MATLAB's order, text as text.

    Raises
    ------
    ContractError
        If it is a structure, or a cell that holds anything but text or one number.
    """
    kind = data.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if data.attrs.get("MATLAB_empty"):
        return np.empty(0, str if kind == "char" else float)
    if h5py.check_ref_dtype(data.dtype):
        references = np.asarray(read_values(data)).T
        entries = [_cell(data, reference) for reference in references.ravel()]
        return np.array(entries).reshape(references.shape)
    values = np.asarray(read_values(data)).T
    if kind == "char":
        one = values.ndim < 2 or values.shape[0] == 1
        return np.array(text_of(place(data), values)) if one else _rows(place(data), values)
    if values.dtype.kind not in "iufb":
        raise ContractError(f"{place(data)} is {values.dtype}; wanted numbers or text")
    return values


def dereference(file: h5py.File, reference: Any) -> h5py.Dataset:
    """Return the data set that a reference refers to.

    Raises
    ------
    IntegrityError
        If the reference leads nowhere.
    ContractError
        If it leads to a structure.
    """
    where = printable(file.filename, 300)
    if not isinstance(reference, h5py.Reference) or not reference:
        raise IntegrityError(f"{where} is damaged: a reference leads nowhere")
    try:
        found = file[reference]
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise IntegrityError(f"{where} is damaged: a reference leads nowhere ({reason(error)})") from error
    if not isinstance(found, h5py.Dataset):
        raise ContractError(f"{where}: {printable(found.name)} is a structure; wanted text in each cell")
    return found


def text_of(where: str, values: np.ndarray) -> str:
    """Return the text that MATLAB 7.3 stores as numbers.

    Raises
    ------
    ContractError
        Naming `where`, if it is none.

    Examples
    --------
    >>> text_of("region", np.array([[86, 52]], np.uint16))
    'V4'
    """
    codes = np.asarray(values).ravel()
    if codes.dtype.kind not in "ui" or codes.size > _LONGEST:
        raise ContractError(f"{where} holds {codes.dtype} of length {codes.size}; wanted text or one number")
    return codes.astype("<u2").tobytes().decode("utf-16-le", "replace")


def _rows(where: str, values: np.ndarray) -> np.ndarray:
    return np.array([text_of(where, row).rstrip() for row in values])


def _cell(of: h5py.Dataset, reference: Any) -> Any:
    value = dataset_value(dereference(of.file, reference))
    return value.item() if value.size == 1 else text_of(place(of), value)


def _plain(path: Path, name: str, value: Any) -> np.ndarray:
    """Return a variable of SciPy's as numbers or text."""
    values = np.asarray(value)
    if values.dtype.kind == "O":
        entries = [np.asarray(entry) for entry in values.ravel()]
        if not all(entry.size == 1 and entry.dtype.kind in "Uiuf" for entry in entries):
            raise ContractError(
                f"{printable(path, 300)}: {printable(name)} is a cell that holds more than text or one "
                "number each; wanted an array, or a cell of text"
            )
        return np.array([entry.item() for entry in entries]).reshape(values.shape)
    if values.dtype.kind == "U":
        return np.char.rstrip(values)
    if values.dtype.kind not in "iufb":
        raise ContractError(f"{printable(path, 300)}: {printable(name)} is no array of numbers or text")
    return values


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever SciPy raises into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except BrainfitError:
        raise
    except _UNREADABLE as error:
        raise IntegrityError(
            f"cannot read {printable(path, 300)} as a MATLAB file, it may be damaged: {reason(error)}"
        ) from error
