"""Open HDF5 files of others without trusting them.

A file is opened for each read. Before its values are used, every link and data set in it is inspected once: a
file that reads other files, or that claims to hold more than its bytes can, is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from h5py import h5l, h5o  # pyright: ignore[reportAttributeAccessIssue] - compiled, without stubs

from brainfit.errors import BrainfitError, ContractError, IntegrityError, ResourceError
from brainfit.storage.atomic_files import file_path, regular_file
from brainfit.support.messages import printable, reason
from brainfit.support.out_of_memory import out_of_memory

from .slabs import read_selection

MOST_SQUEEZED = 1100
"""Largest ratio of unpacked to stored bytes that is believed; deflate reaches 1032."""
_GAP = 64
"""Rows between two wanted rows of an unchunked data set that are read rather than skipped."""
_STRINGS = 4096
"""Strings read at once, so that a small file cannot repeat one long string without bound."""
_MISFIT = (KeyError, TypeError, AttributeError, IndexError, AssertionError, RecursionError)
UNREADABLE = (*_MISFIT, OSError, RuntimeError, ValueError, ArithmeticError, MemoryError, EOFError)
"""Exceptions that h5py, netCDF4, numpy and json raise on a damaged file."""


@dataclass(frozen=True)
class SourceFile:
    """A file of others that must not change while a recording uses it; it can be pickled.

    Attributes
    ----------
    path
        Absolute path; symbolic links are kept.
    found
        Size in bytes and time of the last change in ns, when the file was first seen.
    """

    path: Path
    found: tuple[int, int]

    @classmethod
    def at(cls, path: object) -> Self:
        """Return the file at a path; raise `IntegrityError` if there is no ordinary file."""
        given = file_path(path).absolute()
        regular_file(given)
        return cls(given, _stamp(given))

    def __str__(self) -> str:
        return printable(self.path, 300)

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.found[0]

    def check_unchanged(self) -> None:
        """Raise `IntegrityError` if the file is gone or is not the one that was found."""
        regular_file(self.path)
        if _stamp(self.path) != self.found:
            raise IntegrityError(f"{self} has changed since it was loaded; load it again")

    @contextmanager
    def errors_named(self, kind: str) -> Iterator[None]:
        """Turn what a library raises inside the block into one line about this file of that kind.

        Raises
        ------
        IntegrityError
            If the file cannot be read.
        ResourceError
            If memory ran out.
        """
        try:
            yield
        except BrainfitError:
            raise
        except UNREADABLE as error:
            raise unreadable(f"{self} as {kind}", error) from error

    @contextmanager
    def refusals_named(self) -> Iterator[None]:
        """Put the name of this file before the message of a `ContractError` that does not begin with it."""
        try:
            yield
        except ContractError as error:
            if str(error).startswith(str(self)):
                raise
            raise ContractError(f"{self}: {error}") from error


@dataclass(frozen=True)
class Hdf5File(SourceFile):
    """An HDF5 file that must not change while a recording uses it."""

    @contextmanager
    def opened(self) -> Iterator[h5py.File]:
        """Yield the open file, once it is known to be complete in itself.

        Raises
        ------
        IntegrityError
            If the file cannot be read, has changed, or claims to hold more than it can.
        ContractError
            If it reads other files.
        ResourceError
            If memory ran out.
        """
        self.check_unchanged()
        with self.errors_named("HDF5"):
            declared_bytes(self)
            with h5py.File(self.path, "r") as file:
                yield file


def damage(error: BaseException) -> str:
    """Return what one of `UNREADABLE` says about a file, without Python's words about objects.

    >>> damage(OSError("bad heap")), damage(AttributeError("'NoneType' object has no attribute 'data'"))
    ('bad heap', 'what is in it does not fit together')
    """
    return "what is in it does not fit together" if isinstance(error, _MISFIT) else reason(error)


def unreadable(what: str, error: BaseException) -> IntegrityError | ResourceError:
    """Return the error to raise for one of `UNREADABLE`: lack of memory is no damage.

    >>> unreadable("mine.h5 as HDF5", OSError("bad heap"))
    IntegrityError('cannot read mine.h5 as HDF5, it may be damaged: bad heap')
    >>> unreadable("mine.h5 as HDF5", MemoryError())
    ResourceError('memory ran out while reading mine.h5 as HDF5; raise the limit, or replace a damaged file')
    """
    if out_of_memory(error) or "memory allocation" in str(error).lower():
        return ResourceError(
            f"memory ran out while reading {what}; raise the limit, or replace a damaged file"
        )
    return IntegrityError(f"cannot read {what}, it may be damaged: {damage(error)}")


def declared_bytes(source: SourceFile) -> int:
    """Return the unpacked size of all data sets, once it is known that the file can hold them by itself.

    Every link and data set is looked at; no value is read. Sizes are exact integers.

    Raises
    ------
    ContractError
        If a link leads to another file, or a data set has its values in other files.
    IntegrityError
        If a data set, or all of them together, would not fit into the file even if packed well.
    """
    return _inspect(SourceFile(source.path, source.found))


@lru_cache(maxsize=32)
def _inspect(source: SourceFile) -> int:
    claimed, declared, seen = 0, 0, set()
    with h5py.File(source.path, "r") as file:
        for name, kind in _links(file):
            if kind == h5l.TYPE_SOFT:
                continue
            if kind != h5l.TYPE_HARD:
                raise ContractError(
                    f"{source}: {printable(name)} is a link to another file, which is never followed; copy "
                    "the data itself into this file"
                )
            node = h5o.open(file.id, name.encode("utf-8", "surrogateescape"))
            address = h5o.get_info(node).addr
            if isinstance(node, h5py.h5d.DatasetID) and address not in seen:
                seen.add(address)
                claimed += _claimed_bytes(source, name, node)
                if not _is_bare_dimension(node):
                    declared += math.prod(node.shape) * node.get_type().get_size()
    if claimed > MOST_SQUEEZED * source.size:
        raise IntegrityError(
            f"{source} is damaged: its {source.size} bytes cannot hold what it says it holds"
        )
    return declared


def _links(file: h5py.File) -> list[tuple[str, int]]:
    """Return the name and the kind of every link, without following soft or external ones."""
    found: list[tuple[str, int]] = []
    file.id.links.visit(
        lambda name, info: found.append((name.decode("utf-8", "surrogateescape"), info.type)), info=True
    )
    return found


def _claimed_bytes(source: SourceFile, name: str, data: h5py.h5d.DatasetID) -> int:
    """Return `MOST_SQUEEZED` times the least bytes that a data set takes, after checking it by itself."""
    made = data.get_create_plist()
    if made.get_layout() == h5py.h5d.VIRTUAL or made.get_external_count():
        raise ContractError(
            f"{source}: {printable(name)} has its values in another file, which is never read; copy them "
            "into this file"
        )
    if _is_bare_dimension(data):
        return 0
    if (stored := data.get_storage_size()) > source.size:  # a chunk is read whole before it is unpacked
        raise IntegrityError(
            f"{source} is damaged: {printable(name)} takes {stored} of its {source.size} bytes"
        )
    itemsize = data.get_type().get_size()
    total = most = math.prod(data.shape) * itemsize
    written = stored > 0
    chunked = made.get_layout() == h5py.h5d.CHUNKED
    if chunked and written:  # a whole chunk is unpacked at once
        most = max(total, math.prod(made.get_chunk()) * itemsize)
    packed = chunked or not written
    if most > source.size * (MOST_SQUEEZED if packed else 1):
        raise IntegrityError(
            f"{source} is damaged: its {source.size} bytes cannot hold what it says it holds: "
            f"{printable(name)} of shape {data.shape}, {most} bytes{'' if written else ' never written'}"
        )
    return 0 if not written else total if packed else total * MOST_SQUEEZED


def _is_bare_dimension(data: h5py.h5d.DatasetID) -> bool:
    """Return True for what stands for a dimension of netCDF that has no values."""
    if not h5py.h5ds.is_scale(data) or data.get_storage_size():
        return False
    name = h5py.h5ds.get_scale_name(data) or b""
    return name.startswith(b"This is a netCDF dimension but not a netCDF variable")


def place(node: h5py.Group | h5py.Dataset, name: str = "") -> str:
    """Return the place of a group, data set or member of it, such as ``file.hdf5:/group/name``."""
    return printable(f"{node.file.filename}:{'/'.join([str(node.name).rstrip('/'), *name.split()])}", 300)


def member(group: h5py.Group, name: str, kind: type[h5py.Dataset] | type[h5py.Group]) -> Any:
    """Return the member of a group that has this name.

    Raises
    ------
    ContractError
        If it is missing or of another kind.
    """
    where = place(group, name)
    if name not in group:
        raise ContractError(f"{where} is missing; there is {printable(', '.join(group) or 'nothing', 200)}")
    found = group[name]
    if not isinstance(found, kind):
        raise ContractError(f"{where} is no {kind.__name__.lower()}")
    return found


def read_values(data: h5py.Dataset, part: Any = ...) -> Any:
    """Return a part of a data set as h5py gives it; variable-length text is decoded.

    Raises
    ------
    ContractError
        If the values are of a type that cannot be read, are packed by a filter that is not installed, or are
        text in an encoding other than UTF-8.
    IntegrityError
        If they are damaged.
    ResourceError
        If memory ran out.
    """
    where = place(data)
    try:
        text = h5py.check_string_dtype(data.dtype)
    except TypeError as error:
        raise ContractError(
            f"{where} is of a type that h5py cannot read ({reason(error)}); store it as numbers or text"
        ) from error
    if text is None and h5py.check_vlen_dtype(data.dtype) is not None:
        raise ContractError(f"{where} holds lists of varying lengths; wanted one number or text an entry")
    try:
        if text is None or text.length is not None or data.ndim == 0 or part is not ...:
            return _decoded(where, data[part])
        return _strings(where, data)
    except BrainfitError:
        raise
    except UNREADABLE as error:
        if missing := _missing_filters(data):
            raise ContractError(
                f"{where} is packed by {', '.join(missing)}, which is not installed here; store it with "
                "gzip, or set HDF5_PLUGIN_PATH to the folder of that filter"
            ) from error
        raise unreadable(where, error) from error


def _strings(where: str, data: h5py.Dataset) -> np.ndarray:
    """Return text of varying lengths, whose total length is bounded by the file that holds it."""
    left, parts = data.file.id.get_filesize(), []
    width = max(1, _STRINGS // max(1, math.prod(data.shape[1:])))
    for start in range(0, data.shape[0], width):
        part = data[start : start + width]
        left -= sum(len(text) for text in part.flat if isinstance(text, bytes))
        if left < 0:
            raise IntegrityError(f"{where} is damaged: its text is longer than the file that holds it")
        parts.append(_decoded(where, part))
    return np.concatenate(parts) if parts else np.empty(data.shape, object)


def _decoded(where: str, values: Any) -> Any:
    """Return values with bytes of varying lengths decoded to text."""
    try:
        if isinstance(values, bytes):
            return values.decode("utf-8")
        if isinstance(values, np.ndarray) and values.dtype.kind == "O":
            texts = [text.decode("utf-8") if isinstance(text, bytes) else text for text in values.flat]
            decoded = np.empty(len(texts), object)
            decoded[:] = texts
            return decoded.reshape(values.shape)
    except UnicodeDecodeError as error:
        raise ContractError(f"{where} is text, but not in UTF-8; store it in UTF-8") from error
    return values


def _missing_filters(data: h5py.Dataset) -> list[str]:
    made = data.id.get_create_plist()
    filters = [made.get_filter(k) for k in range(made.get_nfilters())]
    return [
        f"filter {code} ({printable(name.decode('utf-8', 'replace'))})" if name else f"filter {code}"
        for code, _, _, name in filters
        if not h5py.h5z.filter_avail(code)
    ]


def labels(group: h5py.Group, name: str, n: int) -> np.ndarray:
    """Return `n` labels: numbers, or text, which may be stored as bytes.

    Raises
    ------
    ContractError
        If they are missing, or have another shape or type.
    """
    data = member(group, name, h5py.Dataset)
    where = place(data)
    if data.shape != (n,):
        raise ContractError(f"{where} has shape {data.shape}; wanted {n} entries")
    if data.dtype.kind not in "iufbSO" or h5py.check_ref_dtype(data.dtype):
        raise ContractError(f"{where} is {data.dtype}; wanted text or numbers")
    return as_labels(where, read_values(data))


def as_labels(where: str, values: np.ndarray) -> np.ndarray:
    """Return numbers as they are, in this machine's byte order, and bytes or Python's text as NumPy's text.

    Raises
    ------
    ContractError
        Naming `where`, if the values are anything else.
    """
    if values.dtype.kind == "S":
        try:
            return np.char.decode(values, "utf-8")
        except UnicodeDecodeError as error:
            raise ContractError(f"{where} is text, but not in UTF-8; store it in UTF-8") from error
    if values.dtype.kind == "O" and all(isinstance(entry, str) for entry in values.flat):
        return values.astype(str)
    if values.dtype.kind not in "Uiufb":
        raise ContractError(f"{where} is {printable(values.dtype)}; wanted text or numbers")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def select(data: h5py.Dataset, positions: Sequence[np.ndarray]) -> np.ndarray:
    """Return the outer selection at these positions, in any order, through slabs of bounded size."""
    chunks = data.chunks or tuple(min(size, _GAP) for size in data.shape)
    return read_selection(lambda part: read_values(data, part), positions, chunks, native(data.dtype))


def native(dtype: np.dtype) -> np.dtype:
    """Return the type that numbers are read as: float32 or float64; integers in this machine's order."""
    if dtype.kind == "f":
        return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)
    return dtype.newbyteorder("=")


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise IntegrityError(f"cannot read {printable(path, 300)}: {reason(error)}") from error
    return found.st_size, found.st_mtime_ns
