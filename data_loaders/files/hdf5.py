"""An HDF5 file that somebody else wrote: opened for each read, and nothing in it is trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path, regular_file
from brainfit.support.messages import printable, reason

from .slabs import read_selection

_GAP = 64
"""Rows that are read over in what is stored in one piece: cheaper than to begin anew."""
_MOST_SQUEEZED = 1100
"""Entries for each byte of the file; deflate cannot do more than 1032 bytes for one."""
_UNFIT = (KeyError, TypeError, AttributeError, IndexError, AssertionError, RecursionError)
# Whatever h5py, netCDF4, numpy and json raise on a file that is not what it should be.
UNREADABLE = (*_UNFIT, OSError, RuntimeError, ValueError, ArithmeticError, MemoryError, EOFError)


@dataclass(frozen=True)
class Hdf5File:
    """A file that must stay as it was found; it can be pickled, since it is open only while it is read.

    Attributes
    ----------
    path
        Where it is.
    found
        Its size in bytes, and when it was last written, in ns.
    """

    path: Path
    found: tuple[int, int]

    @classmethod
    def at(cls, path: object) -> Hdf5File:
        """Return the file at a path; raises `IntegrityError` if there is none."""
        place = file_path(path)
        regular_file(place)
        return cls(place, _stamp(place))

    @contextmanager
    def opened(self) -> Iterator[h5py.File]:
        """Give the open file, and make one line of all that can go wrong in reading it.

        Raises
        ------
        IntegrityError
            If it cannot be read, or is another one than was found.
        """
        regular_file(self.path)
        if _stamp(self.path) != self.found:
            raise IntegrityError(
                f"{printable(self.path, 300)} has changed since it was loaded; load it again"
            )
        try:
            with h5py.File(self.path, "r") as file:
                yield file
        except BrainfitError:
            raise
        except UNREADABLE as error:
            raise IntegrityError(
                f"cannot read {printable(self.path, 300)} as HDF5, it may be damaged: {damage(error)}"
            ) from error


def damage(error: BaseException) -> str:
    """Return what one of `UNREADABLE` says of a file; of what Python says of objects, that they do not fit.

    >>> damage(OSError("bad heap")), damage(AttributeError("'NoneType' object has no attribute 'data'"))
    ('bad heap', 'what is in it does not fit together')
    """
    return "what is in it does not fit together" if isinstance(error, _UNFIT) else reason(error)


def place(node: h5py.Group | h5py.Dataset, name: str = "") -> str:
    """Return where a group or dataset stands, or something in it: as in ``file.hdf5:/group/name``."""
    return printable(f"{node.file.filename}:{'/'.join([str(node.name).rstrip('/'), *name.split()])}", 300)


def member(group: h5py.Group, name: str, kind: type[h5py.Dataset] | type[h5py.Group]) -> Any:
    """Return what a group has under that name, itself stored in this file.

    Raises
    ------
    ContractError
        If it is not there, not of that kind, or leads to another file.
    IntegrityError
        If it says that it is larger than the file can hold.
    """
    where = place(group, name)
    if name not in group:
        raise ContractError(f"{where} is missing; there is {printable(', '.join(group) or 'nothing', 200)}")
    found = group[name]
    if found.file.filename != group.file.filename:
        raise ContractError(f"{where} is a link to another file; put the data itself there")
    if not isinstance(found, kind):
        raise ContractError(f"{where} is no {kind.__name__.lower()}")
    if isinstance(found, h5py.Dataset):
        if found.external or found.is_virtual:
            raise ContractError(f"{where} has its values in another file; put them there")
        n_bytes = found.file.id.get_filesize()
        if found.shape and max(found.shape) > _MOST_SQUEEZED * n_bytes:
            raise IntegrityError(
                f"{where} is damaged: {n_bytes} bytes are too few for a shape of {found.shape}"
            )
    return found


def labels(group: h5py.Group, name: str, n: int) -> np.ndarray:
    """Return one entry for each of `n`: text, which may be stored as bytes, or numbers.

    Raises
    ------
    ContractError
        If it is not there, or has another shape or type.
    """
    data = member(group, name, h5py.Dataset)
    where = place(data)
    if data.shape != (n,):
        raise ContractError(f"{where} has shape {data.shape}; wanted {n} entries")
    if data.dtype.kind in "iufb":
        return data[:]
    if data.dtype.kind not in "SO" or h5py.check_ref_dtype(data.dtype):
        raise ContractError(f"{where} is {data.dtype}; wanted text or numbers")
    entries = [e.decode("utf-8", "replace") if isinstance(e, bytes) else e for e in data[:].tolist()]
    if not all(isinstance(entry, str) for entry in entries):
        raise ContractError(f"{where} holds objects; wanted text or numbers")
    return np.array(entries, str)


def select(data: h5py.Dataset, positions: Sequence[np.ndarray]) -> np.ndarray:
    """Return the outer selection at these positions, in any order, through slabs of bounded size."""
    chunks = data.chunks or tuple(min(size, _GAP) for size in data.shape)
    return read_selection(lambda part: data[part], positions, chunks, native(data.dtype))


def native(dtype: np.dtype) -> np.dtype:
    """Return what numbers of a kind become: float32 or float64; integers stay, in our byte order."""
    if dtype.kind == "f":
        return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)
    return dtype.newbyteorder("=")


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
